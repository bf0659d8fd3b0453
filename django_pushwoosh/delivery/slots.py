"""What the governor needs of the store that keeps an account's slots, whichever store it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeAlias

from django_pushwoosh.conf import Account, settings
from django_pushwoosh.protocol.errors import PushwooshError

WINDOW = timedelta(seconds=60)
MARGIN = timedelta(seconds=5)
"""Beyond the read timeout: the time for sending, and for a slow thread."""

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""A slot that was never used has been free for long."""

Clock: TypeAlias = Callable[[], datetime]
"""Stands in for the store's own clock; tests set it."""


class StoreUnreachable(PushwooshError):
    """The store of the slots does not answer, so nobody knows what is free."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to make one capped request, to be given back with `answered` or `unused`.

    `slot` is the store's own name for the slot.
    """

    account: str
    slot: int
    held_until: datetime


class Slots(Protocol):
    """`account.slots` slots; each is free from a time on, by the store's clock. One that is missing is free.

    All may raise `StoreUnreachable`.
    """

    def take(self, account: Account, hold: timedelta) -> Grant | None:
        """Hold a free slot for so long; `None` where there is none."""

    def give_back(self, grant: Grant, rest: timedelta, *, only_sooner: bool = False) -> None:
        """The slot is free after `rest`, unless a pause moved it meanwhile; if `only_sooner`, not later than held."""

    def pause(self, account: Account, seconds: float) -> None:
        """No slot is free for so long."""

    def seconds_until(self, account: Account, place: int) -> float:
        """Seconds until `place` + 1 slots are free at once, none being used; 0 if they are now."""


def hold_for(longest: float) -> timedelta:
    """How long a request that takes `longest` seconds at most keeps its slot when no answer comes."""
    return timedelta(seconds=longest) + MARGIN + WINDOW


def longest_hold() -> timedelta:
    """The longest that a request which was granted before now can keep its slot."""
    return hold_for(settings.longest_request)
