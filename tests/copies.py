"""Copies rows of the outbox in the database, where to queue so many would take too long; PostgreSQL alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_pushwoosh.models import OutboxEntry


def copied(entry: OutboxEntry, count: int, **told: str) -> None:
    """So many entries like this one; `told` names the columns that differ, as SQL in which `n` counts from 1."""
    from django.db import connection

    table = entry._meta.db_table
    columns = [field.column for field in entry._meta.concrete_fields if not field.primary_key]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)})"
            f" SELECT {', '.join(told.get(column, column) for column in columns)}"
            f" FROM {table}, generate_series(1, %s) n WHERE id = %s",
            [count, entry.pk],
        )
