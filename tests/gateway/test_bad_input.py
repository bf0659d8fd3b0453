"""Whatever arrives: an envelope goes back that says what to change, and nothing breaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import OperationalError, connection, connections
from django.http import HttpRequest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from django_pushwoosh.models import Device, OutboxEntry
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.envelope import reply
from django_pushwoosh.protocol.methods import AskedBy, Body, Policy
from django_pushwoosh.testing import run_outbox
from tests.gateway.conftest import HWID, NUMBER, PHONE, TOKEN

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]
SDK_METHODS = sorted(name for name, method in METHODS.items() if method.asked_by is AskedBy.SDK)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"null", "object"),
        (b'"x"', "object"),
        (b'{"request":[]}', '"request"'),
        (b'{"request":null}', '"request"'),
        (b'{"application":"TEST0-00001","hwid":"x"}', '{"request": {…}}'),
        (b"{}", '{"request": {…}}'),
        (b"\xff\xfe{\x00}\x00", "UTF-8"),
        (b'{"request":{"hwid":"\xff"}}', "UTF-8"),
        (b'{"request":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested"),
        (b'{"request":{"tags":' + b'{"a":' * 80 + b"1" + b"}" * 80 + b"}}", "nested"),
        (b'{"request":{"hwid":"a","userId":"ada","hwid":""}}', "twice"),
        (b'{"request":{"hwid":"a"},"request":{"userId":"ada"}}', "twice"),
        (b'{"request":{"hwid":"a","HWID":""}}', '"hwid"'),
        (b'{"request":{"hwid":"a"},"Request":{"userId":"ada"}}', '"request"'),
        (b'{"request":{"hwid":"a","hw\\u0000id":""}}', '"hwid"'),
        (b'{"request":{"hwid":"a","user\\ud83dId":"ada"}}', '"userId"'),
        (b'{"request":{"hwid":"a","u\\u017ferId":"ada"}}', '"userId"'),
        (b'{"request":{"user_id":"a","push_devices":[{"hwid":"b","Hwid":"c"}]}}', '"hwid"'),
    ],
)
def test_a_malformed_body_is_400(body, told, sdk, wire):
    envelope = sdk.post("setTags", body)
    assert envelope["status_code"] == 400
    assert told in envelope["status_message"]


def test_a_flat_method_has_no_envelope(sdk, wire, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_PERMISSION": lambda request, method: True}
    envelope = sdk.post("deleteUser", {"request": {"application": "TEST0-00001", "user_id": "ada"}})
    assert envelope["status_code"] == 400
    assert "no envelope" in envelope["status_message"]


@pytest.mark.parametrize("padding", [1, 300_000])
def test_a_body_over_the_limit_is_413(padding, sdk, wire, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_BODY_LIMIT": 200}
    body = json.dumps({"request": {**PHONE, "tags": {}}}).encode()
    assert sdk.post("setTags", body.ljust(200))["status_code"] == 200
    envelope = sdk.post("setTags", body.ljust(200 + padding))
    assert envelope["status_code"] == 413
    assert "200 bytes" in envelope["status_message"]


def test_a_body_over_djangos_own_limit_is_413(sdk, wire, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert sdk.post("setTags", b" " * 150)["status_code"] == 413


@pytest.mark.parametrize(
    ("method", "arguments", "told"),
    [
        ("setTags", {"tags": {}}, "hwid"),
        ("getTags", {}, "hwid"),
        ("registerDevice", {}, "hwid"),
        ("registerDevice", {"hwid": ""}, "hwid"),
        ("registerDevice", {"hwid": None}, "hwid"),
        ("registerDevice", {"hwid": 5}, "hwid"),
        ("registerDevice", {"hwid": ["x"]}, "hwid"),
        ("registerDevice", {"hwid": "x" * 256}, "hwid"),
        ("registerDevice", {"hwid": "x\x00y"}, "hwid"),
        ("registerDevice", {"hwid": "x\ud800"}, "hwid"),
        ("unregisterDevice", {}, "hwid"),
        ("applicationOpen", {"hwid": " "}, "hwid"),
        ("setTags", {"hwid": "x"}, "tags"),
        ("setTags", {"hwid": "x", "tags": []}, "tags"),
        ("setTags", {"hwid": "x", "tags": "Name"}, "tags"),
        ("postEvent", {"hwid": "x"}, "event"),
        ("postEvent", {"hwid": "x", "event": ""}, "event"),
        ("postEvent", {"hwid": "x", "event": 7}, "event"),
        ("setBadge", {"hwid": "x"}, "badge"),
        ("registerEmail", {}, "email"),
        ("registerEmail", {"email": "a\x00@example.org"}, "email"),
    ],
)
def test_what_is_missing_or_unusable_is_named(method, arguments, told, sdk, wire):
    envelope = sdk.post(method, {"request": {"application": "TEST0-00001", **arguments}})
    assert envelope["status_code"] == 210
    assert told in envelope["status_message"]
    assert not OutboxEntry.objects.exists()
    assert wire.sent == []


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("registerDevice", {"language": 5, "timezone": "east", "push_token": "x" * 9000, "unheard_of": [1]}),
        ("setBadge", {"badge": "+3"}),
        ("setTags", {"tags": {"n\x00": "\ud83d", "deep": [[[1]]], "huge": 10**300}}),
        ("postEvent", {"event": "Bought", "attributes": [], "timestampUTC": "now"}),
        ("applicationOpen", {"device_type": "three", "userId": {"a": 1}}),
        ("registerUser", {"userId": "x" * 300}),
        ("registerEmail", {"email": "not an address"}),
    ],
)
def test_what_is_merely_odd_goes_as_it_came(method, arguments, sdk, wire):
    sent = json.dumps({"request": {**PHONE, **arguments}}).encode()
    sdk.post(method, sent)
    run_outbox()
    assert [each.body for each in wire.sent] == [sent]


@pytest.mark.parametrize(
    "rest",
    [
        b'"n":' + b"9" * 5000,
        b'"n":NaN,"m":-Infinity',
        b'"n":12345678901234567.5,"m":9223372036854775808,"o":1e400',
        b'"tags":{"a":1},"tags":{"b":"\\ud83d"}',
        b'"tags":{"a":1,"a":2,"":[]},"what":{"HWID":"x","hwid":1,"hwid":2}',
        b'"\\u0000":"\\u0000"',
    ],
)
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("method", ["setTags", "registerDevice", "getTags"])
def test_what_pushwoosh_may_read_otherwise_goes_as_it_came(method, start, rest, sdk, wire, faults):
    faults.next((200, {}, reply(200, "OK", None)))
    tags = b"" if b"tags" in rest else b'"tags":{},'
    body = start + b'{"request":{"application":"TEST0-00001","hwid":"x","device_type":3,' + tags + rest + b"}}"
    assert sdk.post(method, body)["status_code"] == 200
    run_outbox()
    assert [sent.body for sent in wire.sent] == [body]
    assert not OutboxEntry.objects.unsettled().exists()


def test_a_key_that_stands_ten_thousand_times_costs_no_time(sdk, wire):
    body = json.dumps({"request": PHONE}).encode()[:-2] + b',"tags":{' + b",".join([b'"a":1'] * 30_000) + b"}}}"
    started = time.process_time()
    assert sdk.post("setTags", body)["status_code"] == 200
    assert time.process_time() - started < 2


@pytest.mark.parametrize("application", [None, "", 5, "default", "TEST0-00002", "test0-00001", "x" * 10_000, "\x00"])
@pytest.mark.parametrize("method", SDK_METHODS)
def test_an_application_we_do_not_serve_is_not_found(application, method, sdk, wire, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_PERMISSION": lambda request, method: True}
    arguments = {**PHONE, "application": application}
    is_flat = METHODS[method].body is Body.FLAT
    envelope = sdk.post(method, arguments if is_flat else {"request": arguments})
    assert envelope["status_code"] == 210
    assert envelope["status_message"].startswith("Application not found")
    assert len(envelope["status_message"]) < 300


KEYS = st.sampled_from([argument.name for method in METHODS.values() for argument in method.arguments])
TEXT = st.text(st.characters(), max_size=30) | st.sampled_from(["increment", "append", "#pwinc#3", "\x00", "ada"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.just(10**400)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | TEXT, inner, max_size=5), max_leaves=15
)
TAGS = st.dictionaries(TEXT, VALUES, max_size=5)
ARGUMENTS = st.fixed_dictionaries(
    {"application": st.just("TEST0-00001"), "hwid": st.sampled_from([HWID, "x", ""]) | TEXT},
    optional={
        "tags": TAGS | VALUES,
        "event": TEXT,
        "email": TEXT,
        "badge": VALUES,
        "userId": VALUES,
        "device_type": st.sampled_from([1, 3, 18, 21, 999999999999, "3", None]),
        "timezone": VALUES,
        "push_token": VALUES,
        "attributes": VALUES,
        "extra": VALUES,
        "metaData": VALUES,
    },
)


def fuzzed(examples: int):
    unhurried = {"deadline": None, "suppress_health_check": list(HealthCheck)}
    return bounded(max_examples=examples, derandomize=True, database=None, **unhurried)


@fuzzed(300)
@given(method=st.sampled_from(SDK_METHODS), arguments=ARGUMENTS)
def test_no_call_breaks_the_gateway(method, arguments, sdk, wire, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "THROTTLE": {"PER_HWID": None}}
    envelope = sdk.post(method, {"request": arguments})
    assert envelope["status_code"] < 500, envelope
    assert all(sent.body == json.dumps({"request": arguments}).encode() for sent in wire.sent)
    wire.sent.clear()


@fuzzed(150)
@given(method=st.sampled_from(sorted(METHODS)) | st.text(max_size=10), body=st.binary(max_size=60) | VALUES)
def test_no_body_breaks_the_gateway(method, body, sdk, wire, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "THROTTLE": {"PER_HWID": None}}
    sdk._client.cookies.clear()
    path = "/json/1.3/" + "".join(character for character in method if character.isalnum() and character.isascii())
    assert sdk.post("", body, path=path)["status_code"] < 500


def test_the_fuzzed_calls_leave_entries_that_can_be_sent(sdk, sandbox):
    hostile = {"n\x00": "\ud83d", "é": [None, 1.5e300]}
    sdk.call("setTags", tags=hostile)
    sdk.call("setTags", tags={"Name": "Ada"})
    run_outbox()
    assert not OutboxEntry.objects.unsettled().exists()
    assert sandbox.phone(HWID).device.own_tags["Name"] == "Ada"


def test_a_crash_of_our_own_is_an_envelope_and_says_nothing_private(sdk, sandbox, monkeypatch, caplog):
    private = f"hwid {NUMBER}, token {TOKEN}"

    def crash(*args, **kwargs):
        raise RuntimeError(private)

    monkeypatch.setattr("django_pushwoosh.gateway.views.forward", crash)
    envelope = sdk.call("setTags", tags={})
    assert envelope == {"status_code": 500, "status_message": envelope["status_message"], "response": None}
    assert "setTags crashed: RuntimeError" in caplog.text
    assert NUMBER not in caplog.text + str(envelope)
    assert TOKEN not in caplog.text + str(envelope)


def test_a_database_that_does_not_work_is_503(sdk, sandbox):
    def fail(execute, sql, *args):
        if "pushwoosh" in sql:
            raise OperationalError("database is locked")
        return execute(sql, *args)

    with connection.execute_wrapper(fail):
        assert sdk.call("setTags", tags={})["status_code"] == 503


def test_a_permission_that_crashes_permits_nothing(sdk, wire, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_PERMISSION": lambda: True}
    assert sdk.post("deleteUser", {"application": "TEST0-00001", "user_id": "ada"})["status_code"] == 500
    assert not OutboxEntry.objects.exists()


def test_wrong_settings_are_an_envelope_too(sdk, settings):
    settings.PUSHWOOSH = {"APPLICATIONS": {"default": {"CODE": "wrong"}}}
    assert sdk.call("setTags", tags={})["status_code"] == 500


STRICT = """
import django
django.setup()
from django.core.management import call_command
from django.test import Client
call_command("migrate", verbosity=0)
client = Client()
body = '{"request": {"application": "TEST0-00001", "hwid": "x", "device_type": 3, "tags": {}}}'
for method, headers in (
    ("setTags", {"Authorization": "Token null"}),
    ("setTags", {"Accept": "text/html"}),
    ("setTags", {"Authorization": "Token foreign"}),
    ("createMessage", {}),
    ("nonsense", {}),
):
    answer = client.post(f"/json/1.3/{method}?format=html", body, content_type="text/plain", headers=headers)
    print(answer.status_code, answer.json()["status_code"])
