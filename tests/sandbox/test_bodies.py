"""What the SDKs really send is taken by the sandbox as Pushwoosh takes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.sandbox import Application, Sandbox, SetClock

from .conftest import DEVICE, NOON

BODIES: dict[str, Any] = json.loads((Path(__file__).parents[1] / "gateway" / "bodies.json").read_text())
"""`<SDK> <method>#<variant>`: the whole body."""


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_taken(name: str) -> None:
    method = METHODS[name.split()[1].partition("#")[0]]
    body = BODIES[name]
    code = body.get("request", body).get("application", "")
    sandbox = Sandbox([Application(code or "AAAAA-00001", "api", DEVICE)], SetClock(NOON))
    headers = {"Content-Type": "text/plain;charset=UTF-8", "Authorization": f"Token {DEVICE}"}
    status, _, content = sandbox.handle("POST", method.path, headers, json.dumps(body).encode())
    # Who was told to forget everything does not know its application either: Pushwoosh cannot place that.
    assert (status, json.loads(content)["status_code"]) == (200, 200 if code else 210), content
