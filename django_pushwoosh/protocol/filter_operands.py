"""Operators and operands of conditions, names and codes: made clean, and printed. Source: seed 001, "Tag conditions".

Here is what holds whatever a tag's type is; what the types add stands in `filter_types`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from django_pushwoosh.protocol.errors import Invalid, InvalidFilter
from django_pushwoosh.protocol.platforms import PLATFORMS, Platform
from django_pushwoosh.protocol.tags import DATE_FORM, Scalar, Value, wire_scalar, wire_text

Operand: TypeAlias = Scalar | tuple[Scalar, ...]
_T = TypeVar("_T")

_CODE = re.compile(r"[0-9A-Za-z]{5}-[0-9A-Za-z]{5}")
_DAYS_AGO = re.compile(r"([0-9]{1,9}) days? ago", re.IGNORECASE)
_VERSION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){1,3}")

_PLATFORM_NAMES = {
    name.lower(): name for name in (*(platform.filter_name for platform in PLATFORMS), "Blackberry", "Windows_Phone")
}


class Operator(StrEnum):
    """How a tag's value is compared with the operand."""

    EQ = "EQ"
    NOTEQ = "NOTEQ"
    IN = "IN"
    NOTIN = "NOTIN"
    GTE = "GTE"
    LTE = "LTE"
    BETWEEN = "BETWEEN"
    NOTSET = "NOTSET"
    ANY = "ANY"


WITHOUT_OPERAND = frozenset({Operator.NOTSET, Operator.ANY})
"""Operators whose operand is not considered; it is sent as empty text."""

_LISTED = frozenset({Operator.IN, Operator.NOTIN})
_ORDERED = frozenset({Operator.GTE, Operator.LTE, Operator.BETWEEN})


def quoted(text: str) -> str:
    """Text as a filter expression writes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def printed_operand(operand: Operand) -> str:
    """An operand as a filter expression writes it: text in quotes, numbers without an exponent, lists in brackets."""
    if isinstance(operand, tuple):
        return f"[{', '.join(map(printed_operand, operand))}]"
    if isinstance(operand, str):
        return quoted(operand)
    if isinstance(operand, bool):
        return "true" if operand else "false"
    if isinstance(operand, int):
        return str(operand)
    # No document shows an exponent, so none is written; the point keeps it apart from an integer.
    digits = f"{Decimal(repr(operand)):f}"
    return digits if "." in digits else f"{digits}.0"


def checked(clean: Callable[[Any], _T], value: object) -> _T:
    """`clean(value)`, with its refusal told as a filter's."""
    try:
        return clean(value)
    except InvalidFilter:
        raise
    except Invalid as error:
        raise InvalidFilter(*error.problems) from None


def clean_code(value: object, owner: str) -> str:
    """The code of an application or a group; InvalidFilter says that `owner` has one."""
    text = checked(wire_text, value) if isinstance(value, str) else ""
    if not _CODE.fullmatch(text):
        raise InvalidFilter(f"The {owner} is named by its code, which looks like XXXXX-XXXXX.")
    return text


def clean_platforms(value: object) -> tuple[str, ...]:
    """Names of platforms, each once, in Pushwoosh's spelling where it has one. InvalidFilter for what is no name."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidFilter("Give the platforms as a list of names, such as iOS and Android.")
    names: dict[str, None] = {}
    for item in value:
        name = item.filter_name if isinstance(item, Platform) else item
        if not isinstance(name, str) or not name.strip():
            raise InvalidFilter("A platform is given by its name, such as iOS or Android.")
        text = checked(wire_text, name)
        names[_PLATFORM_NAMES.get(text.lower(), text)] = None
    return tuple(names)


def some_platforms(platforms: Iterable[str | Platform] | None) -> tuple[str, ...]:
    """The same for an argument: None is every platform, an empty list is refused."""
    if platforms is None:
        return ()
    names = clean_platforms(platforms)
    if not names:
        raise InvalidFilter("The list of platforms is empty: leave it out to address all of them.")
    return names


def listed(values: Iterable[Value]) -> tuple[Value, ...]:
    """The values of a list operand; one text is no list of its characters. InvalidFilter."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidFilter("Give a list of values; for a single one use eq() or not_eq().")
    if isinstance(values, set | frozenset):
        # Sets have no order of their own; the same set shall print the same.
        return tuple(sorted((checked(wire_scalar, value) for value in values), key=printed_operand))
    return tuple(values)


def clean_operator(value: object) -> Operator:
    """The operator of that name, in any case; InvalidFilter if there is none."""
    name = value.upper() if isinstance(value, str) else ""
    if name not in Operator.__members__:
        raise InvalidFilter(f"The operator must be one of {', '.join(Operator)}.")
    return Operator[name]


def clean_operand(operator: Operator, value: object) -> Operand:
    """The operand in wire form, a tuple for a list; InvalidFilter if the operator does not take it."""
    if operator in WITHOUT_OPERAND:
        return ""
    if operator in _LISTED or operator is Operator.BETWEEN:
        if not isinstance(value, list | tuple):
            raise InvalidFilter(f"{operator} takes a list of values.")
        operand = tuple(checked(wire_scalar, item) for item in value)
        if operator is Operator.BETWEEN:
            _check_range(operand)
        elif not operand:
            raise InvalidFilter(f"{operator} takes at least one value.")
        return operand
    if isinstance(value, list | tuple):
        instead = "BETWEEN" if operator in _ORDERED else "IN or NOTIN"
        raise InvalidFilter(f"{operator} takes a single value: use {instead} for a list.")
    scalar = checked(wire_scalar, value)
    if operator in _ORDERED and isinstance(scalar, bool):
        raise InvalidFilter(f"{operator} cannot compare true and false: use EQ.")
    return scalar


def _check_range(operand: tuple[Scalar, ...]) -> None:
    if len(operand) != 2:
        raise InvalidFilter("BETWEEN takes exactly two values, [minimum, maximum].")
    minimum, maximum = operand
    if isinstance(minimum, bool) or isinstance(maximum, bool):
        raise InvalidFilter("BETWEEN cannot compare true and false: use EQ.")
    if isinstance(minimum, str) and isinstance(maximum, str):
        is_reversed = _is_later(minimum, maximum)
    elif isinstance(minimum, str) or isinstance(maximum, str):
        is_reversed = False
    else:
        is_reversed = minimum > maximum
    if is_reversed:
        raise InvalidFilter("BETWEEN takes the minimum first: swap the two values.")


def _is_later(first: str, second: str) -> bool:
    """Whether `first` is known to come after `second`; texts whose order nobody knows are left to Pushwoosh."""
    if DATE_FORM.fullmatch(first) and DATE_FORM.fullmatch(second):
        midnight = "0000-00-00 00:00:00"
        return first + midnight[len(first) :] > second + midnight[len(second) :]
    ages = _DAYS_AGO.fullmatch(first), _DAYS_AGO.fullmatch(second)
    if ages[0] and ages[1]:
        return int(ages[0][1]) < int(ages[1][1])
    if _VERSION.fullmatch(first) and _VERSION.fullmatch(second):
        parts = [[int(part) for part in text.split(".")] for text in (first, second)]
        padded = [version + [0] * (4 - len(version)) for version in parts]
        return padded[0] > padded[1]
    return False
