"""Tags: their types, their values on the wire, and what an operation does to a value.

A tag's value travels as text, a number, a boolean, a list of these, or null (which unsets the tag). Instead of a
value an operation may travel, as `{"operation": "increment" | "append" | "remove", "value": …}`; old SDKs send an
increment as the text `#pwinc#5`. A time is text, `YYYY-MM-DD HH:MM` in UTC.

`clean_tags` is for what our own side says and refuses mistakes; `apply` is for what anyone says (SDKs send whatever
the app hands them) and never raises.
Source: seed 002, setTags; seed 001, "Tag conditions"; Pushwoosh's own SDKs for the legacy form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum
from math import isfinite
from types import MappingProxyType
from typing import Any, TypeAlias

from django_pushwoosh.protocol.errors import InvalidTag, Problem

Scalar: TypeAlias = str | int | float | bool
"""One value as it travels."""

Value: TypeAlias = Scalar | Decimal | date | datetime
"""One value as our own code may give it; `wire_scalar` makes a `Scalar` of it."""

SMALLEST_INTEGER = -(2**63)
LARGEST_INTEGER = 2**63 - 1

DATE_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?: [0-9]{2}:[0-9]{2}(?::[0-9]{2})?)?")
"""How dates are written; whether the date exists is another question."""

_LEGACY_INCREMENT = re.compile(r"#pwinc#([+-]?[0-9]{1,20})")
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_OPERATIONS = ("increment", "append", "remove")


class TagType(IntEnum):
    """What a tag holds; the numbers are those of Pushwoosh's tags API (addTag, listTags)."""

    INTEGER = 1
    STRING = 2
    LIST = 3
    DATE = 4
    BOOLEAN = 5
    PRICE = 6
    VERSION = 7


DEFAULT_TAGS: Mapping[str, TagType] = MappingProxyType(
    {
        "Language": TagType.STRING,
        "Country": TagType.STRING,
        "City": TagType.STRING,
        "Device Model": TagType.STRING,
        "Platform": TagType.STRING,
        "User ID": TagType.STRING,
        "OS Version": TagType.VERSION,
        "Application Version": TagType.VERSION,
        "SDK Version": TagType.VERSION,
        "First Install": TagType.DATE,
        "Last Application Open": TagType.DATE,
        "In-app Product": TagType.LIST,
        "In-app Purchase": TagType.PRICE,
        "Last In-app Purchase date": TagType.DATE,
    }
)
"""The tags that Pushwoosh keeps by itself, in every account.

Source: seed 001 ("Country and Language tags", "Date tags", the example of createTargetedMessage, the filter of
getPushHistory), seed 002 (setTags: the list of products) and the documents of Pushwoosh's own SDKs (the three that a
purchase sets). Where none of these says a type, it is that of the values that devices report.
"""


@dataclass(frozen=True, slots=True)
class Increment:
    """Add `value` (a whole number, negative to subtract) to an integer tag. Not repeatable."""

    value: int

    def __post_init__(self) -> None:
        number = None if isinstance(self.value, bool) else _scalar_or_none(self.value)
        if isinstance(number, bool) or not isinstance(number, int):
            raise InvalidTag("An increment is a whole number of at most 64 bits, such as 1 or -1.")
        object.__setattr__(self, "value", number)

    def to_wire(self) -> dict[str, Any]:
        """`{"operation": "increment", "value": n}`"""
        return {"operation": "increment", "value": self.value}


@dataclass(frozen=True, slots=True, init=False)
class Append:
    """Add `values` to a list tag. Not repeatable: no document says whether lists hold a value twice."""

    values: tuple[Scalar, ...]

    def __init__(self, values: Value | Iterable[Value]) -> None:
        object.__setattr__(self, "values", _operation_values(values))

    def to_wire(self) -> dict[str, Any]:
        """`{"operation": "append", "value": [...]}`"""
        return {"operation": "append", "value": list(self.values)}


