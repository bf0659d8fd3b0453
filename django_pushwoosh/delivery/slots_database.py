"""The governor's slots as rows of the database, by the ORM: for SQLite, MariaDB and MySQL."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.functions import Now

from django_pushwoosh.conf import Account
from django_pushwoosh.delivery.slots import EPOCH, Clock, Grant
from django_pushwoosh.models import RateSlot

CHOICES = 32
"""Competing processes choose among this many free slots, so that they seldom choose the same."""


class StoreNow(Now):
    """The database's time in UTC; `CURRENT_TIMESTAMP` of MariaDB and MySQL is the session's."""

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra)


class DatabaseSlots:
    """A grant is a compare-and-set of a row. `now` replaces the database's clock."""

    def __init__(self, using: str, *, now: Clock | None = None, chance: random.Random | None = None) -> None:
        self._using = using
        self._clock = now
        self._chance = chance or random.Random()  # noqa: S311

    def take(self, account: Account, hold: timedelta) -> Grant | None:
        for attempt in range(CHOICES):
            free = list(self._present(account).filter(free_at__lte=self._now()).order_by("free_at", "pk")[:CHOICES])
            if not free:
                # Somebody else may have made them all since the look.
                if self.fill(account) or not attempt:
                    continue
                break
            slot = self._chance.choice(free)
            # The store's time was read before the grant, so the hold errs on the short side by a statement's time;
            # the margin in it is far longer than that.
            taken = RateSlot.objects.using(self._using).filter(pk=slot.pk, uses=slot.uses, free_at=slot.free_at)
            held_until = self._read(slot) + hold
            if taken.update(uses=slot.uses + 1, free_at=held_until):
                return Grant(account.name, slot.pk, held_until)
        return None

    def give_back(self, grant: Grant, rest: timedelta, *, only_sooner: bool = False) -> None:
        held = RateSlot.objects.using(self._using).filter(pk=grant.slot, free_at=grant.held_until)
        slot = held.annotate(store_now=StoreNow()).first()
        if slot is not None:
            free_at = self._read(slot) + rest
            held.update(free_at=min(free_at, grant.held_until) if only_sooner else free_at)

    def pause(self, account: Account, seconds: float) -> None:
        self.fill(account)
        slot = self._present(account).first()
        if slot is not None:
            until = self._read(slot) + timedelta(seconds=seconds)
            # Of a cap that was lowered too, for it may rise again. Every slot is moved, be it by a microsecond: what
            # was granted before the pause is not given back before its time.
            slots = RateSlot.objects.using(self._using).filter(account=account.name)
            slots.filter(free_at__gte=until).update(free_at=F("free_at") + timedelta(microseconds=1))
            slots.filter(free_at__lt=until).update(free_at=until)

    def seconds_until(self, account: Account, place: int) -> float:
        present = self._present(account)
        place -= account.slots - present.count()
        slot = present.order_by("free_at")[place : place + 1].first() if place >= 0 else None
        if slot is None:
            return 0.0
        wait: timedelta = slot.free_at - self._read(slot)
        return max(0.0, wait.total_seconds())

    def fill(self, account: Account) -> bool:
        """Make the slots that are missing; whether any were."""
        slots = RateSlot.objects.using(self._using)
        present = slots.filter(account=account.name, number__lt=account.slots)
        if present.count() == account.slots:
            return False
        known = set(present.values_list("number", flat=True))
        missing = [
            RateSlot(account=account.name, number=n, free_at=EPOCH) for n in range(account.slots) if n not in known
        ]
        slots.bulk_create(missing, ignore_conflicts=True)
        return True

    def _now(self) -> Any:
        return StoreNow() if self._clock is None else self._clock()

    def _read(self, slot: Any) -> datetime:
        """The time at which the row was read."""
        read_at: datetime = slot.store_now if self._clock is None else self._clock()
        return read_at

    def _present(self, account: Account) -> QuerySet[Any]:
        slots = RateSlot.objects.using(self._using).filter(account=account.name, number__lt=account.slots)
        return slots.annotate(store_now=StoreNow())
