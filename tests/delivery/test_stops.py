"""Stopping what is on its way, and knowing what is known: the narrow places between a claim and a settlement."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError

from django_pushwoosh import push
from django_pushwoosh.delivery import connection, outbox
from django_pushwoosh.delivery.governor import Governor
from django_pushwoosh.delivery.worker import Worker
from django_pushwoosh.models import BulkJobChunk, Device, Dispatch, OutboxEntry, ScheduledMessage
from django_pushwoosh.protocol import audience as audiences
from django_pushwoosh.protocol.audience import EVERYONE
from django_pushwoosh.protocol.errors import RateLimited
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock
from tests.faults import Faults

pytestmark = pytest.mark.django_db
Status = OutboxEntry.Status


def arrived(sandbox: Sandbox) -> list[str]:
    return [push.body for push in sandbox.phone("phone").pushes]


def state(message: ScheduledMessage) -> str:
    message.refresh_from_db()
    return message.status


def test_a_message_cancelled_while_a_worker_holds_it_does_not_leave(
    sandbox: Sandbox, phone: Device, clock: Clock
) -> None:
    message = push.send("Hello", to=phone)
    [held] = outbox.claim(50, now=clock.now)
    push.cancel(message)
    Worker().deliver([held])

    assert arrived(sandbox) == []
    assert state(message) == ScheduledMessage.Status.CANCELLED


def test_a_message_deleted_while_a_worker_holds_it_does_not_leave(
    sandbox: Sandbox, phone: Device, clock: Clock
) -> None:
    message = push.send("Hello", to=phone)
    [held] = outbox.claim(50, now=clock.now)
    message.delete()
    Worker().deliver([held])

    assert arrived(sandbox) == []
    assert OutboxEntry.objects.get(pk=held.pk).status == Status.CANCELLED


def test_a_message_cancelled_in_doubt_is_not_tried_again(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock
) -> None:
    message = push.send("Hello", to=phone)
    faults.next("lose request")
    run_outbox()
    push.cancel(message)
    clock.advance(minutes=1)
    run_outbox()

    assert arrived(sandbox) == []
    assert state(message) == ScheduledMessage.Status.UNCERTAIN


def test_a_future_message_cancelled_or_deleted_in_doubt_is_stopped_by_its_code(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock
) -> None:
    for stop in (push.cancel, ScheduledMessage.delete):
        message = push.schedule("Hello", to=phone, at=clock.now + timedelta(days=1))
        faults.next("lose answer")
        run_outbox()
        stop(message)
        clock.advance(minutes=1)
        run_outbox()
        run_outbox()

    assert {message.status for message in sandbox.messages} == {"canceled"}
    clock.advance(days=2)
    sandbox.advance()
    assert arrived(sandbox) == []


def test_the_entry_of_a_deleted_message_cannot_be_tried_again(sandbox: Sandbox, phone: Device) -> None:
    message = push.send("Hello", to=phone)
    push.cancel(message)
    message.delete()
    entry = OutboxEntry.objects.get(method="createMessage")

    assert push.retry(entry) is False
    run_outbox()
    assert arrived(sandbox) == []


def test_a_retry_of_what_is_uncertain_stays_in_doubt_until_it_is_answered(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock
) -> None:
    message = push.schedule("Hello", to=phone, at=clock.now + timedelta(days=1))
    faults.next("lose answer", "lose request", "lose request", "lose request", "lose request", "lose request")
    for _ in range(3):
        run_outbox()
        clock.advance(minutes=3)
    entry = OutboxEntry.objects.get(method="createMessage")
    assert entry.status == Status.UNCERTAIN
    faults.waiting.clear()

    assert push.retry(entry)
    push.cancel(message)
    run_outbox()
    # The first one waits at Pushwoosh, and nobody has its code: that must not read "cancelled".
    assert state(message) == ScheduledMessage.Status.UNCERTAIN


def test_a_person_may_send_again_what_is_uncertain(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock
) -> None:
    message = push.send("Hello", to=phone)
    faults.next("lose request", "lose request", "lose request", "lose request")
    for _ in range(4):
        run_outbox()
        clock.advance(minutes=3)
    assert state(message) == ScheduledMessage.Status.UNCERTAIN
    faults.waiting.clear()

    assert push.retry(OutboxEntry.objects.get(method="createMessage"))
    run_outbox()
    assert arrived(sandbox) == ["Hello"]
    assert state(message) == ScheduledMessage.Status.SENT


def test_what_was_to_replace_a_message_that_cannot_be_stopped_is_not_sent_beside_it(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock
) -> None:
    message = push.schedule("Old", to=phone, at=clock.now + timedelta(hours=1))
    run_outbox()
    message.refresh_from_db()
    message.parameters = {"content": "New"}
    message.save()
    faults.next((200, {}, b'{"status_code": 210, "status_message": "Message is locked"}'))
    run_outbox()
    run_outbox()
    clock.advance(hours=2)
    sandbox.advance()

    assert arrived(sandbox) == ["Old"]
    assert "could not be stopped" in message.dispatches.get(status=Dispatch.Status.CANCELLED).told


def test_an_answer_outweighs_the_governors_books(
    sandbox: Sandbox, phone: Device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_args: Any) -> None:
        raise OperationalError("deadlock")

    monkeypatch.setattr(Governor, "answered", fail)
    message = push.send("Hello", to=EVERYONE)
    run_outbox()

    assert state(message) == ScheduledMessage.Status.SENT
    assert "rate slot" in caplog.text


def test_of_a_lost_connection_the_governor_is_told_how_long_its_request_may_be_on_its_way(
    sandbox: Sandbox, phone: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    monkeypatch.setattr(Governor, "unanswered", lambda _self, _grant, longest: told.append(longest))
    sandbox.faults.lose_next_answer("createMessage")

    push.send("Hello", to=EVERYONE)
    run_outbox()

    assert told == [20.0], "the read timeout"


@pytest.mark.parametrize("answer", [None, (200, {}, b'{"status_code": 210, "status_message": "No"}')])
def test_a_deadlock_makes_no_doubt_of_what_is_known(
    sandbox: Sandbox, phone: Device, faults: Faults, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    message = push.send("Hello", to=phone)
    if answer:
        faults.next(answer)
    settle, failures = outbox.settle, iter([OperationalError("deadlock")])

    def flaky(*args: Any, **options: Any) -> bool:
        for failure in failures:
            raise failure
        return settle(*args, **options)

    monkeypatch.setattr(outbox, "settle", flaky)
    run_outbox()

    assert state(message) == (ScheduledMessage.Status.FAILED if answer else ScheduledMessage.Status.SENT)


def test_an_answer_that_outlives_its_lease_is_known_all_the_same(
    sandbox: Sandbox, phone: Device, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = push.schedule("Hello", to=phone, at=clock.now + timedelta(days=1))
    [held] = outbox.claim(1, now=clock.now)
    send = connection.send

    def slowly(*args: Any, **options: Any) -> Any:
        answered = send(*args, **options)
        monkeypatch.undo()
        clock.advance(minutes=6)
        run_outbox()
        assert state(message) == ScheduledMessage.Status.UNCERTAIN
        return answered

    monkeypatch.setattr(connection, "send", slowly)
    Worker().deliver([held])

    assert state(message) == ScheduledMessage.Status.SENT
    assert len(sandbox.messages) == 1


def test_what_waits_for_the_cap_starves_nobody(
    sandbox: Sandbox, phone: Device, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[None] = []

    def refuse(*_args: Any) -> None:
        asked.append(None)
        clock.advance(milliseconds=10)
        raise RateLimited("The cap is used up.", retry_after=1)

    monkeypatch.setattr(Governor, "acquire", refuse)
    for number in range(100):
        push.send(f"Number {number}", to=EVERYONE)
    push.set_badge(phone, 3)
    Worker().drain()

    assert OutboxEntry.objects.get(method="setBadge").status == Status.SENT
    assert len(asked) < 10


def test_waiting_for_the_cap_is_not_trying_in_vain(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock, settings: Any
) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": 1}}}
    push.send("First", to=EVERYONE)
    run_outbox()
    message = push.send("Second", to=EVERYONE, expires_at=clock.now + timedelta(days=30))
    run_outbox()
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {}}
    clock.advance(days=1, minutes=1)
    faults.next("unreachable")
    run_outbox()

    assert state(message) == ScheduledMessage.Status.SCHEDULED


def test_an_entry_that_this_version_does_not_know_ends(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    push.set_badge(phone, 3)
    OutboxEntry.objects.filter(method="setBadge").update(method="gone")
    push.set_badge(phone, 4)
    run_outbox()

    assert OutboxEntry.objects.get(method="gone").status == Status.FAILED
    assert sandbox.phone("phone").device.badge == 4


def test_an_entry_that_cannot_be_judged_holds_up_no_other(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    push.set_badge(phone, 3)
    [held] = outbox.claim(1, now=clock.now)
    outbox.begin([held], now=clock.now)
    OutboxEntry.objects.filter(pk=held.pk).update(method="gone")
    push.send("Hello", to=phone)
    clock.advance(minutes=3)
    run_outbox()

    assert arrived(sandbox) == ["Hello"]
    assert OutboxEntry.objects.get(pk=held.pk).status == Status.LEFT


def test_a_report_that_cannot_be_read_holds_up_no_other(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock
) -> None:
    for age in (1, 2):
        push.bulk_set_tags([{"hwid": "phone", "tags": {"Age": age}}])
    Worker().drain()
    clock.advance(minutes=1)
    faults.next((200, {}, b'{"request_id": "1", "status": "Failed", "devices_failed": -1, "devices_success": 1e99}'))
    run_outbox()

    assert set(BulkJobChunk.objects.values_list("status", flat=True)) == {
        BulkJobChunk.Status.DONE,
        BulkJobChunk.Status.FAILED,
    }


def test_an_answer_nested_beyond_reason_is_one_that_cannot_be_read(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock
) -> None:
    push.set_badge(phone, 3)
    faults.next((200, {}, b'{"status_code": 200, "response": ' + b"[" * 900 + b"]" * 900 + b"}"))
    run_outbox()
    clock.advance(minutes=2)
    run_outbox()

    assert OutboxEntry.objects.get(method="setBadge").status == Status.SENT


def test_rows_deleted_by_a_queryset_are_told_too(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    push.schedule("Hello", to=phone, at=clock.now + timedelta(days=1))
    run_outbox()
    ScheduledMessage.objects.all().delete()
    Device.objects.all().delete()
    run_outbox()

    assert [message.status for message in sandbox.messages] == ["canceled"]
    assert not sandbox.phone("phone").device.is_subscribed


def test_what_was_sent_without_a_code_is_beyond_reach_and_says_so_once(sandbox: Sandbox, phone: Device) -> None:
    message = push.send("Hello", to=phone)
    run_outbox()
    push.cancel(message)
    push.cancel(message)

    assert state(message) == ScheduledMessage.Status.SENT
    assert Dispatch.objects.get().told.count("It cannot be cancelled: Pushwoosh gave no code for it") == 1
    assert arrived(sandbox) == ["Hello"]


def test_a_message_cancelled_while_its_call_is_out_says_that_it_was_too_late(
    sandbox: Sandbox, phone: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = push.send("Hello", to=phone)
    send = connection.send

    def ask_and_cancel(*call: Any, **how: Any) -> Any:
        push.cancel(message)
        return send(*call, **how)

    monkeypatch.setattr(connection, "send", ask_and_cancel)
    run_outbox()

    assert state(message) == ScheduledMessage.Status.SENT
    assert "It cannot be cancelled: Pushwoosh gave no code for it" in Dispatch.objects.get().told


@pytest.mark.parametrize(
    "audience", [{}, {"devices": []}, {"users": ["ada"]}, {"devices": ["phone"], "filter": "Everyone"}], ids=str
)
def test_a_message_whose_audience_was_lost_in_the_outbox_does_not_leave(
    sandbox: Sandbox, phone: Device, audience: dict[str, Any]
) -> None:
    message = push.send("Hello", to=phone)
    entry = OutboxEntry.objects.get(method="createMessage")
    [notification] = entry.arguments["notifications"]
    del notification["devices"]
    notification |= audience
    entry.save()
    run_outbox()

    assert sandbox.messages == []
    assert state(message) == ScheduledMessage.Status.FAILED
    assert "Its audience (devices) was lost on the way" in Dispatch.objects.get().told


def test_every_kind_of_audience_passes_the_last_look(sandbox: Sandbox, phone: Device) -> None:
    every = [
        EVERYONE,
        audiences.Devices(["phone"]),
        audiences.Users(["phone"]),
        audiences.Conditions([["City", "NOTSET", ""]]),
        audiences.FilterExpression('T("City", NOTSET, "")'),
        audiences.FilterExpression('T("City", NOTSET, "")', account_wide=True),
        audiences.Geozone(1, 2, 3),
    ]
    for each in every:
        push.send("Hello", to=each)
    run_outbox()
    assert len(sandbox.messages) == len(every)
