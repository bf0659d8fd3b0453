"""What the documents leave open and the sandbox lets you choose, and what Pushwoosh's control panel would hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from math import isfinite
from typing import Any

from django_pushwoosh.protocol.envelope import is_too_deep
from django_pushwoosh.protocol.filters import parse
from django_pushwoosh.protocol.tags import TagType

LONGEST_SECONDS = 86_400.0
MOST_PER_MINUTE = 1_000_000
MOST_ENTRIES = 1000
LONGEST_ENTRY = 16_384
LONGEST_NAME = 255

VAPID_KEY = "BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"
"""A key that browsers take, and nobody's: the base point of the curve P-256, uncompressed, in base64url."""

FEATURES: Mapping[str, Any] = {
    "page_visit": {"enabled": True},
    "vapid_key": VAPID_KEY,
    "events": ["PW_SiteOpened"],
    "subscription_prompt": {"useCase": "not-set"},
    "web_in_apps": {"enabled": False},
    "channels": [],
}
"""What getConfig tells an SDK that asks. Unverified against Pushwoosh: what a new application has; these let the web
SDK start and use all that it has. A `page_visit` without an `entrypoint` gets the sandbox's own.
"""


class OverCap(StrEnum):
    """How a request over the cap is answered: by HTTP 429, or by HTTP 200 whose `status_code` is 210."""

    HTTP = "http"
    ENVELOPE = "envelope"


class SmallBulk(StrEnum):
    """What becomes of bulkSetTags with fewer than 50 devices."""

    TAKE = "take"
    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Options:
    """How one sandbox decides.

    `filters` maps names of saved filters to filter expressions; `tags` declares the types of tags (others are learned
    from their first value). `in_apps` maps events to the code of the in-app message that they show, `zones` names to
    `{"lat", "lng", "range"}`, `popups` codes to `{"content": …}` with the rules of where they are shown, and `features`
    are what getConfig tells, over `FEATURES`; `None` takes one away. `lag_seconds` pass before registerDevice, setTags
    and deleteUser take effect, `pending_seconds` before a message that is due begins, and `job_seconds` before a bulk
    job is carried out.
    """

    filters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, TagType] = field(default_factory=dict)
    in_apps: Mapping[str, str] = field(default_factory=dict)
    zones: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    popups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    requests_per_minute: int = 600
    over_cap: OverCap = OverCap.HTTP
    job_seconds: float = 2.0
    small_bulk: SmallBulk = SmallBulk.TAKE
    lag_seconds: float = 0.0
    pending_seconds: float = 0.0
    requires_device_token: bool = False
    requires_content: bool = True
    answers_unknown_methods: bool = False
    case_sensitive: bool = False
    unset_matches_negative: bool = False

    def __post_init__(self) -> None:
        """Raises `ValueError` (`InvalidFilter` for a saved filter) for what makes no sense."""
        if not _is_number(self.requests_per_minute, int) or not 1 <= self.requests_per_minute <= MOST_PER_MINUTE:
            raise ValueError(f"requests_per_minute must be at least 1, and at most {MOST_PER_MINUTE}.")
        for name in SECONDS:
            value = getattr(self, name)
            if not _is_number(value, int | float) or not 0 <= value <= LONGEST_SECONDS:
                raise ValueError(f"{name} must be from 0 to {LONGEST_SECONDS:g}.")
        for name in SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false.")
        object.__setattr__(self, "over_cap", OverCap(self.over_cap))
        object.__setattr__(self, "small_bulk", SmallBulk(self.small_bulk))
        object.__setattr__(self, "tags", {name: TagType(kind) for name, kind in self.tags.items()})
        for text in self.filters.values():
            parse(text)
        for table, check in ENTRIES.items():
            entries = getattr(self, table)
            if len(entries) > MOST_ENTRIES:
                raise ValueError(f"{table} has at most {MOST_ENTRIES} entries.")
            for name, value in entries.items():
                _check_entry(table, name, value, check)
        object.__setattr__(self, "features", {**FEATURES, **self.features})


def _check_entry(table: str, name: Any, value: Any, check: Callable[[Any], bool]) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise ValueError(f"A name in {table} has 1 to {LONGEST_NAME} characters.")
    try:
        length = len(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"{table} holds JSON only.") from None
    if length > LONGEST_ENTRY or is_too_deep(value):
        raise ValueError(f"{name!r} in {table} is too large.")
    if not check(value):
        raise ValueError(f"{name!r} in {table} makes no sense: {WANTED[table]}.")


def _is_zone(value: Any) -> bool:
    if not isinstance(value, Mapping) or set(value) != {"lat", "lng", "range"}:
        return False
    if not all(_is_number(each, int | float) and isfinite(each) for each in value.values()):
        return False
    latitude, longitude, reach = value["lat"], value["lng"], value["range"]
    return bool(abs(latitude) <= 90 and abs(longitude) <= 180 and 0 < reach <= FARTHEST)


FARTHEST = 20_100_000
"""Metres: nothing on Earth is farther away."""

ENTRIES: Mapping[str, Callable[[Any], bool]] = {
    "in_apps": lambda value: isinstance(value, str) and 0 < len(value) <= LONGEST_NAME,
    "zones": _is_zone,
    "popups": lambda value: isinstance(value, Mapping) and "content" in value,
    "features": lambda value: True,
}
"""What SDKs ask for and the control page sets, entry by entry, and what makes an entry a good one."""

WANTED: Mapping[str, str] = {
    "in_apps": "give the code of an in-app message",
    "zones": "give lat and lng in degrees, and range in metres",
    "popups": "give an object with content",
    "features": "give any JSON",
}


SECONDS = ("job_seconds", "lag_seconds", "pending_seconds")
SWITCHES = (
    "requires_device_token",
    "requires_content",
    "answers_unknown_methods",
    "case_sensitive",
    "unset_matches_negative",
)
CHOICES: Mapping[str, type[StrEnum]] = {"over_cap": OverCap, "small_bulk": SmallBulk}
SWITCHED = frozenset(each.name for each in fields(Options)) - {"filters", "tags", *ENTRIES}
"""What can be changed by its name while the sandbox runs."""


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