@dataclass(frozen=True, slots=True, init=False)
class Remove:
    """Take `values` out of a list tag."""

    values: tuple[Scalar, ...]

    def __init__(self, values: Value | Iterable[Value]) -> None:
        object.__setattr__(self, "values", _operation_values(values))

    def to_wire(self) -> dict[str, Any]:
        """`{"operation": "remove", "value": [...]}`"""
        return {"operation": "remove", "value": list(self.values)}


Operation: TypeAlias = Increment | Append | Remove


def wire_text(value: str) -> str:
    """`value` as a plain `str`; InvalidTag if it holds NUL or half a surrogate pair, which no store keeps."""
    # Not str(value): an enumeration mixed with str would give its name instead of its text.
    text = str.__str__(value)
    if "\x00" in text:
        raise InvalidTag("Take the NUL character out of the text.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidTag("Take the lone surrogate out of the text: it is no character.") from None
    return text


def wire_time(value: date) -> str:
    """`YYYY-MM-DD HH:MM`, in UTC for an aware datetime, at 00:00 for a date; InvalidTag for a naive datetime."""
    if not isinstance(value, datetime):
        return f"{value.isoformat()} 00:00"
    if value.utcoffset() is None:
        raise InvalidTag("Give the datetime a time zone: a naive one could mean any.")
    try:
        return value.astimezone(UTC).isoformat(sep=" ", timespec="minutes")[:16]
    except OverflowError:
        raise InvalidTag("The datetime is outside the years 1 to 9999 in UTC.") from None


def wire_scalar(value: object) -> Scalar:
    """One value in its wire form; InvalidTag says what to give instead.

    Decimal becomes the nearest float, dates and aware datetimes become text (see `wire_time`); integers beyond
    64 bits, NaN and infinity are refused.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return wire_text(value)
    if isinstance(value, int):
        if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            raise InvalidTag("The integer does not fit in 64 bits: give it as text.")
        return int(value)
    if isinstance(value, float | Decimal):
        # A signalling NaN raises in float(), and a large Decimal becomes infinite there.
        finite = value.is_finite() if isinstance(value, Decimal) else isfinite(value)
        if not finite or not isfinite(value):
            raise InvalidTag("NaN and infinity cannot be sent: give a finite number.")
        return float(value)
    if isinstance(value, date):
        return wire_time(value)
    raise InvalidTag(f"{type(value).__name__} is no tag value: give text, a number, a boolean or a date.")


def clean_tags(tags: Mapping[str, Any]) -> dict[str, Any]:
    """`tags` in wire form, ready to be the `tags` of setTags.

    Values may be text, numbers, Decimal, booleans, dates, aware datetimes, lists of these, None (unset the tag),
    `Increment`, `Append`, `Remove` or an operation in wire form. InvalidTag lists every problem, each with the
    tag's name as its path (`Interests[2]` inside a list).
    """
    if not isinstance(tags, Mapping):
        raise InvalidTag(f"Give the tags as a mapping of names to values, not {type(tags).__name__}.")
    cleaned: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in tags.items():
        try:
            key = clean_name(name)
        except InvalidTag as error:
            problems.append(Problem("tags", f"A name is wrong. {error}"))
            continue
        try:
            cleaned[key] = _clean_value(value)
        except InvalidTag as error:
            shown = key if len(key) <= 60 else f"{key[:60]}…"
            problems += (Problem(shown + problem.path, problem.text) for problem in error.problems)
    if problems:
        raise InvalidTag(*problems)
    return cleaned


def clean_name(name: object) -> str:
    """A tag's name; InvalidTag if it is blank or not text. Case and spaces are kept: both belong to the name."""
    if not isinstance(name, str):
        raise InvalidTag(f"A tag's name is text, not {type(name).__name__}.")
    text = wire_text(name)
    if not text.strip():
        raise InvalidTag("A tag's name cannot be empty.")
    return text


def is_operation(value: object) -> bool:
    """Whether `value` changes what a tag holds (increment, append, remove) instead of replacing it."""
    if isinstance(value, str):
        return _LEGACY_INCREMENT.fullmatch(value) is not None
    if isinstance(value, Mapping):
        return _operation_name(value) in _OPERATIONS
    return isinstance(value, Operation)


def is_repeatable(changes: object) -> bool:
    """Whether sending these changes twice leaves what sending them once would.

    An increment and an append do not; neither does an operation that is unknown here, to be on the safe side.
    """
    if not isinstance(changes, Mapping):
        return True
    return not any(_changes_again(value) for value in changes.values())


def apply(current: object, changes: object) -> dict[str, Any]:
    """What `current` holds after `changes`: a new dict; neither argument is touched, nothing raises.

    null takes the tag away; an increment of an absent tag starts from 0; an append unites, without duplicates,
    in the order of arrival; a remove may leave an empty list; append and remove treat a single value as a list
    of one. What cannot be carried out changes nothing, as upstream reports "wrong value" and keeps the old one:
    an unknown operation, any other object, an increment of something that is no number or past 64 bits, a value
    that could not be stored (NaN, NUL, lists within lists), a blank name.
    """
    result: dict[str, Any] = dict(current) if isinstance(current, Mapping) else {}
    if not isinstance(changes, Mapping):
        return result
    for given_name, change in changes.items():
        try:
            name = clean_name(given_name)
        except InvalidTag:
            continue
        if change is None:
            result.pop(name, None)
            continue
        value = _changed(result.get(name), change)
        if value is not None:
            result[name] = value
    return result


def from_numbered(changes: object) -> dict[str, Any]:
    """The changes of multiRegisterDevice as those of setTags; what is no change is left out.

    It numbers the operations (0 set, 1 append, 2 remove, 3 increment) and gives every value as text: one as `value`,
    a list as `values`. Source: the web SDK's own types.
    """
    found: dict[str, Any] = {}
    for name, change in changes.items() if isinstance(changes, Mapping) else ():
        if not isinstance(change, Mapping) or not isinstance(name, str):
            continue
        given = change.get("values")
        operand = given if isinstance(given, list) else change.get("value")
        number = change.get("operation")
        if isinstance(number, bool):
            continue
        if number == 0 or (number == 2 and operand is None):
            found[name] = operand
        elif number in (1, 2):
            found[name] = {"operation": "append" if number == 1 else "remove", "value": operand}
        elif number == 3:
            found[name] = {"operation": "increment", "value": as_number(operand)}
    return found


def as_number(value: object) -> object:
    """A whole number that was given as text; anything else as it is."""
    return int(value) if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value) else value


