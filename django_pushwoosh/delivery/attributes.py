"""What a call says of a device beside what it is for: kept where a column holds it, cut out where nobody needs it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django_pushwoosh.delivery import tag_mirror
from django_pushwoosh.models import Device, storable
from django_pushwoosh.models.devices import WHATSAPP_PREFIX
from django_pushwoosh.protocol.platforms import EMAIL, WHATSAPP

_TEXTS = {
    "language": "language",
    "device_model": "device_model",
    "os_version": "os_version",
    "app_version": "app_version",
    "v": "sdk_version",
}
NAMES = (*_TEXTS.values(), "utc_offset_seconds")
"""What `of` may find."""
_LENGTHS = {name: Device._meta.get_field(name).max_length or 255 for name in _TEXTS.values()}  # type: ignore[union-attr]
_COLUMNS = frozenset(
    {*_TEXTS, "application", "hwid", "push_token", "device_type", "timezone", "tags", "userId", "badge", "auth"}
)
_PRIVATE = frozenset({"idfa", "madid", "lat", "lng", "email", "auth_token", "public_key", "fcm_token", "fcm_push_set"})
"""Advertising ids, positions, and the secrets of web push: of no use here, and nothing to lie about in a table."""
_LEFT_OUT = _COLUMNS | _PRIVATE

_OFFSETS = range(-18 * 3600, 18 * 3600 + 1)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*")


def of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a call says of the device that makes it, by the model's names; what fits no column is left out."""
    found: dict[str, Any] = {}
    for key, name in _TEXTS.items():
        value = arguments.get(key)
        if isinstance(value, str) and 0 < len(value) <= _LENGTHS[name]:
            found[name] = storable(value)
    if (offset := offset_of(arguments.get("timezone"))) is not None:
        found["utc_offset_seconds"] = offset
    return found


def more_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a call says that no column holds, and that may be kept."""
    found: dict[str, Any] = storable({key: value for key, value in arguments.items() if key not in _LEFT_OUT})
    return found


def extra_of(device: Device, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The device's further attributes after a call that names some, within their bound."""
    more = more_of(arguments)
    return tag_mirror.bounded({**device.extra, **more}, device.extra) if more else device.extra


def offset_of(value: Any) -> int | None:
    """An offset from UTC in seconds, a number or (iOS, multiRegisterDevice) text."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,6}", value):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value in _OFFSETS else None


def language_code(value: Any) -> str | None:
    """A language, unless it is a name for people: Android's registerEmail says "English"."""
    return value if isinstance(value, str) and _LANGUAGE.fullmatch(value) else None


def platform_of(arguments: Mapping[str, Any], hwid: str = "") -> int | None:
    """The platform's number, else what an hwid that is an address tells of it."""
    value = arguments.get("device_type")
    if isinstance(value, str) and value.isdecimal() and value.isascii():
        value = int(value[:6])
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**15:
        return value
    if hwid.startswith(WHATSAPP_PREFIX):
        return WHATSAPP.number
    return EMAIL.number if "@" in hwid else None
