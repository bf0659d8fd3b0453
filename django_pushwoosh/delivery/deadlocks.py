"""Whoever loses a deadlock begins anew: nothing was done, and the others are through by then.

MariaDB and MySQL lock rows that they only look at; workers that take different entries can meet there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError, connections, transaction

TRIES = 10
LOST = ("40P01", 1213)
"""How PostgreSQL, and MariaDB and MySQL, tell whoever has lost."""

Outcome = TypeVar("Outcome")


def begun_anew(work: Callable[[], Outcome], using: str) -> Outcome:
    """Do work in a transaction of its own, again where that loses a deadlock.

    Within somebody else's transaction it is theirs to begin anew.
    """
    tries = 1 if connections[using].in_atomic_block else TRIES
    for tries_left in reversed(range(tries)):
        try:
            with transaction.atomic(using=using):
                return work()
        except OperationalError as error:
            if not (tries_left and has_lost(error)):
                raise
    raise AssertionError("the last try returns or raises")


def has_lost(error: Exception) -> bool:
    """Whether a deadlock was ended at this one's cost: its transaction is rolled back."""
    return getattr(error.__cause__, "sqlstate", None) in LOST or error.args[:1] == (LOST[1],)
