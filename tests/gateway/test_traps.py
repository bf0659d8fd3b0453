"""The traps between SDKs and a proxy made of Django and REST framework, one test or more for each.

The numbers are those of the list in the project's notes on the SDKs' wire protocol.
"""

from __future__ import annotations

import gzip
import json
import logging
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path

from django_pushwoosh.delivery import connection as door
from django_pushwoosh.models import Device, OutboxEntry, UserLink
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.envelope import reply
from django_pushwoosh.protocol.methods import AskedBy
from django_pushwoosh.testing import run_outbox
from tests.client.far_side import far_side
from tests.gateway.conftest import BODIES, HWID, NUMBER, PHONE, TOKEN, envelope_of
from tests.gateway.test_bodies import method_of

pytestmark = pytest.mark.django_db

SERVERS = sorted(name for name, method in METHODS.items() if method.asked_by is AskedBy.SERVER)
WEB_HWID = BODIES["web setTags"]["request"]["hwid"]


def raw(arguments: str) -> bytes:
    return f'{{"request":{{"application":"TEST0-00001","hwid":"{HWID}","device_type":3,{arguments}}}}}'.encode()


def test_trap_01_text_plain_is_json_all_the_same(sdk, sandbox):
    body = BODIES["web setTags"]
    kinds = (
        "text/plain;charset=UTF-8",
        "text/plain",
        "application/octet-stream",
        "multipart/form-data",
        "nonsense",
        "",
    )
    for kind in kinds:
        assert sdk.post("setTags", body, content_type=kind)["status_code"] == 200


@pytest.mark.parametrize("authorization", ["Token null", "Token (null)", "Token ", "Token", f"Token {TOKEN}"])
def test_trap_02_the_hosts_authentication_is_not_asked(authorization, sdk, sandbox, settings):
    settings.REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
        "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"],
        "DEFAULT_THROTTLE_RATES": {"anon": "0/day"},
    }
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert sdk.post("getTags", BODIES["android getTags"], authorization=authorization)["status_code"] == 200


def test_trap_03_no_csrf_token_is_asked_for(sandbox, django_user_model):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(django_user_model.objects.create_user("grace"))
    answer = browser.post(
        "/json/1.3/getTags",
        json.dumps(BODIES["web getTags"]),
        content_type="text/plain",
        headers={"Origin": "https://shop.example", "Referer": "https://shop.example/"},
    )
    assert envelope_of(answer)["status_code"] == 200


class Prefixed:
    urlpatterns = [path("pushwoosh/", include("django_pushwoosh.gateway.urls"))]


@pytest.mark.parametrize("is_debug", [True, False])
@pytest.mark.parametrize("address", ["/pushwoosh/getTags", "/pushwoosh/getTags/", "/pushwoosh/json/1.3/getTags"])
def test_trap_04_no_redirect_for_the_want_of_a_slash(address, is_debug, sdk, sandbox, settings):
    settings.APPEND_SLASH, settings.DEBUG, settings.ROOT_URLCONF = True, is_debug, Prefixed
    assert sdk.post("", BODIES["web getTags"], path=address)["status_code"] == 200


