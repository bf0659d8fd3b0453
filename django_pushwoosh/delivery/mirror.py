"""Writes what Pushwoosh was told or answered into the models, never echoing it back upstream.

All writes go through querysets, which fire no model signals. Values from SDKs are hostile until proven otherwise:
what does not fit a column is left out or cut, and never fails a call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import router, transaction

from django_pushwoosh.delivery import tag_mirror
from django_pushwoosh.models import Device, UserLink, canonical_hwid, is_storable, storable
from django_pushwoosh.protocol.calls import Call

_TEXTS = {
    "language": "language",
    "device_model": "device_model",
    "os_version": "os_version",
    "app_version": "app_version",
    "v": "sdk_version",
}
_LENGTHS = {name: Device._meta.get_field(name).max_length or 255 for name in _TEXTS.values()}  # type: ignore[union-attr]
_KNOWN = {*_TEXTS, "application", "hwid", "push_token", "device_type", "timezone", "tags", "userId", "badge", "auth"}
_OFFSETS = range(-18 * 3600, 18 * 3600 + 1)
_ABOUT_ADDRESS = frozenset({"registerEmail", "registerEmailUser", "setEmailTags"})
"""Android sends the phone's hwid along with these; they say nothing about the phone."""


def note(call: Call, *, now: datetime, using: str | None = None) -> Device | None:
    """Bring the mirror up to what a device call says; any call may be the first sight of a device."""
    arguments = call.arguments
    platform = platform_of(arguments.get("device_type"))
    hwid = hwid_of(call)
    method = call.method.name
    if method == "setTags" and not hwid:
        _tag_user(call, using)
        return None
    if method == "deleteUser":
        _forget_user(call, using)
        return None
    if not fits(hwid, 255) or method in _ABOUT_ADDRESS:
        return None
    using = using or router.db_for_write(Device)
    devices = Device.objects.using(using)
    with transaction.atomic(using=using, savepoint=False):
        device = _locked(call.application, hwid, using)
        if device is None:
            if platform is None or method == "unregisterDevice":
                return None
            fresh = Device(application=call.application, hwid=hwid, platform=platform, created_at=now)
            devices.bulk_create([fresh], ignore_conflicts=True)
            device = _locked(call.application, hwid, using)
            if device is None:
                # Somebody deleted it in between.
                return None
        changes = _changes(device, call, now)
        # Registering is noted even where it says nothing new: what Pushwoosh did not know of before, it knows now.
        if changes or method == "registerDevice":
            devices.filter(pk=device.pk).update(**changes, updated_at=now)
            for name, value in changes.items():
                setattr(device, name, value)
        if method in ("registerUser", "registerDevice"):
            _link(device, arguments, method, now, using)
    if method in ("setTags", "registerDevice") and "tags" in changes:
        named = arguments["tags"]
        tag_mirror.learn_types(
            call.application, {name: value for name, value in device.tags.items() if name in named}, using=using
        )
    return device


def clause(call: Call, *, now: datetime, using: str) -> tag_mirror.Clause | None:
    """What notes a call in the statement that queues it; `None` if `note` has to."""
    hwid, said = hwid_of(call), call.arguments.get("tags")
    if call.method.name != "setTags" or not fits(hwid, 255) or not isinstance(said, dict):
        return None
    return tag_mirror.clause(call.application, hwid, said, now=now, using=using)


def hwid_of(call: Call) -> str:
    """The hwid of a device call as the mirror knows it; empty if it names none."""
    return canonical_hwid(call.hwid, platform_of(call.arguments.get("device_type")))


def link(
    device: Device, user_id: str, *, now: datetime, django_user: Any = None, using: str | None = None
) -> UserLink | None:
    """Make a device speak for a user id; the earlier link is closed and kept. `None` if it is anonymous again."""
    using = using or router.db_for_write(UserLink)
    links = UserLink.objects.using(using).filter(device=device)
    with transaction.atomic(using=using):
        _locked(device.application, device.hwid, using)
        current = links.open().first()
        if current is not None and current.user_id == user_id:
            if django_user is not None and current.django_user_id != django_user.pk:
                links.filter(pk=current.pk).update(django_user=django_user)
            return current
        if current is None and user_id in ("", device.hwid):
            return None
        # The statement that notes registrations sees by the row that its links have changed (`device_statement`).
        Device.objects.using(using).filter(pk=device.pk).update(updated_at=now)
        if current is not None:
            links.filter(pk=current.pk).update(until=now, is_open=None)
        if user_id in ("", device.hwid):
            return None
        fresh = UserLink(device=device, user_id=user_id, django_user=django_user, since=now)
        return UserLink.objects.using(using).bulk_create([fresh])[0]


