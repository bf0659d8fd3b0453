"""How a device stands before a call of its is relayed: what has to be known of it, in one statement.

Whether something of its key still waits, or its application is paused, so that the call has to queue; what the mirror
knows of it, so that an answer that changes nothing costs no more statements. Said in SQL, because the ORM takes longer
to say it than the database to answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connections
from django.db.models.sql import Query

from django_pushwoosh.conf import Application
from django_pushwoosh.delivery import mirror
from django_pushwoosh.models import Device, OutboxEntry, Pause, UserLink
from django_pushwoosh.protocol.calls import Call


@dataclass(frozen=True, slots=True)
class Standing:
    """`is_known` says whether the mirror has a row for the device; a registration comes with the row itself.

    `user_id` is whom it speaks for, empty for nobody.
    """

    has_to_wait: bool
    is_known: bool
    device: Device | None = None
    user_id: str = ""


def look(call: Call, application: Application, key: str, *, using: str) -> Standing:
    """How the device of a call stands."""
    hwid = mirror.hwid_of(call)
    with_row = call.method.name == "registerDevice"
    parameters = {
        "application": call.application,
        "hwid": hwid if mirror.fits(hwid, 255) else "",
        "root": application.api_root,
        "key": key[:300],
    }
    with connections[using].cursor() as cursor:
        cursor.execute(_sql(using, with_row), parameters)
        has_to_wait, user_id, pk, *row = cursor.fetchone()
    device = _device(using, [pk, *row]) if with_row and pk is not None else None
    return Standing(bool(has_to_wait), pk is not None, device, user_id or "")


def touch(device: Device, *, now: datetime, using: str) -> bool:
    """Note that a device spoke, if its row is what it was when it was read."""
    connection = connections[using]
    table, times = connection.ops.quote_name(Device._meta.db_table), connection.ops.adapt_datetimefield_value
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET updated_at = %s WHERE id = %s AND updated_at = %s",  # noqa: S608
            [times(now), device.pk, times(device.updated_at)],
        )
        return bool(cursor.rowcount)


def _device(using: str, row: Sequence[Any]) -> Device:
    connection = connections[using]
    values = list(row)
    for place, (converters, column) in _converters(using).items():
        for convert in converters:
            values[place] = convert(values[place], column, connection)
    return Device.from_db(using, [field.attname for field in Device._meta.concrete_fields], values)


@lru_cache
def _converters(using: str) -> dict[int, Any]:
    """What makes Python's values of those of the columns that need it, by their places."""
    columns = [field.get_col(Device._meta.db_table) for field in Device._meta.concrete_fields]
    found: dict[int, Any] = Query(Device).get_compiler(using).get_converters(columns)
    return found


@lru_cache
def _sql(using: str, with_row: bool) -> str:
    quote = connections[using].ops.quote_name
    device, link, entry, pause = (quote(model._meta.db_table) for model in (Device, UserLink, OutboxEntry, Pause))
    fields = Device._meta.concrete_fields if with_row else [Device._meta.pk]
    columns = ", ".join(f"known.{quote(str(field.column))}" for field in fields)
    unsettled = ", ".join(f"'{status.value}'" for status in OutboxEntry.UNSETTLED)
    return (
        f"SELECT here.has_to_wait, link.user_id, {columns} FROM ("  # noqa: S608
        f"SELECT EXISTS (SELECT 1 FROM {pause} WHERE application IN ('', %(application)s))"
        f" OR EXISTS (SELECT 1 FROM {entry} WHERE {quote('key')} = %(key)s AND status IN ({unsettled})"
        " AND application = %(application)s AND api_root = %(root)s) AS has_to_wait) AS here"
        f" LEFT JOIN {device} AS known ON known.application = %(application)s AND known.hwid = %(hwid)s"
        f" LEFT JOIN {link} AS link ON link.device_id = known.id AND link.is_open"
    )
