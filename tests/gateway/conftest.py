"""An SDK that speaks to the gateway, a wire that shows what reaches Pushwoosh, and a sandbox that answers there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from django_pushwoosh.sandbox.app import Sandbox
from tests import faults as scripted
from tests.faults import Faults
from tests.gateway import wire as recorded
from tests.gateway.wire import Wire

BODIES: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("bodies.json").read_text())
HWID = "c41e7a90-3b6d-4d58-8f27-1a9be6047d3c"
PHONE = {"application": "TEST0-00001", "hwid": HWID, "device_type": 3}
TOKEN = "test-device-token"
NUMBER = "+4790000001"


class Sdk:
    """Posts as SDKs do, and holds every answer to the envelope."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.answer: Any = None

    def post(
        self,
        method: str,
        body: Any,
        *,
        authorization: str | None = None,
        content_type: str = "text/plain;charset=UTF-8",
        path: str = "/json/1.3/{}",
        **headers: str,
    ) -> Any:
        """The envelope; `answer` is the whole response."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Authorization": authorization, **headers} if authorization is not None else headers
        self.answer = self._client.post(path.format(method), content, content_type=content_type, headers=given)
        return envelope_of(self.answer)

    def call(self, method: str, authorization: str | None = None, **arguments: Any) -> Any:
        return self.post(method, {"request": {**PHONE, **arguments}}, authorization=authorization)


def envelope_of(answer: Any) -> Any:
    """The answer's envelope, which every answer has to have, with the HTTP status that goes with it."""
    assert answer["Content-Type"] == "application/json"
    document = json.loads(answer.content)
    code = document["status_code"]
    assert type(code) is int
    assert answer.status_code == (200 if code == 210 else code)
    assert isinstance(document["status_message"], str)
    assert document["status_message"]
    assert "base_url" not in document
    return document


@pytest.fixture(autouse=True)
def _fresh_counts() -> None:
    cache.clear()


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """With the popup that one of the bodies asks for."""
    sandbox.set_entry("popups", "AAAAA-00011", {"content": {"title": "Stay in touch"}})
    return sandbox


@pytest.fixture
def sdk(client: Client) -> Sdk:
    client.raise_request_exception = False
    return Sdk(client)


@pytest.fixture
def faults() -> Iterator[Faults]:
    yield scripted.transport
    scripted.transport.waiting.clear()
    scripted.transport.down = ""


@pytest.fixture
def wire(settings: Any, sandbox: Any, faults: Faults) -> Iterator[Wire]:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "TRANSPORT": "tests.gateway.wire.transport"}
    recorded.transport.__init__()  # type: ignore[misc]
    yield recorded.transport
    recorded.transport.__init__()  # type: ignore[misc]
