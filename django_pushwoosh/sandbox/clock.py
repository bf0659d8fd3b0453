"""Where the sandbox's time comes from: any callable that returns an aware datetime."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]


def system_clock() -> datetime:
    """The machine's time."""
    return datetime.now(UTC)


class SetClock:
    """A clock that stands still until it is moved, for tests and demonstrations."""

    def __init__(self, now: datetime) -> None:
        self._now = in_utc(now)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, **duration: float) -> None:
        """Move forward by a `timedelta`'s arguments: `clock.advance(minutes=10)`."""
        self._now += timedelta(**duration)

    def sleep(self, seconds: float) -> None:
        """What waiting is under a clock that stands: it moves on."""
        self.advance(seconds=seconds)


def in_utc(moment: datetime) -> datetime:
    """An aware datetime in UTC. Raises `ValueError` for a naive one: it could mean any time."""
    if moment.utcoffset() is None:
        raise ValueError("The sandbox's clock must return aware datetimes, such as datetime.now(UTC).")
    return moment.astimezone(UTC)