@pytest.mark.parametrize(
    ("more", "headers"),
    [
        ({"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}, {"X-Forwarded-Proto": "https"}),
        ({"SECURE_REDIRECT_EXEMPT": [r"^json/1\.3/"]}, {}),
    ],
)
def test_trap_04_no_redirect_to_https_as_the_documents_say(more, headers, sdk, sandbox, settings):
    settings.SECURE_SSL_REDIRECT = True
    for name, value in more.items():
        setattr(settings, name, value)
    assert sdk.post("getTags", BODIES["web getTags"], **headers)["status_code"] == 200


class TestTrap05EveryAnswerOfOursHasANumericStatusCode:
    """`envelope_of` looks at every answer in these tests; here is one of each kind."""

    def test_trap_05_unknown_methods_and_other_verbs(self, sdk, client, wire, settings):
        assert sdk.post("nonsense", BODIES["web getTags"])["status_code"] == 404
        for verb in ("get", "put", "patch", "delete", "trace"):
            assert envelope_of(getattr(client, verb)("/json/1.3/getTags"))["status_code"] == 405
        strange = client.generic("BREW", "/json/1.3/getTags", b"{}")
        assert envelope_of(strange)["status_code"] == 405

    def test_trap_05_bodies_and_tokens_that_are_not_taken(self, sdk, wire, settings):
        assert sdk.post("getTags", b"{")["status_code"] == 400
        assert sdk.call("getTags", "Token foreign")["status_code"] == 401
        assert sdk.call("createMessage")["status_code"] == 403
        assert sdk.call("getTags", hwid="")["status_code"] in (210, 403)
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_BODY_LIMIT": 10}
        assert sdk.call("getTags")["status_code"] == 413

    def test_trap_05_the_throttle(self, sdk, wire, settings):
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "THROTTLE": {"PER_HWID": "1/minute"}}
        assert sdk.call("getTags")["status_code"] == 200
        assert sdk.call("getTags")["status_code"] == 429
        assert int(sdk.answer["Retry-After"]) > 0

    @pytest.mark.parametrize(
        "place",
        [
            "gateway.views.speaker_of",
            "gateway.views.read",
            "gateway.forwarding.read_answer",
            "gateway.forwarding.passed_on",
            "gateway.middleware.read",
            "push.relay",
        ],
    )
    @pytest.mark.parametrize("error", [RuntimeError, MemoryError, RecursionError, KeyError, UnicodeDecodeError])
    def test_trap_05_a_crash_of_our_own(self, place, error, sdk, wire, monkeypatch):
        def crash(*args: Any, **kwargs: Any) -> None:
            raise error("utf-8", b"\xff", 0, 1, "no") if error is UnicodeDecodeError else error("no")

        monkeypatch.setattr(f"django_pushwoosh.{place}", crash)
        assert sdk.call("getTags")["status_code"] == (200 if place == "gateway.middleware.read" else 500)

    @pytest.mark.parametrize("fault", ["unreachable", "lose answer", (200, {}, b"<html>"), (502, {}, b"")])
    def test_trap_05_pushwoosh_in_trouble(self, fault, sdk, wire, faults):
        faults.next(fault)
        assert sdk.call("getTags")["status_code"] == 503


def test_trap_06_options_is_answered_without_a_token_or_a_body(client, settings):
    settings.REST_FRAMEWORK = {"DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"]}
    for address in ("/json/1.3/getTags", "/json/1.3/getTags/", "/getTags", "/api/v2/device-api/setMADID"):
        answer = client.options(address)
        assert envelope_of(answer)["status_code"] == 200
        assert answer["Allow"] == "POST, OPTIONS"


@pytest.mark.parametrize("accept", ["text/html", "*/*", "application/xml", "image/webp,text/html;q=0.9", "text/", ""])
def test_trap_07_the_answer_is_json_whatever_is_accepted(accept, sdk, sandbox):
    assert sdk.post("getTags", BODIES["web getTags"], path="/json/1.3/{}?format=api", Accept=accept)
    assert sdk.answer["Content-Type"] == "application/json"
    assert "Vary" not in sdk.answer or "Accept" not in sdk.answer["Vary"].split(", ")


DAMAGED = [
    '"tags":{"Id":12345678901234567.5,"Big":9223372036854775808,"Small":-9223372036854775809,"Exact":1.10}',
    '"tags":{"Name":"\\ud83d","\\udc00":1,"Pair":"\\ud83d\\ude00"}',
    '"tags":{"Name":"a\\u0000b","\\u0000":"\\u0000"}',
    '"tags":{"Huge":' + "9" * 400 + ',"Tiny":1e-400,"Endless":1e999}',
    '"tags":{"A":[],"A ":{}, "\\u0041":1},  "unheard_of" : {"x":[{}, null, true]}',
    '"tags":{"Emoji":"😀","Name":"Åse"},"push_token":"t\\ud83d"',
]


@pytest.mark.parametrize("arguments", DAMAGED)
@pytest.mark.parametrize("method", ["setTags", "registerDevice", "getTags"])
@pytest.mark.parametrize("is_reachable", [True, False])
def test_trap_08_the_original_bytes_arrive(is_reachable, method, arguments, sdk, wire, faults):
    faults.next((200, {}, reply(200, "OK", None)) if is_reachable else "unreachable")
    answered = sdk.post(method, raw(arguments))["status_code"]
    assert answered == (503 if method == "getTags" and not is_reachable else 200)
    run_outbox()
    assert {sent.body for sent in wire.sent} == {raw(arguments)}


