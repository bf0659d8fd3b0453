"""Writes what was said about devices' tags into the mirror, and learns the types of tags that come up.

On PostgreSQL plain values of one device's tags, which is nearly all that is ever said, are written by the statement
that queues them; whatever that cannot say goes the long way (`mirror.note`), with the same outcome.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections, router, transaction

from django_pushwoosh.delivery.statements import update_each
from django_pushwoosh.models import Device, TagDefinition, is_storable, storable
from django_pushwoosh.models.lookups import Among
from django_pushwoosh.protocol import tags as tag_rules
from django_pushwoosh.protocol.errors import InvalidTag

MOST_BYTES = 64 * 1024
"""Of a device's tags, and of its further attributes."""
MOST_TAGS = 1000
"""Tags whose types are learned; Pushwoosh allows a few dozen, strangers may invent any number."""
LONGEST_ESCAPE = 6
"""Characters that one may become in JSON, as it is measured."""

_known: dict[tuple[str, str], set[str]] = {}
"""The names that the committed table is known to have, by database and application."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A list of common table expressions that write, the number of rows they found, and the tags they set."""

    sql: str
    parameters: tuple[Any, ...]
    count: str
    tags: Mapping[str, Any]


def forget_known() -> None:
    """Look names up anew: the table was changed behind this module's back."""
    _known.clear()


def changed(current: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A device's tags after changes; as they were, if they were more than one device can mean."""
    return bounded(tag_rules.apply(current, storable(dict(changes))), dict(current))


def bounded(values: dict[str, Any], otherwise: dict[str, Any]) -> dict[str, Any]:
    """The values, unless they are more than one device can mean; a stranger must not fill the table."""
    return values if len(json.dumps(values)) <= MOST_BYTES else otherwise


def differs(current: Any, after: Any) -> bool:
    """Whether a value is another one; true is not 1 here, as Python has it."""
    return bool(current != after) or repr(current) != repr(after)


def clause(application: str, hwid: str, changes: Mapping[str, Any], *, now: datetime, using: str) -> Clause | None:
    """What notes plain values of a device that the mirror knows, for a statement that queues them; `None` if none can.

    Its count is 0 where nothing was noted: the device is unknown, or its tags are near their bound.
    """
    connection = connections[using]
    found = plain(changes) if connection.vendor == "postgresql" else None
    if found is None:
        return None
    values, removed = found
    added = json.dumps(values)
    table = connection.ops.quote_name(Device._meta.db_table)
    return Clause(
        f"found AS (SELECT id, tags, (tags || %s::jsonb) - %s::text[] AS changed FROM {table}"  # noqa: S608
        " WHERE application = %s AND hwid = %s AND octet_length(tags::text) * %s + %s <= %s FOR UPDATE),"
        f" noted AS (UPDATE {table} SET tags = found.changed, updated_at = %s FROM found"
        f" WHERE {table}.id = found.id AND found.changed IS DISTINCT FROM found.tags)",
        (added, removed, application, hwid, LONGEST_ESCAPE, len(added), MOST_BYTES, now),
        "(SELECT count(*) FROM found)",
        values,
    )


def plain(changes: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]] | None:
    """The values that changes set, and the names that they take away; `None` where it takes the old values to tell."""
    said = storable(dict(changes))
    if any(map(_needs_the_old, said.values())):
        return None
    try:
        removed = [tag_rules.clean_name(name) for name, value in said.items() if value is None]
    except InvalidTag:
        return None
    values = tag_rules.apply({}, {name: value for name, value in said.items() if value is not None})
    # Some are wrong, or named twice.
    return None if len({*removed, *values}) < len(said) else (values, removed)


def _needs_the_old(value: Any) -> bool:
    return isinstance(value, Mapping) or tag_rules.is_operation(value)


def note_many(application: str, changes: Sequence[tuple[str, Mapping[str, Any]]], *, now: datetime, using: str) -> None:
    """Note (hwid, changes) of many devices in their order; those that the mirror does not know are left out."""
    hwids = sorted({hwid for hwid, _ in changes})
    devices = Device.objects.using(using).of(application).filter(Among("hwid", hwids)).order_by("pk")
    found = {hwid: (pk, tags) for pk, hwid, tags in devices.select_for_update().values_list("pk", "hwid", "tags")}
    before = {hwid: tags for hwid, (_pk, tags) in found.items()}
    after = dict(before)
    learned: dict[str, Any] = {}
    for hwid, said in changes:
        if hwid in after:
            after[hwid] = changed(after[hwid], said)
            learned |= {name: after[hwid][name] for name in said if name in after[hwid]}
    told = {found[hwid][0]: (tags, now) for hwid, tags in after.items() if differs(before[hwid], tags)}
    update_each(Device, ("tags", "updated_at"), told, using=using)
    learn_types(application, learned, using=using)


def learn_types(application: str, values: Mapping[str, Any], *, using: str | None = None) -> None:
    """Remember the types of tags that were not seen before."""
    using = using or router.db_for_write(TagDefinition)
    types = unlearned(application, values, using=using)
    if not types:
        return
    definitions = TagDefinition.objects.using(using).filter(application=application)
    known = set(definitions.filter(Among("name", list(types))).values_list("name", flat=True))
    unknown = [name for name in types if name not in known]
    if definitions.count() + len(unknown) > MOST_TAGS:
        unknown = []
    definitions.bulk_create(
        [
            TagDefinition(
                application=application,
                name=name,
                type=types[name],
                source=TagDefinition.Source.LEARNED,
            )
            for name in unknown
        ],
        ignore_conflicts=True,
    )
    remember(application, [*known, *unknown], using=using)


def unlearned(application: str, values: Mapping[str, Any], *, using: str) -> dict[str, int]:
    """The names that are not known to be in the table, with the types of their values.

    In one order: whoever wrote the same names in another would wait for this one, and this one for them.
    """
    seen = _known.get((using, application), ())
    return {
        name: tag_rules.infer_type(value).value
        for name, value in sorted(values.items())
        if name not in seen and value is not None and 0 < len(name) <= 255 and is_storable(name)
    }


def remember(application: str, names: Iterable[str], *, using: str) -> None:
    """These names are in the table, once the present transaction has committed: what a rollback takes is not known."""

    def known() -> None:
        seen = _known.setdefault((using, application), set())
        if len(seen) <= MOST_TAGS:
            seen.update(names)

    transaction.on_commit(known, using=using)
