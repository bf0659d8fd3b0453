"""The governor: never more than the cap in any rolling minute, as the far side counts."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import pytest

from django_pushwoosh.conf import Account
from django_pushwoosh.delivery.governor import Governor
from django_pushwoosh.protocol.errors import RateLimited
from tests.conftest import Clock
from tests.delivery.stores import governor_on, worst_window

pytestmark = pytest.mark.django_db

READ_TIMEOUT = 20.0


@pytest.fixture
def governor_at(store: str) -> Callable[..., Governor]:
    return partial(governor_on, store)


def test_a_whole_minutes_budget_goes_out_at_once_and_then_the_rest_waits(
    governor_at: Callable[..., Governor], clock: Clock
) -> None:
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


def test_an_unanswered_request_keeps_its_slot_for_as_long_as_it_may_still_arrive(
    governor_at: Callable[..., Governor], clock: Clock
) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=1)
    governor.acquire(account, READ_TIMEOUT)

    clock.advance(seconds=60 + READ_TIMEOUT)
    with pytest.raises(RateLimited):
        governor.acquire(account, READ_TIMEOUT)

    clock.advance(seconds=10)
    governor.acquire(account, READ_TIMEOUT)


def test_a_lost_connection_frees_the_slot_when_its_request_can_no_longer_arrive(
    governor_at: Callable[..., Governor], clock: Clock
) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=1)
    longest = 2 * 3.05 + READ_TIMEOUT
    grant = governor.acquire(account, longest)

    clock.advance(seconds=1)
    governor.unanswered(grant, READ_TIMEOUT)

    assert governor.wait(account) == 60 + READ_TIMEOUT


def test_a_silence_to_the_end_keeps_the_slot_no_longer_than_it_was_held(
    governor_at: Callable[..., Governor], clock: Clock
) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=1)
    grant = governor.acquire(account, READ_TIMEOUT)
    held = governor.wait(account)

    clock.advance(seconds=READ_TIMEOUT)
    governor.unanswered(grant, READ_TIMEOUT)

    assert governor.wait(account) == held - READ_TIMEOUT


def test_a_request_that_never_left_costs_nothing(governor_at: Callable[..., Governor], clock: Clock) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=1)

    governor.unused(governor.acquire(account, READ_TIMEOUT))

    governor.acquire(account, READ_TIMEOUT)


def test_accounts_have_budgets_of_their_own(governor_at: Callable[..., Governor], clock: Clock) -> None:
    governor = governor_at(clock)
    governor.acquire(Account("first", requests_per_minute=1), READ_TIMEOUT)

    governor.acquire(Account("second", requests_per_minute=1), READ_TIMEOUT)


def test_a_reserve_is_left_to_other_senders(governor_at: Callable[..., Governor], clock: Clock) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=10, reserve=7)

    for _ in range(3):
        governor.acquire(account, READ_TIMEOUT)

    with pytest.raises(RateLimited):
        governor.acquire(account, READ_TIMEOUT)


def test_a_raised_cap_counts_at_once_and_a_lowered_one_too(governor_at: Callable[..., Governor], clock: Clock) -> None:
    governor = governor_at(clock)
    governor.acquire(Account(requests_per_minute=1), READ_TIMEOUT)

    governor.acquire(Account(requests_per_minute=2), READ_TIMEOUT)

    with pytest.raises(RateLimited):
        governor.acquire(Account(requests_per_minute=1), READ_TIMEOUT)


def test_pushwoosh_saying_slow_down_holds_everyone_back(governor_at: Callable[..., Governor], clock: Clock) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=3)

    governor.pause(account, 30)

    with pytest.raises(RateLimited) as refused:
        governor_at(clock, seed=2).acquire(account, READ_TIMEOUT)
    assert refused.value.retry_after == 30
    clock.advance(seconds=30)
    governor.acquire(account, READ_TIMEOUT)


@pytest.mark.parametrize("seconds", [30, 75, 300])
@pytest.mark.parametrize("end", ["answered", "unused"])
def test_nothing_that_was_under_way_ends_a_pause(
    governor_at: Callable[..., Governor], clock: Clock, seconds: float, end: str
) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=1)
    grant = governor.acquire(account, READ_TIMEOUT)
    governor.pause(account, seconds)
    getattr(governor, end)(grant)

    clock.advance(seconds=seconds - 0.1)
    with pytest.raises(RateLimited):
        governor.acquire(account, READ_TIMEOUT)


def test_the_wait_is_known_in_advance(governor_at: Callable[..., Governor], clock: Clock) -> None:
    governor, account = governor_at(clock), Account(requests_per_minute=2)
    assert governor.wait(account) == 0
    governor.answered(governor.acquire(account, READ_TIMEOUT))
    clock.advance(seconds=10)
    governor.answered(governor.acquire(account, READ_TIMEOUT))

    assert governor.wait(account) == 50
    assert governor.wait(account, ahead=1) == 60
    assert governor.wait(account, ahead=2) == 110


@pytest.mark.parametrize("seed", range(5))
def test_no_rolling_minute_at_the_far_side_holds_more_than_the_cap(
    governor_at: Callable[..., Governor], clock: Clock, seed: int
) -> None:
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

    assert worst_window(arrivals) <= cap
    assert len(arrivals) > cap * 4
