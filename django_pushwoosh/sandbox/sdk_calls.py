"""What SDKs also say about devices and users, and what they merely tell, without any document of the server's side.

Source: the SDKs' own code. Unverified against Pushwoosh: all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django_pushwoosh.protocol.methods import TEXT
from django_pushwoosh.protocol.platforms import EMAIL, SMS, WHATSAPP
from django_pushwoosh.protocol.tags import TagType
from django_pushwoosh.sandbox.answering import CHANGED, Asked, Refused, Reply
from django_pushwoosh.sandbox.device_calls import DEVICE_TYPES, describe, hwid_of, register_device, seen
from django_pushwoosh.sandbox.state import Report, TestDevice
from django_pushwoosh.sandbox.tagging import set_tags, type_of

NOT_REPORTED = ("application", "hwid", "userId", "auth")
"""What a report has in a place of its own, and what nobody keeps."""

MOST_ACTIVITIES = 100
"""Live activities that one device has at a time; the oldest make room."""


def check_device(asked: Asked) -> Reply:
    """Tells whether a device is known, and whether it has a push token."""
    device = asked.state.device(asked.application, hwid_of(asked))
    return Reply({"exist": device is not None, "push_token_exist": device is not None and device.is_subscribed})


def delete_device(asked: Asked) -> Reply:
    """Forgets a device, as a browser's user may demand."""
    device = asked.state.device(asked.application, hwid_of(asked))
    if device is not None:
        asked.state.remove(device)
    return Reply(is_change=device is not None)


def create_test_device(asked: Asked) -> Reply:
    """Puts the device among the test devices, under a name."""
    device = seen(asked)
    device.test_device = TestDevice(
        asked.text("name"), asked.text("description"), asked.arguments.get("auto_created") is True
    )
    if asked.text("push_token"):
        asked.state.subscribe(device, asked.text("push_token"))
    describe(asked, device)
    return CHANGED


def multi_register_device(asked: Asked) -> Reply:
    """Registers browsers, an address and numbers of one person at once, each with the tags."""
    given: list[dict[str, Any]] = [
        {
            **_mapping(each.get("platformData")),
            "hwid": each.get("hwid"),
            "device_type": each.get("platform"),
            "push_token": each.get("push_token"),
            "v": each.get("sdk_version"),
        }
        for each in asked.arguments.get("push_devices") or ()
    ]
    for name, platform in (("email", EMAIL), ("sms_phone_number", SMS), ("whatsapp_phone_number", WHATSAPP)):
        if asked.text(name):
            given.append({"hwid": asked.text(name), "device_type": platform.number})
    if not given:
        raise Refused("No hwid given")
    for each in given:
        TEXT.clean(each["hwid"], "hwid")
        kind = each["device_type"]
        if isinstance(kind, bool) or not isinstance(kind, int) or kind not in DEVICE_TYPES:
            raise Refused("Invalid device type")
    about = {name: asked.arguments[name] for name in ("language", "timezone") if name in asked.arguments}
    about |= {"userId": asked.text("user_id"), "tags": _changes(asked, _mapping(asked.arguments.get("tags")))}
    for each in given:
        said = {name: value for name, value in (about | each).items() if value is not None}
        register_device(replace(asked, arguments=said))
    return CHANGED


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _changes(asked: Asked, tags: Mapping[str, Any]) -> dict[str, Any]:
    """Changes of tags as setTags has them: here they are `{"operation": 0-3, "value", "values"}`, numbers in texts."""
    changes: dict[str, Any] = {}
    for name, given in tags.items():
        if not isinstance(given, Mapping) or isinstance(given.get("operation"), bool):
            continue
        value = given["values"] if given.get("values") is not None else given.get("value")
        match given.get("operation"):
            case 0:
                is_integer = type_of(asked.state, asked.account, name) is TagType.INTEGER
                changes[name] = _whole_number(value) if is_integer else value
            case 1:
                changes[name] = {"operation": "append", "value": value}
            case 2:
                # Nothing to take out of it: the tag itself goes.
                changes[name] = None if value is None else {"operation": "remove", "value": value}
            case 3:
                changes[name] = {"operation": "increment", "value": _whole_number(value)}
    return changes


def _whole_number(value: Any) -> Any:
    is_number = isinstance(value, str) and len(value) <= 19 and value.isascii() and value.lstrip("+-").isdigit()
    try:
        return int(value) if is_number else value
    except ValueError:
        return value


def register_email_user(asked: Asked) -> Reply:
    """Makes a known address a user's."""
    device = asked.state.device(asked.application, asked.text("email"))
    if device is None or not asked.text("userId"):
        return Reply()
    asked.state.link(device, asked.text("userId"))
    return CHANGED


def set_email_tags(asked: Asked) -> Reply:
    """Sets the tags of an address, which may be new; never those of the phone that speaks."""
    device = asked.state.seen(asked.application, asked.text("email"), asked.now, EMAIL.number, asked.text("userId"))
    set_tags(asked.state, device, asked.arguments["tags"])
    return CHANGED


def merge_user(asked: Asked) -> Reply:
    """Makes all devices of the old user the new one's, and the events too; without `merge` these are forgotten."""
    state, old, new = asked.state, asked.text("oldUserId"), asked.text("newUserId")
    devices = state.devices_of_user(asked.application, old)
    for device in devices:
        state.link(device, new)
    is_merged = asked.arguments.get("merge") is not False
    count = len(state.events)
    state.events = [
        replace(event, user_id=new) if event.application == asked.application and event.user_id == old else event
        for event in state.events
        if is_merged or event.application != asked.application or event.user_id != old
    ]
    return Reply(is_change=bool(devices) or is_merged or len(state.events) < count)


def set_activity_token(asked: Asked) -> Reply:
    """Learns the push token of a live activity; an empty one ends it."""
    device, name = seen(asked), asked.text("activity_id")
    device.activities.pop(name, None)
    if asked.text("activity_token"):
        device.activities[name] = asked.text("activity_token")
    elif not name:
        # An SDK that stops names no activity.
        device.activities.clear()
    while len(device.activities) > MOST_ACTIVITIES:
        del device.activities[next(iter(device.activities))]
    return CHANGED


def set_push_to_start_token(asked: Asked) -> Reply:
    """Learns the token that starts live activities on the device."""
    return _attribute(asked, "activity_push_to_start_token")


def set_advertising_id(asked: Asked) -> Reply:
    """Learns the advertising id, or that there is none."""
    return _attribute(asked, "madid")


def _attribute(asked: Asked, name: str) -> Reply:
    device = seen(asked)
    device.attributes.pop(name, None)
    if asked.text(name):
        device.attributes[name] = asked.text(name)
    return CHANGED


def report(asked: Asked) -> Reply:
    """Takes note of what an SDK tells, which changes nothing else; a device that is named is known from then on."""
    hwid = hwid_of(asked)
    user = asked.text("userId")
    if hwid:
        device = seen(asked)
        user = user or device.user_id
    told = {name: value for name, value in asked.arguments.items() if name not in NOT_REPORTED}
    asked.state.reports.append(Report(asked.now, asked.method, asked.application, hwid, user, told))
    return CHANGED
