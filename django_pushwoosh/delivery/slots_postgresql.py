"""The same rows on PostgreSQL, with one statement for each grant.

The statement does not wait for the disk, which takes longer than all else. Beside the outbox it need not: before a
request leaves, the worker commits that its entries are begun, and that commit brings to the disk whatever was committed
before it. What a crash of the server can lose is thus a grant whose request has not left, or a slot's return.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connections

from django_pushwoosh.conf import Account
from django_pushwoosh.delivery.slots import Clock, Grant
from django_pushwoosh.delivery.slots_database import DatabaseSlots
from django_pushwoosh.models import RateSlot

# The filter's time is the statement's (stable, so that the index serves); the hold's is read when the row is written,
# for it must not err on the short side.
TAKE = """
    UPDATE {table} SET uses = uses + 1, free_at = COALESCE(%(now)s, clock_timestamp()) + %(hold)s
    WHERE id = (
        SELECT id FROM {table}
        WHERE account = %(account)s AND number < %(slots)s AND free_at <= COALESCE(%(now)s, statement_timestamp())
        ORDER BY free_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, free_at {unflushed}
"""

GIVE_BACK = """
    UPDATE {table} SET free_at = LEAST(COALESCE(%(now)s, clock_timestamp()) + %(rest)s, %(latest)s)
    WHERE id = %(slot)s AND free_at = %(held_until)s
    RETURNING id, free_at {unflushed}
"""

UNFLUSHED = ", set_config('synchronous_commit', 'off', true)"
"""For the present transaction, so only where that is the statement alone."""


class PostgresqlSlots(DatabaseSlots):
    """`take` skips a slot that another process takes or gives back at that moment, and may find none free for that."""

    def __init__(self, using: str, *, now: Clock | None = None, waits_for_disk: bool = False) -> None:
        super().__init__(using, now=now)
        self._waits_for_disk = waits_for_disk

    def take(self, account: Account, hold: timedelta) -> Grant | None:
        given = {"account": account.name, "slots": account.slots, "hold": hold}
        row = self._run(TAKE, given)
        if row is None:
            self.fill(account)
            # Also where there was nothing to fill: somebody else may have made them all since the first look.
            row = self._run(TAKE, given)
        return None if row is None else Grant(account.name, row[0], row[1])

    def give_back(self, grant: Grant, rest: timedelta, *, only_sooner: bool = False) -> None:
        latest = grant.held_until if only_sooner else None
        self._run(GIVE_BACK, {"slot": grant.slot, "held_until": grant.held_until, "rest": rest, "latest": latest})

    def _run(self, statement: str, given: dict[str, Any]) -> Any:
        """The row that was changed, if one was."""
        connection = connections[self._using]
        is_alone = connection.get_autocommit() and not connection.in_atomic_block
        names = {
            "table": connection.ops.quote_name(RateSlot._meta.db_table),
            "unflushed": UNFLUSHED if is_alone and not self._waits_for_disk else "",
        }
        now = None if self._clock is None else self._clock()
        with connection.cursor() as cursor:
            cursor.execute(statement.format(**names), {**given, "now": now})
            return cursor.fetchone()
