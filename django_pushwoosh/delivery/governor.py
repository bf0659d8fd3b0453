"""The governor: paces capped requests under the account's cap, across processes and hosts.

There is a slot per request allowed a minute. A slot is free again 60 seconds after its request was *answered*; of a
request that got no answer, 60 seconds after the last moment at which it could still arrive: a read timeout after it
left. Two uses of a slot are then at least 60 seconds apart as the server counts them, whatever the jitter between us
and them. All times are the store's: the database's, or Redis's where the setting `GOVERNOR` names one.
"""

from __future__ import annotations

import logging
import random
from datetime import timedelta

from django.db import connections, router

from django_pushwoosh.conf import Account, settings
from django_pushwoosh.delivery.slots import EPOCH as EPOCH
from django_pushwoosh.delivery.slots import WINDOW, Clock, Slots, StoreUnreachable, hold_for
from django_pushwoosh.delivery.slots import Grant as Grant
from django_pushwoosh.delivery.slots_database import DatabaseSlots
from django_pushwoosh.delivery.slots_postgresql import PostgresqlSlots
from django_pushwoosh.delivery.slots_redis import RedisSlots
from django_pushwoosh.models import OutboxEntry, RateSlot
from django_pushwoosh.protocol.errors import RateLimited

logger = logging.getLogger("django_pushwoosh")

SHORTEST_WAIT = 0.05
"""Seconds until the next try where a slot seems free and was not to be had: others were at it."""

STORE_WAIT = 2.0
"""Seconds until the next try while the store does not answer."""


def slots_for(using: str | None = None, *, now: Clock | None = None, chance: random.Random | None = None) -> Slots:
    """The store that the settings name, one for all databases whose outboxes are drained; `using` is this one's.

    Raises `ImproperlyConfigured`.
    """
    database = router.db_for_write(RateSlot)
    if settings.governor != "database":
        return RedisSlots(settings.governor, database, now=now)
    if connections[database].vendor == "postgresql":
        has_outbox = database == (using or router.db_for_write(OutboxEntry))
        return PostgresqlSlots(database, now=now, waits_for_disk=not has_outbox)
    return DatabaseSlots(database, now=now, chance=chance)


class Governor:
    """`using` is the database whose outbox is drained.

    `now` stands in for the store's clock and `chance` decides among free slots; tests set them, and the `slots`.
    """

    def __init__(
        self,
        *,
        using: str | None = None,
        now: Clock | None = None,
        chance: random.Random | None = None,
        slots: Slots | None = None,
    ) -> None:
        self._slots = slots or slots_for(using, now=now, chance=chance)

    def acquire(self, account: Account, longest: float) -> Grant:
        """Take a slot for a request that takes `longest` seconds at most.

        Raises `RateLimited` with the seconds until one is free; also while the store does not answer, for a request
        that nobody has counted could break the cap.
        """
        try:
            grant = self._slots.take(account, hold_for(longest))
            if grant is not None:
                return grant
            wait = max(self._slots.seconds_until(account, 0), SHORTEST_WAIT)
        except StoreUnreachable as error:
            logger.error("No message can be sent: %s", error)
            raise RateLimited(f"Nobody knows what is left of the cap: {error}", retry_after=STORE_WAIT) from None
        raise RateLimited(
            f"The cap of {account.slots} message requests a minute is used up; the next one may go in {wait:.1f} s.",
            retry_after=wait,
        )

    def answered(self, grant: Grant) -> None:
        """The request was answered: its slot is free again in 60 seconds."""
        self._give_back(grant, WINDOW)

    def unanswered(self, grant: Grant, longest: float) -> None:
        """The request left, and no answer will come: it may still arrive for `longest` seconds.

        Its slot frees itself in any case; this is sooner where the connection was lost at once.
        """
        self._give_back(grant, WINDOW + timedelta(seconds=longest), only_sooner=True)

    def unused(self, grant: Grant) -> None:
        """The request never left: its slot is free now."""
        self._give_back(grant, timedelta())

    def pause(self, account: Account, seconds: float) -> None:
        """Hold everyone back: Pushwoosh said that it has had too much."""
        try:
            self._slots.pause(account, seconds)
        except StoreUnreachable as error:
            logger.error("Nobody could be told to pause for %.0f seconds: %s", seconds, error)

    def wait(self, account: Account, ahead: int = 0) -> float:
        """Seconds until a request may go that has `ahead` others before it; 0 if at once."""
        rounds, place = divmod(ahead, account.slots)
        try:
            wait = self._slots.seconds_until(account, place)
        except StoreUnreachable:
            wait = STORE_WAIT
        return wait + rounds * WINDOW.total_seconds()

    def _give_back(self, grant: Grant, rest: timedelta, *, only_sooner: bool = False) -> None:
        try:
            self._slots.give_back(grant, rest, only_sooner=only_sooner)
        except StoreUnreachable as error:
            logger.warning("A rate slot could not be given back, and frees itself later: %s", error)
