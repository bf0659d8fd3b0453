"""A push as it travels to the phone, under the keys by which the SDKs find its parts.

Source: Pushwoosh's help article on the keys of payloads, for Android and iOS. Unverified against Pushwoosh: the keys
that browsers and desktops get, and what Google and Apple add on the way, which is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django_pushwoosh.protocol.platforms import AMAZON, ANDROID, HUAWEI, IOS, MACOS, Platform
from django_pushwoosh.sandbox.inbox import is_kept, removed_at
from django_pushwoosh.sandbox.state import Message

ANDROID_KEYS = {
    "s": "sound",
    "i": "icon",
    "ci": "custom_icon",
    "b": "banner",
    "ibc": "ibc",
    "led": "led",
    "pri": "priority",
    "vib": "vibration",
    "pw_badges": "badges",
    "pw_silent": "silent",
    "pw_lockscreen": "lockscreen",
}
"""Key of the payload: parameter of the platform, without its prefix. Values travel as texts."""

WEB_KEYS = {"i": "icon", "image": "image", "duration": "duration"}


def on_the_wire(
    message: Message, platform: Platform | None, shown: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, Any]:
    """The payload for one device. `shown` is what it shows, `own` are the platform's parameters, filled in."""
    prefix = platform.prefix if platform else ""
    mine = {name.removeprefix(prefix): value for name, value in own.items()}
    payload: dict[str, Any] = {"pw_msg": "1", "p": shown["p"]}
    payload |= {key: shown[key] for key in ("l", "u") if key in shown}
    if "rich_media" in shown:
        payload["rm"] = _rich_media(message, shown["rich_media"])
    root = mine.get("root_params")
    root = dict(root) if isinstance(root, Mapping) else {}
    if platform in (IOS, MACOS):
        return payload | _apple(shown, mine, root)
    if platform in (ANDROID, HUAWEI, AMAZON):
        payload |= {"header": shown["title"], "title": shown["body"]}
        payload |= {key: _text(mine[name]) for key, name in ANDROID_KEYS.items() if name in mine}
    else:
        payload |= {"header": shown["title"], "body": shown["body"]}
        payload |= {key: mine[name] for key, name in WEB_KEYS.items() if name in mine}
        if "buttons" in shown:
            payload["buttons"] = shown["buttons"]
    if shown.get("silent"):
        payload = {key: value for key, value in payload.items() if key not in ("header", "title", "body", "s")}
        payload["pw_silent"] = "1"
    return payload | root


def in_the_inbox(message: Message, shown: Mapping[str, Any], at: datetime) -> dict[str, str]:
    """The keys by which a push tells an SDK that it belongs in the inbox, and until when."""
    if not is_kept(message.parameters):
        return {}
    image = {"image": shown["inbox_image"]} if "inbox_image" in shown else {}
    until = str(int(removed_at(message.parameters, at).timestamp()))
    return {"pw_inbox": message.code, "inbox_params": json.dumps(image | {"rt": until}, separators=(",", ":"))}


def _apple(shown: Mapping[str, Any], mine: Mapping[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    given = root.pop("aps", None)
    aps: dict[str, Any] = {}
    if shown.get("silent"):
        aps["content-available"] = 1
    else:
        alert = {key: shown[key] for key in ("title", "subtitle", "body") if shown.get(key)}
        aps["alert"] = alert if alert.keys() - {"body"} else shown["body"]
        if "sound" in mine:
            aps["sound"] = mine["sound"]
    if "badge" in shown:
        aps["badge"] = shown["badge"]
    for key, name in (("category", "category_id"), ("thread-id", "thread_id")):
        if name in mine:
            aps[key] = mine[name]
    if "interruption_level" in mine:
        aps["interruption-level"] = mine["interruption_level"]
    attachment = {"attachment": mine["attachment"]} if "attachment" in mine else {}
    return {"aps": aps | dict(given) if isinstance(given, Mapping) else aps} | attachment | root


def _rich_media(message: Message, code: Any) -> str:
    address = f"https://richmedia.pushwoosh.com/{str(code)[:1]}/{str(code)[1:2]}/{code}.zip"
    return json.dumps({"url": address, "ts": str(int(message.created_at.timestamp()))}, separators=(",", ":"))


def _text(value: Any) -> str:
    """As FCM's data messages hold it: always a text, colours in lower case."""
    if isinstance(value, bool):
        return "1" if value else "0"
    text = value if isinstance(value, str) else json.dumps(value)
    return text.lower() if text.startswith("#") else text