def _changes(device: Device, call: Call, now: datetime) -> dict[str, Any]:
    arguments = call.arguments
    changes: dict[str, Any] = {}
    match call.method.name:
        case "registerDevice":
            changes = attributes(device.extra, arguments)
            # A partial register (VoIP, the popup widget) carries no token, and must not blank the one we know.
            if token := token_of(arguments):
                changes["push_token"] = token
            elif not device.push_token and device.is_phone_number:
                changes["push_token"] = device.hwid
            if arguments.get("push_token") or device.is_phone_number:
                changes |= {"unsubscribed_at": None, "unsubscribed_reason": ""}
            if isinstance(arguments.get("tags"), dict):
                changes["tags"] = tag_mirror.changed(device.tags, arguments["tags"])
        case "unregisterDevice":
            changes = {"push_token": "", "unsubscribed_at": now, "unsubscribed_reason": "unregisterDevice"}
        case "setTags":
            if isinstance(arguments.get("tags"), dict):
                changes = {"tags": tag_mirror.changed(device.tags, arguments["tags"])}
        case "setBadge":
            badge = arguments.get("badge")
            if isinstance(badge, int) and 0 <= badge < 2**31:
                changes = {"badge": badge}
        case "applicationOpen":
            changes = {**attributes(device.extra, arguments), "opened_at": now}
    return {name: value for name, value in changes.items() if tag_mirror.differs(getattr(device, name), value)}


def token_of(arguments: Mapping[str, Any]) -> str:
    """The push token that a registration carries; empty where it says nothing about one."""
    token = arguments.get("push_token")
    return str(storable(token)) if isinstance(token, str) else ""


def attributes(known: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a call says about its device beside its token and its tags, as columns; `known` is what it had as extra."""
    changes: dict[str, Any] = {}
    for key, name in _TEXTS.items():
        value = arguments.get(key)
        if isinstance(value, str) and 0 < len(value) <= _LENGTHS[name]:
            changes[name] = storable(value)
    offset = arguments.get("timezone")
    if isinstance(offset, str) and re.fullmatch(r"[+-]?\d{1,6}", offset):
        offset = int(offset)
    if isinstance(offset, int) and not isinstance(offset, bool) and offset in _OFFSETS:
        changes["utc_offset_seconds"] = offset
    extra = {key: value for key, value in arguments.items() if key not in _KNOWN}
    if extra:
        changes["extra"] = tag_mirror.bounded({**known, **storable(extra)}, dict(known))
    return changes


def _link(device: Device, arguments: Mapping[str, Any], method: str, now: datetime, using: str) -> None:
    user_id = user_of(arguments)
    if method == "registerUser" and arguments.get("userId") in (None, ""):
        # registerUser without a user id means the hwid; registerDevice without one says nothing about the user.
        user_id = device.hwid
    if user_id:
        link(device, user_id, now=now, using=using)


def user_of(arguments: Mapping[str, Any]) -> str:
    """Whom a call says that its device speaks for; empty where it says nothing that can be kept."""
    user_id = arguments.get("userId")
    return user_id if isinstance(user_id, str) and fits(user_id, 255) else ""


def _tag_user(call: Call, using: str | None) -> None:
    user_id, changes = call.arguments.get("userId"), call.arguments.get("tags")
    if not isinstance(user_id, str) or not isinstance(changes, dict):
        return
    using = using or router.db_for_write(Device)
    with transaction.atomic(using=using):
        devices = Device.objects.using(using).of(call.application)
        for device in devices.filter(links__user_id=user_id, links__is_open=True).order_by("pk").select_for_update():
            devices.filter(pk=device.pk).update(tags=tag_mirror.changed(device.tags, changes))


def _forget_user(call: Call, using: str | None) -> None:
    user_id = call.arguments.get("user_id")
    if isinstance(user_id, str) and user_id:
        devices = Device.objects.using(using or router.db_for_write(Device)).of(call.application)
        gone = list(devices.filter(links__user_id=user_id, links__is_open=True).values_list("pk", flat=True))
        UserLink.objects.using(devices.db).filter(device__in=gone)._raw_delete(devices.db)
        devices.filter(pk__in=gone)._raw_delete(devices.db)


def _locked(application: str, hwid: str, using: str) -> Device | None:
    # SQLite has no row locks; its immediate transactions are locks of the whole file.
    return Device.objects.using(using).filter(application=application, hwid=hwid).select_for_update().first()


def platform_of(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        value = int(value[:6])
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**15 else None


def fits(text: str, length: int) -> bool:
    return 0 < len(text) <= length and is_storable(text)
