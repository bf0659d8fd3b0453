"""A message for a time to come is followed to its end, also where that comes about at Pushwoosh and not from here."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from django_pushwoosh import push
from django_pushwoosh.conf import settings as settings_of
from django_pushwoosh.delivery import connection, following
from django_pushwoosh.delivery.poller import poll
from django_pushwoosh.models import BulkJobChunk, Device, Dispatch, OutboxEntry, Pause, ScheduledMessage
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.signals import message_settled
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock
from tests.faults import Faults

pytestmark = pytest.mark.django_db

Status = ScheduledMessage.Status
HOUR = timedelta(hours=1)


def state(message: ScheduledMessage) -> str:
    message.refresh_from_db()
    return message.status


def scheduled(phone: Device, at: datetime, **more: Any) -> ScheduledMessage:
    message = push.schedule("Hello", to=phone, at=at, **more)
    run_outbox()
    assert state(message) == Status.SENT
    return message


def elsewhere(method: str, sandbox: Sandbox) -> None:
    """Somebody at the control panel does it to every message."""
    application = settings_of.application()
    for message in sandbox.messages:
        connection.ask(Call.of(method, application.code, message=message.code), application)


def details(status: str) -> tuple[int, dict[str, str], bytes]:
    return (
        200,
        {},
        b'{"status_code": 200, "response": {"message": {"id": 1, "code": "A", "status": "%s"}}}' % (status.encode()),
    )


def test_a_message_for_later_is_followed_until_it_is_done(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    message = scheduled(phone, clock.now + HOUR)
    clock.advance(minutes=50)
    poll(now=clock.now)
    assert Dispatch.objects.get().upstream_status == "", "nobody asks before its time without need"

    clock.advance(minutes=12)
    assert poll(now=clock.now) == 1
    dispatch = Dispatch.objects.get()
    assert (dispatch.upstream_status, dispatch.follow_at) == ("done", None)
    assert state(message) == Status.SENT
    assert poll(now=clock.now) == 0


def test_what_is_cancelled_in_the_control_panel_shows(
    sandbox: Sandbox, phone: Device, clock: Clock, on_commit: Any
) -> None:
    heard: list[Dispatch] = []
    message_settled.connect(lambda dispatch, **_: heard.append(dispatch), weak=False, dispatch_uid="test")
    message = scheduled(phone, clock.now + timedelta(days=7))
    elsewhere("cancelMessage", sandbox)
    clock.advance(hours=7)
    try:
        with on_commit(execute=True):
            poll(now=clock.now)
    finally:
        message_settled.disconnect(dispatch_uid="test")

    dispatch = Dispatch.objects.get()
    assert [each.status for each in heard] == ["cancelled"]
    assert (dispatch.status, dispatch.upstream_status, dispatch.follow_at) == ("cancelled", "canceled", None)
    assert dispatch.told == "Somebody cancelled it at Pushwoosh."
    assert state(message) == Status.CANCELLED


def test_what_is_deleted_in_the_control_panel_before_its_time_goes_to_nobody(
    sandbox: Sandbox, phone: Device, clock: Clock
) -> None:
    early, late = (scheduled(phone, clock.now + timedelta(days=days)) for days in (7, 0.2))
    elsewhere("deleteMessage", sandbox)
    clock.advance(hours=7)
    poll(now=clock.now)

    assert (state(early), state(late)) == (Status.CANCELLED, Status.SENT), "of what was due, nobody can say"
    assert set(Dispatch.objects.values_list("upstream_status", "follow_at")) == {("not found", None)}


def test_what_pushwoosh_accepted_and_failed_to_send_is_failed(
    sandbox: Sandbox, phone: Device, clock: Clock, faults: Faults
) -> None:
    message = scheduled(phone, clock.now + HOUR)
    clock.advance(hours=2)
    faults.next(details("FAIL"))
    poll(now=clock.now)

    assert state(message) == Status.FAILED
    assert "accepted it, and then failed to send it" in Dispatch.objects.get().told
    assert OutboxEntry.objects.get(method="createMessage").status == OutboxEntry.Status.SENT


def test_who_does_not_end_is_asked_about_with_growing_pauses_and_then_no_more(
    sandbox: Sandbox, phone: Device, clock: Clock, faults: Faults
) -> None:
    message = scheduled(phone, clock.now + HOUR)
    pauses: list[timedelta] = []
    while (at := Dispatch.objects.get().follow_at) is not None:
        pauses.append(at - clock.now)
        clock.advance(seconds=(at - clock.now).total_seconds())
        faults.next(details("some day's new word") if len(pauses) % 2 else "unreachable")
        poll(now=clock.now)
        assert len(pauses) < 40

    assert pauses[1:] == sorted(pauses[1:])
    assert pauses[-1] == following.LONGEST_PAUSE
    assert message.send_at is not None
    assert following.FOLLOWED_FOR <= clock.now - message.send_at < following.FOLLOWED_FOR + following.LONGEST_PAUSE
    assert Dispatch.objects.get().upstream_status == "some day's new word"
    assert state(message) == Status.SENT


def test_a_time_on_each_devices_own_clock_is_over_a_day_later(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    scheduled(phone, clock.now + HOUR, in_device_time=True)
    clock.advance(hours=3)
    poll(now=clock.now)
    clock.advance(hours=4)
    poll(now=clock.now)
    assert Dispatch.objects.get().upstream_status == "processing"

    for _ in range(5):
        clock.advance(hours=6)
        poll(now=clock.now)
    assert Dispatch.objects.get().upstream_status == "done"


def test_who_cancels_too_late_is_told(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    message = scheduled(phone, clock.now + HOUR)
    clock.advance(hours=2)
    push.cancel(message)
    run_outbox()

    dispatch = Dispatch.objects.get()
    assert state(message) == Status.SENT
    assert dispatch.told.startswith("It could not be cancelled: ")
    assert "it is done" in dispatch.told
    assert dispatch.upstream_status == "done", "what became of it is asked at once"


def test_a_cancelling_that_the_control_panel_forestalled_reads_cancelled(
    sandbox: Sandbox, phone: Device, clock: Clock
) -> None:
    message = scheduled(phone, clock.now + timedelta(days=1))
    elsewhere("cancelMessage", sandbox)
    push.cancel(message)
    run_outbox()

    assert state(message) == Status.CANCELLED


def test_a_cancelling_without_an_answer_is_cleared_up(
    sandbox: Sandbox, phone: Device, clock: Clock, faults: Faults
) -> None:
    message = scheduled(phone, clock.now + timedelta(days=10))
    push.cancel(message)
    entry = OutboxEntry.objects.get(method="cancelMessage")
    for _ in range(2000):
        faults.waiting.clear()
        faults.next("lose answer", "unreachable")
        run_outbox()
        clock.advance(hours=1)
        entry.refresh_from_db()
        if entry.status not in OutboxEntry.UNSETTLED:
            break
    faults.waiting.clear()
    clock.advance(minutes=5)
    run_outbox()

    assert state(message) == Status.CANCELLED
    assert Dispatch.objects.get().follow_at is None


def test_a_cancelled_message_is_not_asked_about(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    message = scheduled(phone, clock.now + timedelta(days=1))
    push.cancel(message)
    run_outbox()
    assert state(message) == Status.CANCELLED
    assert Dispatch.objects.get().follow_at is None


def test_an_answer_that_comes_after_a_change_of_mind_says_nothing(
    sandbox: Sandbox, phone: Device, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = scheduled(phone, clock.now + HOUR)
    clock.advance(hours=2)
    heard = following._heard

    def slowly(*given: Any) -> bool:
        Dispatch.objects.update(status=Dispatch.Status.CANCELLED, follow_at=None)
        return heard(*given)

    monkeypatch.setattr(following, "_heard", slowly)
    assert poll(now=clock.now) == 0
    assert Dispatch.objects.get().upstream_status == ""
    assert state(message) == Status.SENT


@pytest.mark.parametrize("place", ["another host", "another application"])
def test_a_copy_of_the_database_asks_for_nothing(
    sandbox: Sandbox, phone: Device, clock: Clock, settings: Any, place: str, faults: Faults
) -> None:
    scheduled(phone, clock.now + HOUR)
    push.bulk_set_tags([{"hwid": "phone", "tags": {"Age": 1}}])
    run_outbox()
    BulkJobChunk.objects.update(status=BulkJobChunk.Status.SENT)
    clock.advance(hours=2)
    row = settings.PUSHWOOSH["APPLICATIONS"]["default"]
    other = {"API_ROOT": "http://other.test"} if place == "another host" else {"CODE": "OTHER-00001"}
    here = settings.PUSHWOOSH
    settings.PUSHWOOSH = {**here, "APPLICATIONS": {"default": {**row, **other}}}
    faults.next((500, {}, b"nobody is to see this"))
    assert poll(now=clock.now) == 0
    assert len(faults.waiting) == 1, "something was asked"

    faults.waiting.clear()
    settings.PUSHWOOSH = here
    assert poll(now=clock.now) == 2


def test_while_sending_is_paused_nothing_is_asked(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    scheduled(phone, clock.now + HOUR)
    clock.advance(hours=2)
    for application in ("", "TEST0-00001"):
        pause = Pause.objects.create(application=application, reason="for the test")
        assert poll(now=clock.now) == 0
        pause.delete()
    assert poll(now=clock.now) == 1


def test_one_answer_that_cannot_be_noted_keeps_no_other_from_being_heard(
    sandbox: Sandbox, phone: Device, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (scheduled(phone, clock.now + HOUR) for _ in range(2))
    note = following._note

    def fail(dispatch: Dispatch, *given: Any, **changes: Any) -> bool:
        if dispatch.message_id == first.pk:
            raise RuntimeError("no")
        return note(dispatch, *given, **changes)

    monkeypatch.setattr(following, "_note", fail)
    clock.advance(hours=2)
    assert poll(now=clock.now) == 1
    assert "could not be noted" in caplog.text
    assert second.dispatches.get().upstream_status == "done"


def test_a_pushwoosh_that_is_down_is_not_hammered(
    sandbox: Sandbox, phone: Device, clock: Clock, faults: Faults
) -> None:
    for _ in range(20):
        scheduled(phone, clock.now + HOUR)
    clock.advance(hours=2)
    faults.next(*["unreachable"] * 100)
    assert poll(now=clock.now) == 0
    assert 100 - len(faults.waiting) < 10
