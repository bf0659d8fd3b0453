"""A message as one device shows it: its language, its platform's parameters, its badge, its own tags filled in.

The payload has the same keys on every platform, with whatever that platform was sent under `parameters`; `u`, `l`
and `p` (custom data, link, statistics hash) are the keys under which SDKs find them.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django_pushwoosh.protocol.platforms import BY_NUMBER, WINDOWS
from django_pushwoosh.sandbox.codes import statistics_hash
from django_pushwoosh.sandbox.state import Device, Message, language_tag

MOST_BADGE = 2**31 - 1

_PLACEHOLDER = re.compile(r"\{([^{}|]{1,255})\|([^{}|]{0,64})(?:\|([^{}]{0,1000}))?\}")

_BUTTONS = (("chrome_button_text1", "chrome_button_url1"), ("chrome_button_text2", "chrome_button_url2"))
_FIELDS = {
    "sound": ("sound",),
    "ttl": ("ttl", "gcm_ttl"),
    "priority": ("priority", "interruption_level"),
    "delivery_priority": ("delivery_priority",),
    "icon": ("icon",),
    "custom_icon": ("custom_icon",),
    "image": ("attachment", "banner", "image"),
    "category": ("category_id",),
    "thread": ("thread_id",),
    "critical": ("critical",),
    "root": ("root_params",),
    "duration": ("duration",),
    "action": ("action",),
    "url_args": ("url_args",),
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """`badge` is what the device's badge becomes, or `None` where the message says nothing about it."""

    title: str
    body: str
    payload: dict[str, Any]
    badge: int | None


def render(message: Message, device: Device) -> Rendered:
    """What this device is sent."""
    given = message.parameters
    platform = BY_NUMBER.get(device.platform)
    prefix = platform.prefix if platform else ""
    own = {name: value for name, value in given.items() if prefix and name.startswith(prefix)}
    if device.platform == BY_NUMBER[1].number:
        own |= {name: given[name] for name in ("apns_trim_content",) if name in given}
    is_silent = _is_on(own.get(f"{prefix}silent"))

    def text(value: Any) -> str:
        return _filled(localized(value, device.language), given, device)

    titles = (own[name] for name in (f"{prefix}title", f"{prefix}header") if name in own)
    title = text(next(titles, given.get("title")))
    subtitle = text(own.get(f"{prefix}subtitle", given.get("subtitle")))
    if platform is WINDOWS:
        # Windows ignores `content` (seed 001); the XML or raw text of wns_content is what it shows.
        body = _decoded(localized(own.get("wns_content"), device.language))
    else:
        body = text(given.get("content"))
    if is_silent:
        title = subtitle = body = ""
    badge = resolved_badge(own.get(f"{prefix}badges"), device.badge)

    payload: dict[str, Any] = {"title": title, "body": body}
    if subtitle:
        payload["subtitle"] = subtitle
    if badge is not None:
        payload["badge"] = badge
    for key, names in _FIELDS.items():
        for name in names:
            if prefix + name in own and not (is_silent and key == "sound"):
                payload[key] = own[prefix + name]
                break
    if is_silent:
        payload["silent"] = True
    buttons = [
        {"text": own[label], "url": own.get(address, "")} for label, address in _BUTTONS if own.get(label)
    ]  # fmt: skip
    if buttons:
        payload["buttons"] = buttons
    if "data" in given:
        data = given["data"]
        payload["u"] = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    if given.get("link"):
        # Unverified against Pushwoosh: the link comes as it was given; no shortener is asked (minimize_link).
        payload["l"] = given["link"]
    for name in ("rich_media", "inbox_date", "inbox_days", "inbox_image", "campaign"):
        if name in given:
            payload[name] = given[name]
    campaign = given.get("campaign")
    payload["p"] = statistics_hash(campaign if isinstance(campaign, str) else "", message.id, message.code)
    payload["parameters"] = own
    return Rendered(title, body, payload, badge)


def localized(value: Any, language: str) -> str:
    """A text in the device's language, else `default`, else English, else any (the first)."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping) or not value:
        return ""
    texts = {str(key).replace("_", "-").lower(): text for key, text in value.items() if isinstance(text, str)}
    tag = language.replace("_", "-").lower()
    parts = tag.split("-")
    wanted = ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]
    for key in (*wanted, language_tag(language), "default", "en"):
        if key in texts:
            return texts[key]
    return next(iter(texts.values()), "")


def resolved_badge(value: Any, present: int) -> int | None:
    """The number on the icon after a message: `5` sets it, `+n` and `-n` count from the present one, not below 0."""
    if isinstance(value, bool):
        # Huawei's badge is a boolean in the documents: it counts up by one.
        return min(present + 1, MOST_BADGE) if value else None
    if isinstance(value, int):
        return max(0, min(value, MOST_BADGE))
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,9}", value):
        number = int(value)
        return max(0, min(present + number if value[0] in "+-" else number, MOST_BADGE))
    return None


def _filled(text: str, given: Mapping[str, Any], device: Device) -> str:
    """`{Name|CapitalizeFirst|friend}` with the device's tag, or the message's own value for it."""
    if "{" not in text:
        return text
    own = given.get("dynamic_content_placeholders")
    placeholders: Mapping[str, Any] = own if isinstance(own, Mapping) else {}
    tags = device.tags

    def fill(found: re.Match[str]) -> str:
        name, modifier, fallback = found[1], found[2], found[3] or ""
        value = placeholders.get(name, tags.get(name))
        if value is None or value == "" or value == []:
            return fallback
        filled = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        match modifier.lower():
            case "capitalizefirst":
                return filled[:1].upper() + filled[1:]
            case "capitalizeallfirst":
                return " ".join(word[:1].upper() + word[1:] for word in filled.split(" "))
            case "uppercase":
                return filled.upper()
            case "lowercase":
                return filled.lower()
        return filled

    return _PLACEHOLDER.sub(fill, text)


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _is_on(value: Any) -> bool:
    return value in (1, "1", "true")
