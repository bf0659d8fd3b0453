"""Whom a message is for: exactly one of the classes below, never nobody, and everyone only by name.

Pushwoosh reads a message without an audience as one to every subscriber, so an audience that turns out to be empty is
refused the moment it is made. The classes are immutable; `to_json` and `from_json` carry them through a database.
Source: seed 001 (createMessage, createTargetedMessage).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django_pushwoosh.protocol import filters
from django_pushwoosh.protocol.errors import Invalid, InvalidMessage, Problem
from django_pushwoosh.protocol.fields import (
    LONGEST_IDENTIFIER,
    MOST_PROBLEMS,
    MOST_TARGETS,
    Boolean,
    Choice,
    Code,
    GeozoneKind,
    Kind,
    Text,
    shown,
)

AND = "AND"
OR = "OR"


class Audience:
    """One of the kinds of audience; `keys` are the names it must have in the request that leaves."""

    __slots__ = ()
    kind: ClassVar[str]
    keys: ClassVar[tuple[str, ...]] = ()

    def arguments(self) -> dict[str, Any]:
        """What it adds to the message on the wire."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """A JSON object from which `from_json` makes an equal audience."""
        raise NotImplementedError

    def describe(self) -> str:
        """Who it is, in plain English, as the end of "Goes to …"."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Everyone(Audience):
    """Every subscriber of the application."""

    kind: ClassVar[str] = "everyone"

    def arguments(self) -> dict[str, Any]:
        return {}

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def describe(self) -> str:
        return "everyone who is subscribed to the application"


EVERYONE = Everyone()


@dataclass(frozen=True, slots=True, init=False)
class Devices(Audience):
    """Devices by hardware id or push token, in any number (`split` makes messages of up to 1000 of them).

    Ids are kept as they are, for hardware ids of iOS are written in capitals; repeated ones are left out.
    """

    kind: ClassVar[str] = "devices"
    keys: ClassVar[tuple[str, ...]] = ("devices",)
    ids: tuple[str, ...]

    def __init__(self, ids: Iterable[str]) -> None:
        object.__setattr__(self, "ids", _identifiers(ids, "devices"))

    def __len__(self) -> int:
        return len(self.ids)

    def arguments(self) -> dict[str, Any]:
        return {"devices": list(self.ids)}

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "ids": list(self.ids)}

    def describe(self) -> str:
        return "1 device" if len(self.ids) == 1 else f"{len(self.ids)} devices"


@dataclass(frozen=True, slots=True, init=False)
class Users(Audience):
    """All devices of users, by the user ids given to registerUser; in any number, as with `Devices`."""

    kind: ClassVar[str] = "users"
    keys: ClassVar[tuple[str, ...]] = ("users",)
    ids: tuple[str, ...]

    def __init__(self, ids: Iterable[str]) -> None:
        object.__setattr__(self, "ids", _identifiers(ids, "users"))

    def __len__(self) -> int:
        return len(self.ids)

    def arguments(self) -> dict[str, Any]:
        return {"users": list(self.ids)}

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "ids": list(self.ids)}

    def describe(self) -> str:
        return "the devices of 1 user" if len(self.ids) == 1 else f"the devices of {len(self.ids)} users"


@dataclass(frozen=True, slots=True, init=False)
class Conditions(Audience):
    """Subscribers whose tags meet all conditions ("AND"), or any of them ("OR").

    Conditions are `TagSet`s or `[tag, operator, operand]`. Raises `InvalidFilter` for a condition that is wrong.
    """

    kind: ClassVar[str] = "conditions"
    keys: ClassVar[tuple[str, ...]] = ("conditions", "conditions_operator")
    conditions: tuple[filters.TagSet, ...]
    operator: str

    def __init__(self, conditions: Iterable[filters.TagSet | Iterable[Any]], operator: str = AND) -> None:
        items = _items(conditions, "conditions")
        if not items:
            raise InvalidMessage(Problem("conditions", "there is none: use EVERYONE if you mean everyone"))
        object.__setattr__(self, "conditions", tuple(filters.clean_conditions(items)))
        object.__setattr__(self, "operator", _cleaned(Choice((AND, OR)), operator, "conditions_operator"))

    @classmethod
    def of(cls, expression: filters.Expression) -> Conditions:
        """The expression, where it is tag sets joined by `&` alone or by `|` alone; otherwise `InvalidFilter`."""
        return cls(*filters.condition_list(expression))

    def __len__(self) -> int:
        return len(self.conditions)

    def arguments(self) -> dict[str, Any]:
        return {
            "conditions": [each.condition() for each in self.conditions],
            "conditions_operator": self.operator,
        }

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "conditions": [each.condition() for each in self.conditions],
            "operator": self.operator,
        }

    def describe(self) -> str:
        joint = " and " if self.operator == AND else " or "
        return "devices where " + joint.join(_in_words(each) for each in self.conditions)


