"""What the phones page is served: its files, and the devices and pushes as one JSON document to poll."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from django_pushwoosh.protocol.platforms import label_of
from django_pushwoosh.sandbox.inbox import DELETED
from django_pushwoosh.sandbox.state import Device, Push, State

MOST_PUSHES = 500

PAGES = {
    "phones.html": "text/html; charset=utf-8",
    "phones.css": "text/css; charset=utf-8",
    "phones.js": "text/javascript; charset=utf-8",
    "control.html": "text/html; charset=utf-8",
    "control.css": "text/css; charset=utf-8",
    "control.js": "text/javascript; charset=utf-8",
}
"""The files of the two pages, and nothing else."""

_DIRECTORY = Path(__file__).parent / "pages"


def page(name: str) -> tuple[bytes, str] | None:
    """A file of a page with its content type, or `None`."""
    kind = PAGES.get(name)
    if kind is None:
        return None
    try:
        return (_DIRECTORY / name).read_bytes(), kind
    except FileNotFoundError:
        return None


class Feed:
    """Answers polls. A device's JSON is made once per change, so a poll of thousands of idle devices is cheap."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, str]] = {}

    def document(
        self,
        state: State,
        now: datetime,
        *,
        since: int = 0,
        application: str = "",
        devices: int | None = None,
        limit: int = MOST_PUSHES,
    ) -> bytes:
        """The pushes after `since`, and the devices unless their version is still `devices`.

        `devices` is null where nothing changed; else all devices are there, also the unchanged ones.
        """
        if since > state.push_count:
            # The page outlived the sandbox that it had counted with.
            since = 0
        pushes = self._pushes(state, since, application, max(1, min(limit, MOST_PUSHES)))
        head = {
            "now": now.isoformat(),
            "applications": [
                {"code": code, "devices": len(state.devices_of(code))} for code in state.applications
            ],
            "sequence": state.push_count,
            "devices_version": state.devices_version,
            "pushes": pushes,
        }  # fmt: skip
        listed = "null"
        if devices != state.devices_version:
            chosen = state.devices_of(application) if application else state.devices
            listed = f"[{','.join(self._device(each) for each in chosen.values())}]"
        return f'{json.dumps(head)[:-1]},"devices":{listed}}}'.encode("ascii")

    @staticmethod
    def _pushes(state: State, since: int, application: str, limit: int) -> list[dict[str, Any]]:
        fresh = islice(reversed(state.pushes), state.push_count - since)
        wanted = islice((push for push in fresh if not application or push.device.application == application), limit)
        return [_push(push) for push in reversed(list(wanted))]

    def _device(self, device: Device) -> str:
        known = self._known.get(device.id)
        if known is None or known[0] != device.version:
            known = self._known[device.id] = (device.version, json.dumps(described(device)))
        return known[1]


def described(device: Device) -> dict[str, Any]:
    """A device as the page shows it."""
    return {
        "id": device.id,
        "application": device.application,
        "hwid": device.hwid,
        "platform": device.platform,
        "platform_label": label_of(device.platform) if device.platform else "",
        "user_id": device.user_id,
        "language": device.language,
        "subscribed": device.is_subscribed,
        "badge": device.badge,
        "tags": device.tags,
        "model": device.model,
        "test_device": device.test_device is not None,
        "letters": [
            {
                "title": each.title,
                "text": each.text,
                "status": each.status,
                "removed_at": each.removed_at.isoformat(),
            }
            for each in reversed(device.inbox.values())
            if each.status != DELETED
        ],
    }


def _push(push: Push) -> dict[str, Any]:
    return {
        "sequence": push.sequence,
        "device": push.device.id,
        "at": push.at.isoformat(),
        "message": push.message.code,
        "title": push.title,
        "body": push.body,
        "payload": push.payload,
    }
