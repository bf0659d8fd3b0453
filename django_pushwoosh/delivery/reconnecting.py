"""Lets go of a connection to the database that broke, so that the next statement opens another."""

from __future__ import annotations

from django.db import connections


def let_go_if_broken(using: str) -> None:
    """Close the connection if it is of no use any more; not inside a transaction, whose end does that itself."""
    connection = connections[using]
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