@dataclass(frozen=True, slots=True, init=False)
class FilterExpression(Audience):
    """The devices of a filter expression, given as an `Expression` or as text.

    It is bound to the application that sends, unless `account_wide`: then it reaches every application of the account
    that the expression does not exclude. Raises `InvalidFilter` for text that cannot be parsed.
    """

    kind: ClassVar[str] = "filter_expression"
    keys: ClassVar[tuple[str, ...]] = ("devices_filter",)
    expression: filters.Expression
    account_wide: bool

    def __init__(self, expression: filters.Expression | str, account_wide: bool = False) -> None:
        if isinstance(expression, str):
            expression = filters.parse(expression)
        if not isinstance(expression, filters.Expression):
            raise InvalidMessage(Problem("expression", f"must be a filter expression, not {shown(expression)}"))
        object.__setattr__(self, "expression", expression)
        object.__setattr__(self, "account_wide", _cleaned(Boolean(), account_wide, "account_wide"))

    def arguments(self) -> dict[str, Any]:
        return {"devices_filter": str(self.expression)}

    def bound_to(self, application: str) -> FilterExpression:
        """As it is sent by an application: bound to its code, unless account-wide."""
        if self.account_wide:
            return self
        return FilterExpression(filters.bound_to(self.expression, application), account_wide=True)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "expression": str(self.expression), "account_wide": self.account_wide}

    def describe(self) -> str:
        where = "in all applications of the account" if self.account_wide else "of the application"
        return f"devices {where} in {self.expression}"


@dataclass(frozen=True, slots=True)
class SavedFilter(Audience):
    """A filter that was saved in the Control Panel, by its name."""

    kind: ClassVar[str] = "saved_filter"
    keys: ClassVar[tuple[str, ...]] = ("filter",)
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _cleaned(Text(LONGEST_IDENTIFIER), self.name, "filter"))

    def arguments(self) -> dict[str, Any]:
        return {"filter": self.name}

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name}

    def describe(self) -> str:
        return f"devices in the saved filter “{self.name}”"


@dataclass(frozen=True, slots=True)
class Geozone(Audience):
    """Devices around a point: `lat` and `lng` in degrees, `range` in metres."""

    kind: ClassVar[str] = "geozone"
    keys: ClassVar[tuple[str, ...]] = ("geozone",)
    lat: float
    lng: float
    range: int

    def __post_init__(self) -> None:
        _cleaned(GeozoneKind(), {"lat": self.lat, "lng": self.lng, "range": self.range}, "geozone")

    def arguments(self) -> dict[str, Any]:
        return {"geozone": {"lat": self.lat, "lng": self.lng, "range": self.range}}

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "lat": self.lat, "lng": self.lng, "range": self.range}

    def describe(self) -> str:
        return f"devices within {self.range} m of {self.lat}, {self.lng}"


@dataclass(frozen=True, slots=True)
class ApplicationGroup(Audience):
    """Every subscriber of every application in a group."""

    kind: ClassVar[str] = "application_group"
    keys: ClassVar[tuple[str, ...]] = ("applications_group",)
    code: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", _cleaned(Code(), self.code, "applications_group"))

    def arguments(self) -> dict[str, Any]:
        return {"applications_group": self.code}

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "code": self.code}

    def describe(self) -> str:
        return f"everyone in the application group {self.code}"


AUDIENCES: dict[str, type[Audience]] = {
    each.kind: each
    for each in (Everyone, Devices, Users, Conditions, FilterExpression, SavedFilter, Geozone, ApplicationGroup)
}
"""Every class of audience by its `kind`."""

KEYS = tuple(key for audience in AUDIENCES.values() for key in audience.keys)
"""Every name under which an audience can stand in a request."""

