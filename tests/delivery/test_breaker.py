"""A Pushwoosh that is down is left in peace, and probed; refusals are answers, and one address is not another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import OperationalError
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_pushwoosh import push
from django_pushwoosh.conf import settings as ours
from django_pushwoosh.delivery import connection, outbox
from django_pushwoosh.delivery.breaker import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, Breaker
from django_pushwoosh.delivery.slots_database import StoreNow
from django_pushwoosh.models import Device, OutboxEntry, RateSlot
from django_pushwoosh.protocol.audience import EVERYONE
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.sandbox import faults
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox, use_sandbox
from tests.conftest import Clock

pytestmark = pytest.mark.django_db
Status = OutboxEntry.Status
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
FIRST, SECOND = "TEST0-00001", "TEST0-00002"


def queue(clock: Clock, count: int, application: str = FIRST, prefix: str = "phone") -> None:
    """Changes of so many devices; too few to travel together."""
    app = ours.application(application)
    entries = []
    for number in range(count):
        call = Call.of("setTags", app.code, hwid=f"{prefix}{number}", tags={"Age": number})
        key = outbox.device_key(app.code, call.hwid)
        entries.append(outbox.entry_of(call, key=key, application=app, now=clock.now))
    outbox.enqueue_all(entries)


def times(sandbox: Sandbox, application: str = FIRST) -> list[datetime]:
    return [request.at for request in sandbox.requests if request.application == application]


@pytest.fixture
def two_addresses(settings: Any, clock: Clock) -> Iterator[Sandbox]:
    """Two applications, each at an API root of its own, and what they share: this process."""
    first = settings.PUSHWOOSH["APPLICATIONS"]["default"]
    second = {**first, "CODE": SECOND, "API_ROOT": "http://elsewhere.test"}
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "APPLICATIONS": {"default": first, "second": second}}
    with use_sandbox() as sandbox:
        yield sandbox


@pytest.mark.parametrize("fault", [faults.lost_request, faults.no_connection, faults.server_error, faults.bad_gateway])
def test_after_a_few_failures_nothing_is_asked_nor_claimed(sandbox: Sandbox, clock: Clock, fault: Any) -> None:
    queue(clock, 20)
    sandbox.faults.always("setTags", with_=fault())
    run_outbox()

    assert len(times(sandbox)) == FAILURES
    untouched = OutboxEntry.objects.filter(attempts_made=0)
    assert set(untouched.values_list("status", "begun_at", "tried_since")) == {(Status.QUEUED, None, None)}
    assert untouched.count() == 20 - FAILURES

    clock.advance(seconds=FIRST_PAUSE.total_seconds() / 2)
    assert run_outbox() == 0
    assert len(times(sandbox)) == FAILURES


def test_it_is_probed_by_one_request_at_a_time_after_pauses_that_double(sandbox: Sandbox, clock: Clock) -> None:
    queue(clock, 40)
    down = sandbox.faults.always("setTags", with_=faults.no_connection())
    run_outbox()
    for _ in range(250):
        clock.advance(seconds=1)
        run_outbox()

    probes = times(sandbox)[FAILURES - 1 :]
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(probes)]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert pauses[-1] == LONGEST_PAUSE.total_seconds()

    sandbox.faults.remove(down)
    clock.advance(minutes=1)
    run_outbox()
    clock.advance(minutes=1)
    run_outbox()
    assert set(OutboxEntry.objects.values_list("status", flat=True)) == {Status.SENT}
    assert len(sandbox.devices) == 40


def test_a_probe_that_is_answered_opens_the_way_for_all(sandbox: Sandbox, clock: Clock) -> None:
    queue(clock, 20)
    sandbox.faults.fail_next("setTags", times=FAILURES, with_=faults.no_connection())
    run_outbox()
    clock.advance(seconds=1)
    run_outbox()

    assert OutboxEntry.objects.filter(status=Status.SENT).count() >= 20 - FAILURES


def test_refusals_are_answers(sandbox: Sandbox, clock: Clock) -> None:
    queue(clock, 20)
    sandbox.faults.always("setTags", with_=faults.refusal("No"))
    run_outbox()

    assert len(times(sandbox)) == 20
    assert set(OutboxEntry.objects.values_list("status", flat=True)) == {Status.FAILED}


def test_an_answer_in_between_starts_the_count_anew(sandbox: Sandbox, clock: Clock) -> None:
    queue(clock, 3 * FAILURES)
    for _ in range(3):
        sandbox.faults.fail_next("setTags", times=FAILURES - 1, with_=faults.lost_request())
        sandbox.faults.fail_next("setTags", with_=faults.refusal("No"))
    run_outbox()

    assert len(times(sandbox)) == 3 * FAILURES


def test_while_it_is_down_no_message_takes_a_slot_of_the_cap(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    queue(clock, FAILURES)
    sandbox.faults.fail_next("setTags", times=FAILURES, with_=faults.no_connection())
    run_outbox()
    push.send("Hello", to=EVERYONE)
    run_outbox()
    assert not RateSlot.objects.filter(uses__gt=0).exists()

    clock.advance(seconds=1)
    run_outbox()
    assert [message.parameters["content"] for message in sandbox.messages] == ["Hello"]


def test_while_it_is_down_nothing_is_loaded_into_a_bulk_request(sandbox: Sandbox, clock: Clock) -> None:
    queue(clock, FAILURES, prefix="early")
    sandbox.faults.fail_next("setTags", times=FAILURES, with_=faults.no_connection())
    run_outbox()
    queue(clock, 60)
    run_outbox()
    assert sandbox.jobs == {}
    assert not OutboxEntry.objects.exclude(status=Status.QUEUED).exists()

    clock.advance(seconds=1)
    run_outbox()
    assert len(sandbox.jobs) == 1


def test_one_address_that_is_down_does_not_hold_the_other(two_addresses: Sandbox, clock: Clock) -> None:
    queue(clock, 20, SECOND)
    queue(clock, 20)
    two_addresses.faults.always(with_=faults.no_connection(), applications=[SECOND])
    run_outbox()

    assert OutboxEntry.objects.filter(application=FIRST, status=Status.SENT).count() == 20
    assert OutboxEntry.objects.filter(application=SECOND, status=Status.QUEUED).count() == 20
    assert len(times(two_addresses, SECOND)) == FAILURES


def test_an_address_that_nobody_wants_any_more_does_not_hold_the_other(two_addresses: Sandbox, clock: Clock) -> None:
    """It broke, and nothing is left to probe it with."""
    queue(clock, FAILURES, SECOND)
    two_addresses.faults.always(with_=faults.no_connection(), applications=[SECOND])
    run_outbox()
    outbox.cancel(OutboxEntry.objects.filter(application=SECOND), now=clock.now)
    clock.advance(hours=1)
    queue(clock, 20)
    run_outbox()

    assert OutboxEntry.objects.filter(application=FIRST, status=Status.SENT).count() == 20


def test_an_address_that_comes_back_is_probed_beside_the_other(two_addresses: Sandbox, clock: Clock) -> None:
    queue(clock, 20, SECOND)
    two_addresses.faults.fail_next(times=FAILURES, with_=faults.no_connection(), applications=[SECOND])
    run_outbox()
    queue(clock, 20)
    clock.advance(minutes=1)
    run_outbox()

    assert set(OutboxEntry.objects.values_list("status", flat=True)) == {Status.SENT}
    assert connection.breaker("http://elsewhere.test").open_until(clock.now) is None


@pytest.mark.parametrize("what", ["claim", "begin"])
def test_a_database_that_fails_over_a_probe_does_not_keep_the_address_closed(
    sandbox: Sandbox, phone: Device, clock: Clock, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    queue(clock, FAILURES)
    sandbox.faults.fail_next("setTags", times=FAILURES, with_=faults.no_connection())
    run_outbox()
    outbox.cancel(OutboxEntry.objects.filter(method="setTags"), now=clock.now)
    push.send("Hello", to=EVERYONE)
    clock.advance(seconds=1)

    def fail(*given: Any, **named: Any) -> Any:
        if what == "begin" or "('is_capped', True)" in str(named["which"]):
            raise OperationalError("The database is gone.")
        return []

    with monkeypatch.context() as patch:
        patch.setattr(outbox, what, fail)
        with pytest.raises(OperationalError):
            run_outbox()

    assert connection.breaker(ours.application().api_root).open_until(clock.now) is None
    [slot] = RateSlot.objects.filter(uses__gt=0).annotate(store_now=StoreNow())
    assert slot.free_at - slot.store_now < timedelta(seconds=5)
    run_outbox()
    assert len(sandbox.messages) == 1


@given(st.lists(st.sampled_from(["succeed", "fail", "never leave", "wait", "wait long"]), max_size=60))
@hypothesis_settings(deadline=None, derandomize=True, max_examples=300)
def test_whatever_comes_back_it_lets_one_through_or_all_and_never_nobody_for_ever(outcomes: list[str]) -> None:
    breaker, now = Breaker(), NOON
    in_a_row = 0
    for outcome in outcomes:
        if outcome.startswith("wait"):
            now += timedelta(seconds=0.5) if outcome == "wait" else LONGEST_PAUSE
            continue
        until = breaker.open_until(now)
        is_let_through = breaker.enter(now)
        # What says that one may ask, and what lets one ask, are of one mind.
        assert is_let_through is (until is None)
        if not is_let_through:
            assert in_a_row >= FAILURES
            assert until is not None
            assert now < until <= now + LONGEST_PAUSE
            continue
        is_probe = breaker.is_probing_next
        assert is_probe is (in_a_row >= FAILURES)
        if is_probe:
            assert not breaker.enter(now)
        if outcome == "succeed":
            breaker.succeeded()
            in_a_row = 0
        elif outcome == "fail":
            breaker.failed(now)
            in_a_row += 1
        else:
            breaker.left()
    now += LONGEST_PAUSE
    assert breaker.enter(now)


def test_answers_that_come_after_it_opened_do_not_lengthen_its_pause() -> None:
    """Sixteen requests were in flight when it went down; each of them fails."""
    breaker = Breaker()
    for _ in range(16):
        assert breaker.enter(NOON)
    for _ in range(16):
        breaker.failed(NOON)

    assert breaker.open_until(NOON) == NOON + FIRST_PAUSE
