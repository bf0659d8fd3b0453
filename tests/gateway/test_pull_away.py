"""What leads an SDK away from the address it was given, and that the gateway lets none of it through.

The numbers are those of the eight ways that the SDKs' code knows.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.urls import include, path

from django_pushwoosh.delivery import entry_points
from django_pushwoosh.models import EntryPoint, OutboxEntry
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.envelope import reply
from django_pushwoosh.protocol.methods import AskedBy, Policy
from django_pushwoosh.testing import run_outbox
from tests.gateway.conftest import BODIES, PHONE, TOKEN, envelope_of
from tests.gateway.test_bodies import method_of

pytestmark = pytest.mark.django_db

AWAY = "https://elsewhere.example/json/1.3/"
CODE = b"175350000012345678901.50"
PULLING = [
    b'{"status_code":%d,"status_message":"Theirs","response":{"order":%s},"base_url":"https://elsewhere.example/"}',
    b'{"base_url":"https://elsewhere.example/","status_code":%d,"status_message":"Theirs","response":{"order":%s}}',
    b'{"base_url":"https://a.example/","status_code":%d,"status_message":"Theirs","response":{"order":%s},'
    b'"base_url":"https://b.example/"}',
    b'\xef\xbb\xbf { "base\\u005furl" : null ,\n"status_code" : %d , "status_message":"Theirs",'
    b'"response":{"order":%s} }\n',
    b'{"base_url":{"a":["}",{"base_url":1}]},"status_code":%d,"status_message":"Theirs","response":{"order":%s}}',
    b'{"status_code":%d,"status_message":"Theirs","response":{"order":%s,"base_url":"kept"},'
    b'"\\u0062\\u0061\\u0073\\u0065_url":"\\ud83d"}',
]
TRUSTED = "https://post-event.svc-nue.pushwoosh.com/api/v1/page-visit"


class Prefixed:
    urlpatterns = [path("pushwoosh/", include("django_pushwoosh.gateway.urls"))]


def keys(document: Any) -> list[str]:
    return [name for name, _value in json.loads(document, object_pairs_hook=list)]


@pytest.mark.parametrize("answer", PULLING)
@pytest.mark.parametrize("name", ["web getTags", "web getConfig", "web pageVisit", "web messageDeliveryEvent"])
def test_mechanism_1_the_web_sdk_follows_the_base_url_of_any_success(name, answer, sdk, wire, faults, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_POLICIES": {method_of(name): "relay"}}
    faults.next((200, {}, answer % (200, CODE)))
    envelope = sdk.post(method_of(name), BODIES[name])
    assert sorted(keys(sdk.answer.content.decode("utf-8-sig"))) == ["response", "status_code", "status_message"]
    assert CODE in sdk.answer.content, "a number goes through as it was written"
    assert envelope["response"].get("base_url", "kept") == "kept"


@pytest.mark.parametrize("answer", PULLING)
@pytest.mark.parametrize("name", ["android registerDevice", "android postEvent", "android getInApps"])
def test_mechanism_2_android_keeps_the_base_url_of_a_success(name, answer, sdk, wire, faults):
    faults.next((200, {}, answer % (200, CODE)))
    sdk.post(method_of(name), BODIES[name])
    assert "base_url" not in keys(sdk.answer.content.decode("utf-8-sig"))
    assert "elsewhere" not in sdk.answer.headers.get("Location", "")


@pytest.mark.parametrize("answer", PULLING)
@pytest.mark.parametrize(
    ("http_status", "status_code"),
    [(200, 210), (200, 403), (200, 500), (400, 400), (401, 401), (404, 404), (410, 210), (429, 429), (500, 500),
     (503, 503), (504, 200), (520, 520), (201, 200)],
)  # fmt: skip
def test_mechanism_3_ios_follows_the_base_url_of_any_answer(http_status, status_code, answer, sdk, wire, faults):
    faults.next((http_status, {}, answer % (status_code, CODE)))
    sdk.answer = sdk._client.post("/json/1.3/getTags", {"request": PHONE}, content_type="application/json")
    document = sdk.answer.content.decode("utf-8-sig")
    assert sorted(keys(document)) == ["response", "status_code", "status_message"]
    assert sdk.answer.status_code == (503 if http_status == 520 else http_status)
    assert CODE.decode() in document


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b'{"status_message":"OK","response":null}',
        b'{"status_code":null,"status_message":"OK"}',
        b'{"status_code":true,"status_message":"OK"}',
        b'{"status_code":"many","status_message":"OK"}',
        b'{"status_code":[200]}',
        b'{"detail":"Not found."}',
        b'[{"status_code":200}]',
        b"null",
        b"",
        b"<html></html>",
        b'{"status_code":200,"status_message":"\xff"}',
        '{"status_code":200,"status_message":"OK","base_url":"https://elsewhere.example/"}'.encode("utf-16"),
        '{"status_code":200,"status_message":"OK","base_url":"https://elsewhere.example/"}'.encode("utf-16-le"),
        '{"status_code":200,"status_message":"OK","base_url":"https://elsewhere.example/"}'.encode("utf-32-be"),
    ],
)
@pytest.mark.parametrize("http_status", [200, 204, 301, 400, 404, 429, 500, 502])
@pytest.mark.parametrize("method", ["getTags", "registerDevice"])
def test_mechanism_4_ios_forgets_the_address_over_an_object_without_status_code(
    method, http_status, answer, sdk, wire, faults
):
    faults.next((http_status, {"Location": AWAY}, answer))
    envelope = sdk.call(method)
    assert envelope["status_code"] in (200, 503)
    assert "Location" not in sdk.answer.headers


def test_mechanism_5_grpc_finds_no_grpc_here_and_falls_back(client, sdk, wire, settings):
    settings.ROOT_URLCONF = Prefixed
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_UNKNOWN_METHODS": "relay"}
    frame = b"\x00\x00\x00\x00\x08\x0a\x06iPhone"
    for service in ("pushwoosh.device_api.v2.DeviceService/SetTags", "pushwoosh.device_api.v2.DeviceService/setTags"):
        answer = client.post(
            f"/pushwoosh/{service}", frame, content_type="application/grpc", headers={"TE": "trailers"}
        )
        assert envelope_of(answer)["status_code"] in (400, 404)
        assert "grpc-status" not in answer.headers
    assert wire.sent == []
    assert sdk.post("setTags", BODIES["ios setTags"], path="/pushwoosh/{}")["status_code"] == 200
    assert OutboxEntry.objects.count() == 1


def test_mechanism_6_a_push_that_moves_apps_comes_from_nobody_out_there(sdk, wire, settings):
    settings.ROOT_URLCONF = Prefixed
    settings.PUSHWOOSH = {
        **settings.PUSHWOOSH,
        "GATEWAY_PERMISSION": lambda request, method: True,
        "GATEWAY_UNKNOWN_METHODS": "relay",
    }
    command = {"pw_system_push": 1, "pw_command": "set_base_url", "value": AWAY}
    notification = {"content": "", "data": command, "android_root_params": command, "ios_root_params": command}
    for method in ("createMessage", "createmessage", "CreateMessage", "CREATEMESSAGE", "createTargetedMessage"):
        for shape in ("{}", "json/1.3/{}", "api/v2/device-api/{}", "{}/", "x/{}//"):
            body = {"request": {**PHONE, "auth": "test-api-tokem", "notifications": [notification]}}
            envelope = sdk.post(method, body, path=f"/pushwoosh/{shape}", authorization=f"Token {TOKEN}")
            assert envelope["status_code"] in (403, 404)
    assert wire.sent == []
    assert not OutboxEntry.objects.exists()


def config(entry_point: str, more: str = "") -> bytes:
    return (
        '{"status_code":200,"status_message":"OK","response":{"order":175350000012345678901.50,"features":{'
        f'"vapid_key":"BK\\u0041+/=","page_visit":{{"enabled":true,"entrypoint":{entry_point}}}{more}}}}}}}'
    ).encode()


class TestPageVisits:
    @pytest.fixture(autouse=True)
    def _pushwoosh(self, settings: Any, wire: Any) -> None:
        settings.ROOT_URLCONF = Prefixed
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "API_ROOT": "https://api.pushwoosh.com"}

    def configure(self, sdk: Any, faults: Any, answer: bytes, **given: Any) -> bytes:
        faults.next((200, {}, answer))
        given = {"path": "/pushwoosh/json/1.3/{}", "HTTP_HOST": "shop.example", **given}
        host = given.pop("HTTP_HOST")
        sdk.post("getConfig", BODIES["web getConfig"], Host=host, **given)
        return bytes(sdk.answer.content)

    def visited(self, sdk: Any, wire: Any) -> list[str]:
        wire.sent.clear()
        assert sdk.post("pageVisit", BODIES["web pageVisit"], path="/pushwoosh/{}")["status_code"] == 200
        run_outbox()
        return [sent.url for sent in wire.sent]

    def test_mechanism_7_page_visits_are_reported_here(self, sdk, wire, faults, settings):
        settings.ALLOWED_HOSTS = ["shop.example", "testserver"]
        told = self.configure(sdk, faults, config(f'"{TRUSTED}"'))
        assert told == config('"http://shop.example/pushwoosh/json/1.3/pageVisit"'), "and nothing else is changed"

        faults.next((200, {}, b'{"ok":true,"base_url":"https://elsewhere.example/"}'))
        assert self.visited(sdk, wire) == [TRUSTED]
        assert wire.sent[0].body == json.dumps(BODIES["web pageVisit"]).encode()
        assert wire.sent[0].authorization == f"Token {TOKEN}"
        assert not OutboxEntry.objects.unsettled().exists()

    def test_another_process_knows_it_too(self, sdk, wire, faults):
        self.configure(sdk, faults, config(f'"{TRUSTED}"'), HTTP_HOST="testserver")
        entry_points.forget_known()
        faults.next((204, {}, b""))
        assert self.visited(sdk, wire) == [TRUSTED]

    def test_a_relayed_visit_goes_there_and_its_answer_is_one_that_sdks_read(self, sdk, wire, faults, settings):
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_POLICIES": {"pageVisit": "relay"}}
        self.configure(sdk, faults, config(f'"{TRUSTED}"'), HTTP_HOST="testserver")
        faults.next((200, {}, b'{"ok":true,"base_url":"https://elsewhere.example/"}'))
        assert self.visited(sdk, wire) == [TRUSTED]
        assert envelope_of(sdk.answer) == {"status_code": 200, "status_message": "OK", "response": None}

    @pytest.mark.parametrize(
        ("url", "path", "told"),
        [
            ("https://sdk.shop.example/pw/", "/pushwoosh/{}", "https://sdk.shop.example/pw/pageVisit"),
            ("https://sdk.shop.example", "/pushwoosh/json/1.3/{}", "https://sdk.shop.example/pageVisit"),
            ("", "/pushwoosh/{}/", "http://testserver/pushwoosh/pageVisit"),
            ("", "/pushwoosh//æ ø\\/{}", "http://testserver/pushwoosh//%C3%A6%20%C3%B8%5C/pageVisit"),
        ],
    )
    def test_behind_proxies_the_public_address_is_a_setting(self, url, path, told, sdk, faults, settings):
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_URL": url}
        answer = self.configure(sdk, faults, config(f'"{TRUSTED}"'), path=path, HTTP_HOST="testserver")
        assert answer == config(f'"{told}"')

    @pytest.mark.parametrize(
        "hostile",
        [
            "http://post-event.svc-nue.pushwoosh.com/visit",
            "https://pushwoosh.com.elsewhere.example/visit",
            "https://elsewhere.example/.pushwoosh.com/",
            "https://elsewhere.example#.pushwoosh.com/",
            "https://elsewhere.example\\\\.pushwoosh.com/",
            "https://user@pushwoosh.com/",
            "https://a.pushwoosh.com@elsewhere.example/",
            "https://evilpushwoosh.com/",
            "https://api.pushwoosh.com:8443/",
            "https://api.pushwoosh.com\\t.elsewhere.example/",
            "https://api.pushwoosh.com/a b",
            "https://PUSHWOOSH.com.example/",
            "https://169.254.169.254/latest/meta-data",
            "http://localhost:6379/",
            "file:///etc/passwd",
            "//elsewhere.example/",
            "/visit",
            "javascript:alert(1)",
            "https://api.pushwoosh.com/" + "x" * 3000,
        ],
    )
    def test_a_hostile_entry_point_is_neither_told_nor_called(self, hostile, sdk, wire, faults, caplog):
        told = self.configure(sdk, faults, config(f'"{hostile}"'), HTTP_HOST="testserver")
        assert told == config('"http://testserver/pushwoosh/json/1.3/pageVisit"')
        assert not EntryPoint.objects.exists()
        assert "not Pushwoosh's" in caplog.text
        faults.next((200, {}, b"{}"))
        assert self.visited(sdk, wire) == ["https://api.pushwoosh.com/json/1.3/pageVisit"]

    def test_what_the_database_holds_is_not_believed_either(self, sdk, wire, faults):
        EntryPoint.objects.create(
            application="TEST0-00001", api_root="https://api.pushwoosh.com", url="https://elsewhere.example/"
        )
        faults.next((200, {}, b"{}"))
        assert self.visited(sdk, wire) == ["https://api.pushwoosh.com/json/1.3/pageVisit"]

    def test_a_copy_of_the_database_calls_nobody_elsewhere(self, sdk, wire, faults, settings):
        self.configure(sdk, faults, config(f'"{TRUSTED}"'), HTTP_HOST="testserver")
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "API_ROOT": "http://sandbox.test"}
        assert self.visited(sdk, wire) == ["http://sandbox.test/json/1.3/pageVisit"]

    def test_the_api_roots_own_host_is_good(self, sdk, wire, faults, settings):
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "API_ROOT": "http://sandbox.test"}
        self.configure(sdk, faults, config('"http://sandbox.test/visits"'), HTTP_HOST="testserver")
        faults.next((200, {}, b""))
        assert self.visited(sdk, wire) == ["http://sandbox.test/visits"]

    @pytest.mark.parametrize("value", ["null", "false", '""', "0"])
    def test_where_none_is_told_none_is_made_up(self, value, sdk, faults):
        answer = config(value)
        assert self.configure(sdk, faults, answer, HTTP_HOST="testserver") == answer
        assert not EntryPoint.objects.exists()

    @pytest.mark.parametrize(
        "pages",
        [
            '{"page_visit":{"entrypoint":"A"},"page_visit":{"entrypoint":"A"}}',
            '{"page_visit":{"entrypoint":"A","entrypoint":"A"}}',
            '{"page\\u005fvisit":{"\\u0065ntrypoint":"A"}}',
            '{ "page_visit" : {\n"entrypoint"\t: ["A"] , "b":{"entrypoint":"kept"} } , "n":1E400 }',
        ],
    )
    def test_every_way_to_write_it_is_seen(self, pages, sdk, faults):
        answer = f'{{"status_code":200,"status_message":"OK","response":{{"features":{pages}}}}}'
        told = self.configure(sdk, faults, answer.replace('"A"', f'"{AWAY}"').encode(), HTTP_HOST="testserver")
        assert AWAY.encode() not in told
        assert told.count(b"/pageVisit") == pages.count('"A"')
        assert told.count(b"kept") == pages.count("kept")
        json.loads(told)

    def test_a_refusal_leads_nobody_away_and_is_not_learned_from(self, sdk, wire, faults):
        answer = config(f'"{TRUSTED}"').replace(b'"status_code":200', b'"status_code":500')
        faults.next((500, {}, answer))
        sdk.post("getConfig", BODIES["web getConfig"], path="/pushwoosh/{}")
        assert TRUSTED.encode() not in sdk.answer.content
        assert not EntryPoint.objects.exists()

    def test_the_memory_for_it_may_fail(self, sdk, wire, faults, monkeypatch, caplog):
        def fail(*args: Any, **kwargs: Any) -> None:
            raise ValueError(TRUSTED)

        monkeypatch.setattr(EntryPoint.objects, "using", fail)
        told = self.configure(sdk, faults, config(f'"{TRUSTED}"'), HTTP_HOST="testserver")
        assert told == config('"http://testserver/pushwoosh/json/1.3/pageVisit"')
        assert "is lost" in caplog.text

    def test_it_is_written_once_and_again_when_it_changes(self, sdk, wire, faults, clock):
        writes = []
        for _ in range(3):
            self.configure(sdk, faults, config(f'"{TRUSTED}"'), HTTP_HOST="testserver")
            writes.append(EntryPoint.objects.get().told_at)
            clock.advance(minutes=5)
        assert len(set(writes)) == 1
        self.configure(sdk, faults, config(f'"{TRUSTED}/2"'), HTTP_HOST="testserver")
        assert EntryPoint.objects.get().url == f"{TRUSTED}/2"

    def test_a_host_for_visits_that_is_down_holds_nothing_else_up(self, sdk, wire, faults, clock):
        self.configure(sdk, faults, config(f'"{TRUSTED}"'), HTTP_HOST="testserver")
        wire.sent.clear()
        for _ in range(8):
            sdk.post("pageVisit", BODIES["web pageVisit"], path="/pushwoosh/{}")
        sdk.post("setTags", BODIES["web setTags"], path="/pushwoosh/{}")
        faults.down = "https://post-event.svc-nue.pushwoosh.com/"
        for _ in range(4):
            run_outbox()
            clock.advance(seconds=70)
        assert "setTags" in [sent.method for sent in wire.sent if sent.url.startswith("https://api.")]
        assert sdk.post("getTags", BODIES["web getTags"], path="/pushwoosh/{}")["status_code"] == 200
        faults.down = ""
        for _ in range(8):
            clock.advance(seconds=70)
            run_outbox()
        assert not OutboxEntry.objects.unsettled().exists()


def test_mechanism_8_whoever_forgot_everything_is_heard_and_told_anew(sdk, wire, faults, settings):
    second = {"CODE": "TEST0-00002", "API_TOKEN": "second-api-token", "DEVICE_TOKEN": "second-device-token"}
    for _ in range(2):
        faults.next((200, {}, config(f'"{TRUSTED}"')))
        sdk.post("getConfig", BODIES["web getConfig"])
        assert TRUSTED.encode() not in sdk.answer.content, "told anew, and led here anew"
    forgotten = BODIES["web messageDeliveryEvent#nothing known any more (after removeAllDeviceData)"]
    assert sdk.post("messageDeliveryEvent", forgotten)["status_code"] == 200

    moved = {"request": {**BODIES["web getConfig"]["request"], "application": "TEST0-00002"}}
    assert sdk.post("getConfig", moved)["status_code"] == 210, "an app with a new code is told so, and stays"
    rows = {**settings.PUSHWOOSH["APPLICATIONS"], "second": second}
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "APPLICATIONS": rows}
    faults.next((200, {}, config('"https://two.pushwoosh.com/visit"')))
    sdk.post("getConfig", moved)
    assert b'"http://testserver/json/1.3/pageVisit"' in sdk.answer.content
    assert {row.application for row in EntryPoint.objects.all()} <= {"TEST0-00001", "TEST0-00002"}
    assert sdk.post("messageDeliveryEvent", forgotten)["status_code"] == 210, "whose it is, nobody can tell now"


def test_every_policy_that_awaits_pushwoosh_lets_no_base_url_through(sdk, wire, faults, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_PERMISSION": lambda request, method: True}
    for name, body in BODIES.items():
        method = METHODS[method_of(name)]
        assert method.asked_by is AskedBy.SDK
        if method.policy in (Policy.RELAY, Policy.RELAY_ELSE_QUEUE):
            faults.next((200, {}, PULLING[0] % (200, CODE)))
            sdk.post(method.name, body)
            assert b"base_url" not in sdk.answer.content
    faults.next((200, {}, reply(200, "OK", None)))
    assert sdk.call("getTags")["status_code"] == 200
