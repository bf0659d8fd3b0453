"""What devices say by their SDKs: who they are, their tags, users and events. One function per method.

Source: seed 002 (devices) and seed 003 (users, events). Any call may be the first that is heard of a device, so most
of them make it known; only unregisterDevice, getTags and the statistics do not.
"""

from __future__ import annotations

from typing import Any

from django_pushwoosh.protocol import hashes
from django_pushwoosh.protocol.platforms import DEVICE_PLATFORMS, EMAIL
from django_pushwoosh.sandbox.answering import CHANGED, Asked, Refused, Reply
from django_pushwoosh.sandbox.state import (
    REACHED_BY_HWID,
    Device,
    Event,
    Statistic,
    language_tag,
    normal_hwid,
    normal_token,
)
from django_pushwoosh.sandbox.tagging import set_tags

DEVICE_TYPES = frozenset(platform.number for platform in DEVICE_PLATFORMS) | {19, 150}
"""The documented ones, Xiaomi, and old Edge, whose SDK sends 150."""

_ATTRIBUTES = ("idfa", "public_key", "auth_token", "fcm_token", "fcm_push_set", "device_name", "notificationTypes", "v")


def register_device(asked: Asked) -> Reply:
    """Makes a device known, or updates what is sent; a token that is left out stays (VoIP, popups)."""
    if not asked.text("hwid") and asked.text("email"):
        return register_email(asked)
    kind = asked.arguments.get("device_type")
    if isinstance(kind, bool) or kind not in DEVICE_TYPES:
        raise Refused("Invalid device type")
    return asked.soon(_register)


def _register(asked: Asked) -> Reply:
    kind = asked.arguments["device_type"]
    hwid = normal_hwid(asked.text("hwid"), kind)
    device = asked.state.seen(asked.application, hwid, asked.now, kind, asked.text("userId"))
    device.platform = kind
    token = normal_token(asked.text("push_token"), kind)
    if kind in REACHED_BY_HWID:
        # "A push token is not required, as hwid will automatically function as the push token."
        token = hwid
    if token:
        asked.state.subscribe(device, token)
    describe(asked, device)
    return CHANGED


def register_email(asked: Asked) -> Reply:
    """Makes an address known: a device of its own, whose hwid and token are the address."""
    return asked.soon(_register_email)


def _register_email(asked: Asked) -> Reply:
    email = asked.text("email")
    device = asked.state.seen(asked.application, email, asked.now, EMAIL.number, asked.text("userId"))
    device.platform = EMAIL.number
    asked.state.subscribe(device, email)
    describe(asked, device)
    return CHANGED


def unregister_device(asked: Asked) -> Reply:
    """Takes the push token away; the device stays known."""
    device = asked.state.device(asked.application, hwid_of(asked))
    if device is None:
        return Reply()
    asked.state.subscribe(device, "")
    return CHANGED


def set_device_tags(asked: Asked) -> Reply:
    """Sets tags of the device, or without a hwid of all devices of the user."""
    return asked.soon(_set_tags)


def _set_tags(asked: Asked) -> Reply:
    changes = asked.arguments["tags"]
    if asked.text("hwid"):
        devices = [seen(asked)]
    else:
        devices = asked.state.devices_of_user(asked.application, asked.text("userId"))
    for device in devices:
        set_tags(asked.state, device, changes)
    return Reply(is_change=bool(devices))


def get_tags(asked: Asked) -> Reply:
    """Tells the tags of a device, or of a user; "If used together with a hwid, the hwid prevails."

    Unverified against Pushwoosh: where a user's devices differ, the one registered last is told.
    """
    if asked.text("hwid"):
        device = asked.state.device(asked.application, hwid_of(asked))
        return Reply({"result": device.tags if device else {}})
    found: dict[str, Any] = {}
    for device in asked.state.devices_of_user(asked.application, asked.text("userId")):
        found |= device.tags
    return Reply({"result": found})


def set_badge(asked: Asked) -> Reply:
    """Tells the number on the icon, from which `+n` counts."""
    device = seen(asked)
    device.badge = min(asked.arguments["badge"], 2**31 - 1)
    asked.state.changed(device)
    return CHANGED


