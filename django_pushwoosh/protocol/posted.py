"""Reads the messages of a createMessage or createTargetedMessage that somebody else wrote.

What Pushwoosh would read as everyone has to be marked by `"to_everyone": true`, as `EVERYONE` is said by name in code;
the mark goes no further. A message may reach the application that it names, and no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django_pushwoosh.protocol import audience as audiences
from django_pushwoosh.protocol.audience import Audience
from django_pushwoosh.protocol.errors import Invalid, InvalidMessage, Problem
from django_pushwoosh.protocol.fields import closest
from django_pushwoosh.protocol.messages import Message
from django_pushwoosh.protocol.methods import Method
from django_pushwoosh.protocol.parameters import BY_NAME, PARAMETERS

EVERYONE = "to_everyone"
"""The mark of a message that is meant for every subscriber of the application."""
MOST = 100
"""Messages in one request."""

_KINDS: dict[str, type[Audience]] = {
    "devices": audiences.Devices,
    "users": audiences.Users,
    "filter": audiences.SavedFilter,
    "conditions": audiences.Conditions,
    "conditions_operator": audiences.Conditions,
    "geozone": audiences.Geozone,
}
_SCHEDULE = ("send_date", "timezone", "ignore_user_timezone", "transactionId")
_KNOWN = {row.name for row in PARAMETERS} | set(audiences.KEYS) | {EVERYONE}
_WRITTEN = {name.casefold(): name for name in _KNOWN}


@dataclass(frozen=True, slots=True)
class Posted:
    """A message, whom it is for, and when (`None`: at once). `transaction_id` is the writer's own, empty if none."""

    message: Message
    audience: Audience
    send_at: datetime | None = None
    time_zone: str = "UTC"
    in_device_time: bool = False
    transaction_id: str = ""


def read(method: Method, arguments: Mapping[str, Any]) -> list[Posted]:
    """The messages in a request, without its `auth` and `application`. Raises `Invalid` with all that has to change."""
    if method.name != "createMessage":
        return [_read(method.clean(arguments), is_targeted=True)]
    if "applications_group" in arguments:
        raise InvalidMessage(Problem("applications_group", "reaches beyond the application: send to each one"))
    notifications = method.clean(arguments)["notifications"]
    others = [name for name in arguments if name != "notifications"]
    if others:
        known = ("notifications", "application")
        raise InvalidMessage(Problem(others[0][:64], f"is no argument of createMessage.{closest(others[0], known)}"))
    if not 0 < len(notifications) <= MOST:
        raise InvalidMessage(Problem("notifications", f"has to hold 1 to {MOST} messages"))
    found: list[Posted] = []
    problems: list[Problem] = []
    for number, each in enumerate(notifications):
        path = f"notifications[{number}]"
        try:
            found.append(_read(each, is_targeted=False))
        except Invalid as error:
            problems.extend(Problem(f"{path}.{each.path}".rstrip("."), each.text) for each in error.problems)
    if problems:
        raise InvalidMessage(*problems)
    named = [each.transaction_id for each in found if each.transaction_id]
    if len(set(named)) < len(named):
        raise InvalidMessage(Problem("notifications", "two messages have the same transactionId"))
    return found


def _read(given: Mapping[str, Any], *, is_targeted: bool) -> Posted:
    for name in given:
        # A reader that matches names without regard to case would find another audience than was looked at here.
        meant = _WRITTEN.get(name.casefold(), name)
        if meant != name:
            raise InvalidMessage(Problem(name[:64], f'write "{meant}": upper and lower case count'))
    parameters = {
        name: value for name, value in given.items() if name in BY_NAME and name not in _KINDS and name not in _SCHEDULE
    }
    extra = {name: value for name, value in given.items() if name not in _KNOWN}
    send_at, time_zone, in_device_time = _time(given)
    transaction_id = given.get("transactionId")
    if transaction_id is not None:
        transaction_id = BY_NAME["transactionId"].kind.clean(transaction_id, "transactionId")
    return Posted(
        Message.from_json({**parameters, "extra": extra} if extra else parameters),
        _targeted(given) if is_targeted else _audience(given),
        send_at,
        time_zone,
        in_device_time,
        transaction_id or "",
    )


def _targeted(given: Mapping[str, Any]) -> Audience:
    foreign = [name for name in (*audiences.KEYS, EVERYONE) if name in given and name != "devices_filter"]
    if foreign:
        raise InvalidMessage(Problem(foreign[0], "has no place beside devices_filter"))
    return audiences.FilterExpression(given["devices_filter"])


def _audience(given: Mapping[str, Any]) -> Audience:
    """Whom a notification is for. What is named and empty is a mistake, never everyone."""
    kinds = list(dict.fromkeys(kind for name, kind in _KINDS.items() if name in given))
    if EVERYONE in given:
        if given[EVERYONE] is not True or kinds:
            raise InvalidMessage(Problem(EVERYONE, "has to be true, and the only audience"))
        return audiences.EVERYONE
    if not kinds:
        raise InvalidMessage(
            Problem(
                "",
                f"names no audience: give {', '.join(each for each in _KINDS if each != 'conditions_operator')}, "
                f'or "{EVERYONE}": true if every subscriber is meant',
            )
        )
    if len(kinds) > 1:
        named = [name for name in _KINDS if name in given]
        raise InvalidMessage(Problem(named[0], f"is one audience and {named[-1]} another: give one of them"))
    match kinds[0]:
        case audiences.Devices:
            return audiences.Devices(given["devices"])
        case audiences.Users:
            return audiences.Users(given["users"])
        case audiences.SavedFilter:
            return audiences.SavedFilter(given["filter"])
        case audiences.Conditions:
            if "conditions" not in given:
                raise InvalidMessage(Problem("conditions_operator", "needs conditions"))
            return audiences.Conditions(given["conditions"], given.get("conditions_operator", audiences.AND))
        case _:
            return audiences.Geozone(**BY_NAME["geozone"].kind.clean(given["geozone"], "geozone"))


def _time(given: Mapping[str, Any]) -> tuple[datetime | None, str, bool]:
    """When it is sent, the zone that is meant, and whether each device's own clock decides."""
    cleaned = {
        name: BY_NAME[name].kind.clean(given[name], name) for name in _SCHEDULE[:3] if given.get(name) is not None
    }
    in_device_time = not cleaned.get("ignore_user_timezone", True)
    # On the devices' own clocks no zone has a say.
    name = "UTC" if in_device_time else cleaned.get("timezone", "UTC")
    text = cleaned.get("send_date", "now")
    if text == "now":
        return None, name, in_device_time
    try:
        zone = ZoneInfo(name)
        local = datetime.fromisoformat(text)
        # Of an hour that a clock shows twice, the first.
        at = local.replace(tzinfo=zone).astimezone(UTC)
        if at.astimezone(zone).replace(tzinfo=None) == local:
            return at, name, in_device_time
    except ZoneInfoNotFoundError:
        raise InvalidMessage(Problem("timezone", f"{name} is no time zone such as Europe/Oslo")) from None
    except (OverflowError, ValueError, OSError):
        pass
    raise InvalidMessage(Problem("send_date", f"there is no such time in {name}"))
