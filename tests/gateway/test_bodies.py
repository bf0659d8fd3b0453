"""Every body that an SDK sends arrives as it was sent, whatever the policy; and at Pushwoosh it is understood."""

from __future__ import annotations

import json
from typing import Any

import pytest

from django_pushwoosh.models import OutboxEntry
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.methods import Policy
from django_pushwoosh.testing import run_outbox
from tests.gateway.conftest import BODIES

pytestmark = pytest.mark.django_db

NOT_TAKEN = "web messageDeliveryEvent#nothing known any more (after removeAllDeviceData)"
"""It names neither application nor device, so Pushwoosh has to refuse it, too."""


def method_of(name: str) -> str:
    return name.split(" ")[1].split("#")[0]


def policies(method: str) -> list[str]:
    asks = METHODS[method].policy is Policy.RELAY
    return ["relay"] if asks else ["queue", "relay_else_queue", "relay"]


CASES = [(name, policy) for name in BODIES for policy in policies(method_of(name))]
WRITTEN = {
    "compact": lambda body: json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
    "spaced, in escapes, with a BOM": lambda body: b"\xef\xbb\xbf" + json.dumps(body, indent=1).encode() + b"\r\n",
}


@pytest.fixture(autouse=True)
def _everything_is_permitted(settings: Any) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_PERMISSION": lambda request, method: True}


def test_every_method_of_the_sdks_has_a_body():
    sent = {method_of(name) for name in BODIES}
    assert {name for name, method in METHODS.items() if method.asked_by.value == "SDK"} - sent == {"deleteUser"}


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize(("name", "policy"), CASES)
def test_every_body_arrives_byte_for_byte_by_every_policy(name, policy, written, sdk, wire, settings):
    method, body = method_of(name), WRITTEN[written](BODIES[name])
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_POLICIES": {method: policy}}

    envelope = sdk.post(method, body, authorization="Token null")
    assert [sent.body for sent in wire.sent] == ([] if policy == "queue" else [body])
    run_outbox()

    # The sandbox knows no BOM, and what it says of one is the answer to a relayed call.
    if written == "compact" and (name != NOT_TAKEN or policy == "queue"):
        assert envelope["status_code"] == 200
    assert [(sent.method, sent.body) for sent in wire.sent] == [(method, body)]
    assert not OutboxEntry.objects.unsettled().exists()


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "application/json; charset=utf-8"])
@pytest.mark.parametrize("name", sorted(BODIES.keys() - {NOT_TAKEN}))
def test_every_body_is_understood(name, content_type, sdk, wire, sandbox):
    method = method_of(name)
    envelope = sdk.post(method, WRITTEN["compact"](BODIES[name]), content_type=content_type, authorization="Token null")
    assert envelope["status_code"] == 200
    run_outbox()
    assert [(request.method, request.verdict) for request in sandbox.requests] == [(method, "OK")]
