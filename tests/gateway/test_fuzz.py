"""Whatever comes in, what goes out is an envelope, and no failure of ours.

The first part is made from the OpenAPI document, so that it reaches behind the checks of shapes; the second knows no
rules. `PUSHWOOSH_FUZZ_EXAMPLES` raises the number of calls, for a long run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from django.contrib.auth import get_user_model
from django.core.cache import cache as django_cache
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as of_hypothesis
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from django_pushwoosh.models import Pause, RateSlot
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import faults as fault
from tests.conftest import Clock
from tests.gateway.conftest import PHONE

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("PUSHWOOSH_FUZZ_EXAMPLES", "6"))
OPERATIONS = (*METHODS, "getPostedMessage", "cancelPostedMessage")
SECRET = "Basic c2hvcDpzZWNyZXQ="
CONFORMS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

hostile = of_hypothesis(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def _gateways(settings: Any, sandbox: Sandbox) -> None:
    settings.ROOT_URLCONF = "tests.gateway.spectacular_urls"
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
    settings.PUSHWOOSH = {
        **settings.PUSHWOOSH,
        "THROTTLE": {"PER_HWID": None},
        "GATEWAY_PERMISSION": lambda request, method: True,
        "SERVER_GATEWAY": {
            "AUTHENTICATION": ["rest_framework.authentication.BasicAuthentication"],
            "PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
        },
    }
    get_user_model().objects.create_user("shop", password="secret")


@pytest.fixture(autouse=True)
def _kept_connection() -> Iterator[None]:
    """As in Django's test client: the test's transaction outlives its requests."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@cache
def operations() -> dict[str, Any]:
    """What the document offers, by operation id; the project's settings have to be in place."""
    with patched_settings({"POSTPROCESSING_HOOKS": ["django_pushwoosh.gateway.schema.add_gateways"]}):
        document = SchemaGenerator().get_schema(request=None, public=True)
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(document)))
    schema.app = get_wsgi_application()
    return {each.ok().definition.raw["operationId"]: each.ok() for each in schema.get_all_operations()}


def refresh() -> None:
    """A fresh minute: that calls come too often is somebody else's test."""
    django_cache.clear()
    RateSlot.objects.all().delete()
    assert not Pause.objects.exists(), "nothing a caller says condemns the application"


def judge(status: int, content_type: str | None, body: bytes, *, is_bare: bool = False) -> int:
    """What every answer has to be, the sandbox being there."""
    assert status < 500, body
    assert content_type == "application/json"
    document = json.loads(body)
    if is_bare and "status_code" not in document:
        return status
    assert type(document["status_code"]) is int
    assert status == (200 if document["status_code"] == 210 else document["status_code"])
    assert isinstance(document["status_message"], str)
    assert "base_url" not in document
    assert b"test-api-token" not in body
    assert b"Traceback" not in body
    return status


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", OPERATIONS)
def test_answers_are_what_the_document_says(name: str, mode: GenerationMode, clock: Clock) -> None:
    operation = operations()[name]
    is_bare = name.startswith("bulk")

    @hostile
    @given(case=operation.as_strategy(generation_mode=mode))
    def fuzz(case: Any) -> None:
        refresh()
        body = case.body
        if isinstance(body, dict):
            # Most calls have to get past the first question.
            holder = body.get("request", body)
            if isinstance(holder, dict) and "application" in holder:
                holder["application"] = PHONE["application"]
        headers = {"Authorization": SECRET} if "/server/" in operation.path else {}
        response = case.call(base_url="http://testserver", headers=headers)
        judge(response.status_code, response.headers["content-type"][0], response.content, is_bare=is_bare)
        case.validate_response(response, checks=CONFORMS)

    fuzz()


