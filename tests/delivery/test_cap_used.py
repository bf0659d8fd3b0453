"""How much of the cap is used by senders that always have something to send; in a time that is set."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from django_pushwoosh.conf import Account, settings
from django_pushwoosh.delivery.governor import Governor
from django_pushwoosh.protocol.errors import RateLimited
from tests.capped import utilisation
from tests.delivery.stores import governor_on, worst_window

pytestmark = pytest.mark.django_db

CAP = 60
MINUTES = 7


class Simulation:
    """Events in their order, each at its time."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
        self._order = count()
        self._coming: list[tuple[datetime, int, Callable[[], None]]] = []

    def clock(self) -> datetime:
        return self.now

    def after(self, seconds: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._coming, (self.now + timedelta(seconds=seconds), next(self._order), happens))

    def run(self, minutes: float) -> None:
        end = self.now + timedelta(minutes=minutes)
        while self._coming and self._coming[0][0] <= end:
            self.now, _, happens = heapq.heappop(self._coming)
            happens()


def counted(
    store: str, answer_seconds: Callable[[], float], outcome: Callable[[], str], sent: list[datetime] | None = None
) -> list[datetime]:
    """When the far side counted what four senders sent, each of whom asks again when it was told to.

    `sent` gets the times of what left.
    """
    simulation = Simulation()
    account = Account(requests_per_minute=CAP)
    arrivals: list[datetime] = []

    def turn(governor: Governor) -> None:
        try:
            grant = governor.acquire(account, settings.longest_request)
        except RateLimited as refused:
            simulation.after(refused.retry_after or 1.0, lambda: turn(governor))
            return
        became, there, back = outcome(), answer_seconds() / 2, answer_seconds() / 2
        if became == "unreachable":
            simulation.after(there, lambda: governor.unused(grant))
        elif sent is not None:
            sent.append(simulation.now)
        if became in ("answered", "no answer"):
            simulation.after(there, lambda: arrivals.append(simulation.now))
        if became == "answered":
            simulation.after(there + back, lambda: governor.answered(grant))
        if became in ("no answer", "lost"):
            simulation.after(there, lambda: governor.unanswered(grant, settings.timeout[1]))
        simulation.after(0.01, lambda: turn(governor))

    for seed in range(4):
        turn(governor_on(store, simulation.clock, seed))
    simulation.run(MINUTES)
    return arrivals


def test_a_standing_backlog_uses_the_cap_at_20_ms(store: str) -> None:
    arrivals = counted(store, lambda: 0.02, lambda: "answered")

    assert worst_window(arrivals) == CAP
    assert utilisation(arrivals, CAP) >= 0.98


def test_a_standing_backlog_uses_the_cap_through_faults(store: str) -> None:
    """2 s of jitter each way; of a hundred, five find no connection, five are lost and five lose their answers.

    What is lost on its way uses the cap too, for nobody can know that it was not counted.
    """
    chance = random.Random(1)
    sent: list[datetime] = []
    kinds = ["unreachable", "lost", "no answer", "answered"]
    arrivals = counted(
        store, lambda: chance.uniform(0, 2), lambda: chance.choices(kinds, weights=[50, 50, 50, 850])[0], sent
    )

    assert worst_window(arrivals) <= CAP
    assert utilisation(sent, CAP) >= 0.95
