"""A person's word that a push may go to everyone: signed, for what they saw, and for an hour."""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from typing import Any

from django.core import signing

from django_pushwoosh.models import Device, ScheduledMessage
from django_pushwoosh.protocol.audience import Everyone

SALT = "django_pushwoosh.confirmation"
MAX_AGE_SECONDS = 3600


class Verdict(Enum):
    """What became of a confirmation."""

    HOLDS = "holds"
    STALE = "stale"
    CHANGED = "changed"
    DRIFTED = "drifted"


def is_needed(message: ScheduledMessage) -> bool:
    return bool(message.audience.get("kind") == Everyone.kind)


def digest_of(message: ScheduledMessage) -> str:
    """The same for the same application, content, audience and time."""
    said: dict[str, Any] = {
        "application": message.application,
        "parameters": message.parameters,
        "audience": message.audience,
        "send_at": message.send_at.timestamp() if message.send_at else None,
        "time_zone": message.time_zone if message.send_at else "",
        "in_device_time": message.in_device_time,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def known_devices(message: ScheduledMessage) -> int | None:
    """How many subscribed devices the mirror knows that a push to everyone would reach; `None` where it was never
    filled for this application."""
    devices = Device.objects.using(message._state.db).of(message.application)
    if not devices.exists():
        return None
    platforms = message.parameters.get("platforms")
    reached = devices.subscribed()
    return (reached.filter(platform__in=platforms) if platforms else reached).count()


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
