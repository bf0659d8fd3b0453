"""Text and what is written in it: languages, addresses, codes, colours, choices."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django_pushwoosh.protocol.errors import Invalid, Problem
from django_pushwoosh.protocol.fields.base import (
    LONGEST_IDENTIFIER,
    LONGEST_TEXT,
    MOST_PROBLEMS,
    MOST_TARGETS,
    MOST_VALUES,
    Kind,
    cleaned_list,
    closest,
    key_text,
    listed,
    mapping,
    plain_text,
    refused,
    shown,
)

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_SPACE = re.compile(r"[\s\x00-\x20\x7f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_LANGUAGE = re.compile(r"default|[a-z]{2,3}|zh-Han[st]")


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """Text of up to `max_length` characters that matches `pattern` as a whole; `rule` says the pattern in words."""

    name: ClassVar[str] = "text"
    max_length: int = LONGEST_TEXT
    pattern: str = ""
    rule: str = ""
    blank: bool = False

    @property
    def plain_length(self) -> int:
        return 0 if self.pattern else self.max_length

    def clean(self, value: Any, path: str = "") -> str:
        text = plain_text(value, path)
        if len(text) > self.max_length:
            raise refused(path, f"must have at most {self.max_length} characters; it has {len(text)}")
        if not text.strip():
            if not self.blank or text:
                raise refused(path, "must not be empty")
            return text
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise refused(path, f"must be {self.describe()}, not {shown(text)}")
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

    @property
    def plain_length(self) -> int:
        return self.text.plain_length

    def clean(self, value: Any, path: str = "") -> str | dict[str, str]:
        if isinstance(value, str):
            return self.text.clean(value, path)
        if not isinstance(value, Mapping):
            raise refused(path, f"must be text, or an object of texts by language, not {shown(value)}")
        if not value:
            raise refused(path, "must have a text for at least one language")
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
    key = key_text(value, path)
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
    raise refused(path, f"{shown(key)} is no language: {advice}")


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
            raise refused(path, "must be base64 of the notification's XML or raw content")
        return joined

    def describe(self) -> str:
        return "base64 of XML or raw content, or one per language"


@dataclass(frozen=True, slots=True)
class TextMap(Kind):
    """An object whose values are texts."""

    name: ClassVar[str] = "text map"

    def clean(self, value: Any, path: str = "") -> dict[str, str]:
        items = mapping(value, path)
        if len(items) > MOST_VALUES:
            raise refused(path, f"holds more than {MOST_VALUES} values")
        problems: list[Problem] = []
        cleaned: dict[str, str] = {}
        for key, text in items.items():
            try:
                name = key_text(key, path)
                if not name.strip():
                    raise refused(path, "keys must not be empty")
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
        items = listed(value, path)
        strings = cleaned_list(items, path, Text(self.max_length, blank=self.blank).clean)
        if self.unique:
            strings = list(dict.fromkeys(strings))
        if not self.minimum <= len(strings) <= self.maximum:
            raise refused(path, f"must be {self.describe()}; it has {len(strings)}")
        return strings

    def describe(self) -> str:
        return f"a list of {self.minimum} to {self.maximum} texts of up to {self.max_length} characters"


@dataclass(frozen=True, slots=True)
class Code(Kind):
    """A code from Pushwoosh's Control Panel: application, group, preset, campaign, rich media."""

    name: ClassVar[str] = "code"

    def clean(self, value: Any, path: str = "") -> str:
        text = plain_text(value, path)
        if not re.fullmatch(r"[0-9A-Z]{5}-[0-9A-Z]{5}", text):
            hint = ": write it in capitals" if re.fullmatch(r"[0-9A-Za-z]{5}-[0-9A-Za-z]{5}", text) else ""
            raise refused(path, f"must be {self.describe()}, not {shown(text)}{hint}")
        return text

    def describe(self) -> str:
        return "a code of the form XXXXX-XXXXX from the Control Panel"


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
            raise refused(path, "must not contain spaces or control characters: encode a space as %20")
        scheme = _SCHEME.match(filled)
        if scheme is None:
            if text.startswith("{") and self.deep_links:
                return text
            raise refused(path, f"must be {self.describe()}, not {shown(text)}")
        name = scheme[1].lower()
        if name in ("http", "https"):
            try:
                parts = urlsplit(filled)
                complete = bool(parts.hostname) and (parts.port is None or parts.port >= 0)
            except ValueError:
                complete = False
            if not complete:
                raise refused(path, f"{shown(text)} has no valid host")
        elif not self.deep_links or name in ("javascript", "data", "vbscript", "file", "blob"):
            raise refused(path, f"must be {self.describe()}, not {shown(text)}")
        elif scheme.end() == len(filled):
            raise refused(path, f"{shown(text)} says nothing after its scheme")
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
        text = plain_text(value, path)
        if not re.fullmatch(r"#(?:[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})|[A-Za-z]{3,24}", text):
            raise refused(path, f"must be {self.describe()}, not {shown(text)}")
        return text

    def describe(self) -> str:
        return "a colour: #RRGGBB, #AARRGGBB or a name such as red"


@dataclass(frozen=True, slots=True)
class LedColor(Kind):
    """A colour of a notification light: `#RRGGBB`."""

    name: ClassVar[str] = "led color"

    def clean(self, value: Any, path: str = "") -> str:
        text = plain_text(value, path)
        if not re.fullmatch(r"#[0-9A-Fa-f]{6}", text):
            raise refused(path, f"must be {self.describe()}, not {shown(text)}")
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
        raise refused(path, f"must be {self.describe()}, not {shown(value)}{hint and '.'}{hint}")

    def describe(self) -> str:
        return "one of " + ", ".join(str(option) or '""' for option in self.options)