def test_trap_08_numbers_of_an_answer_are_not_rounded(sdk, wire, faults):
    answer = (
        b'{"status_code":200,"status_message":"OK","response":{"messages":[{"order":175350000012345678}],"n":1.10}}'
    )
    faults.next((200, {}, answer))
    sdk.post("getInboxMessages", BODIES["web getInboxMessages"])
    assert sdk.answer.content == answer


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b" \r\n\t"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", '"\\ud83d"', "1"])
def test_trap_09_nan_and_a_byte_order_mark_are_pushwooshs_to_judge(value, start, sdk, wire, faults):
    body = start + raw(f'"tags":{{"n":{value}}}')
    faults.next((400, {}, reply(400, "Bad request", None)))
    assert sdk.post("getTags", body)["status_code"] == 400
    assert sdk.post("setTags", body)["status_code"] == 200
    run_outbox()
    assert [sent.body for sent in wire.sent] == [body, body]


def test_trap_10_compression_is_between_us_and_pushwoosh(sdk, sandbox, settings):
    content = b'{"status_code":200,"status_message":"OK","response":{"result":{"Name":"Ada"}}}'
    headers = {
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
        "Set-Cookie": "upstream=1",
        "Access-Control-Allow-Origin": "*",
        "Connection": "keep-alive",
        "Vary": "Accept-Encoding",
        "Server": "theirs",
    }
    with far_side(lambda received: (200, headers, gzip.compress(content))) as pushwoosh:
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "TRANSPORT": "", "API_ROOT": pushwoosh.address}
        sdk.post("getTags", BODIES["web getTags"], **{"Accept-Encoding": "br", "Connection": "close"})
    assert sdk.answer.content == content
    for name in ("Content-Encoding", "Set-Cookie", "Access-Control-Allow-Origin", "Transfer-Encoding", "Server"):
        assert name not in sdk.answer.headers
    assert int(sdk.answer["Content-Length"]) == len(content)
    asked = {name.lower(): value for name, value in pushwoosh.received[0].headers.items()}
    assert asked["accept-encoding"] == "gzip"


def test_trap_11_nothing_of_the_request_goes_on_but_the_body(sdk, wire, settings):
    settings.ALLOWED_HOSTS = ["*"]
    secrets = {
        "Cookie": "sessionid=s3cret",
        "Host": "gateway.shop.example",
        "X-Gateway-Secret": "s3cret",
        "Proxy-Authorization": "Basic s3cret",
        "X-Forwarded-For": "192.0.2.66",
        "X-Forwarded-Host": "elsewhere.example",
        "X-Forwarded-Proto": "https",
        "Forwarded": "for=192.0.2.66",
        "X-Real-Ip": "192.0.2.66",
        "Accept-Encoding": "br",
        "User-Agent": "App/1 CFNetwork/1.0 Darwin/23",
        "Referer": "https://shop.example/cart?s3cret",
        "Origin": "https://shop.example",
        "X-Retry-Count": "2",
        "Transfer-Encoding": "identity",
    }
    for method in ("getTags", "setTags", "pageVisit", "registerDevice"):
        name = f"web {method}"
        sdk.post(method, BODIES[name], authorization=f"Token {TOKEN}", **secrets)
    run_outbox()
    assert len(wire.sent) == 4
    for sent in wire.sent:
        assert {name.lower() for name in sent.headers} == {"content-type", "authorization"}
        assert "s3cret" not in str(sent)


