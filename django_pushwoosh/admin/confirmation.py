"""A person's word that a push may go to everyone: signed, for what they saw, and for an hour.

Everyone is whoever is reached without a condition: all of an application, of a group or of the account.
"""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from typing import Any

from django.core import signing

from django_pushwoosh.models import Device, ScheduledMessage
from django_pushwoosh.models.devices import DeviceQuerySet
from django_pushwoosh.protocol.audience import ApplicationGroup, Everyone, FilterExpression, Geozone
from django_pushwoosh.protocol.errors import Invalid
from django_pushwoosh.protocol.filters import (
    ApplicationSet,
    AppTagSet,
    Difference,
    Expression,
    Intersection,
    TagSet,
    Union,
    walk,
)
from django_pushwoosh.protocol.platforms import PLATFORMS, WINDOWS

SALT = "django_pushwoosh.confirmation"
MAX_AGE_SECONDS = 3600
HALF_THE_EQUATOR = 20_037_500
"""In metres: a place with such a range around it is the whole earth."""


class Verdict(Enum):
    """What became of a confirmation."""

    HOLDS = "holds"
    STALE = "stale"
    CHANGED = "changed"
    DRIFTED = "drifted"


class Reach(Enum):
    """Whom a message reaches by construction, where no tag says whom."""

    EVERYONE = "everyone"
    GROUP = "group"
    ACCOUNT = "account"
    EXPRESSION = "expression"


def reach_of(message: ScheduledMessage) -> Reach | None:
    """`None` for an audience that is limited by something, and for none at all."""
    try:
        to = message.to
    except Invalid:
        return None
    match to:
        case Everyone():
            return Reach.EVERYONE
        case Geozone(range=metres) if metres >= HALF_THE_EQUATOR:
            return Reach.EVERYONE
        case ApplicationGroup():
            return Reach.GROUP
        case FilterExpression(account_wide=True):
            return Reach.ACCOUNT
        case FilterExpression(expression=expression) if not _is_limited(expression):
            return Reach.EXPRESSION
    return None


def is_needed(message: ScheduledMessage) -> bool:
    return reach_of(message) is not None


def _is_limited(expression: Expression) -> bool:
    """Whether a condition on a tag has a say in every part of an expression."""
    limited: list[bool] = []
    for node in walk(expression):
        match node:
            case Union():
                right, left = limited.pop(), limited.pop()
                limited.append(left and right)
            case Intersection():
                right, left = limited.pop(), limited.pop()
                limited.append(left or right)
            case Difference():
                # What is taken away may be nobody: only what it is taken from says whom it reaches.
                limited.pop()
            case _:
                limited.append(isinstance(node, TagSet | AppTagSet))
    return limited[0]


def digest_of(message: ScheduledMessage) -> str:
    """The same for the same application, content, audience and times."""
    said: dict[str, Any] = {
        "application": message.application,
        "parameters": message.parameters,
        "audience": message.audience,
        "send_at": message.send_at.timestamp() if message.send_at else None,
        "time_zone": message.time_zone if message.send_at else "",
        "in_device_time": message.in_device_time,
        "expires_at": message.expires_at.timestamp() if message.expires_at else None,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def is_countable(message: ScheduledMessage) -> bool:
    """Whether the mirror could know the number: it holds no groups, and devices of configured applications only."""
    return _platforms_of(message) is not None


def known_devices(message: ScheduledMessage) -> int | None:
    """How many subscribed devices the mirror knows that it would reach; `None` where it was never filled for this
    application, or cannot tell."""
    reached = _reached(message)
    return reached.count() if reached is not None else None


def blank_devices(message: ScheduledMessage) -> int:
    """How many of the known devices will show nothing: Windows shows `wns_content` alone."""
    reached = _reached(message)
    if reached is None or message.parameters.keys() & {"wns_content", "preset"}:
        return 0
    return reached.filter(platform=WINDOWS.number).count()


def _reached(message: ScheduledMessage) -> DeviceQuerySet | None:
    platforms = _platforms_of(message)
    devices = Device.objects.using(message._state.db).of(message.application)
    if platforms is None or not devices.exists():
        return None
    reached = devices.subscribed()
    return reached.filter(platform__in=platforms) if platforms else reached


def _platforms_of(message: ScheduledMessage) -> list[int] | None:
    """The platforms on which it reaches everyone of its application, empty for all; `None` where it reaches others."""
    try:
        to = message.to
    except Invalid:
        return None
    match to:
        case Everyone() | Geozone():
            return list(message.parameters.get("platforms") or [])
        case FilterExpression(expression=ApplicationSet(code=code, platforms=names)) if code == message.application:
            numbers = {platform.filter_name: platform.number for platform in PLATFORMS}
            return [numbers[name] for name in names] if numbers.keys() >= set(names) else None
    return None


def sign(message: ScheduledMessage, count: int | None, user_pk: Any) -> str:
    said = {"message": message.pk, "digest": digest_of(message), "count": count, "user": str(user_pk)}
    return signing.dumps(said, salt=SALT)


def verdict_on(token: str, message: ScheduledMessage, count: int | None, user_pk: Any) -> Verdict:
    """Whether a confirmation still holds for the message and the number of devices as they are now."""
    try:
        said = signing.loads(token, salt=SALT, max_age=MAX_AGE_SECONDS)
    except signing.BadSignature:
        return Verdict.STALE
    if said["message"] != message.pk or said["user"] != str(user_pk):
        return Verdict.STALE
    if said["digest"] != digest_of(message):
        return Verdict.CHANGED
    seen = said["count"]
    if (seen is None) != (count is None):
        return Verdict.DRIFTED
    if seen is not None and count is not None and abs(count - seen) > max(10, seen // 10):
        return Verdict.DRIFTED
    return Verdict.HOLDS
