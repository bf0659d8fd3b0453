"""The governor: paces capped requests under the account's cap, across processes and hosts.

There is a slot per request allowed a minute. A slot is free again 60 seconds after its request was *answered*; of a
request that got no answer, 60 seconds after it was given up. Two uses of a slot are then at least 60 seconds apart as
the server counts them, whatever the jitter between us and them. All times are the database's.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import router
from django.db.models import QuerySet
from django.db.models.functions import Now

from django_pushwoosh.conf import Account
from django_pushwoosh.models import RateSlot
from django_pushwoosh.protocol.errors import RateLimited

WINDOW = timedelta(seconds=60)
MARGIN = timedelta(seconds=5)
"""Beyond the read timeout: the time for sending, and for a slow thread."""

CHOICES = 32
"""Competing processes choose among this many free slots, so that they seldom choose the same."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to make one capped request, to be given back with `answered` or `unused`."""

    slot: int
    held_until: datetime


class StoreNow(Now):
    """The database's time in UTC; `CURRENT_TIMESTAMP` of MariaDB and MySQL is the session's."""

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra)


class Governor:
    """`now` is an expression for the store's clock, in UTC; tests set it."""

    def __init__(
        self, *, using: str | None = None, now: Callable[[], Any] = StoreNow, chance: random.Random | None = None
    ) -> None:
        self._using = using
        self._now = now
        self._chance = chance or random.Random()  # noqa: S311

    def acquire(self, account: Account, longest: float) -> Grant:
        """Take a slot for a request that takes `longest` seconds at most.

        Raises `RateLimited` with the seconds until one is free.
        """
        hold = timedelta(seconds=longest) + MARGIN + WINDOW
        for _attempt in range(CHOICES):
            free = list(self._slots(account).filter(free_at__lte=self._now()).order_by("free_at", "pk")[:CHOICES])
            if not free:
                if self._fill(account):
                    continue
                break
            slot = self._chance.choice(free)
            # The store's time was read before the grant, so the hold errs on the short side by a statement's time;
            # MARGIN is far longer than that.
            taken = RateSlot.objects.using(self._db).filter(pk=slot.pk, uses=slot.uses, free_at=slot.free_at)
            held_until = slot.store_now + hold
            if taken.update(uses=slot.uses + 1, free_at=held_until):
                return Grant(slot.pk, held_until)
        wait = max(self.wait(account), 0.05)
        raise RateLimited(
            f"The cap of {account.slots} message requests a minute is used up; the next one may go in {wait:.1f} s.",
            retry_after=wait,
        )

    def answered(self, grant: Grant) -> None:
        """The request was answered: its slot is free again in 60 seconds."""
        self._give_back(grant, WINDOW)

    def unused(self, grant: Grant) -> None:
        """The request never left: its slot is free now."""
        self._give_back(grant, timedelta())

    def pause(self, account: Account, seconds: float) -> None:
        """Hold everyone back: Pushwoosh said that it has had too much."""
        self._fill(account)
        slot = self._slots(account).first()
        if slot is not None:
            until = slot.store_now + timedelta(seconds=seconds)
            self._slots(account).filter(free_at__lt=until).update(free_at=until)

    def wait(self, account: Account, ahead: int = 0) -> float:
        """Seconds until a request may go that has `ahead` others before it; 0 if at once."""
        rounds, place = divmod(ahead, account.slots)
        slot = self._slots(account).order_by("free_at")[place : place + 1].first()
        if slot is None:
            return rounds * WINDOW.total_seconds()
        wait: timedelta = slot.free_at - slot.store_now
        return max(0.0, wait.total_seconds()) + rounds * WINDOW.total_seconds()

    @property
    def _db(self) -> str:
        return self._using or router.db_for_write(RateSlot)

    def _slots(self, account: Account) -> QuerySet[Any]:
        slots = RateSlot.objects.using(self._db).filter(account=account.name, number__lt=account.slots)
        return slots.annotate(store_now=self._now())

    def _give_back(self, grant: Grant, rest: timedelta) -> None:
        # A pause that came meanwhile has moved the slot, and stands.
        held = RateSlot.objects.using(self._db).filter(pk=grant.slot, free_at=grant.held_until)
        slot = held.annotate(store_now=self._now()).first()
        if slot is not None:
            held.update(free_at=slot.store_now + rest)

    def _fill(self, account: Account) -> bool:
        """Make the slots that are missing; whether any were."""
        slots = RateSlot.objects.using(self._db)
        present = slots.filter(account=account.name, number__lt=account.slots)
        if present.count() == account.slots:
            return False
        known = set(present.values_list("number", flat=True))
        missing = [
            RateSlot(account=account.name, number=n, free_at=EPOCH) for n in range(account.slots) if n not in known
        ]
        slots.bulk_create(missing, ignore_conflicts=True)
        return True


EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""A slot that was never used has been free for long."""
