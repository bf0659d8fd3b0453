"""The stores that the governor may keep its slots in, each with a clock that tests set."""

from __future__ import annotations

import os
import random
from datetime import datetime

from django.db import DEFAULT_DB_ALIAS

from django_pushwoosh.delivery.governor import Governor
from django_pushwoosh.delivery.slots import Clock, Slots
from django_pushwoosh.delivery.slots_database import DatabaseSlots
from django_pushwoosh.delivery.slots_postgresql import PostgresqlSlots
from django_pushwoosh.delivery.slots_redis import RedisSlots
from tests.servers import REDIS_URL

_database = os.environ["DATABASE_URL"].partition(":")[0]
# Redis is the same whatever the database is, so the suite's run on SQLite has it.
STORES = ["orm", *{"sqlite": ["redis"], "postgres": ["postgresql"]}.get(_database, [])]


def slots_on(store: str, clock: Clock | None, seed: int = 1) -> Slots:
    if store == "redis":
        return RedisSlots(REDIS_URL, DEFAULT_DB_ALIAS, now=clock)
    if store == "postgresql":
        return PostgresqlSlots(DEFAULT_DB_ALIAS, now=clock)
    return DatabaseSlots(DEFAULT_DB_ALIAS, now=clock, chance=random.Random(seed))


def governor_on(store: str, clock: Clock | None, seed: int = 1) -> Governor:
    return Governor(slots=slots_on(store, clock, seed))


def worst_window(arrivals: list[datetime], seconds: float = 60) -> int:
    """The most arrivals in any window that rolls: those at its beginning are in it, those at its end are not."""
    arrivals = sorted(arrivals)
    worst = first = 0
    for last, at in enumerate(arrivals):
        while (at - arrivals[first]).total_seconds() >= seconds:
            first += 1
        worst = max(worst, last - first + 1)
    return worst