def infer_type(value: object) -> TagType:
    """The type of a tag that holds `value` (or takes it, where it is an operation), as far as a value can tell.

    A version cannot be told from other text; whoever knows better declares it. What tells nothing, such as
    None, counts as a string.
    """
    if isinstance(value, Operation):
        value = value.to_wire()
    if isinstance(value, Mapping):
        match _operation_name(value):
            case "increment":
                return TagType.PRICE if isinstance(value.get("value"), float) else TagType.INTEGER
            case "append" | "remove":
                return TagType.LIST
        return TagType.STRING
    if isinstance(value, str):
        if _LEGACY_INCREMENT.fullmatch(value):
            return TagType.INTEGER
        return TagType.DATE if _is_date(value) else TagType.STRING
    if isinstance(value, bool):
        return TagType.BOOLEAN
    if isinstance(value, int):
        return TagType.INTEGER
    if isinstance(value, float | Decimal):
        return TagType.PRICE
    if isinstance(value, date):
        return TagType.DATE
    if isinstance(value, list | tuple):
        return TagType.LIST
    return TagType.STRING


def _clean_value(value: object) -> Any:
    if value is None:
        return None
    if isinstance(value, Operation):
        return value.to_wire()
    if isinstance(value, Mapping):
        return _clean_operation(value)
    if isinstance(value, list | tuple):
        return _clean_list(value)
    return wire_scalar(value)


