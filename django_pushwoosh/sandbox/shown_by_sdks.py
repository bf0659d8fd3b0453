"""What SDKs fetch to show or to act by: the configuration, in-app messages, popups and geozones.

All of it is made in Pushwoosh's control panel, and here on the control page. Source: the SDKs' own code.
Unverified against Pushwoosh: all of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from html import escape
from typing import Any

from django_pushwoosh.protocol.methods import REMOTE
from django_pushwoosh.sandbox.answering import Asked, Reply
from django_pushwoosh.sandbox.audience import metres_between
from django_pushwoosh.sandbox.device_calls import seen

MOST_ZONES = 10
"""Zones that are told to one device at a time."""

IN_APPS = "/in-apps/"
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP can hold; with it, the same in-app is always the same bytes."""

SHOWN_EVERYWHERE = {
    "subscription_form_code": "",
    "device_type": "ALL",
    "visitors_type": "ALL",
    "matching_pages": [],
    "excluded_pages": [],
    "delay": 0,
    "frequency": "EVERY_VISIT",
}


def get_config(asked: Asked) -> Reply:
    """Tells the features that are asked for, or all."""
    wanted = asked.arguments.get("features")
    features = {
        name: value
        for name, value in asked.state.options.features.items()
        if value is not None and (not isinstance(wanted, list) or name in wanted)
    }
    visit = features.get("page_visit")
    if isinstance(visit, dict):
        features["page_visit"] = {"entrypoint": f"{asked.root}{REMOTE}pageVisit"} | visit
    return Reply({"features": features})


def get_in_apps(asked: Asked) -> Reply:
    """Lists the in-app messages; each is a ZIP with a page, which the sandbox serves itself."""
    codes = dict.fromkeys(asked.state.options.in_apps.values())
    return Reply({"inApps": [_in_app(asked.root, code) for code in codes]})


def _in_app(root: str, code: str) -> dict[str, Any]:
    return {
        "code": code,
        "url": f"{root}{IN_APPS}{code}.zip",
        "hash": hashlib.md5(in_app_archive(code), usedforsecurity=False).hexdigest(),
        "updated": 1,
        "layout": "fullscreen",
        "required": False,
        "priority": 0,
    }


def in_app_archive(code: str) -> bytes:
    """An in-app message as SDKs load it: a page in a ZIP."""
    page = f'<!doctype html><meta charset="utf-8"><title>In-app message</title><h1>{escape(code)}</h1>'
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(zipfile.ZipInfo("index.html", _FIRST_DAY), page.encode("utf-8", "replace"))
    return content.getvalue()


def get_popup_forms(asked: Asked) -> Reply:
    """Lists the popups of a site, and the rules by which each is shown."""
    return Reply(
        {
            "popup_forms": [
                {"code": code, "popup_form_content_code": code, **SHOWN_EVERYWHERE}
                | {name: value for name, value in popup.items() if name != "content"}
                for code, popup in asked.state.options.popups.items()
            ]
        }
    )


def get_popup_form_content(asked: Asked) -> Reply:
    """Tells what a popup shows; one that nobody made is empty, which SDKs do not show."""
    content = asked.state.options.popups.get(asked.text("code"), {}).get("content", "")
    text = content if isinstance(content, str) else json.dumps(content)
    return Reply({"code": asked.text("code"), "json": text, "html": None})


def get_nearest_zone(asked: Asked) -> Reply:
    """Learns where a device is, and tells the zones around it, the nearest first; `distance` is to their middle.

    A device that sends no position has stopped telling where it is.
    """
    device = seen(asked)
    device.position = position = _position(asked.arguments.get("lat"), asked.arguments.get("lng"))
    zones = asked.state.options.zones.items() if position else ()
    found = sorted(
        (
            {"name": name, **zone, "distance": round(metres_between((zone["lat"], zone["lng"]), position or (0, 0)))}
            for name, zone in zones
        ),
        key=lambda zone: (zone["distance"], zone["name"]),
    )
    return Reply({"geozones": found[: MOST_ZONES if asked.arguments.get("more") else 1]}, is_change=True)


def _position(latitude: Any, longitude: Any) -> tuple[float, float] | None:
    """Both in degrees."""
    for value, most in ((latitude, 90), (longitude, 180)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not -most <= value <= most:
            return None
    return float(latitude), float(longitude)
