"""Notes a registration in the mirror and queues it, all in one statement that is a transaction of its own.

SDKs register at every start of an app, so this is what the gateway does most. On PostgreSQL a statement costs what a
row does; four of them in a transaction cost six trips to the server. Whatever cannot be said in one goes the long way
(`mirror.note`, `outbox.enqueue_all`), with the same outcome; a differential test holds them to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import IntegrityError, connections, models, transaction

from django_pushwoosh.delivery import mirror, outbox, tag_mirror
from django_pushwoosh.models import Device, OutboxEntry, TagDefinition, UserLink
from django_pushwoosh.models.devices import PHONE_NUMBERS
from django_pushwoosh.protocol.calls import Call

_DEVICE, _LINK, _TAG, _ENTRY = (
    f'"{model._meta.db_table}"' for model in (Device, UserLink, TagDefinition, OutboxEntry)
)
_IS_NUMBER = f"known.platform IN ({', '.join(map(str, PHONE_NUMBERS))})"


@dataclass(slots=True)
class _Statement:
    """SQL as it grows: common table expressions, and what they take."""

    parts: list[str] = field(default_factory=list)
    parameters: list[Any] = field(default_factory=list)

    def add(self, sql: str, *parameters: Any) -> None:
        self.parts.append(sql)
        self.parameters.extend(parameters)


def queue(entry: OutboxEntry, call: Call, *, now: datetime, using: str) -> bool:
    """Note a registration and queue its entry; False, and nothing done, where that takes the long way."""
    connection = connections[using]
    if call.method.name != "registerDevice" or connection.vendor != "postgresql":
        return False
    said = _said(call)
    if said is None:
        return False
    statement = _Statement()
    fresh = tag_mirror.unlearned(call.application, said.tags, using=using)
    _note(statement, said, now, connection)
    _link(statement, said, now)
    _learn(statement, said, fresh)
    _queue(statement, entry, fresh, connection)
    within = transaction.atomic(using=using) if connection.in_atomic_block else nullcontext()
    try:
        with within, connection.cursor() as cursor:
            cursor.execute("".join(statement.parts), statement.parameters)
            row = cursor.fetchone()
    except IntegrityError:
        # Somebody opened a link of the same device in the meantime: whoever waits for the row's lock sees it.
        return False
    if row is None:
        return False
    entry.pk, entry._state.adding, entry._state.db = row[0], False, using
    if fresh and row[1]:
        tag_mirror.remember(call.application, fresh, using=using)
    outbox.wake(using)
    return True


@dataclass(frozen=True, slots=True)
class _Said:
    """What a registration says about its device, checked: columns and their values, and the tags that go."""

    device: Device
    columns: Mapping[str, Any]
    removed: Sequence[str]
    tags: Mapping[str, Any]
    user_id: str
    is_reachable: bool


def _said(call: Call) -> _Said | None:
    arguments = call.arguments
    hwid, platform = mirror.hwid_of(call), mirror.platform_of(arguments.get("device_type"))
    if platform is None or not mirror.fits(hwid, 255):
        return None
    device = Device(application=call.application, hwid=hwid, platform=platform)
    columns = mirror.attributes(device, arguments)
    token = mirror.token_of(arguments)
    if token:
        columns["push_token"] = token
    removed: Sequence[str] = ()
    if isinstance(arguments.get("tags"), dict):
        plain = tag_mirror.plain(arguments["tags"])
        if plain is None:
            return None
        columns["tags"], removed = plain
    if any(len(json.dumps(columns[name])) > tag_mirror.MOST_BYTES for name in ("tags", "extra") if name in columns):
        return None
    user_id = mirror.user_of(arguments)
    return _Said(device, columns, removed, columns.get("tags", {}), user_id, bool(arguments.get("push_token")))


def _note(statement: _Statement, said: _Said, now: datetime, connection: Any) -> None:
    """The device's row: as it is inserted, and what changes where it is known."""
    device, columns = said.device, said.columns
    for name, value in columns.items():
        setattr(device, name, value)
    if not device.push_token and device.is_phone_number:
        device.push_token = device.hwid
    device.created_at = device.updated_at = now

    changes = [f"{name} = EXCLUDED.{name}" for name in columns if name not in ("tags", "extra")]
    changes.append("updated_at = EXCLUDED.updated_at")
    if said.is_reachable:
        changes.append("unsubscribed_at = NULL, unsubscribed_reason = ''")
    else:
        changes.append(
            f"unsubscribed_at = CASE WHEN {_IS_NUMBER} THEN NULL ELSE known.unsubscribed_at END,"
            f" unsubscribed_reason = CASE WHEN {_IS_NUMBER} THEN '' ELSE known.unsubscribed_reason END"
        )
    if "push_token" not in columns:
        changes.append(
            f"push_token = CASE WHEN known.push_token = '' AND {_IS_NUMBER} THEN known.hwid ELSE known.push_token END"
        )
    conditions, given = [], []
    for name in ("tags", "extra"):
        if name in columns:
            # As long as JSON can become at most: near the bound the long way measures it.
            room = tag_mirror.MOST_BYTES - len(json.dumps(columns[name]))
            conditions.append(f"octet_length(known.{name}::text) * {tag_mirror.LONGEST_ESCAPE} <= %s")
            given.append(room)
    if "tags" in columns:
        changes.append("tags = (known.tags || EXCLUDED.tags) - %s::text[]")
    if "extra" in columns:
        changes.append("extra = known.extra || EXCLUDED.extra")
    if said.user_id:
        # Links are read as they were when the statement began. Whoever changed them since has written the row too, and
        # what waits for its lock finds another version than it saw.
        statement.add(
            f"WITH seen AS (SELECT xmin::text AS version FROM {_DEVICE} WHERE application = %s AND hwid = %s), ",
            device.application,
            device.hwid,
        )
        conditions.append("known.xmin::text = (SELECT version FROM seen)")
    else:
        statement.add("WITH ")
    names, fields = _columns(Device)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    statement.add(
        f"noted AS (INSERT INTO {_DEVICE} AS known ({names}) VALUES ({_places(fields)})"
        f" ON CONFLICT (application, hwid) DO UPDATE SET {', '.join(changes)}{where} RETURNING id)",
        *_values(device, fields, connection),
        *([list(said.removed)] if "tags" in columns else ()),
        *given,
    )


