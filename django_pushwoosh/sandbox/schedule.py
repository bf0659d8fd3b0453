"""When a message goes out: `send_date`, `timezone` and `ignore_user_timezone` read into a moment."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from django_pushwoosh.protocol.errors import Invalid
from django_pushwoosh.protocol.fields import SendDate
from django_pushwoosh.sandbox.answering import Refused

_SEND_DATE = SendDate()


def is_immediate(parameters: Mapping[str, Any]) -> bool:
    return parameters.get("send_date") == "now"


def due_at(parameters: Mapping[str, Any], now: datetime) -> tuple[datetime, bool]:
    """The moment, and whether it is each user's own: the same wall-clock time, read as UTC, in every time zone.

    Raises `Refused`.
    """
    try:
        text = _SEND_DATE.clean(parameters.get("send_date"), "send_date")
    except Invalid:
        raise Refused("Cannot parse date") from None
    zone = _zone(parameters.get("timezone"))
    if text == "now":
        return now, False
    moment = datetime.fromisoformat(text)
    if not 1970 <= moment.year <= 9000:
        raise Refused("Cannot parse date")
    # Unverified against Pushwoosh: without ignore_user_timezone the time is the sender's, not each user's.
    if parameters.get("ignore_user_timezone", True) in (False, 0, "0", "false"):
        return moment.replace(tzinfo=UTC), True
    return moment.replace(tzinfo=zone).astimezone(UTC), False


def _zone(name: Any) -> tzinfo:
    if name is None or name == "" or name == "UTC":
        return UTC
    try:
        if not isinstance(name, str):
            raise ValueError
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Refused("Invalid timezone") from None
