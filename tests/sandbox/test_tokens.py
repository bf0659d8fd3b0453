"""Who may ask what, and how a call must look."""

from __future__ import annotations

import json

import pytest

from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.methods import Token
from django_pushwoosh.sandbox.handlers import HANDLERS

from .conftest import API, APP, DEVICE, OTHER, OTHER_DEVICE

NOTIFICATIONS = [{"send_date": "now", "content": "x"}]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"auth": None}, "API token or application is not set"),
        ({"auth": ""}, "API token or application is not set"),
        ({"auth": [API]}, "API token or application is not set"),
        ({"auth": "wrong"}, "Account not found"),
        ({"auth": "\ud83d"}, "Account not found"),
        ({"app": None}, "API token or application is not set"),
        ({"app": "CCCCC-00003"}, "Application not found"),
    ],
)
def test_server_methods_want_the_api_token(call, sandbox, given, text):
    answer = call("createMessage", notifications=NOTIFICATIONS, **given)
    assert (answer.http, answer.code, answer.text) == (200, 210, text)
    assert sandbox.messages == []
    assert sandbox.capped_at == []


def test_a_token_of_the_other_kind_opens_nothing(call, sandbox):
    for method, given in (("createMessage", {"notifications": NOTIFICATIONS}), ("bulkSetTags", {"devices": [{}]})):
        answer = call(method, auth=DEVICE, **given)
        assert answer.http == 401
    for method in ("registerDevice", "registerUser"):
        assert call(method, hwid="one", device_type=3, authorization=f"Token {API}").http == 401
    assert (len(sandbox.messages), len(sandbox.devices), len(sandbox.jobs)) == (0, 0, 0)


@pytest.mark.parametrize("authorization", ["Token", "Token ", "Token null", "Token (null)", "token null", ""])
def test_a_missing_device_token_is_forgiven_where_the_documents_show_none(call, authorization):
    body = json.dumps({"request": {"application": APP, "hwid": "one", "device_type": 3}}).encode()
    assert call.raw("POST", "/json/1.3/registerDevice", body, Authorization=authorization).code == 200
    answer = call.raw("POST", "/json/1.3/registerUser", body, Authorization=authorization)
    assert (answer.http, answer.code) == (401, 401)


@pytest.mark.parametrize(
    "authorization",
    ["Token wrong", f"Token {API}", f"Token {OTHER_DEVICE}", f"Bearer {DEVICE}", f"Api {DEVICE}", DEVICE],
)
def test_a_wrong_device_token_is_not_forgiven(call, sandbox, authorization):
    for method in ("registerDevice", "registerUser", "getTags", "checkDevice"):
        answer = call(method, hwid="one", device_type=3, authorization=authorization)
        assert (answer.http, answer.code) == (401, 401)
    assert not sandbox.devices


def test_every_method_of_the_table_is_guarded(call):
    for method in METHODS.values():
        if method.token is Token.API:
            answer = call(method.name, auth="wrong", devices=[{"hwid": "x"}], notifications=NOTIFICATIONS)
            assert answer.http == 401 or answer.code == 210, method.name
        elif method.token is Token.DEVICE:
            assert call(method.name, authorization="Token wrong").http == 401, method.name


def test_unknown_applications_methods_and_verbs(call):
    assert call("registerDevice", app="CCCCC-00003", hwid="x", device_type=3).text == "Application not found"
    answer = call("makeCoffee")
    assert (answer.http, answer.code) == (404, 404)
    assert call.raw("GET", "/json/1.3/createMessage").http == 405
    assert call.raw("POST", "/api/v2/audience/bulkSetTags/some-id", b"{}").http == 405


def test_no_token_is_kept_or_shown(call, sandbox):
    call("createMessage", notifications=NOTIFICATIONS)
    call("createMessage", notifications=NOTIFICATIONS, auth="wrong-token")
    call("bulkSetTags", devices=[{"hwid": "x", "tags": {"a": 1}}])
    kept = repr(list(sandbox.requests)) + repr(sandbox.applications) + repr(sandbox.messages) + repr(sandbox.jobs)
    assert API not in kept
    assert DEVICE not in kept
    assert "wrong-token" not in kept


def test_requests_are_recorded_with_their_verdicts(call, sandbox):
    call.message()
    call("createMessage")
    call("getTags", app=OTHER, hwid="x", authorization="Token no")
    call.raw("POST", "/json/1.3/setTags", b"no json")
    told = [(each.method, each.application, each.http_status, each.status_code) for each in sandbox.requests]
    assert told == [
        ("createMessage", APP, 200, 200),
        ("createMessage", APP, 200, 210),
        ("getTags", OTHER, 401, 401),
        ("setTags", "", 400, 400),
    ]
    assert [each.is_accepted for each in sandbox.requests] == [True, False, False, False]


def test_text_plain_is_json_too_and_a_form_is_not(call):
    body = json.dumps({"request": {"application": APP, "hwid": "one", "device_type": 11}}).encode()
    for kind in ("text/plain;charset=UTF-8", "application/json; charset=utf-8", ""):
        assert call.raw("POST", "/json/1.3/registerDevice", body, Content_Type=kind).code == 200
    answer = call.raw("POST", "/json/1.3/registerDevice", body, Content_Type="application/x-www-form-urlencoded")
    assert answer.http == 400


def test_bodies_have_the_form_of_their_method(call, sandbox):
    flat = json.dumps({"application": APP, "hwid": "one", "device_type": 3}).encode()
    assert call.raw("POST", "/json/1.3/registerDevice", flat).http == 400
    wrapped = json.dumps({"request": {"application": APP, "user_id": "x"}}).encode()
    assert call.raw("POST", "/api/v2/device-api/deleteUser", wrapped, Authorization=f"Token {DEVICE}").code == 210
    madid = json.dumps({"application": APP, "hwid": "one", "madid": None}).encode()
    assert not sandbox.devices
    assert call.raw("POST", "/json/1.3/setMADID", madid).code == 200


def test_browsers_of_any_origin_may_call(call):
    preflight = call.raw(
        "OPTIONS",
        "/json/1.3/registerDevice",
        Origin="https://shop.example",
        Access_Control_Request_Headers="authorization",
    )
    assert preflight.http == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert preflight.headers["Access-Control-Allow-Credentials"] == "true"
    assert preflight.headers["Access-Control-Allow-Headers"] == "authorization"
    failed = call.raw("POST", "/json/1.3/registerDevice", b"{", Origin="https://shop.example")
    assert failed.http == 400
    assert failed.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "Access-Control-Allow-Origin" not in call.raw("POST", "/json/1.3/x", b"{", Origin="bad\r\nX: y").headers


def test_every_method_has_a_handler():
    assert METHODS.keys() <= HANDLERS.keys()
