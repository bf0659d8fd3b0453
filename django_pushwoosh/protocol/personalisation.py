"""Texts that differ by device: `{Tag|Modifier|default}` stands for the device's tag.

For a device without the tag the default decides: a text stands in its place, none at all (`{Tag|Modifier}`) leaves the
device out, an empty one (`{Tag|Modifier|}`) sends it the placeholder as it is written. `{{ … }}` and `{% … %}` belong
to Liquid: no placeholder begins inside. Everything here takes time in proportion to the text's length.

Source: Pushwoosh's documents on dynamic content; the modifiers and their exact case from its SDKs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django_pushwoosh.protocol.errors import Problem
from django_pushwoosh.protocol.fields.base import closest, shown

MOST_PROBLEMS = 20
"""Problems that are told of one text."""

MOST_ROOM = 100_000
"""Characters that values may add to one text: far more than any payload holds, and too little to hurt."""

LIQUID = {"{": "}}", "%": "%}"}
"""How Liquid's `{{` and `{%` end, by their second character."""

_BRACE = re.compile(r"[{}]")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LETTERS: dict[str, Callable[[datetime], str]] = {
    "d": lambda at: f"{at.day:02}",
    "m": lambda at: f"{at.month:02}",
    "M": lambda at: _MONTHS[at.month - 1],
    "y": lambda at: f"{at.year % 100:02}",
    "Y": lambda at: f"{at.year:04}",
    "l": lambda at: _DAYS[at.weekday()],
    "H": lambda at: f"{at.hour:02}",
    "i": lambda at: f"{at.minute:02}",
}


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One placeholder as it stands in a text. `default` is `None` where there is no second bar."""

    text: str
    name: str
    modifier: str
    default: str | None


def placeholders(text: str) -> list[Placeholder]:
    """Every placeholder of a text, in order."""
    return [each for each in _parts(text) if isinstance(each, Placeholder)]


def problems(text: str, path: str) -> list[Problem]:
    """What Pushwoosh would misread: placeholders without a name, or with a modifier that it does not know."""
    found: dict[str, Problem] = {}
    for each in placeholders(text):
        if each.text not in found and (said := _mistake(each)):
            found[each.text] = Problem(path, said)
            if len(found) >= MOST_PROBLEMS:
                break
    return list(found.values())


def warnings(text: str, path: str) -> list[Problem]:
    """What devices without the tag get instead: no message, or the placeholder itself."""
    found: dict[str, Problem] = {}
    for each in placeholders(text):
        if each.default or each.text in found:
            continue
        if each.default is None:
            said = f"{shown(each.text)}: devices without the tag get no message at all; add |a default"
        else:
            said = f"{shown(each.text)}: devices without the tag see the placeholder itself; write a default in it"
        found[each.text] = Problem(path, said)
        if len(found) >= MOST_PROBLEMS:
            break
    return list(found.values())


def fill(text: str, value_of: Callable[[str], object]) -> str | None:
    """The text for one device, whose tags `value_of` tells by name; `None`: this device gets no message.

    A tag without a value is `None`, "" or an empty list. Liquid stays as it is.
    """
    if "{" not in text:
        return text
    filled: list[str] = []
    room = MOST_ROOM
    for each in _parts(text):
        if isinstance(each, str):
            filled.append(each)
            continue
        value = value_of(each.name)
        if _is_missing(value, each.modifier):
            if each.default is None:
                return None
            filled.append(each.default or each.text)
        elif room:
            filled.append(_modified(each.modifier, value)[:room])
            room -= len(filled[-1])
    return "".join(filled)


def _parts(text: str) -> Iterator[str | Placeholder]:
    """The text in pieces: placeholders, and what stands between them."""
    start = position = 0
    unclosed: set[str] = set()
    while (opened := text.find("{", position)) >= 0:
        end = LIQUID.get(text[opened + 1 : opened + 2], "")
        if end:
            closed = -1 if end in unclosed else text.find(end, opened + 2)
            if closed < 0:
                # There is none behind any later beginning either, so that nobody need look again.
                unclosed.add(end)
                position = opened + 1 + (end == "%}")
            else:
                position = closed + 2
            continue
        brace = _BRACE.search(text, opened + 1)
        if brace is None:
            break
        closed = brace.start()
        name, bar, rest = text[opened + 1 : closed].partition("|")
        if brace[0] == "{" or not bar:
            position = closed if brace[0] == "{" else closed + 1
            continue
        modifier, bar, default = rest.partition("|")
        if opened > start:
            yield text[start:opened]
        yield Placeholder(text[opened : closed + 1], name, modifier, default if bar else None)
        start = position = closed + 1
    if start < len(text):
        yield text[start:]


def _mistake(placeholder: Placeholder) -> str:
    said = shown(placeholder.text)
    if not placeholder.name.strip():
        return f"{said} has no tag's name before the first bar"
    if placeholder.modifier in MODIFIERS:
        return ""
    if not placeholder.modifier:
        return f"{said} has no modifier; regular leaves the value as it is"
    meant = placeholder.modifier.strip().lower()
    for each in MODIFIERS:
        if each.lower() == meant:
            return f"{said} has an unknown modifier. Did you mean {each!r}?"
    hint = closest(placeholder.modifier, MODIFIERS) or f" There are {', '.join(MODIFIERS)}."
    return f"{said} has an unknown modifier.{hint}"


def _is_missing(value: object, modifier: str) -> bool:
    # Their SDKs make $.00 of an empty text, and of nothing else.
    return value is None or (value == "" and modifier != "cent") or value == [] or isinstance(value, Mapping)


def _modified(modifier: str, value: object) -> str:
    """A tag's value as it is read. What a modifier cannot be applied to, stays as it is."""
    if isinstance(value, str):
        value = value[:MOST_ROOM]
    try:
        # What is unknown changes nothing; it is refused where it is written.
        return MODIFIERS.get(modifier, _text)(value)
    except (ValueError, OverflowError, OSError):
        return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(_text(each) for each in value if not isinstance(each, list | tuple | Mapping))
    if isinstance(value, int) and value.bit_length() > 1024:
        # Python refuses to write out the longest of them.
        return hex(value)
    return str(value)


