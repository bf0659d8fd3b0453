"""The outbox: what is claimed by whom, in what order, and what a death leaves behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import outbox
from django_pushwoosh.models import OutboxEntry, Pause
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.signals import entry_queued
from tests.conftest import Clock

pytestmark = pytest.mark.django_db
Status = OutboxEntry.Status


def queue(clock: Clock, hwid: str = "phone", **arguments: Any) -> OutboxEntry:
    application = settings.application()
    call = Call.of("setTags", application.code, hwid=hwid, tags={"Age": 30, **arguments})
    return outbox.enqueue(call, key=outbox.device_key(application.code, hwid), application=application, now=clock.now)


def claim(clock: Clock, limit: int = 10, **options: Any) -> list[OutboxEntry]:
    return outbox.claim(limit, now=clock.now, **options)


def test_an_entry_is_claimed_once(clock: Clock) -> None:
    entry = queue(clock)

    assert claim(clock) == [entry]
    assert claim(clock) == []


def test_entries_of_one_device_leave_one_after_the_other(clock: Clock) -> None:
    first, second, other = queue(clock), queue(clock), queue(clock, hwid="tablet")

    held = claim(clock)
    assert held == [first, other]
    assert claim(clock) == []

    outbox.settle([held[0]], Status.SENT, now=clock.now)
    assert claim(clock) == [second]


def test_a_released_entry_still_goes_before_what_was_queued_after_it(clock: Clock) -> None:
    first, second = queue(clock), queue(clock)
    outbox.release([claim(clock)[0]], due_at=clock.now + timedelta(seconds=30))

    assert claim(clock) == []
    clock.advance(seconds=30)
    assert claim(clock) == [first]
    assert second.status == Status.QUEUED


def test_a_lost_lease_settles_nothing(clock: Clock) -> None:
    queue(clock)
    [held] = claim(clock, lease=timedelta(seconds=10))
    clock.advance(seconds=11)
    [recovered] = outbox.expired(10, now=clock.now)

    assert outbox.settle([held], Status.SENT, now=clock.now) == []
    assert outbox.release([held], due_at=clock.now) == []
    assert outbox.begin([held], now=clock.now) == []
    assert outbox.settle([recovered], Status.LEFT, now=clock.now) == [recovered]


def test_a_call_that_begins_extends_its_lease(clock: Clock) -> None:
    queue(clock)
    [held] = claim(clock, lease=timedelta(seconds=10))
    clock.advance(seconds=9)
    assert outbox.begin([held], now=clock.now, lease=timedelta(seconds=10))

    clock.advance(seconds=9)
    assert outbox.expired(10, now=clock.now) == []


def test_entries_of_another_api_root_are_left_alone(clock: Clock, settings: Any) -> None:
    """A dump of production, brought up where other settings hold."""
    queue(clock)

    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "API_ROOT": "https://elsewhere.example"}

    assert claim(clock) == []
    assert OutboxEntry.objects.get().status == Status.QUEUED


def test_a_paused_application_keeps_its_entries(clock: Clock) -> None:
    entry = queue(clock)
    pause = Pause.objects.create(application=entry.application, reason="Account not found")
    assert claim(clock) == []

    pause.delete()
    assert claim(clock) == [entry]


def test_what_is_being_sent_cannot_be_cancelled_any_more(clock: Clock) -> None:
    queue(clock)
    claim(clock)

    assert outbox.cancel(OutboxEntry.objects.all(), now=clock.now) == []


def test_a_cancelled_entry_is_never_claimed_and_holds_nobody_up(clock: Clock) -> None:
    first, second = queue(clock), queue(clock)

    assert outbox.cancel(OutboxEntry.objects.filter(pk=first.pk), now=clock.now) == [first]

    assert claim(clock) == [second]


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_transaction_leaves_nothing_and_wakes_nobody(clock: Clock) -> None:
    woken: list[str] = []

    def wake(using: str, **_kwargs: Any) -> None:
        woken.append(using)

    entry_queued.connect(wake)
    try:
        with transaction.atomic():
            queue(clock)
            transaction.set_rollback(True)
        assert not OutboxEntry.objects.exists()
        assert woken == []

        with transaction.atomic():
            queue(clock)
            assert woken == []
        assert woken == ["default"]
    finally:
        entry_queued.disconnect(wake)


def test_the_token_stands_in_no_column(clock: Clock) -> None:
    entry = queue(clock)

    row = repr(OutboxEntry.objects.filter(pk=entry.pk).values().get())

    assert settings.application().api_token not in row
    assert settings.application().device_token not in row
