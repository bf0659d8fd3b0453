"""Writes many rows in one go, where the querysets' own ways cost several times as much.

No signals are sent, as with the querysets' methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections, models, transaction
from django.db.models.sql import UpdateQuery

from django_pushwoosh.models.lookups import Among


def update_each(
    model: type[models.Model],
    names: Sequence[str],
    values: Mapping[int, Sequence[Any]],
    *,
    using: str,
    alike: Mapping[str, Any] | None = None,
) -> None:
    """Set some fields of rows to values of their own, by primary key and in the order of the names.

    What is `alike` is the same for all. On PostgreSQL in one statement, the values as arrays; elsewhere by one
    statement for all rows.
    """
    if not values:
        return
    connection = connections[using]
    quote = connection.ops.quote_name
    by_name = {field.name: field for field in model._meta.concrete_fields}
    fields = [by_name[name] for name in names]
    columns = [quote(str(field.column)) for field in fields]
    same = {quote(str(by_name[name].column)): (by_name[name], value) for name, value in (alike or {}).items()}
    constants = [field.get_db_prep_save(value, connection) for field, value in same.values()]
    rows = [
        [*(field.get_db_prep_save(value, connection) for field, value in zip(fields, each, strict=True)), pk]
        for pk, each in values.items()
    ]
    table = quote(model._meta.db_table)
    to_constants = [f"{column} = %s" for column in same]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            changes = ", ".join([*to_constants, *(f"{column} = given.{column}" for column in columns)])
            arrays = ", ".join(f"%s::{field.db_type(connection)}[]" for field in fields)
            cursor.execute(
                f"UPDATE {table} SET {changes} FROM unnest({arrays}, %s::bigint[])"  # noqa: S608
                f" AS given({', '.join(columns)}, pk) WHERE {table}.id = given.pk",
                [*constants, *(_plain(column) for column in zip(*rows, strict=True))],
            )
        else:
            changes = ", ".join([*to_constants, *(f"{column} = %s" for column in columns)])
            cursor.executemany(
                f"UPDATE {table} SET {changes} WHERE {quote('id')} = %s",  # noqa: S608
                [[*constants, *row] for row in rows],
            )


def update_returning(rows: models.QuerySet[Any], changes: Mapping[str, Any]) -> set[int]:
    """Change rows all alike; the primary keys of those that there were.

    On PostgreSQL in one statement; elsewhere they are locked, told and changed, within a transaction.
    """
    connection = connections[rows.db]
    if connection.vendor != "postgresql":
        with transaction.atomic(using=rows.db, savepoint=False):
            pks = set(rows.order_by("pk").select_for_update().values_list("pk", flat=True))
            rows.model._default_manager.using(rows.db).filter(Among("pk", pks)).update(**changes)
            return pks
    query: Any = rows.order_by().query.chain(UpdateQuery)
    query.add_update_values(dict(changes))
    statement, parameters = query.get_compiler(using=rows.db).as_sql()
    with connection.cursor() as cursor:
        cursor.execute(f"{statement} RETURNING {connection.ops.quote_name('id')}", parameters)
        return {pk for (pk,) in cursor.fetchall()}


def _plain(values: Sequence[Any]) -> list[Any]:
    """Values for an array: what the driver would wrap, JSON, as its text."""
    return [value.dumps(value.obj) if hasattr(value, "obj") else value for value in values]
