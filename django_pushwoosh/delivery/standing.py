"""How a device stands before a call of its is relayed: what has to be known of it, in one statement.

Whether something of its key still waits, or its application is paused, so that the call has to queue; what the mirror
knows of it, so that an answer that changes nothing costs no more statements.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import connections

from django_pushwoosh.conf import Application
from django_pushwoosh.delivery import mirror
from django_pushwoosh.models import Device, OutboxEntry, Pause, UserLink
from django_pushwoosh.protocol.calls import Call


@dataclass(frozen=True, slots=True)
class Standing:
    """`device` is the mirror's row, `None` where it knows none; `user_id` is whom it speaks for, empty for nobody."""

    has_to_wait: bool
    device: Device | None
    user_id: str = ""


def look(call: Call, application: Application, key: str, *, using: str) -> Standing:
    """How the device of a call stands."""
    hwid = mirror.hwid_of(call)
    parameters = {
        "application": call.application,
        "hwid": hwid if mirror.fits(hwid, 255) else "",
        "root": application.api_root,
        "key": key[:300],
    }
    [row] = Device.objects.using(using).raw(_sql(using), parameters)
    found: Any = row
    return Standing(bool(found.has_to_wait), row if row.pk is not None else None, found.speaks_for or "")


@lru_cache
def _sql(using: str) -> str:
    quote = connections[using].ops.quote_name
    device, link, entry, pause = (quote(model._meta.db_table) for model in (Device, UserLink, OutboxEntry, Pause))
    unsettled = ", ".join(f"'{status.value}'" for status in OutboxEntry.UNSETTLED)
    return (
        "SELECT known.*, here.has_to_wait, link.user_id AS speaks_for FROM ("  # noqa: S608
        f"SELECT EXISTS (SELECT 1 FROM {pause} WHERE application IN ('', %(application)s))"
        f" OR EXISTS (SELECT 1 FROM {entry} WHERE {quote('key')} = %(key)s AND status IN ({unsettled})"
        " AND application = %(application)s AND api_root = %(root)s) AS has_to_wait) AS here"
        f" LEFT JOIN {device} AS known ON known.application = %(application)s AND known.hwid = %(hwid)s"
        f" LEFT JOIN {link} AS link ON link.device_id = known.id AND link.is_open"
    )