@pytest.mark.parametrize(
    "application",
    ["elsewhere.example/", "x@elsewhere.example", "169.254.169.254", "TEST0-00001.elsewhere.example", "../../x",
     "TEST0-00001#", "TEST0-00001\n", " TEST0-00001", ["TEST0-00001"], {"a": 1}, 5, True],
)  # fmt: skip
def test_trap_12_the_application_leads_nowhere(application, sdk, wire, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_UNKNOWN_METHODS": "relay"}
    for method in ("getTags", "registerDevice", "setTags", "aMethodOfTomorrow"):
        assert sdk.call(method, application=application, tags={})["status_code"] == 210
    assert wire.sent == []
    assert not OutboxEntry.objects.exists()


def test_trap_12_a_call_without_application_is_that_of_the_only_one(sdk, wire, settings):
    body = {"request": {"hwid": "", "hash": "h"}}
    assert sdk.post("pushStat", body)["status_code"] == 200
    rows = {**settings.PUSHWOOSH["APPLICATIONS"], "second": {"CODE": "TEST0-00002", "DEVICE_TOKEN": "second"}}
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "APPLICATIONS": rows}
    assert sdk.post("pushStat", body)["status_code"] == 210


def variants(name: str) -> list[str]:
    return [name, name.lower(), name.upper(), name.capitalize(), name.swapcase(), name[0].upper() + name[1:]]


