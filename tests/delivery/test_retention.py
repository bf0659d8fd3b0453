"""What has ended goes after a while, in small steps; what has not is never touched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import OperationalError, connection, models
from django.db.models import ProtectedError
from django.test.utils import CaptureQueriesContext

from django_pushwoosh import push, tasks
from django_pushwoosh.delivery import retention
from django_pushwoosh.delivery.poller import poll
from django_pushwoosh.delivery.retention import purge
from django_pushwoosh.models import (
    Attempt,
    BulkJob,
    BulkJobChunk,
    BulkRequest,
    Device,
    Dispatch,
    OutboxEntry,
    ScheduledMessage,
    UserLink,
)
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock

pytestmark = pytest.mark.django_db
Status = OutboxEntry.Status
CODE = "TEST0-00001"


def entries(number: int, clock: Clock, status: str = Status.SENT, days: float = 31, **more: Any) -> list[OutboxEntry]:
    """Entries, each with an attempt, that were settled so many days ago."""
    settled_at = None if status in OutboxEntry.UNSETTLED else clock.now - timedelta(days=days)
    made = OutboxEntry.objects.bulk_create(
        OutboxEntry(
            application=CODE, api_root="http://sandbox.test", method="setTags", key=f"device:{each}", status=status,
            settled_at=settled_at, **more,
        )
        for each in range(number)
    )  # fmt: skip
    Attempt.objects.bulk_create(
        Attempt(entry=entry, number=1, started_at=clock.now, took_seconds=0.1, outcome="ok") for entry in made
    )
    return made


def test_what_has_ended_goes_after_its_time_with_its_attempts(clock: Clock) -> None:
    for status in Status:
        for days in (1, 29, 31, 91):
            entries(1, clock, status, days)
    kept = {status: OutboxEntry.objects.filter(status=status) for status in Status}
    purged = purge(now=clock.now)

    assert {status: each.count() for status, each in kept.items()} == {
        Status.QUEUED: 4, Status.SENDING: 4, Status.SENT: 2, Status.CANCELLED: 2, Status.EXPIRED: 2,
        Status.FAILED: 3, Status.LEFT: 3, Status.UNCERTAIN: 3,
    }  # fmt: skip
    assert purged.rows == {"OutboxEntry": 9, "Attempt": 9}
    assert purged.is_done
    assert Attempt.objects.count() == OutboxEntry.objects.count()
    assert purge(now=clock.now).total == 0


def test_the_setting_says_how_long(clock: Clock, settings: Any) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "RETENTION": {"SETTLED": None, "FAILED": timedelta(hours=1)}}
    entries(1, clock, Status.SENT, 9999)
    entries(1, clock, Status.FAILED, 1)
    purge(now=clock.now)

    assert [entry.status for entry in OutboxEntry.objects.all()] == [Status.SENT]


def test_it_goes_in_batches_that_cost_the_same_however_much_there_is(clock: Clock) -> None:
    def queries(number: int) -> float:
        entries(number, clock)
        with CaptureQueriesContext(connection) as asked:
            purged = purge(now=clock.now, batch=10)
        assert purged.rows["OutboxEntry"] == number
        assert sum("LIMIT 10" in each["sql"] for each in asked) >= number / 10
        assert not any("ORDER BY" in each["sql"] for each in asked), "sorting costs more the more there is"
        return len(asked) / (number / 10)

    assert queries(200) <= queries(40)


def test_it_can_be_stopped_between_two_batches_and_goes_on_later(clock: Clock) -> None:
    entries(50, clock)
    looks: list[int] = []

    def is_ended() -> bool:
        looks.append(1)
        return len(looks) > 2

    purged = purge(now=clock.now, batch=10, is_ended=is_ended)
    assert (purged.rows["OutboxEntry"], purged.is_done) == (20, False)
    assert purge(now=clock.now, seconds=0).is_done is False, "no time at all"
    assert OutboxEntry.objects.count() == Attempt.objects.count() == 30
    assert purge(now=clock.now, batch=10).is_done
    assert not OutboxEntry.objects.exists()


def test_who_finds_the_rows_taken_comes_again(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    entries(30, clock)
    delete, failures = retention._delete, iter([None, OperationalError("deadlock")])

    def flaky(*given: Any) -> None:
        if failure := next(failures, None):
            raise failure
        delete(*given)

    monkeypatch.setattr(retention, "_delete", flaky)
    assert purge(now=clock.now, batch=10).is_done is False
    assert OutboxEntry.objects.count() == 20
    assert purge(now=clock.now, batch=10).is_done


def test_what_a_row_of_the_projects_own_holds_on_to_stays_alone(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    held = entries(25, clock)[3]
    delete = retention._delete

    def protecting(old: Any, pks: list[int], purged: Any) -> None:
        if held.pk in pks:
            raise ProtectedError("held", {held})
        delete(old, pks, purged)

    monkeypatch.setattr(retention, "_delete", protecting)
    assert purge(now=clock.now, batch=10).is_done
    assert list(OutboxEntry.objects.all()) == [held]


def test_what_is_taken_up_again_is_kept(clock: Clock) -> None:
    [entry] = entries(1, clock, Status.FAILED, 100)
    assert push.retry(entry)
    purge(now=clock.now)
    assert OutboxEntry.objects.get().status == Status.QUEUED


def test_a_bulk_request_goes_with_its_attempts_once_it_carries_nothing(clock: Clock) -> None:
    old = clock.now - timedelta(days=40)
    made = [
        BulkRequest.objects.create(
            application=CODE, api_root="http://sandbox.test", method="bulkSetTags", request_id=str(number),
            sent_at=old, settled_at=settled_at,
        )
        for number, settled_at in enumerate([old, None, clock.now])
    ]  # fmt: skip
    for each in made:
        Attempt.objects.create(bulk_request=each, number=1, started_at=old, took_seconds=1, outcome="ok")
    [kept] = entries(1, clock, Status.FAILED, 40, bulk_request=made[0])
    purge(now=clock.now)

    assert set(BulkRequest.objects.values_list("request_id", flat=True)) == {"1", "2"}
    assert Attempt.objects.filter(entry=None).count() == 2
    kept.refresh_from_db()
    assert kept.bulk_request is None


@pytest.fixture
def phone(sandbox: Sandbox) -> Device:
    device = Device.objects.create(application=CODE, hwid="phone", platform=3, push_token="token")
    run_outbox()
    return device


def test_messages_that_code_sent_go_and_those_of_people_stay(
    sandbox: Sandbox, phone: Device, clock: Clock, settings: Any
) -> None:
    person = get_user_model().objects.create_user("ada")
    by_code = push.send("Hello", to=phone)
    composed = push.send("Hello", to=phone, created_by=person)
    run_outbox()
    clock.advance(days=31)
    purge(now=clock.now)
    assert list(ScheduledMessage.objects.all()) == [composed]
    assert by_code.pk not in Dispatch.objects.values_list("message_id", flat=True)
    assert Dispatch.objects.count() == 1

    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "RETENTION": {"COMPOSED": timedelta(days=30)}}
    purge(now=clock.now)
    assert not ScheduledMessage.objects.exists()
    assert not Dispatch.objects.exists()


def test_deleting_old_messages_says_nothing_upstream(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    message = push.schedule("Hello", to=phone, at=clock.now + timedelta(hours=1))
    run_outbox()
    clock.advance(hours=2)
    run_outbox()
    assert message.dispatches.get().is_known_upstream
    clock.advance(days=40)
    purge(now=clock.now)

    assert not ScheduledMessage.objects.exists()
    assert not OutboxEntry.objects.unsettled().exists()
    assert [each.status for each in sandbox.messages] == ["done"]


def test_what_is_not_over_is_never_deleted(sandbox: Sandbox, phone: Device, clock: Clock, settings: Any) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "EXPIRE_AFTER": None}
    draft = ScheduledMessage.objects.create(application=CODE)
    ahead = push.schedule("Later", to=phone, at=clock.now + timedelta(days=365))
    run_outbox()
    waiting = push.send("Waiting", to=phone)
    stopped = push.schedule("Stopped", to=phone, at=clock.now + timedelta(days=300))
    ScheduledMessage.objects.filter(pk=stopped.pk).update(status=ScheduledMessage.Status.SENT, send_at=None)
    clock.advance(days=200)
    purge(now=clock.now)

    assert set(ScheduledMessage.objects.all()) == {draft, ahead, waiting, stopped}
    assert OutboxEntry.objects.filter(dispatch__message=ahead).exists(), "it tells where the message was accepted"
    poll(now=clock.now)
    assert Dispatch.objects.get(message=ahead).upstream_status == "waiting"


def test_uncertain_messages_are_kept_as_long_as_uncertain_entries(clock: Clock) -> None:
    for status in ScheduledMessage.Status:
        ScheduledMessage.objects.create(application=CODE, status=status, created_at=clock.now - timedelta(days=60))
    purge(now=clock.now)
    assert set(ScheduledMessage.objects.values_list("status", flat=True)) == {
        "draft", "scheduled", "failed", "uncertain",
    }  # fmt: skip


def test_jobs_go_with_their_chunks_once_every_chunk_is_over(clock: Clock) -> None:
    old = clock.now - timedelta(days=91)
    for status in BulkJob.Status:
        for chunk in BulkJobChunk.Status:
            is_over = status in (BulkJob.Status.ENDED, BulkJob.Status.ABORTED)
            job = BulkJob.objects.create(
                application=CODE, kind="bulkSetTags", status=status, ended_at=old if is_over else None
            )
            BulkJobChunk.objects.create(job=job, number=1, devices=[], status=chunk)
            BulkJobChunk.objects.create(job=job, number=2, devices=[], status=BulkJobChunk.Status.DONE)
    kept = list(
        BulkJob.objects.filter(
            models.Q(ended_at=None)
            | models.Q(chunks__status__in=[BulkJobChunk.Status.QUEUED, BulkJobChunk.Status.SENT])
        ).distinct()
    )
    purge(now=clock.now, batch=3)

    assert set(BulkJob.objects.all()) == set(kept)
    assert BulkJobChunk.objects.count() == 2 * len(kept)


def test_closed_links_go_after_a_year(clock: Clock, phone: Device) -> None:
    for days in (400, 300):
        until = clock.now - timedelta(days=days)
        UserLink.objects.bulk_create([UserLink(device=phone, user_id=str(days), until=until, is_open=None)])
    UserLink.objects.bulk_create([UserLink(device=phone, user_id="open", since=clock.now - timedelta(days=900))])
    purge(now=clock.now)

    assert set(UserLink.objects.values_list("user_id", flat=True)) == {"300", "open"}
    assert not OutboxEntry.objects.unsettled().exists()


@pytest.mark.parametrize("how", [tasks.purge.apply, lambda: call_command("pushwoosh_purge")])
def test_task_and_command_delete_what_is_old(clock: Clock, how: Callable[[], object]) -> None:
    entries(3, clock)
    how()
    assert not OutboxEntry.objects.exists()


def test_the_worker_deletes_now_and_then_by_itself(
    clock: Clock, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal
    import threading

    entries(3, clock)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(threading.Event, "wait", lambda self, *_: True)
    call_command("pushwoosh_worker")
    assert not OutboxEntry.objects.exists()
