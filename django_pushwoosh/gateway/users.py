"""Whom a body may name: its user id is taken as it is, refused, or replaced by that of who calls.

A device's own id is always good, for it says that nobody is logged in.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django_pushwoosh.conf import settings
from django_pushwoosh.gateway.authentication import Caller
from django_pushwoosh.gateway.lending import is_of_address
from django_pushwoosh.gateway.renderers import Refused
from django_pushwoosh.gateway.splicing import with_text
from django_pushwoosh.models import Device, UserLink, canonical_hwid, is_storable
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.methods import Body

NAMES = ("userId", "user_id", "oldUserId", "newUserId")
"""Under which bodies name users, whatever the method's row says."""

IRREVERSIBLE = frozenset({"deleteUser", "mergeUser"})
"""What must not be done to another user than the one who was meant."""

LONGEST = 255


def bound(call: Call, caller: Caller) -> Call:
    """The call as it may go, by the setting `GATEWAY_USER_ID`. Raises `Refused` (403)."""
    policy = settings.speakers.user_ids
    if policy == "take":
        return call
    own = id_of(caller.user) if caller.user is not None else ""
    for name in NAMES:
        value = call.arguments.get(name)
        if value is None or value == "" or _may_name(call, value, own, caller):
            continue
        stands_in = own or call.hwid
        if policy == "refuse" or not stands_in or call.method.name in IRREVERSIBLE:
            raise Refused(
                403,
                f"{call.method.name} names a user ({name}) who is not the one who calls: log in first, or set the "
                "user id in the SDK back to the device's own.",
            )
        call = _naming(call, name, stands_in)
    return call


def id_of(user: Any) -> str:
    """The Pushwoosh id of who calls; empty for a user who has none."""
    found = settings.user_id(user)
    return "" if found is None else str(found)


def _may_name(call: Call, value: Any, own: str, caller: Caller) -> bool:
    if not isinstance(value, str):
        return False
    if own and value == own:
        return True
    hwid = call.hwid
    if hwid and value in (hwid, canonical_hwid(hwid, _platform(call))):
        return True
    if not _fits(value):
        return False
    if not hwid or is_of_address(call):
        # Addresses are registered in the name of the device that speaks, which does not say its hwid here.
        return _names_device(call, value)
    # What works in the background (statistics, service workers) often has no credentials.
    return caller.user is None and _is_known_of(call, value)


def _names_device(call: Call, user_id: str) -> bool:
    devices = call.arguments.get("push_devices")
    if isinstance(devices, list) and any(isinstance(each, dict) and each.get("hwid") == user_id for each in devices):
        return True
    return Device.objects.of(call.application).filter(hwid=user_id).exists()


def _is_known_of(call: Call, user_id: str) -> bool:
    """Whether the device speaks for this user already, since a call that came with the user's own credentials."""
    links = UserLink.objects.open().filter(device__application=call.application, user_id=user_id)
    if not _fits(call.hwid):
        return False
    link = links.filter(device__hwid=call.hwid).select_related("django_user").first()
    return link is not None and link.django_user is not None and bool(getattr(link.django_user, "is_active", True))


def _naming(call: Call, name: str, user_id: str) -> Call:
    path = ("request", name) if call.method.body is Body.ENVELOPE else (name,)
    raw = with_text(call.raw, path, user_id) if call.raw is not None else None
    return replace(call, arguments={**call.arguments, name: user_id}, raw=raw)


def _platform(call: Call) -> int | None:
    number = call.arguments.get("device_type")
    return int(number) if isinstance(number, int | str) and str(number).isdecimal() and len(str(number)) < 6 else None


def _fits(text: str) -> bool:
    return 0 < len(text) <= LONGEST and is_storable(text)