@pytest.mark.parametrize("unknown", ["refused", "relay"])
@pytest.mark.parametrize("name", [*SERVERS, "addTag", "getApplications", "createPreset", "deleteUser", "mergeUser"])
def test_trap_13_no_method_of_servers_gets_through(name, unknown, sdk, wire, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_UNKNOWN_METHODS": unknown}
    for written in variants(name):
        for address in ("/json/1.3/{}", "/json/1.3/registerDevice/{}", "/api/v2/device-api/{}/", "/json/1.3/{}%20"):
            body = {"request": {**PHONE, "oldUserId": "a", "newUserId": "b", "notifications": [{"content": "x"}]}}
            assert sdk.post(written, body, path=address)["status_code"] in (403, 404)
    assert wire.sent == []
    assert not OutboxEntry.objects.exists()


def test_trap_13_unknown_fields_of_known_methods_pass(sdk, wire):
    body = raw('"tags":{},"tomorrow":{"a":[1]},"notifications":[],"filter":"x"')
    assert sdk.post("setTags", body)["status_code"] == 200
    run_outbox()
    assert [sent.body for sent in wire.sent] == [body]


def test_trap_14_what_a_caller_claims_opens_nothing(sdk, wire, sandbox):
    sdk.call("registerDevice", userId="ada", push_token="t")
    stranger = {"application": "TEST0-00001", "userId": "ada"}
    for method, more in (("getTags", {}), ("setTags", {"tags": {"Vip": True}}), ("deleteUser", {"user_id": "ada"})):
        body = {**stranger, **more}
        assert sdk.post(method, body if method == "deleteUser" else {"request": body})["status_code"] == 403
    assert sandbox.phone(HWID).device.own_tags == {}


def test_trap_14_logs_name_nobody(sdk, wire, faults, caplog):
    caplog.set_level(logging.DEBUG)
    email, token = "ada.private@example.org", "push-token-of-ada"
    for fault in (
        "unreachable",
        "lose answer",
        (200, {}, b"<html>"),
        (500, {}, b""),
        (200, {}, reply(210, "No", None)),
    ):
        for method, more in (
            ("registerDevice", {"push_token": token}),
            ("getTags", {}),
            ("postEvent", {"event": "Bought", "attributes": {"email": email}}),
            ("setTags", {"tags": {"Email": email}}),
        ):
            faults.next(fault)
            sdk.call(method, f"Token {TOKEN}", hwid=NUMBER, device_type=18, userId=email, **more)
            faults.waiting.clear()
    sdk.post("registerEmail", {"request": {"application": "TEST0-00001", "email": email, "userId": email}})
    sdk.call("setTags", "Token " + TOKEN[::-1], hwid=NUMBER, tags={})
    run_outbox()
    for private in (NUMBER, email, token, TOKEN, TOKEN[::-1]):
        assert private not in caplog.text


class TestTrap15SetMadidIsUnwrapped:
    def sent_to(self, sdk: Any, wire: Any, settings: Any, **given: Any) -> list[str]:
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, **given}
        assert sdk.post("setMADID", BODIES["android setMADID"])["status_code"] == 200
        run_outbox()
        assert [sent.body for sent in wire.sent] == [json.dumps(BODIES["android setMADID"]).encode()]
        return [sent.url for sent in wire.sent]

    @pytest.mark.parametrize(
        ("api_root", "more", "root"),
        [
            ("https://api.pushwoosh.com", {}, "https://tracking.svc-nue.pushwoosh.com"),
            ("https://eu.api.pushwoosh.com", {}, "https://tracking.svc-nue.pushwoosh.com"),
            ("https://api.pushwoosh.com", {"TRACKING_ROOT": "https://t.example/"}, "https://t.example"),
            ("http://sandbox.test", {}, "http://sandbox.test"),
            ("https://pushwoosh.com.example", {}, "https://pushwoosh.com.example"),
        ],
    )
    @pytest.mark.parametrize("policy", ["queue", "relay"])
    @pytest.mark.parametrize("answer", [(200, {}, b""), (204, {}, b""), (200, {}, b'{"ok":1}'), (200, {}, reply(200))])
    def test_trap_15_it_goes_to_the_tracking_host(
        self, answer, policy, api_root, more, root, sdk, wire, faults, settings
    ):
        faults.next(answer)
        given = {"API_ROOT": api_root, "GATEWAY_POLICIES": {"setMADID": policy}, **more}
        assert self.sent_to(sdk, wire, settings, **given) == [f"{root}/api/v2/device-api/setMADID"]
        assert not OutboxEntry.objects.unsettled().exists()

    def test_trap_15_an_application_may_have_its_own(self, sdk, wire, settings):
        row = {**settings.PUSHWOOSH["APPLICATIONS"]["default"], "TRACKING_ROOT": "http://tracking.test"}
        assert self.sent_to(sdk, wire, settings, APPLICATIONS={"default": row}, TRACKING_ROOT="http://other.test") == [
            "http://tracking.test/api/v2/device-api/setMADID"
        ]

    def test_trap_15_an_envelope_is_no_madid(self, sdk, wire):
        assert sdk.post("setMADID", {"request": BODIES["android setMADID"]})["status_code"] == 400
        assert sdk.post("setTags", BODIES["android setTags"]["request"])["status_code"] == 400

    def test_trap_15_a_copy_of_the_database_tells_nobody(self, sdk, wire, settings):
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "API_ROOT": "https://api.pushwoosh.com"}
        assert sdk.post("setMADID", BODIES["android setMADID"])["status_code"] == 200
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "API_ROOT": "http://sandbox.test"}
        run_outbox()
        assert wire.sent == []

    def test_trap_15_a_tracking_host_in_trouble_holds_nothing_up(self, sdk, wire, faults, settings, clock):
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "TRACKING_ROOT": "http://tracking.test"}
        faults.down = "http://tracking.test/"
        for number in range(8):
            hwid = f"{HWID}-{number}"
            assert sdk.post("setMADID", {**BODIES["android setMADID"], "hwid": hwid})["status_code"] == 200
        sdk.post("setMADID", BODIES["android setMADID"])
        sdk.post("setTags", BODIES["android setTags"])
        run_outbox()
        assert not OutboxEntry.objects.unsettled().filter(method="setTags").exists()
        assert sdk.post("registerDevice", BODIES["android registerDevice"])["status_code"] == 200
        assert wire.sent[-1].url == "http://sandbox.test/json/1.3/registerDevice", "its API is asked on"
        asked = len([sent for sent in wire.sent if sent.method == "setMADID"])
        run_outbox()
        assert len([sent for sent in wire.sent if sent.method == "setMADID"]) == asked, "a breaker of its own is open"
        faults.down = ""
        for _ in range(12):
            clock.advance(seconds=70)
            run_outbox()
        assert not OutboxEntry.objects.unsettled().exists()

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_trap_15_its_refusal_pauses_nothing(self, status, sdk, wire, faults, settings):
        faults.next((status, {}, reply(status, "Wrong token", None)))
        self.sent_to(sdk, wire, settings)
        assert sdk.post("registerDevice", BODIES["android registerDevice"])["status_code"] == 200
        assert wire.sent[-1].method == "registerDevice"


def test_trap_16_calls_without_a_hwid_are_nobodys_and_not_all_the_same_devices(sdk, wire):
    names = [name for name, body in BODIES.items() if "request" in body and not body["request"].get("hwid")]
    assert len(names) >= 6
    for user in ("ada", "grace"):
        for name in names:
            request = {**BODIES[name]["request"]}
            request |= {key: user for key in ("userId", "user_id") if key in request}
            request |= {"email": f"{user}@example.org"} if "email" in request else {}
            assert sdk.post(method_of(name), {"request": request})["status_code"] == 200
    assert not Device.objects.filter(hwid="").exists()
    run_outbox()
    assert len(wire.sent) == 2 * len(names)


