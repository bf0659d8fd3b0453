"""What tells the entries of an ordeal apart, in our tables as in the sandbox's record.

Each entry has a mark of its own: `hwid#n` for the n-th of a device, in a tag's name (`M7`, `C7`), a list's value, a
push token or an event's attributes, so that calls that were said as one still name each; for messages it is their
text. unregisterDevice alone has no room for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

CODE, API_TOKEN, DEVICE_TOKEN = "FIRES-00001", "ordeal-api-token", "ordeal-device-token"
NUMBERED = re.compile(r"[MC](\d+)")
SEEN = "Seen"


def mark(hwid: str, number: int) -> str:
    return f"{hwid}#{number}"


def number_of(marked: str) -> int:
    return int(marked.rpartition("#")[2])


def marks_of(method: str, arguments: Mapping[str, Any]) -> list[str]:
    """The marks that a call carries, in order of the devices that it names."""
    match method:
        case "setTags" | "bulkSetTags" | "bulkRegisterDevice":
            rows = arguments.get("devices", [arguments])
            return [each for row in rows for each in marks_of_row(row)]
        case "registerDevice":
            return [arguments["push_token"]]
        case "postEvent":
            return [arguments["attributes"]["mark"]]
        case "createMessage":
            return [each["content"] for each in arguments["notifications"]]
        case "createTargetedMessage":
            return [arguments["content"]]
    return []


def marks_of_row(row: Mapping[str, Any]) -> list[str]:
    """The marks of one device's changes."""
    return [row["push_token"]] if "push_token" in row else list(_in_tags(row["hwid"], row.get("tags") or {}))


def _in_tags(hwid: str, tags: Mapping[str, Any]) -> Iterator[str]:
    for name, change in tags.items():
        if found := NUMBERED.fullmatch(name):
            yield mark(hwid, int(found[1]))
        elif name == SEEN:
            for value in change["value"]:
                yield mark(hwid, int(value))
