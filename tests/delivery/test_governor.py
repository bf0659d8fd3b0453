"""The governor: never more than the cap in any rolling minute, as the far side counts."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest
from django.db.models import DateTimeField, Value
from django.db.models.functions import Cast

from django_pushwoosh.conf import Account
from django_pushwoosh.delivery.governor import Governor
from django_pushwoosh.models import RateSlot
from django_pushwoosh.protocol.errors import RateLimited
from tests.conftest import Clock

pytestmark = pytest.mark.django_db

READ_TIMEOUT = 20.0


def governor_at(clock: Clock, seed: int = 1) -> Governor:
    return Governor(now=lambda: Cast(Value(clock.now), DateTimeField()), chance=random.Random(seed))


def test_a_whole_minutes_budget_goes_out_at_once_and_then_the_rest_waits(clock: Clock) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=5)

    for _ in range(5):
        governor.answered(governor.acquire(account, READ_TIMEOUT))

    with pytest.raises(RateLimited) as refused:
        governor.acquire(account, READ_TIMEOUT)
    assert refused.value.retry_after == 60
    clock.advance(seconds=59.9)
    with pytest.raises(RateLimited):
        governor.acquire(account, READ_TIMEOUT)
    clock.advance(seconds=0.1)
    governor.acquire(account, READ_TIMEOUT)


def test_an_unanswered_request_keeps_its_slot_for_as_long_as_it_may_still_arrive(clock: Clock) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=1)
    governor.acquire(account, READ_TIMEOUT)

    clock.advance(seconds=60 + READ_TIMEOUT)
    with pytest.raises(RateLimited):
        governor.acquire(account, READ_TIMEOUT)

    clock.advance(seconds=10)
    governor.acquire(account, READ_TIMEOUT)


def test_a_request_that_never_left_costs_nothing(clock: Clock) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=1)

    governor.unused(governor.acquire(account, READ_TIMEOUT))

    governor.acquire(account, READ_TIMEOUT)


def test_accounts_have_budgets_of_their_own(clock: Clock) -> None:
    governor = governor_at(clock)
    governor.acquire(Account("first", requests_per_minute=1), READ_TIMEOUT)

    governor.acquire(Account("second", requests_per_minute=1), READ_TIMEOUT)


def test_a_reserve_is_left_to_other_senders(clock: Clock) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=10, reserve=7)

    for _ in range(3):
        governor.acquire(account, READ_TIMEOUT)

    with pytest.raises(RateLimited):
        governor.acquire(account, READ_TIMEOUT)


def test_a_raised_cap_counts_at_once_and_a_lowered_one_too(clock: Clock) -> None:
    governor = governor_at(clock)
    governor.acquire(Account(requests_per_minute=1), READ_TIMEOUT)

    governor.acquire(Account(requests_per_minute=2), READ_TIMEOUT)

    with pytest.raises(RateLimited):
        governor.acquire(Account(requests_per_minute=1), READ_TIMEOUT)


def test_pushwoosh_saying_slow_down_holds_everyone_back(clock: Clock) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=3)

    governor.pause(account, 30)

    with pytest.raises(RateLimited) as refused:
        governor_at(clock, seed=2).acquire(account, READ_TIMEOUT)
    assert refused.value.retry_after == 30
    clock.advance(seconds=30)
    governor.acquire(account, READ_TIMEOUT)


def test_an_answer_that_comes_during_a_pause_does_not_end_it(clock: Clock) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=1)
    grant = governor.acquire(account, READ_TIMEOUT)
    governor.pause(account, 300)
    governor.answered(grant)

    clock.advance(seconds=61)
    with pytest.raises(RateLimited):
        governor.acquire(account, READ_TIMEOUT)


def test_the_wait_is_known_in_advance(clock: Clock) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=2)
    assert governor.wait(account) == 0
    governor.answered(governor.acquire(account, READ_TIMEOUT))
    clock.advance(seconds=10)
    governor.answered(governor.acquire(account, READ_TIMEOUT))

    assert governor.wait(account) == 50
    assert governor.wait(account, ahead=1) == 60
    assert governor.wait(account, ahead=2) == 110


def test_two_processes_that_saw_the_same_free_slot_do_not_both_get_it(clock: Clock) -> None:
    account = Account(requests_per_minute=1)
    governor_at(clock).unused(governor_at(clock).acquire(account, READ_TIMEOUT))
    slot = RateSlot.objects.get()

    first = RateSlot.objects.filter(pk=slot.pk, uses=slot.uses).update(uses=slot.uses + 1)
    second = RateSlot.objects.filter(pk=slot.pk, uses=slot.uses).update(uses=slot.uses + 1)

    assert (first, second) == (1, 0)


@pytest.mark.parametrize("seed", range(5))
def test_no_rolling_minute_at_the_far_side_holds_more_than_the_cap(clock: Clock, seed: int) -> None:
    """A greedy sender, requests that arrive late by up to two seconds, answers that take as long, some lost."""
    chance = random.Random(seed)
    cap = 12
    governor, account = governor_at(clock, seed), Account(requests_per_minute=cap)
    arrivals: list[datetime] = []
    answers: list[tuple[datetime, object]] = []
    end = clock.now + timedelta(minutes=6)

    while clock.now < end:
        for at, grant in [each for each in answers if each[0] <= clock.now]:
            governor.answered(grant)  # type: ignore[arg-type]
            answers.remove((at, grant))
        try:
            grant = governor.acquire(account, READ_TIMEOUT)
        except RateLimited:
            clock.advance(seconds=chance.uniform(0.05, 2))
            continue
        arrived = clock.now + timedelta(seconds=chance.uniform(0, 2))
        arrivals.append(arrived)
        if chance.random() < 0.9:
            answers.append((arrived + timedelta(seconds=chance.uniform(0, 2)), grant))
        clock.advance(milliseconds=chance.uniform(1, 50))

    arrivals.sort()
    window = timedelta(seconds=60)
    worst = max(sum(1 for other in arrivals if at <= other < at + window) for at in arrivals)
    assert worst <= cap
    assert len(arrivals) > cap * 4