def test_trap_16_who_names_nobody_waits_for_nobody(sdk, wire, faults):
    forgotten = BODIES["web messageDeliveryEvent#nothing known any more (after removeAllDeviceData)"]
    for _ in range(3):
        assert sdk.post("messageDeliveryEvent", forgotten)["status_code"] == 200
    assert len(set(OutboxEntry.objects.values_list("key", flat=True))) == 3


def test_trap_17_email_tags_are_not_the_phones(sdk, sandbox):
    sdk.post("registerDevice", BODIES["android registerDevice"])
    before = Device.objects.get(hwid=HWID).tags
    for name in ("android setEmailTags", "android registerEmail", "android registerEmailUser"):
        assert sdk.post(method_of(name), BODIES[name])["status_code"] == 200
    run_outbox()
    assert Device.objects.get(hwid=HWID).tags == before
    assert "Name" not in sandbox.phone(HWID).device.own_tags


def test_trap_18_a_hwid_is_one_only_within_its_application_and_number(sdk, wire, settings):
    rows = {**settings.PUSHWOOSH["APPLICATIONS"], "second": {"CODE": "TEST0-00002", "DEVICE_TOKEN": "second-token"}}
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "APPLICATIONS": rows}
    for code in ("TEST0-00001", "TEST0-00002"):
        sdk.call("setTags", application=code, tags={"Of": code})
    assert {(each.application, each.tags["Of"]) for each in Device.objects.filter(hwid=HWID)} == {
        ("TEST0-00001", "TEST0-00001"),
        ("TEST0-00002", "TEST0-00002"),
    }
    for hwid, kind in ((NUMBER, 18), (NUMBER, 21), (f"whatsapp:{NUMBER}", 21)):
        sdk.call("setTags", hwid=hwid, device_type=kind, tags={"Kind": kind})
    numbers = Device.objects.filter(platform__in=(18, 21))
    assert {(each.hwid, each.tags["Kind"]) for each in numbers} == {(NUMBER, 18), (f"whatsapp:{NUMBER}", 21)}
    assert len(set(OutboxEntry.objects.filter(key__contains=NUMBER).values_list("key", flat=True))) == 2


def test_trap_19_whose_user_id_is_the_hwid_is_nobody(sdk, wire):
    sdk.post("registerUser", BODIES["android registerUser#first launch (anonymous)"])
    assert not UserLink.objects.exists()
    sdk.post("registerUser", BODIES["android registerUser"])
    assert UserLink.objects.open().get().user_id == "ada"


def test_trap_20_types_differ_by_sdk(sdk, wire):
    for name in ("web registerDevice", "android registerDevice", "ios registerDevice"):
        assert sdk.post("registerDevice", BODIES[name])["status_code"] == 200
    assert set(Device.objects.values_list("utc_offset_seconds", flat=True)) == {7200}
    assert Device.objects.get(hwid=WEB_HWID).push_token.startswith("https://")
    for odd in (None, "", "x", [], {}, 1.5, True, 10**30, "\ud83d", "7200"):
        arguments = {"timezone": odd, "language": odd, "metaData": odd, "device_model": odd, "timestampUTC": odd}
        for method, more in (("registerDevice", {}), ("pushStat", {"hash": odd}), ("inboxStatus", {"inbox_code": 5})):
            sent = {**arguments, **more, "status": 1}
            assert sdk.call(method, **sent)["status_code"] == 200, (method, odd)


def test_trap_21_a_partial_register_blanks_no_token(sdk, wire):
    sdk.post("registerDevice", BODIES["web registerDevice"])
    sdk.post("registerDevice", BODIES["web registerDevice#ensure (web popups widget, no token)"])
    assert Device.objects.get(hwid=WEB_HWID).push_token
    sdk.post("registerDevice", BODIES["ios registerDevice"])
    sdk.post("registerDevice", BODIES["ios registerDevice#voip"])
    assert Device.objects.get(platform=1).push_token


