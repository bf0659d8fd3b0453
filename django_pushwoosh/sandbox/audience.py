"""Who gets a message: users, devices, conditions, a filter, a filter expression, a geozone, or everyone.

Filter expressions are evaluated without recursion, over one number per set whose bits stand for the devices, so that
neither depth nor length of an expression can bring the sandbox down.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import asin, cos, radians, sin, sqrt

from django_pushwoosh.protocol.filters import (
    ApplicationSet,
    AppTagSet,
    Difference,
    Expression,
    GroupSet,
    Intersection,
    TagSet,
    Union,
    walk,
)
from django_pushwoosh.protocol.platforms import BY_NUMBER
from django_pushwoosh.sandbox.matching import matches
from django_pushwoosh.sandbox.state import Device, Message, State

EARTH_RADIUS = 6_371_000.0


@dataclass(frozen=True, slots=True)
class Geozone:
    """A circle; `range` in metres."""

    latitude: float
    longitude: float
    range: float

    def covers(self, position: tuple[float, float] | None) -> bool:
        """Unverified against Pushwoosh: a device whose position is unknown is in no zone."""
        return position is not None and metres_between((self.latitude, self.longitude), position) <= self.range


def metres_between(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Along the Earth's surface, between two points as (latitude, longitude)."""
    from_north, to_north = radians(here[0]), radians(there[0])
    turn = radians(there[1] - here[1])
    half = sin((to_north - from_north) / 2) ** 2 + cos(from_north) * cos(to_north) * sin(turn / 2) ** 2
    return 2 * EARTH_RADIUS * asin(sqrt(min(1.0, half)))


@dataclass(frozen=True, slots=True)
class Selection:
    """What a message says about its recipients; all `None` is everyone.

    Users prevail over devices, and both over conditions and filters (seed 001); a geozone and platforms narrow what is
    left. `devices` are hwids or push tokens.
    """

    users: tuple[str, ...] | None = None
    devices: tuple[str, ...] | None = None
    conditions: tuple[TagSet, ...] | None = None
    any_condition: bool = False
    expression: Expression | None = None
    geozone: Geozone | None = None
    platforms: frozenset[int] | None = None


def resolve(state: State, message: Message, now: datetime) -> list[Device]:
    """The devices with a push token that a message reaches at this moment, in the order they became known."""
    selection: Selection = message.audience
    codes: Sequence[str] = message.applications or state.codes_of_account(message.account)
    chosen: Iterable[Device]
    if selection.users is not None:
        chosen = [device for code in codes for user in selection.users for device in state.devices_of_user(code, user)]
    elif selection.devices is not None:
        chosen = [found for code in codes for each in selection.devices if (found := find(state, code, each))]
    else:
        chosen = [device for code in codes for device in state.devices_of(code).values() if device.is_subscribed]
        if selection.expression is not None:
            chosen = evaluate(state, selection.expression, chosen, message.account, now)
        if selection.conditions is not None:
            combined = any if selection.any_condition else all
            chosen = [
                device
                for device, tags in ((device, device.tags) for device in chosen)
                if combined(matches(tags, each, now, state.options) for each in selection.conditions)
            ]
    reached = {
        device.id: device
        for device in chosen
        if device.is_subscribed
        and (selection.platforms is None or device.platform in selection.platforms)
        and (selection.geozone is None or selection.geozone.covers(device.position))
    }
    return [reached[key] for key in sorted(reached)]


def find(state: State, application: str, hwid_or_token: str) -> Device | None:
    """The device that an element of `devices` means."""
    return state.device(application, hwid_or_token) or state.device_by_token(application, hwid_or_token)


def evaluate(
    state: State, expression: Expression, devices: Sequence[Device], account: str, now: datetime
) -> list[Device]:
    """The devices of `devices` that are in the expression's set."""
    tags = [device.tags for device in devices]
    shared = _shared_hwids(devices)
    results: list[int] = []
    known: dict[Expression, int] = {}
    for node in walk(expression):
        if isinstance(node, Union | Intersection | Difference):
            right, left = results.pop(), results.pop()
            if isinstance(node, Union):
                results.append(left | right)
            elif isinstance(node, Intersection):
                # Unverified against Pushwoosh: A("one") * A("other") is empty here, for a device is one application's.
                results.append(left & right)
            else:
                # A("one") \ A("other") are those "which don't have the app installed": one phone, two applications.
                for mask in shared:
                    if right & mask:
                        right |= mask
                results.append(left & ~right)
            continue
        if node not in known:
            known[node] = _bits(_is_in(state, node, devices, tags, account, now))
        results.append(known[node])
    chosen = results.pop()
    return [device for index, device in enumerate(devices) if chosen >> index & 1]


def _is_in(
    state: State,
    node: Expression,
    devices: Sequence[Device],
    tags: list[dict[str, object]],
    account: str,
    now: datetime,
) -> list[bool]:
    if isinstance(node, TagSet | AppTagSet):
        code = node.application if isinstance(node, AppTagSet) else None
        return [
            (code is None or device.application == code) and matches(own, node, now, state.options)
            for device, own in zip(devices, tags, strict=True)
        ]
    if not isinstance(node, ApplicationSet | GroupSet):
        raise TypeError(f"{type(node).__name__} is no set of a filter expression")
    codes = (node.code,) if isinstance(node, ApplicationSet) else state.codes_of_group(account, node.code)
    names = {name.casefold() for name in node.platforms}
    return [
        device.application in codes and (not names or _platform_name(device.platform) in names) for device in devices
    ]


def _platform_name(number: int) -> str:
    platform = BY_NUMBER.get(number)
    return platform.filter_name.casefold() if platform else ""


def _bits(members: list[bool]) -> int:
    return int("".join("1" if member else "0" for member in reversed(members)) or "0", 2)


def _shared_hwids(devices: Sequence[Device]) -> list[int]:
    """One mask for each hwid that is known in several applications: one phone with several apps of its vendor."""
    indexes: dict[str, list[int]] = {}
    for index, device in enumerate(devices):
        indexes.setdefault(device.hwid, []).append(index)
    return [sum(1 << index for index in each) for each in indexes.values() if len(each) > 1]
