"""Days, minutes and time zones as the wire writes them."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from functools import cache
from typing import Any, ClassVar

from django_pushwoosh.protocol.fields.base import Kind, closest, plain_text, refused, shown
from django_pushwoosh.protocol.fields.texts import Text


@dataclass(frozen=True, slots=True)
class Day(Kind):
    """A calendar day: `YYYY-MM-DD`, or a `date`."""

    name: ClassVar[str] = "day"

    def clean(self, value: Any, path: str = "") -> str:
        if isinstance(value, date):
            if isinstance(value, datetime):
                raise refused(path, "must be a day without a time: use .date() in the time zone you mean")
            return value.isoformat()
        text = plain_text(value, path)
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            try:
                return date.fromisoformat(text).isoformat()
            except ValueError:
                raise refused(path, f"there is no day {text}") from None
        raise refused(path, f"must be {self.describe()}, not {shown(text)}")

    def describe(self) -> str:
        return "a day written YYYY-MM-DD"


@dataclass(frozen=True, slots=True)
class SendDate(Kind):
    """`now`, or a minute of the calendar: `YYYY-MM-DD HH:mm`; seconds are allowed, they are kept.

    A `datetime` is refused: which zone it is meant in is said by `timezone` and `ignore_user_timezone` beside it.
    """

    name: ClassVar[str] = "send date"

    def clean(self, value: Any, path: str = "") -> str:
        text = plain_text(value, path)
        if text == "now":
            return text
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(?::[0-9]{2})?", text):
            try:
                datetime.fromisoformat(text)
            except ValueError:
                raise refused(path, f"there is no time {text}") from None
            return text
        raise refused(path, f"must be {self.describe()}, not {shown(text)}")

    def describe(self) -> str:
        return '"now", or a time written YYYY-MM-DD HH:mm'


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


@dataclass(frozen=True, slots=True)
class TimeZoneName(Kind):
    """The name of a time zone, as in the IANA database and in PHP; a `ZoneInfo` gives its name."""

    name: ClassVar[str] = "time zone"

    def clean(self, value: Any, path: str = "") -> str:
        if isinstance(value, tzinfo):
            value = getattr(value, "key", None) or str(value)
        text = Text(64).clean(value, path)
        zones = _zones()
        # A system without a time zone database can judge the form only.
        known = text in zones if zones else re.fullmatch(r"[A-Za-z][\w+-]*(/[\w+-]+){0,2}", text, re.ASCII)
        if not known:
            raise refused(path, f"{shown(text)} is no time zone such as Europe/Oslo.{closest(text, zones)}")
        return text

    def describe(self) -> str:
        return "the name of a time zone, such as Europe/Oslo"
