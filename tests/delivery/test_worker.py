"""From the outbox to Pushwoosh: what is sent, what is tried again, and what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from django_pushwoosh import push
from django_pushwoosh.models import Attempt, Device, Dispatch, OutboxEntry, Pause, ScheduledMessage
from django_pushwoosh.protocol.audience import EVERYONE, Devices
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.tags import Increment
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock
from tests.faults import Faults

pytestmark = pytest.mark.django_db
Status = OutboxEntry.Status


@pytest.fixture
def phone(sandbox: Sandbox, clock: Clock) -> Device:
    device = Device.objects.create(application="TEST0-00001", hwid="phone", platform=3, push_token="token")
    run_outbox()
    return device


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
    faults.next("unreachable")
    clock.advance(hours=25)
    run_outbox()

    assert status() == Status.FAILED


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


def test_a_warning_that_means_nobody_got_it_is_not_plain_sent(sandbox: Sandbox, phone: Device, faults: Faults) -> None:
    scheduled = push.send("Hello", to=EVERYONE)
    faults.next(
        (
            200,
            {},
            b'{"status_code": 200, "response": {"Messages": ["AAAA-00000001-00000002"]}, "status_message": '
            b'"Warnings: You have reached the subscriber limit. Push Message will be sent to 1 random device only"}',
        )
    )
    run_outbox()

    scheduled.refresh_from_db()
    assert scheduled.status == ScheduledMessage.Status.LIMITED


def test_a_full_budget_delays_and_loses_nothing(sandbox: Sandbox, phone: Device, settings: Any) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": 2}}}
    for number in range(3):
        push.send(f"Number {number}", to=EVERYONE)
    run_outbox()

    assert len(sandbox.messages) == 2
    waiting = OutboxEntry.objects.get(status=Status.QUEUED)
    assert waiting.attempts_made == 0
    assert waiting.first_sent_at is None
    assert "cap" in waiting.told


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
    from django_pushwoosh.delivery import outbox

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
    from django_pushwoosh.delivery import outbox

    push.set_tags(phone, {"Visits": Increment(1)})
    outbox.claim(1, now=clock.now)
    clock.advance(minutes=3)
    run_outbox()

    assert status() == Status.LEFT


def test_attempts_are_kept_without_tokens(sandbox: Sandbox, phone: Device, faults: Faults) -> None:
    push.send("Hello", to=EVERYONE)
    faults.next((401, {}, b"test-api-token"))
    run_outbox()

    attempt = Attempt.objects.latest("pk")
    assert attempt.http_status == 401
    for model in (Attempt, OutboxEntry, Dispatch, ScheduledMessage, Pause):
        assert "test-api-token" not in repr(list(model.objects.values()))
