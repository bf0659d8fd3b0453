"""Notes an SDK's registration in the mirror and queues it, all in one statement that is a transaction of its own.

SDKs register at every start of an app, so this is what the gateway does most. On PostgreSQL a statement costs about
what a row does, and four of them in a transaction make six trips to the server. Whatever cannot be said in one goes the
long way (`mirror.note`, `outbox.enqueue_all`), with the same outcome; a differential test holds them to it.

The SQL is written once for each shape of a registration (what it says of its device), so that a call only has to fill
it in. What a new row does not say is its model's default, as a literal.
"""

# The SQL is put together of names and literals of our own; what comes from outside is always a parameter.
# ruff: noqa: S608

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import IntegrityError, connections, models, router, transaction

from django_pushwoosh.conf import Application
from django_pushwoosh.delivery import attributes, mirror, outbox, tag_mirror
from django_pushwoosh.models import Device, OutboxEntry, TagDefinition, UserLink, storable
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.platforms import REACHED_BY_HWID

_DEVICE, _LINK, _TAG, _ENTRY = (f'"{model._meta.db_table}"' for model in (Device, UserLink, TagDefinition, OutboxEntry))
_IS_REACHED_BY_HWID = f"known.platform IN ({', '.join(map(str, sorted(REACHED_BY_HWID)))})"
_JSON = ("tags", "extra")
_ENTRYS_OWN = {
    "application": "%(application)s",
    "api_root": "%(api_root)s",
    "raw": "%(raw)s",
    "key": "%(key)s",
    "due_at": "%(now)s",
    "created_at": "%(now)s",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What a registration says: columns of its device, whom it speaks for, and what else the statement has to do.

    `entry` is what all entries of its kind have in common.
    `is_reached_by_hwid`: its platform is one whose devices need no push token. `removes`: tags are taken
    away. `learns`: tags are named that this process has not seen before.
    """

    columns: tuple[str, ...]
    entry: tuple[tuple[str, Any], ...]
    is_reached_by_hwid: bool
    names_user: bool
    is_anonymous: bool
    removes: bool
    learns: bool


def queue(
    call: Call, application: Application, key: str, *, now: datetime, using: str, is_tokenless: bool = False
) -> bool:
    """Note a registration and queue it; False, and nothing done, where that takes the long way."""
    connection = connections[using]
    if connection.vendor != "postgresql" or call.method.name != "registerDevice" or call.raw is None or call.is_replay:
        return False
    arguments = call.arguments
    hwid, platform = mirror.hwid_of(call), attributes.platform_of(arguments, call.hwid)
    said = _said(arguments)
    if said is None or platform is None or not mirror.fits(hwid, 255) or router.db_for_write(Device) != using:
        return False
    fresh = tag_mirror.unlearned(call.application, said.tags, using=using) if said.tags else {}
    user_id = mirror.user_of(arguments)
    entry = outbox.columns_of(call, key=key, application=application, now=now, is_tokenless=is_tokenless)
    shape = Shape(
        columns=tuple(said.columns),
        entry=tuple((name, value) for name, value in entry.items() if name not in _ENTRYS_OWN),
        is_reached_by_hwid=platform in REACHED_BY_HWID,
        names_user=bool(user_id),
        is_anonymous=user_id == hwid,
        removes=bool(said.removed),
        learns=bool(fresh),
    )
    parameters = {
        **said.columns,
        **{f"{name}_room": room for name, room in said.rooms.items()},
        "application": call.application,
        "api_root": application.api_root,
        "raw": call.raw,
        "key": entry["key"],
        "hwid": hwid,
        "platform": platform,
        "token": hwid if platform in REACHED_BY_HWID else said.columns.get("push_token", ""),
        "now": now,
        "user_id": user_id,
        "removed": said.removed,
        "names": list(fresh),
        "types": list(fresh.values()),
    }
    row = _row(statement(shape), parameters, connection)
    if row is None:
        return False
    if row[1]:
        tag_mirror.remember(call.application, fresh, using=using)
    outbox.wake(using)
    return True


@dataclass(slots=True)
class _Said:
    """What a registration says of its device: columns, JSON as its text; tags that are set, and those that go.

    `rooms`: how long what the row holds already may be, so that the two together stay within the bound.
    """

    columns: dict[str, Any]
    rooms: dict[str, int]
    tags: Mapping[str, Any]
    removed: list[str]


def _said(arguments: Mapping[str, Any]) -> _Said | None:
    said = _Said(attributes.of(arguments), {}, {}, [])
    token = arguments.get("push_token")
    if isinstance(token, str) and token:
        said.columns["push_token"] = storable(token)
    if more := attributes.more_of(arguments):
        said.columns["extra"] = more
    if isinstance(arguments.get("tags"), dict):
        plain = tag_mirror.plain(arguments["tags"])
        if plain is None:
            return None
        said.columns["tags"] = said.tags = plain[0]
        said.removed = plain[1]
    for name in _JSON:
        if name in said.columns:
            text = said.columns[name] = json.dumps(said.columns[name])
            said.rooms[name] = tag_mirror.MOST_BYTES - len(text)
            if said.rooms[name] < 0:
                return None
    return said


def _row(sql: str, parameters: Mapping[str, Any], connection: Any) -> tuple[int, bool] | None:
    # By itself a statement needs no BEGIN and no COMMIT.
    alone = transaction.atomic(using=connection.alias) if connection.in_atomic_block else nullcontext()
    try:
        with alone, connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            found: tuple[int, bool] | None = cursor.fetchone()
    except IntegrityError:
        # Somebody opened a link of the same device in the meantime: who takes the row's lock first sees it.
        return None
    return found


@lru_cache(maxsize=512)
def statement(shape: Shape) -> str:
    """The SQL for registrations of a shape. It writes all, or nothing where it finds what it cannot deal with.

    It answers with the entry's key, and whether all tags that it named are in the table of tags from now on.
    """
    parts = [_noted(shape)]
    if shape.names_user:
        # Links are read as they were when the statement began. Whoever has changed one since has written the device's
        # row too (`mirror.link`), so that it is another version than the one seen.
        parts.insert(
            0,
            f"seen AS (SELECT xmin::text AS version FROM {_DEVICE}"
            " WHERE application = %(application)s AND hwid = %(hwid)s)",
        )
        parts += _linked(shape)
    if shape.learns:
        parts += _learned()
    common = {name: _literal(value) for name, value in shape.entry}
    names, values = _row_of(OutboxEntry, {**common, **_ENTRYS_OWN})
    are_learned = "(SELECT count(*) FROM learned) = (SELECT count(*) FROM strange)" if shape.learns else "false"
    return (
        f"WITH {', '.join(parts)} INSERT INTO {_ENTRY} ({names}) SELECT {values} FROM noted RETURNING id, {are_learned}"
    )


def _noted(shape: Shape) -> str:
    """The device's row: as it is inserted, and what changes where it is known."""
    said = {name: f"%({name})s::jsonb" if name in _JSON else f"%({name})s" for name in shape.columns}
    about = {"application": "%(application)s", "hwid": "%(hwid)s", "platform": "%(platform)s"}
    times = {"created_at": "%(now)s", "updated_at": "%(now)s"}
    names, values = _row_of(Device, {**about, **said, **times, "push_token": "%(token)s"})

    changes = {name: f"EXCLUDED.{name}" for name in (*shape.columns, "updated_at")}
    if not shape.is_reached_by_hwid:
        changes["platform"] = f"CASE WHEN {_IS_REACHED_BY_HWID} THEN known.platform ELSE EXCLUDED.platform END"
    # What a known device's token is, the row's own platform decides, and not the one that came.
    token = "%(push_token)s" if "push_token" in shape.columns else "known.push_token"
    changes["push_token"] = f"CASE WHEN {_IS_REACHED_BY_HWID} THEN known.hwid ELSE {token} END"
    for name, blank in (("unsubscribed_at", "NULL"), ("unsubscribed_reason", "''")):
        is_left = f"CASE WHEN {_IS_REACHED_BY_HWID} THEN {blank} ELSE known.{name} END"
        changes[name] = blank if "push_token" in shape.columns else is_left
    conditions = []
    for name in _JSON:
        if name in shape.columns:
            changes[name] = f"known.{name} || EXCLUDED.{name}"
            # As long as it can become at most. Near the bound the long way measures it.
            conditions.append(f"octet_length(known.{name}::text) * {tag_mirror.LONGEST_ESCAPE} <= %({name}_room)s")
    if shape.removes:
        changes["tags"] = f"({changes['tags']}) - %(removed)s::text[]"
    if shape.names_user:
        conditions.append("known.xmin::text = (SELECT version FROM seen)")
    return (
        f"noted AS (INSERT INTO {_DEVICE} AS known ({names}) VALUES ({values}) ON CONFLICT (application, hwid)"
        f" DO UPDATE SET {', '.join(f'{name} = {value}' for name, value in changes.items())}"
        f"{' WHERE ' if conditions else ''}{' AND '.join(conditions)} RETURNING id)"
    )


def _linked(shape: Shape) -> Iterable[str]:
    """Whom the device speaks for from now on; its hwid means nobody."""
    yield (
        f"closed AS (UPDATE {_LINK} SET until = %(now)s, is_open = NULL FROM noted"
        " WHERE device_id = noted.id AND is_open AND user_id <> %(user_id)s RETURNING 1)"
    )
    if not shape.is_anonymous:
        # Counted, so that the old link is closed before the new one is opened.
        yield (
            f"opened AS (INSERT INTO {_LINK} (device_id, user_id, since, is_open)"
            " SELECT noted.id, %(user_id)s, %(now)s, true FROM noted"
            " WHERE (SELECT count(*) FROM closed) >= 0 AND NOT EXISTS"
            f" (SELECT FROM {_LINK} WHERE device_id = noted.id AND is_open AND user_id = %(user_id)s))"
        )


def _learned() -> Iterable[str]:
    """The types of tags that this process has not seen before."""
    yield (
        "strange AS (SELECT name, type FROM unnest(%(names)s::text[], %(types)s::smallint[]) AS named (name, type),"
        f" noted WHERE NOT EXISTS (SELECT FROM {_TAG} AS tag"
        " WHERE tag.application = %(application)s AND tag.name = named.name))"
    )
    yield (
        f"learned AS (INSERT INTO {_TAG} (application, name, type, source)"
        f" SELECT %(application)s, name, type, '{TagDefinition.Source.LEARNED.value}' FROM strange"
        f" WHERE (SELECT count(*) FROM {_TAG} WHERE application = %(application)s)"
        f" + (SELECT count(*) FROM strange) <= {tag_mirror.MOST_TAGS}"
        " ON CONFLICT (application, name) DO NOTHING RETURNING 1)"
    )


def _row_of(model: type[models.Model], said: Mapping[str, str]) -> tuple[str, str]:
    """Names and values for a new row: what is said, and the model's defaults for the rest."""
    names, values = [], []
    for field in model._meta.concrete_fields:
        value = said.get(field.name) or _literal(None if field.primary_key else field.get_default())
        if value != "NULL":
            names.append(f'"{field.column}"')
            values.append(value)
    return ", ".join(names), ", ".join(values)


def _literal(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bool() | int():
            return str(int(value)) if not isinstance(value, bool) else str(value).lower()
        case dict():
            return f"'{json.dumps(value)}'"
    return "'" + str(value).replace("'", "''") + "'"