def application_open(asked: Asked) -> Reply:
    """Tells that the app was opened, with what the SDK knows of the phone."""
    device = seen(asked)
    device.last_open_at = asked.now
    describe(asked, device, with_user=False)
    return CHANGED


def statistics(asked: Asked) -> Reply:
    """pushStat and messageDeliveryEvent: an open or a delivery, joined to its message by the hash."""
    named = hashes.decode(asked.text("hash"))
    message = asked.state.message_by_code(named.code) if named else None
    hwid = hwid_of(asked)
    device = asked.state.device(asked.application, hwid)
    user = asked.text("userId") or (device.user_id if device else "")
    asked.state.statistics.append(
        Statistic(
            asked.now,
            asked.method,
            asked.application,
            hwid,
            user,
            asked.text("hash"),
            message.code if message else "",
            asked.arguments.get("metaData"),
        )
    )
    if message is not None and asked.method == "pushStat":
        message.opened[asked.application, device.platform if device else 0] += 1
    return CHANGED


def register_user(asked: Asked) -> Reply:
    """Makes the device the user's; "If empty, use hwid." A user who is left without a device vanishes."""
    device = seen(asked)
    asked.state.link(device, asked.text("userId") or device.hwid)
    return CHANGED


def delete_user(asked: Asked) -> Reply:
    """Deletes a user and all the user's devices."""
    return asked.soon(_delete_user)


def _delete_user(asked: Asked) -> Reply:
    devices = asked.state.devices_of_user(asked.application, asked.text("user_id"))
    for device in devices:
        asked.state.remove(device)
    return Reply(is_change=bool(devices))


def post_event(asked: Asked) -> Reply:
    """Takes an event; answers with the in-app message's code where the sandbox was given one for it.

    Unverified against Pushwoosh: an event that was not created in the control panel is taken here all the same.
    """
    name = asked.text("event")
    attributes = asked.arguments.get("attributes") or {}
    hwid = hwid_of(asked)
    if hwid:
        seen(asked)
    user = asked.text("userId")
    if not user and (device := asked.state.device(asked.application, hwid)):
        user = device.user_id
    asked.state.events.append(Event(asked.now, asked.application, hwid, user, name, dict(attributes)))
    code = asked.state.options.in_apps.get(name)
    return Reply({"code": code} if code else None, is_change=True)


def hwid_of(asked: Asked) -> str:
    """The hwid of the device that speaks."""
    return normal_hwid(asked.text("hwid"), device_type_of(asked))


def device_type_of(asked: Asked) -> int:
    """The platform that a call names, or 0."""
    kind = asked.arguments.get("device_type")
    return kind if isinstance(kind, int) and not isinstance(kind, bool) and kind in DEVICE_TYPES else 0


def seen(asked: Asked) -> Device:
    """The device that speaks, made known if this is the first that is heard of it."""
    return asked.state.seen(asked.application, hwid_of(asked), asked.now, device_type_of(asked), asked.text("userId"))


def describe(asked: Asked, device: Device, *, with_user: bool = True) -> None:
    """Take over what a call tells about its device."""
    if with_user and asked.text("userId"):
        asked.state.link(device, asked.text("userId"))
    if language := asked.text("language"):
        device.language = language
        if "Language" in device.own_tags:
            device.own_tags["Language"] = language_tag(language)
    offsets = (asked.arguments.get(name) for name in ("timezone", "tz_offset", "ts_offset"))
    seconds = next((found for offset in offsets if (found := _seconds(offset)) is not None), None)
    if seconds is not None:
        device.timezone = seconds
    device.model = asked.text("device_model") or device.model
    device.os_version = asked.text("os_version") or device.os_version
    device.app_version = asked.text("app_version") or device.app_version
    device.attributes |= {name: asked.arguments[name] for name in _ATTRIBUTES if name in asked.arguments}
    tags = asked.arguments.get("tags")
    if isinstance(tags, dict) and tags:
        set_tags(asked.state, device, tags)
    asked.state.changed(device)


def _seconds(value: Any) -> int | None:
    """An offset as a number or (iOS) as text; what is none is ignored, as it was seen to be."""
    if isinstance(value, str) and len(value) <= 7 and value.lstrip("+-").isdecimal() and value.isascii():
        try:
            value = int(value)
        except ValueError:
            return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 18 * 3600:
        return value
    return None
