"""From the outbox to Pushwoosh: what is sent, what is tried again, and what is not."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from django_pushwoosh import push
from django_pushwoosh.delivery import outbox
from django_pushwoosh.models import Attempt, Device, Dispatch, OutboxEntry, Pause, ScheduledMessage
from django_pushwoosh.protocol.audience import EVERYONE, ApplicationGroup, Devices
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.tags import Increment
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.sandbox.transport import in_process
from django_pushwoosh.signals import message_settled
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock
from tests.faults import Faults

pytestmark = pytest.mark.django_db
Status = OutboxEntry.Status


def status() -> str:
    return OutboxEntry.objects.latest("pk").status


def test_a_push_reaches_the_phone(sandbox: Sandbox, phone: Device) -> None:
    scheduled = push.send("Hello", to=phone)
    assert run_outbox() == 1

    assert [each.body for each in sandbox.phone("phone").pushes] == ["Hello"]
    scheduled.refresh_from_db()
    assert scheduled.status == ScheduledMessage.Status.SENT


def test_a_lost_answer_is_not_sent_twice(sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock) -> None:
    scheduled = push.send("Hello", to=EVERYONE)
    faults.next("lose answer")
    run_outbox()
    scheduled.refresh_from_db()
    assert scheduled.status == ScheduledMessage.Status.SCHEDULED

    clock.advance(minutes=2)
    run_outbox()

    assert len(sandbox.messages) == 1
    scheduled.refresh_from_db()
    assert scheduled.status == ScheduledMessage.Status.SENT
    assert [attempt.outcome for attempt in Attempt.objects.order_by("pk")][-2:] == ["NoAnswer", "ok"]


def test_a_message_whose_window_has_passed_waits_for_a_person(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock
) -> None:
    scheduled = push.send("Hello", to=EVERYONE)
    faults.next("lose answer", "lose request")
    run_outbox()
    clock.advance(minutes=6)
    run_outbox()

    assert status() == Status.UNCERTAIN
    scheduled.refresh_from_db()
    assert scheduled.status == ScheduledMessage.Status.UNCERTAIN
    clock.advance(days=1)
    run_outbox()
    assert len(sandbox.messages) == 1


def test_a_message_is_not_sent_again_once_pushwoosh_has_forgotten_the_first(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock
) -> None:
    """The worker comes back half an hour after the answer was lost."""
    push.send("Hello", to=EVERYONE)
    faults.next("lose answer")
    run_outbox()
    clock.advance(minutes=30)
    run_outbox()

    assert status() == Status.UNCERTAIN
    assert len(sandbox.messages) == 1


def test_the_window_opens_with_the_first_doubt(sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock) -> None:
    push.send("Hello", to=EVERYONE)
    faults.next("unreachable", "lose answer")
    run_outbox()
    clock.advance(minutes=6)
    run_outbox()
    clock.advance(minutes=1)
    run_outbox()

    assert status() == Status.SENT
    assert len(sandbox.messages) == 1


def test_a_refusal_after_a_doubt_does_not_end_the_doubt(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock
) -> None:
    push.send("Hello", to=EVERYONE)
    faults.next("lose answer", (200, {}, b'{"status_code": 210, "status_message": "No"}'))
    run_outbox()
    clock.advance(minutes=1)
    run_outbox()

    assert status() == Status.UNCERTAIN


def test_an_increment_in_a_registration_is_one_all_the_same(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock
) -> None:
    arguments = {"hwid": "phone", "device_type": 3, "tags": {"Visits": {"operation": "increment", "value": 1}}}
    push.queue_call(Call(METHODS["registerDevice"], phone.application, arguments))
    faults.next("lose answer")
    run_outbox()
    clock.advance(minutes=10)
    run_outbox()

    assert status() == Status.LEFT
    assert sandbox.phone("phone").device.tags["Visits"] == 1


@pytest.mark.parametrize("first", ["unreachable", "lose request"])
def test_a_message_that_was_tried_once_can_still_be_stopped(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock, first: str
) -> None:
    scheduled = push.schedule("Hello", to=EVERYONE, at=clock.now + timedelta(hours=3))
    faults.next(first)
    run_outbox()
    push.cancel(scheduled)
    clock.advance(minutes=2)
    run_outbox()
    clock.advance(hours=4)
    sandbox.advance()

    assert sandbox.pushes == []
    scheduled.refresh_from_db()
    assert scheduled.status == ScheduledMessage.Status.CANCELLED


def test_a_message_that_is_cancelled_while_it_is_sent_is_stopped_by_its_code(
    sandbox: Sandbox, phone: Device, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled = push.schedule("Hello", to=EVERYONE, at=clock.now + timedelta(hours=3))
    send = in_process.send

    def cancel_meanwhile(*given: Any) -> Any:
        monkeypatch.undo()
        push.cancel(scheduled)
        return send(*given)

    monkeypatch.setattr(type(in_process), "send", lambda _self, *given: cancel_meanwhile(*given))
    run_outbox()
    run_outbox()

    assert [message.status for message in sandbox.messages] == ["canceled"]
    scheduled.refresh_from_db()
    assert scheduled.status == ScheduledMessage.Status.CANCELLED


def test_a_message_deleted_while_it_is_sent_stops_no_other(
    sandbox: Sandbox, phone: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = push.send("First", to=phone), push.send("Second", to=phone)
    send = in_process.send

    def delete_meanwhile(*given: Any) -> Any:
        monkeypatch.undo()
        ScheduledMessage.objects.get(pk=first.pk).delete()
        return send(*given)

    monkeypatch.setattr(type(in_process), "send", lambda _self, *given: delete_meanwhile(*given))
    run_outbox()

    assert [each.body for each in sandbox.phone("phone").pushes] == ["First", "Second"]
    second.refresh_from_db()
    assert second.status == ScheduledMessage.Status.SENT
    assert set(OutboxEntry.objects.values_list("status", flat=True)) == {Status.SENT}


@pytest.mark.parametrize(
    "answer",
    [
        b'{"status_code": 210, "status_message": "bad \\ud800 name"}',
        b'{"status_code": 210, "status_message": "bad \\u0000 name"}',
        b'{"status_code": 100000000000000000000, "status_message": "large"}',
        b'{"status_code": 200, "status_message": "OK", "response": {"Messages": ["' + b"A" * 300 + b'"]}}',
        b'{"status_code": 200, "status_message": "\\u0000", "response": {"Messages": ["\\ud800"], "x": 1e999}}',
    ],
)
def test_no_answer_stops_the_worker(
    sandbox: Sandbox, phone: Device, faults: Faults, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    push.send("Hello", to=Devices(["phone"]))
    push.set_tags(phone, {"Visits": Increment(1)})
    faults.next((200, {}, answer))
    run_outbox()

    assert not OutboxEntry.objects.filter(status=Status.SENDING).exists()
    assert sandbox.phone("phone").device.tags["Visits"] == 1
    # A log in UTF-8 could not take it either.
    assert "\ud800" not in caplog.text


def test_a_receiver_that_fails_undoes_nothing(
    sandbox: Sandbox, phone: Device, on_commit: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_kwargs: Any) -> None:
        raise RuntimeError("not my day")

    message_settled.connect(fail)
    try:
        push.send("Hello", to=phone)
        with on_commit(execute=True):
            run_outbox()
    finally:
        message_settled.disconnect(fail)

    assert status() == Status.SENT
    assert "not my day" in caplog.text


def test_a_name_that_sounds_like_trouble_stops_nothing(sandbox: Sandbox, phone: Device, faults: Faults) -> None:
    push.post_event("Account suspended", device=phone)
    faults.next((200, {}, b'{"status_code": 210, "status_message": "Event \\"Account suspended\\" not found"}'))
    run_outbox()

    assert status() == Status.FAILED
    assert not Pause.objects.exists()


def test_a_wrong_group_fails_its_message_and_stops_nothing(sandbox: Sandbox, phone: Device) -> None:
    scheduled = push.send("Hello", to=ApplicationGroup("AAAAA-BBBBB"))
    run_outbox()

    scheduled.refresh_from_db()
    assert scheduled.status == ScheduledMessage.Status.FAILED
    assert not Pause.objects.exists()


def test_devices_that_pushwoosh_does_not_know_are_told(sandbox: Sandbox, phone: Device) -> None:
    scheduled = push.send("Hello", to=Devices(["phone", "nobody"]))
    run_outbox()

    assert scheduled.dispatches.get().told == "Pushwoosh does not know 1 of the devices."


def test_a_wrong_address_fails_nothing(sandbox: Sandbox, phone: Device, faults: Faults) -> None:
    push.send("Hello", to=EVERYONE)
    faults.next((301, {"Location": "https://elsewhere.example"}, b""))
    run_outbox()

    assert status() == Status.QUEUED
    assert "API_ROOT" in Pause.objects.get().reason


def test_what_waits_for_another_address_holds_nobody_up(sandbox: Sandbox, phone: Device, settings: Any) -> None:
    push.set_tags(phone, {"City": "Oslo"})
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "API_ROOT": "http://new.test"}
    push.set_tags(phone, {"City": "Rome"})
    run_outbox()

    assert sandbox.phone("phone").device.tags["City"] == "Rome"
    assert OutboxEntry.objects.filter(status=Status.QUEUED).count() == 1


def test_an_increment_is_not_repeated_blindly(sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock) -> None:
    push.set_tags(phone, {"Visits": Increment(1)})
    faults.next("lose answer")
    run_outbox()
    clock.advance(minutes=10)
    run_outbox()

    assert status() == Status.LEFT
    assert sandbox.phone("phone").device.tags["Visits"] == 1


def test_an_increment_in_an_sdks_own_bytes_is_not_repeated_either(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock
) -> None:
    arguments = {"hwid": "phone", "tags": {"Visits": {"operation": "increment", "value": 1}}}
    raw = json.dumps({"request": {"application": "TEST0-00001", **arguments}}, indent=1).encode()
    push.queue_call(Call(METHODS["setTags"], "TEST0-00001", arguments, raw))
    faults.next("lose answer")
    run_outbox()
    clock.advance(minutes=10)
    run_outbox()

    assert status() == Status.LEFT
    assert sandbox.phone("phone").device.tags["Visits"] == 1


def test_plain_tags_are_repeated(sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock) -> None:
    push.set_tags(phone, {"City": "Oslo"})
    faults.next("lose request")
    run_outbox()
    clock.advance(minutes=2)
    run_outbox()

    assert status() == Status.SENT
    assert sandbox.phone("phone").device.tags["City"] == "Oslo"


def test_an_event_goes_again_unless_the_setting_says_otherwise(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock, settings: Any
) -> None:
    push.post_event("Purchase", device=phone)
    faults.next("lose answer")
    run_outbox()
    clock.advance(minutes=2)
    run_outbox()
    assert [event.name for event in sandbox.events] == ["Purchase", "Purchase"]

    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "REPEAT_EVENTS": False}
    push.post_event("Refund", device=phone)
    faults.next("lose answer")
    run_outbox()
    assert status() == Status.LEFT


def test_an_unreachable_pushwoosh_loses_nothing(sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock) -> None:
    push.set_tags(phone, {"Visits": Increment(1)})
    push.set_tags(phone, {"Visits": Increment(2)})
    faults.next("unreachable", "unreachable")
    run_outbox()
    clock.advance(minutes=2)
    run_outbox()
    clock.advance(minutes=2)
    run_outbox()

    assert sandbox.phone("phone").device.tags["Visits"] == 3
    assert not OutboxEntry.objects.unsettled().exists()


def test_what_cannot_be_sent_for_a_day_is_given_up(phone: Device, faults: Faults, clock: Clock) -> None:
    push.set_tags(phone, {"City": "Oslo"})
    faults.next("unreachable", "unreachable", "unreachable")
    run_outbox()
    clock.advance(hours=12)
    run_outbox()
    clock.advance(hours=13)
    run_outbox()

    assert status() == Status.FAILED


def test_a_pause_of_days_has_tried_nothing_in_vain(
    sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock
) -> None:
    push.set_tags(phone, {"City": "Oslo"})
    faults.next("unreachable")
    run_outbox()
    pause = Pause.objects.create(application=phone.application, reason="A holiday")
    clock.advance(days=3)
    run_outbox()
    push.unpause([pause])
    faults.next("unreachable")
    run_outbox()
    clock.advance(minutes=2)
    run_outbox()

    assert status() == Status.SENT


def test_a_refusal_is_final_and_told(sandbox: Sandbox, phone: Device, faults: Faults) -> None:
    scheduled = push.send("Hello", to=EVERYONE)
    faults.next((200, {}, b'{"status_code": 210, "status_message": "Please select at least one platform"}'))
    run_outbox()

    scheduled.refresh_from_db()
    dispatch = scheduled.dispatches.get()
    assert scheduled.status == ScheduledMessage.Status.FAILED
    assert "choose at least one platform" in dispatch.told
    assert dispatch.answer["status_code"] == 210


def test_a_condemned_token_pauses_the_application_and_fails_nothing(
    sandbox: Sandbox, phone: Device, settings: Any
) -> None:
    application = settings.PUSHWOOSH["APPLICATIONS"]["default"]
    right = settings.PUSHWOOSH
    settings.PUSHWOOSH = {**right, "APPLICATIONS": {"default": {**application, "API_TOKEN": "wrong"}}}
    first, second = push.send("Hello", to=EVERYONE), push.send("World", to=EVERYONE)
    run_outbox()

    pause = Pause.objects.get()
    assert "API_TOKEN" in pause.reason
    assert sandbox.messages == []
    assert {first.dispatches.get().status, second.dispatches.get().status} == {Dispatch.Status.QUEUED}

    settings.PUSHWOOSH = right
    push.unpause([pause])
    run_outbox()
    assert len(sandbox.messages) == 2


def test_the_switch_holds_everything_back(sandbox: Sandbox, phone: Device, settings: Any) -> None:
    push.send("Hello", to=EVERYONE)
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "PAUSED": True}
    assert run_outbox() == 0
    assert sandbox.messages == []


LIMIT = b"Warnings: You have reached the subscriber limit. Push Message will be sent to 1 random device only"


@pytest.mark.parametrize(
    "answer",
    [
        b'{"status_code": 200, "response": {"Messages": ["AAAA-00000001-00000002"]}, "status_message": "%s"}',
        b'{"status_code": 200, "response": {"Messages": ["AAAA-00000001-00000002"], "warnings": ["%s"]}}',
    ],
)
def test_a_warning_that_means_nobody_got_it_is_not_plain_sent(
    sandbox: Sandbox, phone: Device, faults: Faults, answer: bytes
) -> None:
    scheduled = push.send("Hello", to=EVERYONE)
    faults.next((200, {}, answer % LIMIT))
    run_outbox()

    scheduled.refresh_from_db()
    assert scheduled.status == ScheduledMessage.Status.LIMITED
    for told in (scheduled.dispatches.get().told, OutboxEntry.objects.latest("pk").told):
        assert LIMIT.decode() in told
        assert "it is effectively lost" in told
    assert scheduled.dispatches.get().is_known_upstream


def test_a_full_budget_delays_and_loses_nothing(sandbox: Sandbox, phone: Device, settings: Any) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": 2}}}
    for number in range(3):
        push.send(f"Number {number}", to=EVERYONE)
        run_outbox()

    assert len(sandbox.messages) == 2
    waiting = OutboxEntry.objects.get(status=Status.QUEUED)
    assert waiting.attempts_made == 0
    assert waiting.doubtful_since is None


def test_small_immediate_pushes_do_not_wait_for_the_budget(sandbox: Sandbox, phone: Device, settings: Any) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": 1}}}
    for number in range(5):
        push.send(f"Number {number}", to=Devices(["phone"]))
    run_outbox()

    assert len(sandbox.phone("phone").pushes) == 5


def test_tracing_ends_the_exemption(sandbox: Sandbox, phone: Device, settings: Any) -> None:
    account = {"REQUESTS_PER_MINUTE": 1, "TRACING": True}
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": account}}
    for number in range(2):
        push.send(f"Number {number}", to=Devices(["phone"]))
        run_outbox()

    assert len(sandbox.phone("phone").pushes) == 1


def test_a_429_holds_everyone_back(sandbox: Sandbox, phone: Device, faults: Faults, clock: Clock) -> None:
    push.send("Hello", to=EVERYONE)
    push.send("World", to=EVERYONE)
    faults.next((429, {"Retry-After": "7"}, b""))
    run_outbox()

    assert sandbox.messages == []
    assert OutboxEntry.objects.filter(status=Status.QUEUED).count() == 2


def test_a_worker_that_died_leaves_its_entry_to_the_rule(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    push.set_tags(phone, {"City": "Oslo"})
    push.set_tags(phone, {"Visits": Increment(1)})
    outbox.claim(1, now=clock.now)
    run_outbox()
    assert "City" not in sandbox.phone("phone").device.tags

    clock.advance(minutes=3)
    run_outbox()
    clock.advance(minutes=3)
    run_outbox()

    assert sandbox.phone("phone").device.tags["City"] == "Oslo"
    assert sandbox.phone("phone").device.tags["Visits"] == 1


def test_an_increment_in_a_dead_workers_hands_is_left(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    push.set_tags(phone, {"Visits": Increment(1)})
    [held] = outbox.claim(1, now=clock.now)
    outbox.begin([held], now=clock.now)
    clock.advance(minutes=3)
    run_outbox()

    assert status() == Status.LEFT


def test_what_a_dead_worker_held_and_had_not_begun_is_not_in_doubt(
    sandbox: Sandbox, phone: Device, clock: Clock
) -> None:
    for number in range(3):
        push.set_tags(hwid=f"phone{number}", tags={"Visits": Increment(1)})
    outbox.claim(3, now=clock.now)
    clock.advance(minutes=3)
    run_outbox()

    assert set(OutboxEntry.objects.values_list("status", flat=True)) == {Status.SENT}


def test_attempts_are_kept_without_tokens(sandbox: Sandbox, phone: Device, faults: Faults) -> None:
    push.send("Hello", to=EVERYONE)
    faults.next((401, {}, b"test-api-token"))
    run_outbox()

    attempt = Attempt.objects.latest("pk")
    assert attempt.http_status == 401
    for model in (Attempt, OutboxEntry, Dispatch, ScheduledMessage, Pause):
        assert "test-api-token" not in repr(list(model.objects.values()))