def _clean_list(values: Iterable[object]) -> list[Scalar]:
    cleaned: list[Scalar] = []
    problems: list[Problem] = []
    for index, item in enumerate(values):
        try:
            cleaned.append(wire_scalar(item))
        except InvalidTag as error:
            problems += (Problem(f"[{index}]", problem.text) for problem in error.problems)
    if problems:
        raise InvalidTag(*problems)
    return cleaned


def _clean_operation(value: Mapping[Any, Any]) -> dict[str, Any]:
    name = _operation_name(value)
    if name not in _OPERATIONS:
        raise InvalidTag('An object must be an operation: "increment", "append" or "remove".')
    if value.keys() != {"operation", "value"}:
        raise InvalidTag('An operation consists of "operation" and "value" only.')
    given = value["value"]
    if name == "increment":
        return Increment(given).to_wire()
    return Append(given).to_wire() if name == "append" else Remove(given).to_wire()


def _operation_values(values: object) -> tuple[Scalar, ...]:
    """The values of an append or a remove; one value may stand for a list of one."""
    if isinstance(values, Mapping | bytes | bytearray):
        raise InvalidTag("Give a list of values to append or remove.")
    if isinstance(values, str) or not isinstance(values, Iterable):
        return (wire_scalar(values),)
    cleaned = tuple(_clean_list(values))
    if not cleaned:
        raise InvalidTag("Give at least one value to append or remove.")
    return cleaned


def _operation_name(value: Mapping[Any, Any]) -> str | None:
    name = value.get("operation")
    return name if isinstance(name, str) else None


def _changes_again(value: object) -> bool:
    # multiRegisterDevice numbers the operations: 0 sets, 1 appends, 2 removes, 3 increments.
    if isinstance(value, Mapping):
        return "operation" in value and _operation_name(value) != "remove" and value["operation"] not in (0, 2)
    return is_operation(value) and not isinstance(value, Remove)


def _changed(old: object, change: object) -> Any:
    """The tag's value after `change`; None if the change cannot be carried out."""
    if isinstance(change, Operation):
        change = change.to_wire()
    if isinstance(change, Mapping):
        operand = change.get("value")
        match _operation_name(change):
            case "increment":
                return _incremented(old, operand)
            case "append":
                return _united(old, operand)
            case "remove":
                return _without(old, operand)
        return None
    if isinstance(change, str) and (legacy := _LEGACY_INCREMENT.fullmatch(change)):
        return _incremented(old, int(legacy[1]))
    if isinstance(change, list | tuple):
        return _values_or_none(change)
    return _scalar_or_none(change)


def _incremented(old: object, by: object) -> Scalar | None:
    base = 0 if old is None else _scalar_or_none(old)
    step = _scalar_or_none(by)
    if isinstance(base, bool | str) or isinstance(step, bool | str) or base is None or step is None:
        return None
    return _scalar_or_none(base + step)


def _united(old: object, values: object) -> list[Scalar] | None:
    known = [] if old is None else _values_or_none(old)
    added = _values_or_none(values)
    if known is None or added is None:
        return None
    # JSON's true is not its 1, though Python counts them as equal.
    united: dict[tuple[bool, Scalar], Scalar] = {}
    for item in known + added:
        united.setdefault((isinstance(item, bool), item), item)
    return list(united.values())


def _without(old: object, values: object) -> list[Scalar] | None:
    known = None if old is None else _values_or_none(old)
    removed = _values_or_none(values)
    if known is None or removed is None:
        return None
    unwanted = {(isinstance(item, bool), item) for item in removed}
    return [item for item in known if (isinstance(item, bool), item) not in unwanted]


def _values_or_none(value: object) -> list[Scalar] | None:
    try:
        return _clean_list(value if isinstance(value, list | tuple) else [value])
    except InvalidTag:
        return None


def _scalar_or_none(value: object) -> Scalar | None:
    try:
        return wire_scalar(value)
    except InvalidTag:
        return None


def _is_date(text: str) -> bool:
    if not DATE_FORM.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
