"""What the documents leave open and the sandbox lets you choose, and what Pushwoosh's control panel would hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from django_pushwoosh.protocol.filters import parse
from django_pushwoosh.protocol.tags import TagType

LONGEST_SECONDS = 86_400.0
MOST_PER_MINUTE = 1_000_000


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
    from their first value); `in_apps` maps events to the in-app message that they show. `lag_seconds` pass before
    registerDevice, setTags and deleteUser take effect, `pending_seconds` before a message that is due begins, and
    `job_seconds` before a bulk job is carried out.
    """

    filters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, TagType] = field(default_factory=dict)
    in_apps: Mapping[str, str] = field(default_factory=dict)
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


SECONDS = ("job_seconds", "lag_seconds", "pending_seconds")
SWITCHES = (
    "requires_device_token",
    "requires_content",
    "answers_unknown_methods",
    "case_sensitive",
    "unset_matches_negative",
)
CHOICES: Mapping[str, type[StrEnum]] = {"over_cap": OverCap, "small_bulk": SmallBulk}
SWITCHED = frozenset(each.name for each in fields(Options)) - {"filters", "tags", "in_apps"}
"""What can be changed while the sandbox runs."""


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
