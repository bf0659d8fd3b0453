"""Numbers, truths, badges and durations."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from django_pushwoosh.protocol.fields.base import LARGEST_INTEGER, Kind, json_copy, plain_text, refused, shown, whole


@dataclass(frozen=True, slots=True)
class Integer(Kind):
    """A whole number between two bounds, both included."""

    name: ClassVar[str] = "integer"
    minimum: int = -LARGEST_INTEGER
    maximum: int = LARGEST_INTEGER
    unit: str = ""

    @property
    def plain_range(self) -> range:
        return range(self.minimum, self.maximum + 1)

    def clean(self, value: Any, path: str = "") -> int:
        number = whole(value, path)
        if not self.minimum <= number <= self.maximum:
            raise refused(path, f"must be {self.describe()}, not {shown(number)}")
        return number

    def describe(self) -> str:
        unit = f" of {self.unit}" if self.unit else ""
        if self.maximum == LARGEST_INTEGER:
            bounds = "" if self.minimum == -LARGEST_INTEGER else f", {self.minimum} or more"
        else:
            bounds = f" from {self.minimum} to {self.maximum}"
        return f"a whole number{unit}{bounds}"


@dataclass(frozen=True, slots=True)
class Number(Kind):
    """A finite number between two bounds, both included."""

    name: ClassVar[str] = "number"
    minimum: float = -math.inf
    maximum: float = math.inf

    def clean(self, value: Any, path: str = "") -> int | float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise refused(path, f"must be a number, not {shown(value)}")
        number = json_copy(value, path)
        if not self.minimum <= number <= self.maximum:
            raise refused(path, f"must be {self.describe()}, not {shown(number)}")
        return number  # type: ignore[no-any-return]

    def describe(self) -> str:
        if math.isinf(self.maximum) and math.isinf(self.minimum):
            return "a number"
        return f"a number from {self.minimum} to {self.maximum}"


def _truth(value: Any, path: str) -> bool:
    if isinstance(value, bool) or (type(value) is int and value in (0, 1)):
        return bool(value)
    raise refused(path, f"must be true or false, not {shown(value)}")


@dataclass(frozen=True, slots=True)
class Boolean(Kind):
    """True or false (0 and 1 are understood), sent as `true` or `false`."""

    name: ClassVar[str] = "boolean"

    def clean(self, value: Any, path: str = "") -> bool:
        return _truth(value, path)

    def describe(self) -> str:
        return "true or false"


@dataclass(frozen=True, slots=True)
class Flag(Kind):
    """True or false, sent as 1 or 0, where the documents write numbers."""

    name: ClassVar[str] = "flag"

    @property
    def plain_range(self) -> range:
        return range(2)

    def clean(self, value: Any, path: str = "") -> int:
        return int(_truth(value, path))

    def describe(self) -> str:
        return "true or false (sent as 1 or 0)"


@dataclass(frozen=True, slots=True)
class Badge(Kind):
    """A badge's number, or "+n" / "-n" to count from the present one; digits in text become a number."""

    name: ClassVar[str] = "badge"
    or_boolean: bool = False

    @property
    def plain_range(self) -> range:
        return range(10**9)

    def clean(self, value: Any, path: str = "") -> int | str | bool:
        if isinstance(value, bool) and self.or_boolean:
            return value
        if isinstance(value, str):
            text = plain_text(value, path)
            if re.fullmatch(r"[+-][0-9]{1,9}", text):
                return text
            if re.fullmatch(r"[0-9]{1,9}", text):
                return int(text)
        elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
            return int.__int__(value)
        raise refused(path, f"must be {self.describe()}, not {shown(value)}")

    def describe(self) -> str:
        words = 'a number from 0, or "+n" / "-n" to add or subtract'
        return f"true, false, {words}" if self.or_boolean else words


@dataclass(frozen=True, slots=True)
class Seconds(Kind):
    """A lifespan in whole seconds; a `timedelta` is turned into seconds."""

    name: ClassVar[str] = "seconds"
    minimum: int = 0
    maximum: int = 2**31 - 1

    @property
    def plain_range(self) -> range:
        return range(self.minimum, self.maximum + 1)

    def clean(self, value: Any, path: str = "") -> int:
        if isinstance(value, timedelta):
            if value.microseconds:
                raise refused(path, "must be whole seconds")
            value = value.days * 86_400 + value.seconds
        seconds = whole(value, path)
        if not self.minimum <= seconds <= self.maximum:
            raise refused(path, f"must be {self.describe()}, not {shown(seconds)}")
        return seconds

    def describe(self) -> str:
        if self.maximum < 2**31 - 1:
            return f"seconds, from {self.minimum} to {self.maximum}"
        return "seconds, 0 or more (services keep an undelivered push for 28 days, 2419200, at most)"
