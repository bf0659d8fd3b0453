"""What every kind of value shares: how it is described, how it is refused, and what JSON can hold."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django_pushwoosh.protocol.errors import Invalid, Problem

LONGEST_TEXT = 65_536
"""Our bound where Pushwoosh states none, in characters; a push's whole payload holds 4 KB."""
SMALLEST_INTEGER = -(2**63)
LARGEST_INTEGER = 2**63 - 1
DEEPEST = 32
"""Levels of nesting in a JSON value."""
MOST_VALUES = 10_000
"""Values in one JSON object, so that a small object which contains itself many times over stays small."""
MOST_VALUES_IN_BULK = 5_000_000
MOST_PROBLEMS = 50
"""A list with more mistakes than this is not read further."""
MOST_TARGETS = 1000
"""Devices or users in one message (seed 001)."""
LONGEST_IDENTIFIER = 255
WEEKS_4 = 28 * 24 * 3600
"""Seconds that APNs, FCM and WNS keep an undelivered push at most."""


def shown(value: object) -> str:
    """A value for an error message: short, printable, and safe for values made to hurt."""
    if isinstance(value, str):
        text = repr(str.__str__(value[:41]))
        return text if len(value) <= 40 else f"{text[:40]}…"
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, int):
        return int.__repr__(value) if int.bit_length(value) <= 64 else "a number beyond 64 bits"
    if isinstance(value, float):
        return float.__repr__(value)
    return f"a {type(value).__name__}"


def closest(name: str, names: Iterable[str]) -> str:
    """` Did you mean 'x'?`, or nothing."""
    found = difflib.get_close_matches(name[:64], names, n=1, cutoff=0.72)
    return f" Did you mean {found[0]!r}?" if found else ""


def refused(path: str, text: str) -> Invalid:
    return Invalid(Problem(path, text))


def plain_text(value: object, path: str) -> str:
    """A plain `str` that UTF-8 and JSON can carry."""
    if not isinstance(value, str):
        hint = "; decode it first" if isinstance(value, (bytes, bytearray)) else ""
        raise refused(path, f"must be text (str), not {shown(value)}{hint}")
    if type(value) is not str:
        value = str.__str__(value)
    if "\x00" in value:
        raise refused(path, "must not contain the NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise refused(path, "contains half of a surrogate pair, which UTF-8 cannot carry") from None
    return value


def whole(value: object, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise refused(path, f"must be a whole number, not {shown(value)}")
    return int.__int__(value)


def mapping(value: object, path: str) -> Mapping[Any, Any]:
    if isinstance(value, Mapping):
        return value
    raise refused(path, f"must be an object (dict), not {shown(value)}")


def listed(value: object, path: str) -> list[Any] | tuple[Any, ...]:
    if isinstance(value, str):
        raise refused(path, "must be a list, not one text: wrap it in a list")
    if not isinstance(value, (list, tuple)):
        raise refused(path, f"must be a list, not {shown(value)}")
    return value


def key_text(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise refused(path, f"keys must be text (str), not {shown(value)}")
    try:
        return plain_text(value, path)
    except Invalid as error:
        raise refused(path, f"the key {shown(value)} {error.problems[0].text}") from None


def json_copy(value: Any, path: str, room: int = MOST_VALUES) -> Any:
    """A copy of a JSON value, or `Invalid` for what JSON, or the other side, cannot hold."""
    left = room

    def copy(value: Any, path: str, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise refused(path, f"holds more than {room} values")
        if isinstance(value, str):
            return plain_text(value, path)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            plain = int.__int__(value)
            if not SMALLEST_INTEGER <= plain <= LARGEST_INTEGER:
                raise refused(path, "must fit into 64 bits; send longer numbers as text")
            return plain
        if isinstance(value, float):
            if not math.isfinite(value):
                raise refused(path, f"{shown(value)} is no JSON number")
            return float.__float__(value)
        if depth >= DEEPEST:
            raise refused(path[:80], f"is nested deeper than {DEEPEST} levels, or contains itself")
        if isinstance(value, Mapping):
            copied = {}
            for key, item in value.items():
                name = key_text(key, path)
                copied[name] = copy(item, f"{path}.{name[:40]}" if path else name[:40], depth + 1)
            return copied
        if isinstance(value, (list, tuple)):
            return [copy(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
        raise refused(path, f"{shown(value)} has no form in JSON")

    return copy(value, path, 0)


def cleaned_list(value: list[Any] | tuple[Any, ...], path: str, clean: Callable[[Any, str], Any]) -> list[Any]:
    """Every item cleaned, with the problems of all items at once."""
    problems: list[Problem] = []
    cleaned = []
    for index, item in enumerate(value):
        try:
            cleaned.append(clean(item, f"{path}[{index}]"))
        except Invalid as error:
            problems.extend(error.problems)
            if len(problems) >= MOST_PROBLEMS:
                break
    if problems:
        raise Invalid(*problems)
    return cleaned


class Kind:
    """What one value may be. `name` tells the kinds apart for forms and generated documents.

    Most values need no cleaning: printable text that begins with no space, up to `plain_length` characters, and whole
    numbers in `plain_range` are taken as they are. `clean` says the same; a message looks here first, for speed.
    """

    __slots__ = ()
    name: ClassVar[str]

    @property
    def plain_length(self) -> int:
        return 0

    @property
    def plain_range(self) -> range:
        return range(0)

    def clean(self, value: Any, path: str = "") -> Any:
        """The value as it is sent; raises `Invalid` whose problems begin with `path`."""
        raise NotImplementedError

    def describe(self) -> str:
        """What it takes, in words that complete "Give …"."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Anything(Kind):
    """Any JSON value."""

    name: ClassVar[str] = "anything"

    def clean(self, value: Any, path: str = "") -> Any:
        return json_copy(value, path)

    def describe(self) -> str:
        return "any JSON value"