FIRST_SIGHTS = ["applicationOpen", "setTags", "registerUser", "setBadge", "registerDevice", "getTags", "postEvent"]


@pytest.mark.parametrize("method", FIRST_SIGHTS)
def test_trap_22_any_method_may_be_the_first_sight_of_a_device(method, sdk, wire):
    more = {"tags": {}, "userId": "ada", "badge": 1, "event": "Bought", "push_token": "t"}
    assert sdk.call(method, **more)["status_code"] == 200
    assert Device.objects.get(hwid=HWID).platform == 3


@pytest.mark.parametrize("name", ["ios pushStat", "ios messageDeliveryEvent"])
def test_trap_22_a_replay_that_is_days_old_changes_nothing_newer(name, sdk, wire):
    sdk.post("registerDevice", BODIES["ios registerDevice"])
    sdk.post("registerUser", BODIES["ios registerUser"])
    before = Device.objects.values().get()
    old = {**BODIES[name]["request"], "userId": "who-it-was", "v": "6.0.0", "language": "xx", "timezone": "0"}
    assert sdk.post(method_of(name), {"request": old}, **{"X-Retry-Count": "3"})["status_code"] == 200
    assert Device.objects.values().get() == before
    assert UserLink.objects.open().get().user_id == "ada"


def test_trap_22_calls_side_by_side_come_in_any_order(sdk, wire, sandbox):
    for name in ("ios postEvent", "ios setTags", "ios applicationOpen", "ios registerUser", "ios registerDevice"):
        assert sdk.post(method_of(name), BODIES[name])["status_code"] == 200
    run_outbox()
    device = Device.objects.get()
    assert device.push_token
    assert device.tags["Vip"] is True
    assert UserLink.objects.open().get().user_id == "ada"


def test_trap_23_what_comes_twice_goes_twice_and_is_taken_twice(sdk, wire):
    for _ in range(2):
        for name in ("android pushStat", "android messageDeliveryEvent", "android registerDevice"):
            assert sdk.post(method_of(name), BODIES[name])["status_code"] == 200
    run_outbox()
    assert len(wire.sent) == 6
    assert Device.objects.count() == 1


@pytest.mark.parametrize(
    "answer",
    [(200, {}, reply(210, "No", None)), (401, {}, reply(401, "No", None)), (400, {}, reply(400, "No", None))],
)
def test_trap_24_the_mirror_follows_success_alone(answer, sdk, wire, faults):
    faults.next(answer)
    sdk.call("registerDevice", push_token="t", userId="ada")
    assert not Device.objects.exists()
    assert not UserLink.objects.exists()


def test_trap_24_a_user_id_beside_a_call_is_only_a_guess(sdk, wire):
    sdk.call("registerUser", userId="ada")
    for method, more in (("setTags", {"tags": {}}), ("postEvent", {"event": "Bought"}), ("pushStat", {"hash": "h"})):
        sdk.call(method, userId="grace", **more)
    assert UserLink.objects.get().user_id == "ada"


def test_trap_24_to_be_unregistered_is_not_to_be_deleted(sdk, wire):
    sdk.call("registerDevice", push_token="t")
    sdk.call("unregisterDevice")
    device = Device.objects.get()
    assert not device.is_subscribed
    sdk.call("applicationOpen")
    assert not Device.objects.get().is_subscribed, "an app that is opened has no token for that"


def test_trap_25_null_removes_and_a_delta_counts_once(sdk, wire, faults, sandbox, clock):
    sdk.call("setTags", tags={"Old": 1, "Visits": 1})
    sdk.call("setTags", tags={"Old": None, "Visits": {"operation": "increment", "value": 2}})
    assert Device.objects.get().tags == {"Visits": 3}
    faults.next("unreachable")
    for _ in range(3):
        run_outbox()
        clock.advance(seconds=70)
    assert sandbox.phone(HWID).device.own_tags == {"Visits": 3}
    assert Device.objects.get().tags == {"Visits": 3}, "what is sent again is not counted again"