JSON = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.text(strategies.characters(exclude_categories=()), max_size=20),
    lambda inner: (
        strategies.lists(inner, max_size=4)
        | strategies.dictionaries(
            strategies.text(max_size=8) | strategies.sampled_from(["hwid", "application", "request", "tags"]), inner
        )
    ),
    max_leaves=12,
)
NAMES = sorted({each.name for row in METHODS.values() for each in row.arguments} | {"request", "auth", "v", "HWID"})
ARGUMENTS = strategies.dictionaries(strategies.sampled_from(NAMES), JSON, max_size=6).map(
    lambda found: {**PHONE, **found}
)
BODIES = (
    strategies.binary(max_size=200)
    | JSON.map(lambda found: json.dumps(found).encode())
    | ARGUMENTS.map(lambda found: json.dumps({"request": found}).encode())
    | ARGUMENTS.map(lambda found: json.dumps(found).encode())
)
SEGMENTS = strategies.sampled_from([*METHODS, "", "..", "%00", "createMessage%2F", "json", "1.3"]) | strategies.text(
    strategies.characters(exclude_categories=["Cs"]), max_size=8
)
SERVER = ("/server/json/1.3/", "/server/api/v2/audience/", "/server/messages/")
PATHS = strategies.tuples(
    strategies.sampled_from(
        [
            "/push/json/1.3/",
            "/push/api/v2/device-api/",
            "/server/json/1.3/",
            "/server/api/v2/audience/",
            "/server/messages/",
        ]
    ),
    strategies.lists(SEGMENTS, min_size=1, max_size=2).map("/".join),
    strategies.sampled_from(["", "/", "?detailed=maybe&application=x", "//"]),
).map("".join)
HEADERS = strategies.fixed_dictionaries(
    {},
    optional={
        "Authorization": strategies.just(SECRET)
        | strategies.sampled_from(
            ["Basic !", "Token null", "Token (null)", "Token test-device-token", "Token", "Bearer x", ""]
        ),
        "Prefer": strategies.sampled_from(["respond-async", "respond-async; x, wait=10", ",;", "return=minimal"]),
        "Origin": strategies.sampled_from(["http://localhost:1", "null"]),
        "X-Forwarded-For": strategies.text(
            strategies.characters(codec="ascii", categories=["L", "N", "P"]), max_size=9
        ),
    },
)
TYPES = strategies.sampled_from(
    ["application/json", "text/plain;charset=UTF-8", "multipart/form-data; boundary=x", "x", "multipart/form-data"]
)


@of_hypothesis(hostile, max_examples=EXAMPLES * 60)
@given(
    path=PATHS,
    verb=strategies.sampled_from(["post"] * 5 + ["get", "put", "delete", "options", "head", "patch"]),
    body=BODIES,
    headers=HEADERS,
    content_type=TYPES,
)
def test_no_request_breaks_a_gateway(
    path: str, verb: str, body: bytes, headers: dict[str, str], content_type: str, clock: Clock
) -> None:
    refresh()
    client = Client(raise_request_exception=False)
    address, _, query = path.partition("?")
    answer = client.generic(
        verb.upper(), address, body, content_type=content_type, headers=headers, QUERY_STRING=quote(query, "=&")
    )
    if verb == "head":
        assert answer.status_code < 500
        return
    judge(answer.status_code, answer["Content-Type"], answer.content, is_bare="bulk" in path)


@pytest.mark.parametrize(
    "broken", [fault.no_connection(), fault.lost_answer(), fault.not_json()], ids=lambda each: each.name
)
def test_while_pushwoosh_is_down_every_answer_says_so(broken: Any, sandbox: Sandbox, client: Client) -> None:
    sandbox.faults.always(with_=broken)
    for row in METHODS.values():
        arguments = {**PHONE, "message": "AAAA-1-1", "devices": [{"hwid": "h", "tags": {"n": 1}}]}
        body = json.dumps({"request": arguments} if row.body.name == "ENVELOPE" else arguments)
        for root in ("/push/json/1.3/", "/server/json/1.3/"):
            answer = client.generic("POST", root + row.name, body, headers={"Authorization": SECRET})
            document = json.loads(answer.content)
            assert type(document["status_code"]) is int
            assert answer.status_code in (200, 202, 401, 403, 405, 503, 504), answer.content
