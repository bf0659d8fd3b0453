"""How a device stands before a call of its is relayed: what has to be known of it, in one statement.

Whether something of its key still waits, or its application is paused, so that the call has to queue; what the mirror
knows of it, so that an answer that changes nothing costs no more statements. Said in SQL, because the ORM takes longer
to say it than the database to answer.

On PostgreSQL the look itself notes a registration's time, for Pushwoosh will most likely take it; it is taken back if
not. Should the process be killed in between, it stays: the registration's next attempt then looks like a replay of one
that arrived, and changes less. Elsewhere, and of a row that somebody holds, it is noted after the answer.
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
    """`is_known` says whether the mirror has a row for the device; a registration comes with the row as it was.

    `user_id` is whom it speaks for, empty for nobody; `noted_at` the registration's time, if the row has it already.
    """

    has_to_wait: bool
    is_known: bool
    device: Device | None = None
    user_id: str = ""
    noted_at: datetime | None = None


def look(call: Call, application: Application, key: str, *, now: datetime, using: str) -> Standing:
    """How the device of a call stands."""
    hwid = mirror.hwid_of(call)
    with_row = call.method.name == "registerDevice"
    # One that is sent again has to see what the device said meanwhile, and not itself.
    notes = with_row and not call.is_replay and connections[using].vendor == "postgresql"
    parameters = {
        "application": call.application,
        "hwid": hwid if mirror.fits(hwid, 255) else "",
        "root": application.api_root,
        "key": key[:300],
        "now": connections[using].ops.adapt_datetimefield_value(now),
    }
    with connections[using].cursor() as cursor:
        cursor.execute(_sql(using, with_row, notes), parameters)
        has_to_wait, user_id, is_noted, pk, *row = cursor.fetchone()
    device = _device(using, [pk, *row]) if with_row and pk is not None else None
    return Standing(bool(has_to_wait), pk is not None, device, user_id or "", now if is_noted else None)


def note_registered(before: Standing, *, now: datetime, using: str) -> bool:
    """Note that a known device registered and said nothing new, unless the look has done so.

    False, and nothing done, if its row has changed since the look: then it may say something new after all.
    """
    if before.device is None or before.noted_at is not None:
        return True
    same = Device.objects.using(using).filter(pk=before.device.pk, updated_at=before.device.updated_at)
    return bool(same.update(registered_at=now))


def take_back(before: Standing, *, using: str) -> None:
    """The registration came to nothing: what its look noted is as it was."""
    if before.device is not None and before.noted_at is not None:
        noted = Device.objects.using(using).filter(pk=before.device.pk, registered_at=before.noted_at)
        noted.update(registered_at=before.device.registered_at)


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
def _sql(using: str, with_row: bool, notes: bool) -> str:
    quote = connections[using].ops.quote_name
    device, link, entry, pause = (quote(model._meta.db_table) for model in (Device, UserLink, OutboxEntry, Pause))
    fields = Device._meta.concrete_fields if with_row else [Device._meta.pk]
    columns = ", ".join(f"known.{quote(str(field.column))}" for field in fields)
    unsettled = ", ".join(f"'{status.value}'" for status in OutboxEntry.UNSETTLED)
    noting, is_noted = "", "1 = 0"
    if notes:
        # Whoever holds the row may do so for long, and an SDK waits: then it is noted after the answer.
        noting = (
            f"WITH free AS (SELECT id FROM {device}"  # noqa: S608
            " WHERE application = %(application)s AND hwid = %(hwid)s FOR NO KEY UPDATE SKIP LOCKED),"
            f" noted AS (UPDATE {device} SET registered_at = %(now)s FROM free"
            f" WHERE {device}.id = free.id RETURNING 1) "
        )
        is_noted = "EXISTS (SELECT 1 FROM noted)"
    return (
        f"{noting}SELECT here.has_to_wait, link.user_id, {is_noted}, {columns} FROM ("  # noqa: S608
        f"SELECT EXISTS (SELECT 1 FROM {pause} WHERE application IN ('', %(application)s))"
        f" OR EXISTS (SELECT 1 FROM {entry} WHERE {quote('key')} = %(key)s AND status IN ({unsettled})"
        " AND application = %(application)s AND api_root = %(root)s) AS has_to_wait) AS here"
        f" LEFT JOIN {device} AS known ON known.application = %(application)s AND known.hwid = %(hwid)s"
        f" LEFT JOIN {link} AS link ON link.device_id = known.id AND link.is_open"
    )