@pytest.mark.parametrize("method", ["checkDevice", "getTags", "getConfig"])
@pytest.mark.parametrize("fault", ["unreachable", "lose answer", (500, {}, b""), (200, {}, b""), (200, {}, b"{}")])
def test_trap_26_what_is_asked_is_never_answered_from_the_mirror(method, fault, sdk, wire, faults, sandbox):
    sdk.post("registerDevice", BODIES["web registerDevice"])
    faults.next(fault)
    assert sdk.post(method, BODIES[f"web {method}"])["status_code"] == 503

    theirs = b'{"status_code":200,"status_message":"OK","response":{"exist":false,"result":{"x":1},"vapid_key":"k"}}'
    faults.next((200, {}, theirs))
    sdk.post(method, BODIES[f"web {method}"])
    assert sdk.answer.content == theirs


@pytest.mark.parametrize("method", ["checkDevice", "getTags", "getConfig"])
@pytest.mark.parametrize("policy", ["queue", "relay_else_queue"])
def test_trap_26_what_is_asked_cannot_be_queued_by_a_setting(method, policy, sdk, wire, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_POLICIES": {method: policy}}
    assert sdk.post(method, BODIES[f"web {method}"])["status_code"] == 500
    assert not OutboxEntry.objects.exists()


def test_trap_27_who_waits_does_not_wait_long(sdk, wire, settings):
    assert sdk.call("getTags")["status_code"] == 200
    assert sdk.call("registerDevice")["status_code"] == 200
    assert {sent.timeout for sent in wire.sent} == {(2.0, 8.0)}
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "RELAY_TIMEOUT": (1, 18)}
    assert sdk.call("getTags")["status_code"] == 200
    assert wire.sent[-1].timeout == (1.0, 18.0)


def test_trap_27_where_pushwoosh_is_known_to_be_down_nobody_waits(sdk, wire, faults):
    faults.down = "http://sandbox.test/"
    for _ in range(10):
        assert sdk.call("getTags")["status_code"] == 503
        assert sdk.call("registerDevice", hwid=f"{HWID}-{_}", push_token="t")["status_code"] == 200
    assert len(wire.sent) < 10, "the breaker is open"
    faults.down = ""
    door.breaker.cache_clear()
    run_outbox()
    assert not OutboxEntry.objects.unsettled().exists()


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "told"),
    [
        (0, "192.0.2.1", "203.0.113.9", "192.0.2.1"),
        (1, "10.0.0.1", "203.0.113.9, 192.0.2.1", "192.0.2.1"),
        (2, "10.0.0.1", "203.0.113.9, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        (1, "10.0.0.1", "", "10.0.0.1"),
        (1, "::1", "2001:db8::5", "2001:db8::5"),
        (1, "::1", "::ffff:192.0.2.1", "192.0.2.1"),
        (1, "10.0.0.1", "evil\tvalue", None),
        (1, "10.0.0.1", "unknown", None),
        (1, "10.0.0.1", "fe80::1%eth0 X: y", "fe80::1"),
        (1, "10.0.0.1", "192.0.2.1:443", None),
        (0, "", "", None),
    ],
)
def test_trap_28_pushwoosh_learns_the_callers_address_if_the_host_says_so(
    proxies, remote, forwarded, told, client, wire, settings
):
    for is_on in (False, True):
        settings.PUSHWOOSH = {
            **settings.PUSHWOOSH,
            "GATEWAY_FORWARDED_FOR": is_on,
            "THROTTLE": {"TRUSTED_PROXIES": proxies},
        }
        answer = client.post(
            "/json/1.3/getTags",
            {"request": PHONE},
            content_type="application/json",
            REMOTE_ADDR=remote,
            headers={"X-Forwarded-For": forwarded},
        )
        assert envelope_of(answer)["status_code"] == 200
        assert wire.sent[-1].headers.get("X-Forwarded-For") == (told if is_on else None)


def test_the_host_may_wrap_it_in_middleware_of_its_own(sdk, sandbox, settings):
    settings.MIDDLEWARE = ["tests.gateway.test_traps.stamped", *settings.MIDDLEWARE]
    assert sdk.call("getTags")["status_code"] == 200
    assert sdk.answer["X-Stamp"] == "1"


def stamped(get_response: Any) -> Any:
    def stamp(request: Any) -> HttpResponse:
        response: HttpResponse = get_response(request)
        response["X-Stamp"] = "1"
        return response

    return stamp
