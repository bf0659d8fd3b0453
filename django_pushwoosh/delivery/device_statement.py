"""Notes an SDK's registration in the mirror and queues it, all in one statement that is a transaction of its own.

SDKs register at every start of an app, so this is what the gateway does most. On PostgreSQL a statement costs about
what a row does, and four of them in a transaction make six trips to the server. A function of the database's makes them
in one trip, and each session plans it once, behind a pooler too. Whatever it cannot do goes the long way
(`mirror.note`, `outbox.enqueue_all`), with the same outcome; a differential test holds them to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, ProgrammingError, connections, router, transaction

from django_pushwoosh.conf import Application
from django_pushwoosh.delivery import attributes, mirror, outbox, tag_mirror
from django_pushwoosh.models import Device, storable
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.platforms import REACHED_BY_HWID

_SQL = (
    "SELECT * FROM django_pushwoosh_queue_registration("  # noqa: S608
    f"%(application)s, %(hwid)s, %(platform)s, ARRAY{sorted(REACHED_BY_HWID)}, %(push_token)s, %(language)s,"
    " %(utc_offset_seconds)s, %(device_model)s, %(os_version)s, %(app_version)s, %(sdk_version)s, %(tags)s::jsonb,"
    " %(removed)s::text[], %(tags_room)s, %(extra)s::jsonb, %(extra_room)s, %(user_id)s, %(names)s::text[],"
    " %(types)s::integer[], %(most_tags)s, %(api_root)s, %(raw)s, %(key)s, %(lane)s, %(bulk_method)s,"
    " %(is_tokenless)s, %(now)s)"
)
_UNDEFINED_FUNCTION = "42883"


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
    parameters = {
        **said.columns,
        **outbox.columns_of(call, key=key, application=application, now=now, is_tokenless=is_tokenless),
        "hwid": hwid,
        "platform": platform,
        # To write an empty array takes the driver as long as to write ten texts.
        "removed": said.removed or None,
        "user_id": mirror.user_of(arguments),
        "names": list(fresh) or None,
        "types": list(fresh.values()) or None,
        "most_tags": tag_mirror.MOST_TAGS,
        "now": now,
    }
    row = _row(parameters, connection)
    if row is None or row[0] is None:
        return False
    if row[1]:
        tag_mirror.remember(call.application, fresh, using=using)
    outbox.wake(using)
    return True


def _nothing() -> dict[str, Any]:
    return dict.fromkeys(("push_token", *attributes.NAMES, "tags", "tags_room", "extra", "extra_room"))


@dataclass(slots=True)
class _Said:
    """What a registration says of its device: columns, JSON as its text; tags that are set, and those that go.

    Beside JSON there is how long what the row holds already may be, so that the two together stay within the bound.
    """

    columns: dict[str, Any] = field(default_factory=_nothing)
    tags: Mapping[str, Any] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)


def _said(arguments: Mapping[str, Any]) -> _Said | None:
    said = _Said()
    said.columns |= attributes.of(arguments)
    token = arguments.get("push_token")
    if isinstance(token, str) and token:
        said.columns["push_token"] = storable(token)
    documents: dict[str, Mapping[str, Any]] = {}
    if more := attributes.more_of(arguments):
        documents["extra"] = more
    if isinstance(arguments.get("tags"), dict):
        plain = tag_mirror.plain(arguments["tags"])
        if plain is None:
            return None
        documents["tags"] = said.tags = plain[0]
        said.removed = plain[1]
    for name, document in documents.items():
        text = json.dumps(document)
        if len(text) > tag_mirror.MOST_BYTES:
            return None
        # As long as it can become at most. Near the bound the long way measures it.
        room = (tag_mirror.MOST_BYTES - len(text)) // tag_mirror.LONGEST_ESCAPE
        said.columns |= {name: text, f"{name}_room": room}
    return said


def _row(parameters: Mapping[str, Any], connection: Any) -> tuple[int | None, bool | None] | None:
    """The entry's key, if the function could write it; and whether all tags that it named are in their table now."""
    # By itself a statement needs no BEGIN and no COMMIT.
    alone = transaction.atomic(using=connection.alias) if connection.in_atomic_block else nullcontext()
    try:
        with alone, connection.cursor() as cursor:
            cursor.execute(_SQL, parameters)
            found: tuple[int | None, bool | None] = cursor.fetchone()
    except IntegrityError:
        # Somebody opened a link of the same device in the meantime: who takes the row's lock first sees it.
        return None
    except ProgrammingError as error:
        # As psycopg calls it, and psycopg2.
        states = {getattr(error.__cause__, name, None) for name in ("sqlstate", "pgcode")}
        if _UNDEFINED_FUNCTION not in states:
            raise
        # The migration is still to come, or tests made the tables without any.
        return None
    return found
