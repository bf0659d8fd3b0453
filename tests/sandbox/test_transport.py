"""The sandbox in the client's process."""

from __future__ import annotations

import json

import pytest

from django_pushwoosh.sandbox import transport
from django_pushwoosh.sandbox.transport import NoSandbox, current, in_process, install

from .conftest import API, APP

URL = "https://api.example.com/json/1.3/createMessage"
TIMEOUT = (5.0, 30.0)


@pytest.fixture(autouse=True)
def nobody():
    earlier = install(None)
    yield
    install(earlier)


def test_without_a_sandbox_it_says_what_to_do():
    with pytest.raises(NoSandbox, match=r"install\(Sandbox"):
        in_process.send("POST", URL, {}, b"{}", TIMEOUT)


def test_it_answers_as_over_http(sandbox):
    assert install(sandbox) is None
    assert current() is sandbox
    body = {"request": {"application": APP, "auth": API, "notifications": [{"send_date": "now", "content": "x"}]}}
    status, headers, content = in_process.send("POST", URL, {}, json.dumps(body).encode(), TIMEOUT)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(content)["response"] == {"Messages": [sandbox.messages[0].code]}
    status, _, _ = transport.send("GET", "http://x/api/v2/audience/bulkSetTags/a?detailed=true", {}, b"", TIMEOUT)
    assert status == 404
    assert install(None) is sandbox
