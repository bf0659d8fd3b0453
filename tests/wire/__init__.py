"""What the documents say: every case of the files beside this one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

API_TOKEN, DEVICE_TOKEN, APPLICATION = "yxoPUlwqm-pIyEX4H", "device-token-1", "12345-67891"
"""What the documents' placeholders were made."""


@dataclass(frozen=True)
class Case:
    """A documented request with its documented answer."""

    method: str
    source: str
    edits: list[str]
    request: dict[str, Any]
    answer: dict[str, Any]

    @property
    def arguments(self) -> dict[str, Any]:
        """The request's arguments, out of their envelope where they have one."""
        body = self.request["body"] or {}
        arguments: dict[str, Any] = body.get("request", body)
        return arguments

    def __str__(self) -> str:
        return self.source


def cases() -> list[Case]:
    files = sorted(Path(__file__).parent.glob("*.json"))
    return [Case(file.stem, **each) for file in files for each in json.loads(file.read_text(encoding="utf-8"))]