def _capitalize_all(value: Any) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in _text(value).split(" "))


def _capitalize_first(value: Any) -> str:
    text = _text(value)
    return text[:1].upper() + text[1:]


def _number(value: Any) -> int | float:
    """Raises `ValueError`."""
    if isinstance(value, str) and len(value) <= 64:
        value = float(value) if any(sign in value for sign in ".eE") else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("no finite number")
    if isinstance(value, int) and value.bit_length() > 1024:
        raise ValueError("no number that anyone reads")
    return value


def _grouped(sign: str) -> Callable[[Any], str]:
    """`1234` is 1,234 behind the sign."""

    def modify(value: Any) -> str:
        number = _number(value)
        return f"{'-' if number < 0 else ''}{sign}{abs(number):,}"

    return modify


def _cent(value: Any) -> str:
    """`123456` is $1234.56, `42` is $.42."""
    cents = 0 if value == "" else int(_number(value))
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}${whole or ''}.{rest:02}"


def _moment(value: Any) -> datetime:
    """A unix time in UTC, or a date as date tags hold it. Raises `ValueError`, `OverflowError` and `OSError`."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.utcoffset() is not None else value
    if isinstance(value, str) and "-" in value[1:]:
        return datetime.fromisoformat(value[:32])
    return datetime.fromtimestamp(_number(value), UTC)


def _date(form: str) -> Callable[[Any], str]:
    def modify(value: Any) -> str:
        moment = _moment(value)
        return "".join(_LETTERS[letter](moment) if letter in _LETTERS else letter for letter in form)

    return modify


MODIFIERS: Mapping[str, Callable[[Any], str]] = {
    "regular": _text,
    "text": _text,
    "lowercase": lambda value: _text(value).lower(),
    "UPPERCASE": lambda value: _text(value).upper(),
    "CapitalizeFirst": _capitalize_first,
    "CapitalizeAllFirst": _capitalize_all,
    "comma": _grouped(""),
    "dollar": _grouped("$"),
    "euro": _grouped("€"),
    "jpy": _grouped("¥"),
    "lira": _grouped("₤"),
    "cent": _cent,
} | {
    form: _date(form) for form in ("M-d-y", "m-d-y", "M d y", "M d Y", "l", "M d", "H:i", "m-d-y H:i")
}  # fmt: skip
"""How a value may be written, by the name that stands between the bars."""
