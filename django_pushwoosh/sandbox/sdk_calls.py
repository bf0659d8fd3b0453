"""What SDKs also call, though no document of the server's side lists it.

Device bookkeeping is answered from the state. Inbox, in-apps, popups and the like are answered with their empty form,
in the shapes that the SDKs read, so that a real SDK that is pointed at the sandbox starts and runs.
Source: the SDKs' own code. Unverified against Pushwoosh: all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django_pushwoosh.protocol.platforms import EMAIL
from django_pushwoosh.sandbox.answering import CHANGED, Asked, Refused, Reply
from django_pushwoosh.sandbox.state import normal_hwid
from django_pushwoosh.sandbox.tagging import set_tags


def check_device(asked: Asked) -> Reply:
    """Tells whether a device is known, and whether it has a push token."""
    device = asked.state.device(asked.application, asked.text("hwid"))
    return Reply({"exist": device is not None, "push_token_exist": device is not None and device.is_subscribed})


def delete_device(asked: Asked) -> Reply:
    """Forgets a device, as a browser's user may demand."""
    device = asked.state.device(asked.application, asked.text("hwid"))
    if device is not None:
        asked.state.remove(device)
    return Reply(is_change=device is not None)


def delete_email(asked: Asked) -> Reply:
    """Forgets an address; its user stays as long as another device is left."""
    device = asked.state.device(asked.application, asked.text("email"))
    if device is not None:
        asked.state.remove(device)
    return Reply(is_change=device is not None)


def register_email_user(asked: Asked) -> Reply:
    """Makes a known address a user's."""
    device = asked.state.device(asked.application, asked.text("email"))
    if device is None or not asked.text("userId"):
        return Reply()
    asked.state.link(device, asked.text("userId"))
    return CHANGED


def set_email_tags(asked: Asked) -> Reply:
    """Sets the tags of an address, which may be new; never those of the phone that speaks."""
    email, tags = asked.text("email"), asked.arguments.get("tags")
    if not email or not isinstance(tags, dict):
        raise Refused("No email given")
    device = asked.state.seen(asked.application, email, asked.now, EMAIL.number, asked.text("userId"))
    set_tags(asked.state, device, tags)
    return CHANGED


def merge_user(asked: Asked) -> Reply:
    """Makes all devices of the old user the new one's."""
    old, new = asked.text("oldUserId"), asked.text("newUserId")
    devices = asked.state.devices_of_user(asked.application, old) if new else []
    for device in devices:
        asked.state.link(device, new)
    return Reply(is_change=bool(devices))


def get_nearest_zone(asked: Asked) -> Reply:
    """Learns where a device is, which geozone messages go by; there are no zones to tell."""
    latitude, longitude = asked.arguments.get("lat"), asked.arguments.get("lng")
    reply: dict[str, Any] = {"geozones": []}
    if not asked.text("hwid"):
        return Reply(reply)
    hwid = normal_hwid(asked.text("hwid"), 0)
    device = asked.state.seen(asked.application, hwid, asked.now, user_id=asked.text("userId"))
    device.position = _position(latitude, longitude)
    return Reply(reply, is_change=True)


def _position(latitude: Any, longitude: Any) -> tuple[float, float] | None:
    """Both in degrees; null from an SDK means that it stops telling."""
    for value, most in ((latitude, 90), (longitude, 180)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not -most <= value <= most:
            return None
    return float(latitude), float(longitude)


def _empty(response: Any = None) -> Callable[[Asked], Reply]:
    return lambda asked: Reply(response)


SDK_CALLS: dict[str, Callable[[Asked], Reply]] = {
    "checkDevice": check_device,
    "deleteDevice": delete_device,
    "deleteEmail": delete_email,
    "registerEmailUser": register_email_user,
    "setEmailTags": set_email_tags,
    "mergeUser": merge_user,
    "getNearestZone": get_nearest_zone,
    "getConfig": _empty({"features": {}}),
    "getInApps": _empty({"inApps": []}),
    "getInboxMessages": _empty({"messages": [], "deleted": [], "new_inbox": 0}),
    "getPopupForms": _empty({"popup_forms": []}),
    "getPopupFormContent": _empty({"json": None}),
    **dict.fromkeys(
        (
            "inboxStatus",
            "triggerInAppAction",
            "richMediaAction",
            "createTestDevice",
            "setActivityToken",
            "setActivityPushToStartToken",
            "multiRegisterDevice",
            "recordPopupFormEvent",
            "pageVisit",
            "setPurchase",
            "setMADID",
        ),
        _empty(),
    ),
}
"""By wire name; all of them are POST under /json/1.3/."""