def _link(statement: _Statement, said: _Said, now: datetime) -> None:
    """Whom the device speaks for from now on; its hwid means nobody."""
    if not said.user_id:
        return
    statement.add(
        f", closed AS (UPDATE {_LINK} SET until = %s, is_open = NULL FROM noted"
        f" WHERE device_id = noted.id AND is_open AND user_id <> %s RETURNING 1)",
        now,
        said.user_id,
    )
    if said.user_id != said.device.hwid:
        # Counted, so that the old link is closed before the new one is opened.
        statement.add(
            f", opened AS (INSERT INTO {_LINK} (device_id, user_id, since, is_open)"
            " SELECT noted.id, %s, %s, true FROM noted WHERE (SELECT count(*) FROM closed) >= 0 AND NOT EXISTS"
            f" (SELECT FROM {_LINK} WHERE device_id = noted.id AND is_open AND user_id = %s))",
            said.user_id,
            now,
            said.user_id,
        )


def _learn(statement: _Statement, said: _Said, fresh: Mapping[str, int]) -> None:
    """The types of tags that this process has not seen before."""
    if not fresh:
        return
    application = said.device.application
    statement.add(
        f", strange AS (SELECT name, type FROM unnest(%s::text[], %s::smallint[]) AS named (name, type), noted"
        f" WHERE NOT EXISTS (SELECT FROM {_TAG} AS tag WHERE tag.application = %s AND tag.name = named.name)),"
        f" learned AS (INSERT INTO {_TAG} (application, name, type, source) SELECT %s, name, type, %s FROM strange"
        f" WHERE (SELECT count(*) FROM {_TAG} WHERE application = %s) + (SELECT count(*) FROM strange) <= %s"
        " ON CONFLICT (application, name) DO NOTHING RETURNING 1)",
        list(fresh),
        list(fresh.values()),
        application,
        application,
        TagDefinition.Source.LEARNED,
        application,
        tag_mirror.MOST_TAGS,
    )


def _queue(statement: _Statement, entry: OutboxEntry, fresh: Mapping[str, int], connection: Any) -> None:
    """The entry, where the device was noted; its key, and whether all tags are known from now on."""
    names, fields = _columns(OutboxEntry)
    are_learned = ", (SELECT count(*) FROM learned) = (SELECT count(*) FROM strange)" if fresh else ""
    statement.add(
        f" INSERT INTO {_ENTRY} ({names}) SELECT {_places(fields)} FROM noted RETURNING id{are_learned}",
        *_values(entry, fields, connection),
    )


@lru_cache
def _columns(model: type[models.Model]) -> tuple[str, tuple[Any, ...]]:
    fields = tuple(each for each in model._meta.concrete_fields if not each.primary_key)
    return ", ".join(f'"{each.column}"' for each in fields), fields


@lru_cache
def _places(fields: tuple[Any, ...]) -> str:
    return ", ".join(["%s"] * len(fields))


def _values(row: models.Model, fields: Sequence[Any], connection: Any) -> list[Any]:
    return [each.get_db_prep_save(getattr(row, each.attname), connection) for each in fields]
