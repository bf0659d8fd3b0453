"""A message as one device shows it: its language, its platform's parameters, its badge, its own tags filled in.

The payload has the same keys on every platform, with whatever that platform was sent under `parameters` and what
travels to the phone under `wire`; `u`, `l` and `p` (custom data, link, statistics hash) are the keys under which SDKs
find them there.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django_pushwoosh.protocol.personalisation import fill
from django_pushwoosh.protocol.platforms import BY_NUMBER, IOS, WINDOWS
from django_pushwoosh.sandbox import templates
from django_pushwoosh.sandbox.codes import statistics_hash
from django_pushwoosh.sandbox.payloads import in_the_inbox, on_the_wire
from django_pushwoosh.sandbox.state import Device, Message, language_tag

MOST_BADGE = 2**31 - 1

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
_LOCALIZED = frozenset({"title", "subtitle", "header", "content"})
"""Parameters of a platform with a text for each language: only the device's own is filled in."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """`badge` is what the device's badge becomes, or `None` where the message says nothing about it."""

    title: str
    body: str
    payload: dict[str, Any]
    badge: int | None


class _LeftOut(Exception):
    """A placeholder without a default stands for a tag that the device does not have."""


def render(message: Message, device: Device, at: datetime) -> Rendered | None:
    """What this device is sent; `None` where a placeholder leaves it out."""
    try:
        return _rendered(message, device, _Personal(message, device, at))
    except _LeftOut:
        return None


class _Personal:
    """Fills texts in for one device: Liquid first, then placeholders.

    Unverified against Pushwoosh: that order; that Liquid knows the tags by their names, with `_` for spaces.
    """

    def __init__(self, message: Message, device: Device, at: datetime) -> None:
        self._language = device.language
        self.at = at
        given = message.parameters
        own, bindings = given.get("dynamic_content_placeholders"), given.get("template_bindings")
        self._values: dict[str, Any] = device.tags | (dict(own) if isinstance(own, Mapping) else {})
        self._variables: dict[str, Any] = self._values | (dict(bindings) if isinstance(bindings, Mapping) else {})

    def text(self, value: Any) -> str:
        """A text, or the one in the device's language. Raises `_LeftOut`."""
        return self._filled(localized(value, self._language))

    def every(self, value: Any) -> Any:
        """A JSON value with all its texts filled in. Raises `_LeftOut`."""
        if isinstance(value, str):
            return self._filled(value)
        if isinstance(value, Mapping):
            return {name: self.every(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.every(each) for each in value]
        return value

    def _filled(self, text: str) -> str:
        if "{" not in text:
            return text
        filled = fill(templates.render(text, self._variables, self.at), self._values.get)
        if filled is None:
            raise _LeftOut
        return filled


def _rendered(message: Message, device: Device, personal: _Personal) -> Rendered:
    given = message.parameters
    platform = BY_NUMBER.get(device.platform)
    prefix = platform.prefix if platform else ""
    sent = {name: value for name, value in given.items() if prefix and name.startswith(prefix)}
    if platform is IOS and "apns_trim_content" in given:
        sent["apns_trim_content"] = given["apns_trim_content"]
    own = {
        name: value if name.removeprefix(prefix) in _LOCALIZED else personal.every(value)
        for name, value in sent.items()
    }
    is_silent = _is_on(own.get(f"{prefix}silent"))

    titles = (own[name] for name in (f"{prefix}title", f"{prefix}header") if name in own)
    title = personal.text(next(titles, given.get("title")))
    subtitle = personal.text(own.get(f"{prefix}subtitle", given.get("subtitle")))
    if platform is WINDOWS:
        # Windows ignores `content` (seed 001); the XML or raw text of wns_content is what it shows.
        body = _decoded(localized(own.get("wns_content"), device.language))
    else:
        body = personal.text(given.get("content"))
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
    buttons = [{"text": own[label], "url": own.get(address, "")} for label, address in _BUTTONS if own.get(label)]
    if buttons:
        payload["buttons"] = buttons
    if "data" in given:
        data = given["data"]
        payload["u"] = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    if given.get("link"):
        # Unverified against Pushwoosh: the link comes as it was given; no shortener is asked (minimize_link).
        payload["l"] = personal.every(given["link"])
    for name in ("rich_media", "inbox_date", "inbox_days", "inbox_image", "campaign"):
        if name in given:
            payload[name] = personal.every(given[name]) if name == "inbox_image" else given[name]
    campaign = given.get("campaign")
    payload["p"] = statistics_hash(campaign if isinstance(campaign, str) else "", message.id, message.code)
    payload["parameters"] = sent
    payload["wire"] = on_the_wire(message, platform, payload, own) | in_the_inbox(message, payload, personal.at)
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


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _is_on(value: Any) -> bool:
    return value in (1, "1", "true")
