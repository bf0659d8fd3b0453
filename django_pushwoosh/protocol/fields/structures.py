"""Objects and lists: JSON, platforms, places, conditions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django_pushwoosh.protocol import filters
from django_pushwoosh.protocol.errors import Invalid, Problem
from django_pushwoosh.protocol.fields.base import (
    MOST_VALUES_IN_BULK,
    Kind,
    cleaned_list,
    json_copy,
    listed,
    mapping,
    refused,
    shown,
    whole,
)
from django_pushwoosh.protocol.fields.numbers import Integer, Number
from django_pushwoosh.protocol.fields.texts import Text
from django_pushwoosh.protocol.platforms import BY_NUMBER, TARGETS, Platform, label_of


@dataclass(frozen=True, slots=True)
class JsonObject(Kind):
    """A JSON object. Where a key of `objects` is there, its value must be an object too."""

    name: ClassVar[str] = "json object"
    objects: tuple[str, ...] = ()

    def clean(self, value: Any, path: str = "") -> dict[str, Any]:
        cleaned: dict[str, Any] = json_copy(mapping(value, path), path)
        for key in self.objects:
            if key in cleaned and not isinstance(cleaned[key], dict):
                raise refused(f"{path}.{key}" if path else key, "must be an object (dict)")
        return cleaned

    def describe(self) -> str:
        return 'a JSON object such as {"key": "value"}'


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


@dataclass(frozen=True, slots=True)
class JsonObjectOrString(Kind):
    """A JSON object, or the text of one, which stays text."""

    name: ClassVar[str] = "json object or string"

    def clean(self, value: Any, path: str = "") -> dict[str, Any] | str:
        if not isinstance(value, str):
            return JsonObject().clean(value, path)
        text = Text().clean(value, path)
        try:
            parsed = json.loads(text, parse_constant=_constant)
        except (ValueError, RecursionError):
            raise refused(path, "must be a JSON object, or the text of one; this text is not valid JSON") from None
        if not isinstance(parsed, dict):
            raise refused(path, "must be a JSON object; this text holds another JSON value")
        json_copy(parsed, path)
        return text

    def describe(self) -> str:
        return 'a JSON object such as {"key": "value"}'


@dataclass(frozen=True, slots=True)
class Objects(Kind):
    """A list of at least one JSON object."""

    name: ClassVar[str] = "objects"

    def clean(self, value: Any, path: str = "") -> list[dict[str, Any]]:
        items = listed(value, path)
        if not items:
            raise refused(path, "must not be an empty list")
        if any(not isinstance(item, Mapping) for item in items):
            return cleaned_list(items, path, mapping)
        copied: list[dict[str, Any]] = json_copy(items, path, MOST_VALUES_IN_BULK)
        return copied

    def describe(self) -> str:
        return "a list of JSON objects"


@dataclass(frozen=True, slots=True)
class GeozoneKind(Kind):
    """A circle on the map: latitude and longitude in degrees, range in metres."""

    name: ClassVar[str] = "geozone"

    def clean(self, value: Any, path: str = "") -> dict[str, int | float]:
        circle = mapping(value, path)
        problems = []
        cleaned: dict[str, int | float] = {}
        prefix = f"{path}." if path else ""
        for key, kind in _GEOZONE.items():
            if key not in circle:
                problems.append(Problem(path, f"needs {key}: {kind.describe()}"))
                continue
            try:
                cleaned[key] = kind.clean(circle[key], f"{prefix}{key}")
            except Invalid as error:
                problems.extend(error.problems)
        if any(key not in _GEOZONE for key in circle):
            problems.append(Problem(path, "has only lat, lng and range"))
        if problems:
            raise Invalid(*problems)
        return cleaned

    def describe(self) -> str:
        return "an object of lat and lng in degrees and range in metres"


_GEOZONE: dict[str, Kind] = {
    "lat": Number(-90, 90),
    "lng": Number(-180, 180),
    "range": Integer(1, 40_075_000, unit="metres"),
}


@dataclass(frozen=True, slots=True)
class PlatformList(Kind):
    """Numbers (or rows) of platforms that a message may be limited to; repetitions are left out."""

    name: ClassVar[str] = "platforms"

    def clean(self, value: Any, path: str = "") -> list[int]:
        numbers = list(dict.fromkeys(cleaned_list(listed(value, path), path, self._number)))
        if not numbers:
            raise refused(path, "must not be empty: leave it out to reach all platforms")
        return numbers

    @staticmethod
    def _number(value: Any, path: str) -> int:
        if isinstance(value, Platform):
            value = value.number
        number = whole(value, path)
        if number not in _TARGETS:
            name = label_of(number) if number in BY_NUMBER else shown(number)
            raise refused(path, f"{name} cannot be chosen: use {', '.join(map(str, sorted(_TARGETS)))}")
        return number

    @property
    def choices(self) -> tuple[tuple[int, str], ...]:
        """(number, label) pairs, as forms want them."""
        return tuple((platform.number, platform.label) for platform in TARGETS)

    def describe(self) -> str:
        return "a list of platform numbers: " + ", ".join(f"{number} {label}" for number, label in self.choices)


_TARGETS = frozenset(platform.number for platform in TARGETS)


@dataclass(frozen=True, slots=True)
class Conditions(Kind):
    """A list of tag conditions, `[tag, operator, operand]`, as `filters.clean_conditions` reads them."""

    name: ClassVar[str] = "conditions"

    def clean(self, value: Any, path: str = "") -> list[list[Any]]:
        try:
            return [condition.condition() for condition in filters.clean_conditions(value)]
        except Invalid as error:
            problems = [Problem(path + each.path.removeprefix("conditions"), each.text) for each in error.problems]
            raise Invalid(*problems) from None

    def describe(self) -> str:
        return 'a list of conditions such as ["City", "EQ", "Oslo"]'