print(client.get("/json/1.3/setTags").json()["status_code"], client.options("/json/1.3/setTags").status_code)
"""


def test_the_projects_rest_framework_settings_have_no_say():
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.gateway.strict_project"}
    environment["DATABASE_URL"] = "sqlite:///:memory:"
    run = subprocess.run(
        [sys.executable, "-c", STRICT], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert run.stdout.split("\n") == ["200 200", "200 200", "401 401", "403 403", "404 404", "405 200", ""], run.stderr


def test_a_project_that_demands_a_login_everywhere_gets_none_here(sdk, sandbox, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert sdk.call("getTags")["status_code"] == 200


def test_a_slash_is_never_demanded_by_a_redirect(sdk, sandbox, settings):
    settings.APPEND_SLASH = True
    settings.DEBUG = True
    for path in ("/json/1.3", "/json/1.3/", "/json/1.3/nonsense", "/api/v2/device-api"):
        assert sdk.post("", b"{}", path=path)["status_code"] == 404


@pytest.mark.django_db(transaction=True)
def test_a_relay_runs_outside_any_transaction(sdk, wire, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    seen = []
    wire.watch = lambda: seen.append(connection.in_atomic_block)
    assert sdk.call("registerDevice", push_token="t")["status_code"] == 200
    assert sdk.call("getTags")["status_code"] == 200
    assert seen == [False, False]
    assert Device.objects.get().push_token == "t"


def test_the_host_asks_about_djangos_own_request(sdk, wire, settings):
    asked = []

    def may(request, method):
        asked.append(isinstance(request, HttpRequest))
        return False

    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_PERMISSION": may}
    sdk.post("deleteUser", {})
    assert asked == [True]


def test_every_sdk_method_has_a_policy_of_its_own():
    refused = {name for name in SDK_METHODS if METHODS[name].policy is Policy.REFUSED}
    assert refused == {"deleteDevice", "deleteUser", "mergeUser"}
