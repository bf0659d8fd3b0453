"""What leaves first where many wait, what need not wait, and what does not leave any more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from django_pushwoosh import push
from django_pushwoosh.conf import settings as ours
from django_pushwoosh.delivery import batching, outbox, worker
from django_pushwoosh.delivery.worker import Worker
from django_pushwoosh.models import Device, OutboxEntry, Pause, ScheduledMessage, UserLink
from django_pushwoosh.protocol.audience import EVERYONE, Devices, FilterExpression, Users
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.filters import Tag
from django_pushwoosh.sandbox import faults
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.sandbox.transport import in_process
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock

pytestmark = pytest.mark.django_db
Status = OutboxEntry.Status
Lane = OutboxEntry.Lane
APPLICATION = "TEST0-00001"


def say(clock: Clock, method: str, hwid: str, lane: OutboxEntry.Lane | None = None, **arguments: Any) -> OutboxEntry:
    call = Call.of(method, APPLICATION, hwid=hwid, **arguments)
    key = outbox.device_key(APPLICATION, hwid)
    return outbox.enqueue(call, key=key, application=ours.application(), now=clock.now, lane=lane)


def event(clock: Clock, hwid: str, lane: OutboxEntry.Lane | None = None) -> OutboxEntry:
    """A call that goes by itself."""
    return say(clock, "postEvent", hwid, lane, event="Seen")


def tagged(clock: Clock, hwid: str, **tags: Any) -> OutboxEntry:
    return say(clock, "setTags", hwid, tags=tags or {"Age": 1})


def asked(sandbox: Sandbox) -> list[str]:
    """Who or what was spoken of, in the order in which the calls came."""
    names = []
    for request in sandbox.requests:
        notifications = request.arguments.get("notifications", ())
        names += [each["content"] for each in notifications] or [request.arguments.get("hwid", "")]
    return names


def statuses(message: ScheduledMessage) -> tuple[str, str, str]:
    message.refresh_from_db()
    dispatch = message.dispatches.get()
    return message.status, dispatch.status, dispatch.entries.get().status


def test_lanes_leave_in_their_order_whatever_came_first(sandbox: Sandbox, clock: Clock) -> None:
    event(clock, "bulk", Lane.BULK)
    event(clock, "visible", Lane.USER_VISIBLE)
    event(clock, "transactional", Lane.TRANSACTIONAL)
    event(clock, "visible too")
    event(clock, "transactional too", Lane.TRANSACTIONAL)
    run_outbox()

    assert asked(sandbox) == ["transactional", "transactional too", "visible", "visible too", "bulk"]


def test_statistics_come_last(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    """After a broadcast every device says it opened the app; nobody waits for that."""
    sandbox.requests.clear()
    for number in range(60):
        say(clock, "applicationOpen", f"opened {number}")
    tagged(clock, "tagged")
    push.send("Hello", to=EVERYONE)
    run_outbox()

    assert set(asked(sandbox)[:2]) == {"tagged", "Hello"}
    assert len(asked(sandbox)) == 62


def test_imports_travel_in_bulk_after_everything_else(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    sandbox.requests.clear()
    for number in range(60):
        say(clock, "setTags", f"import {number}", Lane.BULK, tags={"Age": 1})
    event(clock, "visible")
    push.send("Hello", to=EVERYONE)
    run_outbox()

    assert [request.method for request in sandbox.requests] == ["postEvent", "createMessage", "bulkSetTags"]


def test_what_waits_about_a_recipient_leaves_before_the_message(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    """The push tells the new name, and the order is not held up by the others' changes."""
    sandbox.requests.clear()
    for number in range(70):
        tagged(clock, f"other {number}")
    push.set_tags(phone, {"Name": "Ada"})
    push.send("Hello, {Name|CapitalizeAllFirst|friend}", to=phone)
    run_outbox()

    assert [request.method for request in sandbox.requests][:3] == ["setTags", "createMessage", "bulkSetTags"]
    assert [each.body for each in sandbox.phone("phone").pushes] == ["Hello, Ada"]


@pytest.mark.parametrize("tags", [{"City": "Oslo"}, {"Visits": {"operation": "increment", "value": 1}}])
def test_what_devices_said_leaves_before_a_message_that_was_queued_later(
    sandbox: Sandbox, phone: Device, clock: Clock, tags: dict[str, Any]
) -> None:
    sandbox.requests.clear()
    for number in range(10):
        tagged(clock, f"phone{number}", **tags)
    push.send("Hello", to=EVERYONE)
    run_outbox()

    assert asked(sandbox) == [*(f"phone{number}" for number in range(10)), "Hello"]


