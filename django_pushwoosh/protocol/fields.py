"""The kinds of values on the wire: each cleans a value and describes, in words, what it takes.

`clean` gives the value as it is sent, or raises `Invalid` with a `Problem` for everything that has to change; the
value it gives is its own copy, so what a caller changes later changes nothing here. No kind guesses: a `bool` is not
a number, a `str` is not a list, and NUL, lone surrogates, numbers beyond 64 bits, NaN and bottomless nesting are
refused wherever they hide, because no JSON peer agrees on what they mean.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import json
import math
import re
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import cache
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django_pushwoosh.protocol import filters
from django_pushwoosh.protocol.errors import Invalid, Problem
from django_pushwoosh.protocol.platforms import BY_NUMBER, TARGETS, Platform, label_of

LONGEST_TEXT = 65_536
"""Our bound where Pushwoosh states none, in characters; a push's whole payload holds 4 KB."""
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

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_SPACE = re.compile(r"[\s\x00-\x20\x7f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_LANGUAGE = re.compile(r"default|[a-z]{2,3}|zh-Han[st]")


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


def _refused(path: str, text: str) -> Invalid:
    return Invalid(Problem(path, text))


def _string(value: object, path: str) -> str:
    """A plain `str` that UTF-8 and JSON can carry."""
    if not isinstance(value, str):
        hint = "; decode it first" if isinstance(value, (bytes, bytearray)) else ""
        raise _refused(path, f"must be text (str), not {shown(value)}{hint}")
    if type(value) is not str:
        value = str.__str__(value)
    if "\x00" in value:
        raise _refused(path, "must not contain the NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _refused(path, "contains half of a surrogate pair, which UTF-8 cannot carry") from None
    return value


def _whole(value: object, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refused(path, f"must be a whole number, not {shown(value)}")
    return int.__int__(value)


def _mapping(value: object, path: str) -> Mapping[Any, Any]:
    if isinstance(value, Mapping):
        return value
    raise _refused(path, f"must be an object (dict), not {shown(value)}")


def _list(value: object, path: str) -> list[Any] | tuple[Any, ...]:
    if isinstance(value, str):
        raise _refused(path, "must be a list, not one text: wrap it in a list")
    if not isinstance(value, (list, tuple)):
        raise _refused(path, f"must be a list, not {shown(value)}")
    return value


def _key(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise _refused(path, f"keys must be text (str), not {shown(value)}")
    try:
        return _string(value, path)
    except Invalid as error:
        raise _refused(path, f"the key {shown(value)} {error.problems[0].text}") from None


def _json(value: Any, path: str, room: int = MOST_VALUES) -> Any:
    """A copy of a JSON value, or `Invalid` for what JSON, or the other side, cannot hold."""
    left = room

    def copy(value: Any, path: str, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise _refused(path, f"holds more than {room} values")
        if isinstance(value, str):
            return _string(value, path)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            if int.bit_length(value) > 63:
                raise _refused(path, "must fit into 64 bits; send longer numbers as text")
            return int.__int__(value)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise _refused(path, f"{shown(value)} is no JSON number")
            return float.__float__(value)
        if depth >= DEEPEST:
            raise _refused(path[:80], f"is nested deeper than {DEEPEST} levels, or contains itself")
        if isinstance(value, Mapping):
            copied = {}
            for key, item in value.items():
                name = _key(key, path)
                copied[name] = copy(item, f"{path}.{name[:40]}" if path else name[:40], depth + 1)
            return copied
        if isinstance(value, (list, tuple)):
            return [copy(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
        raise _refused(path, f"{shown(value)} has no form in JSON")

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
    """What one value may be. `name` tells the kinds apart for forms and generated documents."""

    __slots__ = ()
    name: ClassVar[str]

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
        return _json(value, path)

    def describe(self) -> str:
        return "any JSON value"


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """Text of up to `max_length` characters that matches `pattern` as a whole; `rule` says the pattern in words."""

    name: ClassVar[str] = "text"
    max_length: int = LONGEST_TEXT
    pattern: str = ""
    rule: str = ""
    blank: bool = False

    def clean(self, value: Any, path: str = "") -> str:
        text = _string(value, path)
        if len(text) > self.max_length:
            raise _refused(path, f"must have at most {self.max_length} characters; it has {len(text)}")
        if not text.strip():
            if not self.blank or text:
                raise _refused(path, "must not be empty")
            return text
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise _refused(path, f"must be {self.describe()}, not {shown(text)}")
        return text

    def describe(self) -> str:
        words = self.rule or ("text of a given form" if self.pattern else f"text of up to {self.max_length} characters")
        return f"{words}, or an empty one" if self.blank else words


@dataclass(frozen=True, slots=True)
class LocalizedText(Kind):
    """One text for everybody, or an object with one text per language.

    Languages are two lower-case letters (ISO 639-1; three where a language has no two), `zh-Hans`, `zh-Hant`, or
    `default` for those who speak none of the others.
    """

    name: ClassVar[str] = "localized text"
    text: Text = Text()

    def clean(self, value: Any, path: str = "") -> str | dict[str, str]:
        if isinstance(value, str):
            return self.text.clean(value, path)
        if not isinstance(value, Mapping):
            raise _refused(path, f"must be text, or an object of texts by language, not {shown(value)}")
        if not value:
            raise _refused(path, "must have a text for at least one language")
        problems: list[Problem] = []
        cleaned: dict[str, str] = {}
        for language, text in value.items():
            try:
                key = language_key(language, path)
                cleaned[key] = self.text.clean(text, f"{path}.{key}" if path else key)
            except Invalid as error:
                problems.extend(error.problems)
                if len(problems) >= MOST_PROBLEMS:
                    break
        if problems:
            raise Invalid(*problems)
        return cleaned

    def describe(self) -> str:
        return f"{self.text.describe()}, or one per language ({{'en': …, 'de': …}})"


def language_key(value: object, path: str = "") -> str:
    """A language as Pushwoosh writes it, or `Invalid` that says how to write it."""
    key = _key(value, path)
    if _LANGUAGE.fullmatch(key):
        return key
    base, _, rest = key.replace("_", "-").lower().partition("-")
    if base == "zh" and rest in ("hans", "hant"):
        hint = f"zh-{rest.title()}"
    elif base == "default" or (base.isascii() and base.isalpha() and 2 <= len(base) <= 3):
        hint = base
    else:
        hint = ""
    advice = f"write {hint!r}" if hint else "use two lower-case letters such as 'en', or 'default'"
    raise _refused(path, f"{shown(key)} is no language: {advice}")


@dataclass(frozen=True, slots=True)
class LocalizedBase64(Kind):
    """Base64 (MIME), once for everybody or per language; line breaks inside it are taken out."""

    name: ClassVar[str] = "localized base64"

    def clean(self, value: Any, path: str = "") -> str | dict[str, str]:
        texts = LocalizedText().clean(value, path)
        if isinstance(texts, str):
            return self._checked(texts, path)
        return {
            language: self._checked(text, f"{path}.{language}" if path else language)
            for language, text in texts.items()
        }

    @staticmethod
    def _checked(text: str, path: str) -> str:
        joined = "".join(text.split())
        try:
            decoded = base64.b64decode(joined, validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
        if not decoded:
            raise _refused(path, "must be base64 of the notification's XML or raw content")
        return joined

    def describe(self) -> str:
        return "base64 of XML or raw content, or one per language"


@dataclass(frozen=True, slots=True)
class Integer(Kind):
    """A whole number between two bounds, both included."""

    name: ClassVar[str] = "integer"
    minimum: int = -LARGEST_INTEGER
    maximum: int = LARGEST_INTEGER
    unit: str = ""

    def clean(self, value: Any, path: str = "") -> int:
        number = _whole(value, path)
        if not self.minimum <= number <= self.maximum:
            raise _refused(path, f"must be {self.describe()}, not {shown(number)}")
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
            raise _refused(path, f"must be a number, not {shown(value)}")
        number = _json(value, path)
        if not self.minimum <= number <= self.maximum:
            raise _refused(path, f"must be {self.describe()}, not {shown(number)}")
        return number  # type: ignore[no-any-return]

    def describe(self) -> str:
        if math.isinf(self.maximum) and math.isinf(self.minimum):
            return "a number"
        return f"a number from {self.minimum} to {self.maximum}"


def _truth(value: Any, path: str) -> bool:
    if isinstance(value, bool) or (type(value) is int and value in (0, 1)):
        return bool(value)
    raise _refused(path, f"must be true or false, not {shown(value)}")


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

    def clean(self, value: Any, path: str = "") -> int:
        return int(_truth(value, path))

    def describe(self) -> str:
        return "true or false (sent as 1 or 0)"


@dataclass(frozen=True, slots=True)
class Badge(Kind):
    """A badge's number, or "+n" / "-n" to count from the present one; digits in text become a number."""

    name: ClassVar[str] = "badge"
    or_boolean: bool = False

    def clean(self, value: Any, path: str = "") -> int | str | bool:
        if isinstance(value, bool) and self.or_boolean:
            return value
        if isinstance(value, str):
            text = _string(value, path)
            if re.fullmatch(r"[+-][0-9]{1,9}", text):
                return text
            if re.fullmatch(r"[0-9]{1,9}", text):
                return int(text)
        elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
            return int.__int__(value)
        raise _refused(path, f"must be {self.describe()}, not {shown(value)}")

    def describe(self) -> str:
        words = 'a number from 0, or "+n" / "-n" to add or subtract'
        return f"true, false, {words}" if self.or_boolean else words


@dataclass(frozen=True, slots=True)
class Seconds(Kind):
    """A lifespan in whole seconds; a `timedelta` is turned into seconds."""

    name: ClassVar[str] = "seconds"
    minimum: int = 0
    maximum: int = 2**31 - 1

    def clean(self, value: Any, path: str = "") -> int:
        if isinstance(value, timedelta):
            if value.microseconds:
                raise _refused(path, "must be whole seconds")
            value = value.days * 86_400 + value.seconds
        seconds = _whole(value, path)
        if not self.minimum <= seconds <= self.maximum:
            raise _refused(path, f"must be {self.describe()}, not {shown(seconds)}")
        return seconds

    def describe(self) -> str:
        if self.maximum < 2**31 - 1:
            return f"seconds, from {self.minimum} to {self.maximum}"
        return "seconds, 0 or more (services keep an undelivered push for 28 days, 2419200, at most)"


@dataclass(frozen=True, slots=True)
class Url(Kind):
    """An absolute http(s) address; with `deep_links` any scheme that an app may have registered.

    Pushwoosh fills placeholders (`{Name|CapitalizeFirst|friend}`, Liquid's `{{ … }}`) before the address is used, so
    they may stand in it. Schemes that run or carry content in place are no addresses to open, and are refused.
    """

    name: ClassVar[str] = "url"
    deep_links: bool = False
    max_length: int = 4096

    def clean(self, value: Any, path: str = "") -> str:
        text = Text(self.max_length).clean(value, path)
        filled = _PLACEHOLDER.sub("x", _PLACEHOLDER.sub("x", text))
        if _SPACE.search(filled):
            raise _refused(path, "must not contain spaces or control characters: encode a space as %20")
        scheme = _SCHEME.match(filled)
        if scheme is None:
            if text.startswith("{") and self.deep_links:
                return text
            raise _refused(path, f"must be {self.describe()}, not {shown(text)}")
        name = scheme[1].lower()
        if name in ("http", "https"):
            try:
                parts = urlsplit(filled)
                complete = bool(parts.hostname) and (parts.port is None or parts.port >= 0)
            except ValueError:
                complete = False
            if not complete:
                raise _refused(path, f"{shown(text)} has no valid host")
        elif not self.deep_links or name in ("javascript", "data", "vbscript", "file", "blob"):
            raise _refused(path, f"must be {self.describe()}, not {shown(text)}")
        elif scheme.end() == len(filled):
            raise _refused(path, f"{shown(text)} says nothing after its scheme")
        return text

    def describe(self) -> str:
        if self.deep_links:
            return "an address that starts with http:// or https://, or a deep link such as myapp://orders/7"
        return "an address that starts with http:// or https://"


def is_web_address(value: str) -> bool:
    return value[:8].lower().startswith(("http://", "https://"))


@dataclass(frozen=True, slots=True)
class Color(Kind):
    """A colour: `#RRGGBB`, `#AARRGGBB`, or a name that Android knows."""

    name: ClassVar[str] = "color"

    def clean(self, value: Any, path: str = "") -> str:
        text = _string(value, path)
        if not re.fullmatch(r"#(?:[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})|[A-Za-z]{3,24}", text):
            raise _refused(path, f"must be {self.describe()}, not {shown(text)}")
        return text

    def describe(self) -> str:
        return "a colour: #RRGGBB, #AARRGGBB or a name such as red"


@dataclass(frozen=True, slots=True)
class LedColor(Kind):
    """A colour of a notification light: `#RRGGBB`."""

    name: ClassVar[str] = "led color"

    def clean(self, value: Any, path: str = "") -> str:
        text = _string(value, path)
        if not re.fullmatch(r"#[0-9A-Fa-f]{6}", text):
            raise _refused(path, f"must be {self.describe()}, not {shown(text)}")
        return text

    def describe(self) -> str:
        return "a colour written #RRGGBB"


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One of some values; `labels` name them for people, in the same order."""

    name: ClassVar[str] = "choice"
    options: tuple[str | int, ...]
    labels: tuple[str, ...] = ()

    @property
    def choices(self) -> tuple[tuple[str | int, str], ...]:
        """(value, label) pairs, as forms want them."""
        return tuple(zip(self.options, self.labels or map(str, self.options), strict=True))

    def clean(self, value: Any, path: str = "") -> str | int:
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            for option in self.options:
                if option == value and isinstance(value, type(option)):
                    return option
        hint = ""
        if isinstance(value, str):
            hint = closest(value, [option for option in self.options if isinstance(option, str)])
        raise _refused(path, f"must be {self.describe()}, not {shown(value)}{hint and '.'}{hint}")

    def describe(self) -> str:
        return "one of " + ", ".join(str(option) or '""' for option in self.options)


@dataclass(frozen=True, slots=True)
class JsonObject(Kind):
    """A JSON object. Where a key of `objects` is there, its value must be an object too."""

    name: ClassVar[str] = "json object"
    objects: tuple[str, ...] = ()

    def clean(self, value: Any, path: str = "") -> dict[str, Any]:
        cleaned: dict[str, Any] = _json(_mapping(value, path), path)
        for key in self.objects:
            if key in cleaned and not isinstance(cleaned[key], dict):
                raise _refused(f"{path}.{key}" if path else key, "must be an object (dict)")
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
            raise _refused(path, "must be a JSON object, or the text of one; this text is not valid JSON") from None
        if not isinstance(parsed, dict):
            raise _refused(path, "must be a JSON object; this text holds another JSON value")
        _json(parsed, path)
        return text

    def describe(self) -> str:
        return 'a JSON object such as {"key": "value"}'


@dataclass(frozen=True, slots=True)
class Objects(Kind):
    """A list of at least one JSON object."""

    name: ClassVar[str] = "objects"

    def clean(self, value: Any, path: str = "") -> list[dict[str, Any]]:
        items = _list(value, path)
        if not items:
            raise _refused(path, "must not be an empty list")
        if any(not isinstance(item, Mapping) for item in items):
            return cleaned_list(items, path, _mapping)
        copied: list[dict[str, Any]] = _json(items, path, MOST_VALUES_IN_BULK)
        return copied

    def describe(self) -> str:
        return "a list of JSON objects"


@dataclass(frozen=True, slots=True)
class TextMap(Kind):
    """An object whose values are texts."""

    name: ClassVar[str] = "text map"

    def clean(self, value: Any, path: str = "") -> dict[str, str]:
        items = _mapping(value, path)
        if len(items) > MOST_VALUES:
            raise _refused(path, f"holds more than {MOST_VALUES} values")
        problems: list[Problem] = []
        cleaned: dict[str, str] = {}
        for key, text in items.items():
            try:
                name = _key(key, path)
                if not name.strip():
                    raise _refused(path, "keys must not be empty")
                cleaned[name] = Text(blank=True).clean(text, f"{path}.{name[:40]}" if path else name[:40])
            except Invalid as error:
                problems.extend(error.problems)
                if len(problems) >= MOST_PROBLEMS:
                    break
        if problems:
            raise Invalid(*problems)
        return cleaned

    def describe(self) -> str:
        return 'an object of texts such as {"firstname": "Ada"}'


@dataclass(frozen=True, slots=True)
class Strings(Kind):
    """A list of texts; with `unique`, a text that comes again is left out, and the order is kept."""

    name: ClassVar[str] = "strings"
    minimum: int = 1
    maximum: int = MOST_TARGETS
    unique: bool = True
    max_length: int = LONGEST_IDENTIFIER
    blank: bool = False

    def clean(self, value: Any, path: str = "") -> list[str]:
        items = _list(value, path)
        strings = cleaned_list(items, path, Text(self.max_length, blank=self.blank).clean)
        if self.unique:
            strings = list(dict.fromkeys(strings))
        if not self.minimum <= len(strings) <= self.maximum:
            raise _refused(path, f"must be {self.describe()}; it has {len(strings)}")
        return strings

    def describe(self) -> str:
        return f"a list of {self.minimum} to {self.maximum} texts of up to {self.max_length} characters"


@dataclass(frozen=True, slots=True)
class Code(Kind):
    """A code from Pushwoosh's Control Panel: application, group, preset, campaign, rich media."""

    name: ClassVar[str] = "code"

    def clean(self, value: Any, path: str = "") -> str:
        text = _string(value, path)
        if not re.fullmatch(r"[0-9A-Z]{5}-[0-9A-Z]{5}", text):
            hint = ": write it in capitals" if re.fullmatch(r"[0-9A-Za-z]{5}-[0-9A-Za-z]{5}", text) else ""
            raise _refused(path, f"must be {self.describe()}, not {shown(text)}{hint}")
        return text

    def describe(self) -> str:
        return "a code of the form XXXXX-XXXXX from the Control Panel"


@dataclass(frozen=True, slots=True)
class Day(Kind):
    """A calendar day: `YYYY-MM-DD`, or a `date`."""

    name: ClassVar[str] = "day"

    def clean(self, value: Any, path: str = "") -> str:
        if isinstance(value, date):
            if isinstance(value, datetime):
                raise _refused(path, "must be a day without a time: use .date() in the time zone you mean")
            return value.isoformat()
        text = _string(value, path)
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            try:
                return date.fromisoformat(text).isoformat()
            except ValueError:
                raise _refused(path, f"there is no day {text}") from None
        raise _refused(path, f"must be {self.describe()}, not {shown(text)}")

    def describe(self) -> str:
        return "a day written YYYY-MM-DD"


@dataclass(frozen=True, slots=True)
class SendDate(Kind):
    """`now`, or a minute of the calendar: `YYYY-MM-DD HH:mm`; seconds are allowed, they are kept.

    A `datetime` is refused: which zone it is meant in is said by `timezone` and `ignore_user_timezone` beside it.
    """

    name: ClassVar[str] = "send date"

    def clean(self, value: Any, path: str = "") -> str:
        text = _string(value, path)
        if text == "now":
            return text
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(?::[0-9]{2})?", text):
            try:
                datetime.fromisoformat(text)
            except ValueError:
                raise _refused(path, f"there is no time {text}") from None
            return text
        raise _refused(path, f"must be {self.describe()}, not {shown(text)}")

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
            raise _refused(path, f"{shown(text)} is no time zone such as Europe/Oslo.{closest(text, zones)}")
        return text

    def describe(self) -> str:
        return "the name of a time zone, such as Europe/Oslo"


@dataclass(frozen=True, slots=True)
class GeozoneKind(Kind):
    """A circle on the map: latitude and longitude in degrees, range in metres."""

    name: ClassVar[str] = "geozone"

    def clean(self, value: Any, path: str = "") -> dict[str, int | float]:
        circle = _mapping(value, path)
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
        numbers = list(dict.fromkeys(cleaned_list(_list(value, path), path, self._number)))
        if not numbers:
            raise _refused(path, "must not be empty: leave it out to reach all platforms")
        return numbers

    @staticmethod
    def _number(value: Any, path: str) -> int:
        if isinstance(value, Platform):
            value = value.number
        number = _whole(value, path)
        if number not in _TARGETS:
            name = label_of(number) if number in BY_NUMBER else shown(number)
            raise _refused(path, f"{name} cannot be chosen: use {', '.join(map(str, sorted(_TARGETS)))}")
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
