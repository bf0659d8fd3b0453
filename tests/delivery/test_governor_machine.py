"""Whatever happens in whatever order: the far side never counts more than the cap in a minute that rolls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from django_pushwoosh.conf import Account
from django_pushwoosh.conf import settings as pushwoosh
from django_pushwoosh.delivery import slots_redis
from django_pushwoosh.delivery.governor import SHORTEST_WAIT, Governor
from django_pushwoosh.delivery.slots import Grant, hold_for
from django_pushwoosh.protocol.errors import RateLimited
from tests.delivery.stores import governor_on, worst_window
from tests.servers import REDIS_URL

pytestmark = pytest.mark.django_db

MOST = 6
numbers = count()
redis = slots_redis.client_of(REDIS_URL)


shares = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
"""Where between the sending and the answer the far side counts."""


class SetClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class UnderWay:
    """A request that left at `since`; when the far side counts it is decided when it ends."""

    grant: Grant
    since: datetime


class Requests(RuleBasedStateMachine):
    """Two workers that share an account's slots."""

    store: str

    def __init__(self) -> None:
        super().__init__()
        self.clock = SetClock()
        self.workers = [governor_on(self.store, self.clock, seed) for seed in (1, 2)]
        self.name = f"machine-{next(numbers)}"
        self.cap = 3
        self.highest_cap = 3
        self.longest = pushwoosh.longest_request
        self.under_way: list[UnderWay] = []
        self.counted: list[datetime] = []
        self.paused_until = self.clock.now
        self.held_until = self.clock.now
        """From then on, no slot is held for another reason than an answer."""

    @property
    def account(self) -> Account:
        return Account(self.name, requests_per_minute=self.cap)

    @rule(seconds=st.one_of(st.floats(0.001, 5), st.floats(5, 100), st.sampled_from([1, 30, 60, 91.1])))
    def time_goes_on(self, seconds: float) -> None:
        for each in list(self.under_way):
            if self.clock.now + timedelta(seconds=seconds) > each.since + timedelta(seconds=self.longest):
                self.no_answer_comes(0, 1.0, each)
        self.clock.now += timedelta(seconds=seconds)

    @rule(worker=st.sampled_from([0, 1]))
    def a_request_wants_to_go(self, worker: int) -> None:
        governor = self.workers[worker]
        expected = governor.wait(self.account)
        grant = self.granted(governor, expected)
        assert (grant is None) == (expected > 0)
        if grant is not None:
            assert self.clock.now >= self.paused_until, "a pause holds everyone"

    @rule(worker=st.sampled_from([0, 1]))
    def a_request_goes_as_soon_as_it_may(self, worker: int) -> None:
        self.time_goes_on(self.workers[worker].wait(self.account))
        assert self.granted(self.workers[worker]) is not None

    def granted(self, governor: Governor, expected: float = 0) -> Grant | None:
        refused_for: float | None = None
        try:
            grant = governor.acquire(self.account, self.longest)
        except RateLimited as refused:
            refused_for = refused.retry_after
        if refused_for is not None:
            assert refused_for == max(expected, SHORTEST_WAIT), "wait and acquire agree"
            return None
        self.under_way.append(UnderWay(grant, self.clock.now))
        return grant

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 100), share=shares)
    def an_answer_comes(self, which: int, share: float) -> None:
        ended = self.under_way.pop(which % len(self.under_way))
        self.counted.append(ended.since + share * (self.clock.now - ended.since))
        self.workers[0].answered(ended.grant)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 100))
    def a_request_never_leaves(self, which: int) -> None:
        self.workers[1].unused(self.under_way.pop(which % len(self.under_way)).grant)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 100), share=shares)
    def no_answer_comes(self, which: int, share: float, lost: UnderWay | None = None) -> None:
        """A worker that died, or a network that swallowed it; it may arrive for as long as a request may take."""
        lost = lost or self.under_way[which % len(self.under_way)]
        self.under_way.remove(lost)
        self.counted.append(lost.since + share * timedelta(seconds=self.longest))
        self.held_until = max(self.held_until, lost.since + hold_for(self.longest))

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 100), leaving=shares, share=shares)
    def a_connection_is_lost(self, which: int, leaving: float, share: float) -> None:
        """The worker knows that no answer will come; what has left may arrive until its read timeout is over."""
        read = pushwoosh.timeout[1]
        lost = self.under_way.pop(which % len(self.under_way))
        left = lost.since + leaving * min(self.clock.now - lost.since, timedelta(seconds=self.longest - read))
        self.counted.append(left + share * timedelta(seconds=read))
        self.workers[0].unanswered(lost.grant, read)
        self.held_until = max(self.held_until, lost.since + hold_for(self.longest))

    @rule(worker=st.sampled_from([0, 1]), leaving=shares, share=shares)
    def all_connections_are_lost(self, worker: int, leaving: float, share: float) -> None:
        while self.granted(self.workers[worker], self.workers[worker].wait(self.account)) is not None:
            pass
        while self.under_way:
            self.a_connection_is_lost(0, leaving, share)

    @rule(seconds=st.sampled_from([0.5, 10, 75, 200]))
    def pushwoosh_says_slow_down(self, seconds: float) -> None:
        self.workers[0].pause(self.account, seconds)
        self.paused_until = max(self.paused_until, self.clock.now + timedelta(seconds=seconds))
        # What is under way keeps its slot for as long as it would without an answer, and some microseconds.
        latest = max(self.held_until, self.paused_until, self.clock.now + hold_for(self.longest))
        self.held_until = latest + timedelta(milliseconds=1)

    @precondition(lambda self: self.clock.now >= self.paused_until)
    @rule(cap=st.integers(1, MOST))
    def the_cap_is_changed(self, cap: int) -> None:
        self.cap = cap
        self.highest_cap = max(self.highest_cap, cap)

    @precondition(lambda self: self.store == "redis")
    @rule(is_stale=st.booleans())
    def redis_forgets(self, is_stale: bool) -> None:
        """It is flushed; or it starts again, another server, with a copy that is older than the latest grants."""
        slots, server = (f"{slots_redis.PREFIX}:{self.name}:{kept}" for kept in ("slots", "server"))
        if not redis.exists(slots):
            return
        if is_stale:
            redis.zadd(slots, dict.fromkeys(redis.zrange(slots, 0, -1), 0))
            redis.set(server, "another")
        else:
            redis.delete(slots, server)
        # The wait begins with the next request that wants to go; it is all that is left of a pause.
        self.paused_until = self.clock.now + hold_for(self.longest)
        self.held_until = max(self.held_until, self.paused_until) + timedelta(milliseconds=1)
        self.a_request_wants_to_go(0)

    @rule(worker=st.sampled_from([0, 1]))
    def after_an_idle_minute_a_burst_goes_at_once(self, worker: int) -> None:
        for _ in list(self.under_way):
            self.an_answer_comes(0, 1.0)
        self.clock.now = max(self.clock.now + timedelta(seconds=60), self.held_until)
        for _ in range(self.cap):
            assert self.granted(self.workers[worker]) is not None
        assert self.granted(self.workers[1 - worker], self.workers[1 - worker].wait(self.account)) is None
        self.clock.now += timedelta(milliseconds=20)
        while self.under_way:
            self.an_answer_comes(0, 0.5)

    def teardown(self) -> None:
        for each in list(self.under_way):
            self.no_answer_comes(0, 1.0, each)
        if self.counted:
            assert worst_window(self.counted) <= self.highest_cap


def test_the_cap_holds_whatever_happens(store: str) -> None:
    machine = type("Requests", (Requests,), {"store": store})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