def test_reports_are_asked_for_where_devices_never_stop_talking(
    sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        tagged(clock, f"phone{number}")
    run_outbox()
    clock.advance(seconds=3)
    assert sandbox.jobs
    numbers = count()
    event(clock, f"talker {next(numbers)}")
    send = type(in_process).send

    def send_while_another_talks(self: Any, *given: Any) -> Any:
        event(clock, f"talker {next(numbers)}")
        return send(self, *given)

    monkeypatch.setattr(type(in_process), "send", send_while_another_talks)
    ticks = count()
    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: next(ticks) / 10))
    Worker(is_ended=lambda: len(sandbox.requests) > 100).drain()

    assert not OutboxEntry.objects.filter(bulk_request__isnull=False, status=Status.SENDING).exists()
    assert len(sandbox.requests) > 100


def test_what_waits_about_a_users_devices_is_promoted_too(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    tablet = Device.objects.create(application=APPLICATION, hwid="tablet", platform=3, push_token="tablet")
    stranger = Device.objects.create(application=APPLICATION, hwid="stranger", platform=3, push_token="stranger")
    for device in (phone, tablet):
        UserLink.objects.create(device=device, user_id="ada", is_open=True, since=clock.now)
    UserLink.objects.create(device=stranger, user_id="ada", is_open=False, since=clock.now, until=clock.now)
    run_outbox()
    for device in (phone, tablet, stranger):
        push.set_tags(device, {"Age": 1})
    push.send("Hello", to=Users(["ada"]))

    waiting = OutboxEntry.objects.filter(status=Status.QUEUED, method="setTags")
    assert {(entry.call.hwid, entry.lane, entry.bulk_method) for entry in waiting} == {
        ("phone", Lane.TRANSACTIONAL, ""),
        ("tablet", Lane.TRANSACTIONAL, ""),
        ("stranger", Lane.USER_VISIBLE, "bulkSetTags"),
    }


@pytest.mark.parametrize("to", [EVERYONE, Tag("Age").eq(1)])
def test_a_message_to_many_promotes_nobody(sandbox: Sandbox, phone: Device, clock: Clock, to: Any) -> None:
    entry = tagged(clock, "phone")
    push.send("Hello", to=to)
    entry.refresh_from_db()

    assert (entry.lane, entry.bulk_method) == (Lane.USER_VISIBLE, "bulkSetTags")


def test_a_message_for_later_promotes_nobody(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    entry = tagged(clock, "phone")
    push.schedule("Hello", to=phone, at=clock.now + timedelta(hours=1))
    entry.refresh_from_db()

    assert entry.lane == Lane.USER_VISIBLE


def test_a_small_push_does_not_wait_behind_the_cap(
    sandbox: Sandbox, phone: Device, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": 1}}}
    monkeypatch.setattr(batching, "MOST_NOTIFICATIONS", 1)
    broadcasts = [push.send(f"All {number}", to=EVERYONE) for number in range(3)]
    run_outbox()
    small = push.send("Your code", to=phone)
    run_outbox()

    assert statuses(small) == ("sent", "sent", "sent")
    assert [statuses(each)[0] for each in broadcasts] == ["sent", "scheduled", "scheduled"]
    assert len(sandbox.capped_at) == 1


@pytest.mark.parametrize("what", ["events", "tags", "statistics"])
def test_messages_have_their_turn_where_devices_never_stop_talking(
    sandbox: Sandbox, phone: Device, clock: Clock, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    talk: dict[str, Callable[[str], object]] = {
        "events": lambda hwid: event(clock, hwid),
        "tags": lambda hwid: tagged(clock, hwid),
        "statistics": lambda hwid: say(clock, "applicationOpen", hwid),
    }
    numbers = count()
    for _ in range(3):
        talk[what](f"phone{next(numbers)}")
    push.send("Hello", to=EVERYONE)
    send = type(in_process).send

    def send_while_another_talks(self: Any, verb: str, url: str, *given: Any) -> Any:
        talk[what](f"phone{next(numbers)}")
        clock.advance(seconds=0.1)
        return send(self, verb, url, *given)

    monkeypatch.setattr(type(in_process), "send", send_while_another_talks)
    Worker(clock=clock, is_ended=lambda: len(sandbox.requests) > 100).drain()

    assert "Hello" in asked(sandbox)[:40]
    assert len(sandbox.requests) > 100


def test_devices_go_on_where_messages_have_nothing_to_say(
    sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "TURN", timedelta())
    for number in range(10):
        event(clock, f"phone{number}")
    Worker().drain()

    assert len(sandbox.events) == 10


def paused_for(clock: Clock, **duration: float) -> None:
    """What is queued waits for so long, and then is looked at."""
    pause = Pause.objects.create(application=APPLICATION, reason="A holiday")
    clock.advance(**duration)
    run_outbox()
    push.unpause([pause])
    run_outbox()


@pytest.mark.parametrize(("hours", "expected"), [(23, "sent"), (24, "expired"), (100, "expired")])
def test_a_message_that_waited_for_a_day_is_sent_to_nobody(
    sandbox: Sandbox, phone: Device, clock: Clock, hours: int, expected: str
) -> None:
    message = push.send("Lunch is ready", to=EVERYONE)
    paused_for(clock, hours=hours)

    assert statuses(message) == (expected, expected, expected)
    assert len(sandbox.messages) == (expected == "sent")
    assert OutboxEntry.objects.get(dispatch__message=message).attempts_made == (expected == "sent")


@pytest.mark.parametrize(
    ("expire_after", "hours", "expected"),
    [(timedelta(hours=1), 2, "expired"), (timedelta(days=7), 100, "sent"), (None, 1000, "sent")],
)
def test_how_long_a_message_may_wait_is_a_setting(
    sandbox: Sandbox, phone: Device, clock: Clock, settings: Any, expire_after: Any, hours: int, expected: str
) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "EXPIRE_AFTER": expire_after}
    message = push.send("Lunch is ready", to=EVERYONE)
    paused_for(clock, hours=hours)

    assert statuses(message)[0] == expected


@pytest.mark.parametrize(("minutes", "expected"), [(4, "sent"), (5, "expired"), (6, "expired")])
@pytest.mark.parametrize("to", [EVERYONE, Devices(["phone"]), FilterExpression(Tag("Age").eq(1))])
def test_a_caller_says_until_when_it_makes_sense(
    sandbox: Sandbox, phone: Device, clock: Clock, minutes: int, expected: str, to: Any
) -> None:
    message = push.send("Your code is 1234", to=to, expires_at=clock.now + timedelta(minutes=5))
    paused_for(clock, minutes=minutes)

    assert statuses(message) == (expected, expected, expected)


def test_a_message_for_later_waits_from_its_own_time_on(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    in_time = push.schedule("In time", to=EVERYONE, at=clock.now + timedelta(days=3))
    paused_for(clock, days=2)
    late = push.schedule("Late", to=EVERYONE, at=clock.now + timedelta(days=3))
    paused_for(clock, days=5)

    assert statuses(in_time)[0] == "sent"
    assert statuses(late)[0] == "expired"


def test_of_several_that_would_share_a_request_only_the_late_ones_expire(
    sandbox: Sandbox, phone: Device, clock: Clock
) -> None:
    late = push.send("Late", to=EVERYONE, expires_at=clock.now + timedelta(minutes=1))
    rest = [push.send(f"Number {number}", to=EVERYONE) for number in range(3)]
    paused_for(clock, minutes=2)

    assert statuses(late)[0] == "expired"
    assert [statuses(each)[0] for each in rest] == ["sent"] * 3
    assert asked(sandbox)[-3:] == ["Number 0", "Number 1", "Number 2"]


def test_an_expired_part_holds_up_nothing_of_its_message(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    message = push.schedule("Sale", to=EVERYONE, at=clock.now + timedelta(hours=5))
    OutboxEntry.objects.filter(dispatch__message=message).update(expires_at=clock.now + timedelta(hours=1))
    paused_for(clock, hours=2)
    message.refresh_from_db()

    assert message.status == ScheduledMessage.Status.EXPIRED
    assert not OutboxEntry.objects.unsettled().exists()


def test_what_may_have_arrived_does_not_expire(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    """It is repeated while that is safe: so its code, and what became of it, are learned."""
    message = push.send("Your code is 1234", to=EVERYONE, expires_at=clock.now + timedelta(minutes=1))
    sandbox.faults.fail_next("createMessage", with_=faults.lost_answer())
    run_outbox()
    clock.advance(minutes=2)
    run_outbox()

    assert statuses(message) == ("sent", "sent", "sent")
    assert len(sandbox.messages) == 1


def test_what_may_have_arrived_long_ago_is_uncertain_and_not_expired(
    sandbox: Sandbox, phone: Device, clock: Clock
) -> None:
    message = push.send("Your code is 1234", to=EVERYONE, expires_at=clock.now + timedelta(minutes=1))
    sandbox.faults.fail_next("createMessage", with_=faults.lost_answer())
    run_outbox()
    clock.advance(minutes=20)
    run_outbox()

    assert statuses(message) == ("uncertain", "uncertain", "uncertain")


def test_what_certainly_did_not_arrive_expires_after_all(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    message = push.send("Your code is 1234", to=EVERYONE, expires_at=clock.now + timedelta(minutes=1))
    sandbox.faults.fail_next("createMessage", with_=faults.no_connection())
    run_outbox()
    clock.advance(minutes=2)
    run_outbox()

    assert statuses(message) == ("expired", "expired", "expired")
    assert sandbox.messages == []


def test_device_calls_wait_as_long_as_it_takes(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    tagged(clock, "phone", City="Oslo")
    paused_for(clock, days=40)

    assert sandbox.phone("phone").device.own_tags["City"] == "Oslo"