_MEMBERS: dict[str, tuple[str, ...]] = {
    Everyone.kind: (),
    Devices.kind: ("ids",),
    Users.kind: ("ids",),
    Conditions.kind: ("conditions", "operator"),
    FilterExpression.kind: ("expression", "account_wide"),
    SavedFilter.kind: ("name",),
    Geozone.kind: ("lat", "lng", "range"),
    ApplicationGroup.kind: ("code",),
}


def from_json(value: Mapping[str, Any]) -> Audience:
    """The audience that `to_json` wrote. Raises `InvalidMessage` or `InvalidFilter`; nothing is taken for everyone."""
    if not isinstance(value, Mapping):
        raise InvalidMessage(Problem("audience", f"must be an object (dict), not {shown(value)}"))
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in AUDIENCES:
        raise InvalidMessage(Problem("audience.kind", f"must be one of {', '.join(AUDIENCES)}, not {shown(kind)}"))
    members = {key: item for key, item in value.items() if key != "kind"}
    if set(members) != set(_MEMBERS[kind]):
        expected = ", ".join(_MEMBERS[kind]) or "nothing"
        raise InvalidMessage(Problem("audience", f"of kind {kind} must have {expected} beside its kind"))
    return AUDIENCES[kind](**members)


def split(audience: Audience, size: int = MOST_TARGETS) -> list[Audience]:
    """The audience in parts of up to `size` devices or users, in order; other audiences are one part."""
    if not 1 <= size <= MOST_TARGETS:
        raise ValueError(f"A part holds 1 to {MOST_TARGETS} devices or users, not {shown(size)}.")
    if not isinstance(audience, (Devices, Users)) or len(audience.ids) <= size:
        return [audience]
    return [type(audience)(audience.ids[start : start + size]) for start in range(0, len(audience.ids), size)]


def _cleaned(kind: Kind, value: Any, path: str) -> Any:
    try:
        return kind.clean(value, path)
    except Invalid as error:
        raise InvalidMessage(*error.problems) from None


def _items(value: Iterable[Any], path: str) -> list[Any]:
    if isinstance(value, (str, bytes, bytearray, filters.Expression)):
        raise InvalidMessage(Problem(path, f"must be a list, not {shown(value)}: wrap it in a list"))
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise InvalidMessage(Problem(path, f"must be a list, not {shown(value)}"))
    return list(value)


def _identifiers(ids: Iterable[str], path: str) -> tuple[str, ...]:
    items = ids if type(ids) is list else _items(ids, path)
    if not items:
        raise InvalidMessage(Problem(path, "there is none: use EVERYONE if you mean everyone"))
    strings = items if _are_plain(items) else list(_each_identifier(items, path))
    # A set has no order of its own; the parts of a long list must be the same on every run.
    return tuple(sorted(strings) if isinstance(ids, (set, frozenset)) else dict.fromkeys(strings))


def _are_plain(items: list[Any]) -> bool:
    """Whether no identifier needs a second look: there may be a hundred thousand of them."""
    for each in items:
        if type(each) is not str or not 0 < len(each) <= LONGEST_IDENTIFIER:
            return False
    joined = "".join(items)
    return joined.isprintable() and " " not in joined


def _each_identifier(items: list[Any], path: str) -> Iterator[str]:
    problems: list[Problem] = []
    for index, item in enumerate(items):
        try:
            yield _IDENTIFIER.clean(item, f"{path}[{index}]")
        except Invalid as error:
            problems.extend(error.problems)
            if len(problems) >= MOST_PROBLEMS:
                break
    if problems:
        raise InvalidMessage(*problems)


_IDENTIFIER = Text(LONGEST_IDENTIFIER)

_WORDS = {
    filters.Operator.EQ: "is",
    filters.Operator.NOTEQ: "is not",
    filters.Operator.IN: "is one of",
    filters.Operator.NOTIN: "is none of",
    filters.Operator.GTE: "is at least",
    filters.Operator.LTE: "is at most",
    filters.Operator.BETWEEN: "is between",
    filters.Operator.NOTSET: "is not set",
    filters.Operator.ANY: "is set",
}


def _in_words(tag: filters.TagSet) -> str:
    words = f"{tag.name} {_WORDS[tag.operator]}"
    if tag.operator in filters.WITHOUT_OPERAND:
        return words
    values = tag.operand if isinstance(tag.operand, tuple) else (tag.operand,)
    joint = " and " if tag.operator is filters.Operator.BETWEEN else ", "
    return f"{words} " + joint.join(each if isinstance(each, str) else json.dumps(each) for each in values)
