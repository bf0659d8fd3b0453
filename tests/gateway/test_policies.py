"""Queue first; relay, else queue; relay; refused: what becomes of a call when Pushwoosh is there, and when not."""

from __future__ import annotations

import json

import pytest

from django_pushwoosh import push
from django_pushwoosh.models import Device, OutboxEntry, Pause
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.envelope import reply
from django_pushwoosh.protocol.methods import AskedBy
from django_pushwoosh.testing import run_outbox
from tests.gateway.conftest import BODIES, HWID, NUMBER, PHONE, TOKEN

pytestmark = pytest.mark.django_db


def queued() -> list[str]:
    return [entry.method for entry in OutboxEntry.objects.unsettled().order_by("pk")]


QUEUED_FIRST = {
    "applicationOpen": {},
    "setTags": {"tags": {"Name": "Ada"}},
    "setBadge": {"badge": 1},
    "pushStat": {"hash": "h"},
    "messageDeliveryEvent": {"hash": "h"},
    "registerUser": {"userId": "ada"},
    "registerEmail": {"email": "ada@example.org"},
    "unregisterDevice": {},
}


@pytest.mark.parametrize("method", QUEUED_FIRST)
def test_reports_are_taken_without_asking_pushwoosh(method, sdk, wire):
    assert sdk.call(method, **QUEUED_FIRST[method])["status_code"] == 200
    assert wire.sent == []
    assert queued() == [method]


def test_a_registration_is_relayed_and_mirrored(sdk, wire, faults):
    answer = b'{"status_code":200,"status_message":"OK","response":{"iosCategories":[]}}'
    faults.next((200, {}, answer))
    assert sdk.call("registerDevice", push_token="t")["response"] == {"iosCategories": []}
    assert Device.objects.get(hwid=HWID).push_token == "t"
    assert queued() == []


@pytest.mark.parametrize(
    "fault",
    [
        "unreachable",
        "lose request",
        "lose answer",
        (429, {"Retry-After": "3"}, reply(429, "Too many")),
        (200, {}, reply(429, "Too many")),
        (500, {}, b"<html>Bad</html>"),
        (502, {}, reply(502, "Bad gateway", None)),
        (200, {}, b"<html>Log in to the Wi-Fi</html>"),
        (200, {}, b'{"status":"fine"}'),
        (403, {}, b"<html>Blocked</html>"),
        (302, {"Location": "/"}, b""),
        (200, {}, b'{"status_code":200,"status_message":"\xed\xa0\x80"}'),
    ],
)
def test_a_registration_that_may_not_have_arrived_is_queued(fault, sdk, wire, faults, sandbox):
    faults.next(fault)
    assert sdk.call("registerDevice", push_token="t")["status_code"] == 200
    assert queued() == ["registerDevice"]
    assert Device.objects.get(hwid=HWID).push_token == "t"
    run_outbox()
    assert sandbox.phone(HWID).device.push_token == "t"


def test_what_pushwoosh_refuses_is_told_and_not_mirrored(sdk, wire, faults):
    refusal = reply(210, "Invalid device type", None)
    faults.next((200, {}, refusal))
    assert sdk.call("registerDevice", push_token="t")["status_message"] == "Invalid device type"
    assert sdk.answer.content == refusal
    assert queued() == []
    assert not Device.objects.exists()


def test_what_was_refused_is_taken_from_its_replay(sdk, wire, faults, clock):
    """The first attempt left no trace, not even that the device spoke."""
    told = {**PHONE, "push_token": "token"}
    sdk.post("registerDevice", {"request": {**told, "language": "en", "tags": {"Age": 1}}})
    clock.advance(hours=1)
    again = {"request": {**told, "language": "no", "tags": {"Age": 2}}}
    faults.next((200, {}, reply(210, "Not now", None)))
    assert sdk.post("registerDevice", again)["status_code"] == 210
    clock.advance(seconds=10)
    assert sdk.post("registerDevice", again, **{"X-Retry-Count": "1"})["status_code"] == 200

    device = Device.objects.get()
    assert (device.language, device.tags) == ("no", {"Age": 2})


def test_a_device_that_was_refused_has_not_registered(sdk, wire, faults, clock):
    registered = clock.now
    sdk.call("registerDevice", push_token="token")
    clock.advance(hours=1)
    faults.next((200, {}, reply(210, "Not now", None)))
    assert sdk.call("registerDevice", push_token="token")["status_code"] == 210

    assert Device.objects.get().registered_at == registered


def test_a_device_whose_registration_failed_here_has_not_registered(sdk, wire, clock, monkeypatch):
    registered = clock.now
    sdk.call("registerDevice", push_token="token")
    clock.advance(hours=1)

    def fail(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr("django_pushwoosh.push.relay", fail)
    assert sdk.call("registerDevice", push_token="token")["status_code"] == 500

    assert Device.objects.get().registered_at == registered


def test_a_registration_that_says_nothing_new_is_newer_than_one_sent_again(sdk, wire, clock):
    told = {**PHONE, "push_token": "token"}
    for _ in range(2):
        sdk.post("registerDevice", {"request": {**told, "language": "en"}})
        clock.advance(hours=1)
    clock.advance(hours=-1, seconds=10)
    sdk.post("registerDevice", {"request": {**told, "language": "fr"}}, **{"X-Retry-Count": "1"})

    assert Device.objects.get().language == "en"


def test_an_event_of_unknown_outcome_goes_again_unless_the_setting_says_no(sdk, wire, faults, settings):
    faults.next("lose request")
    assert sdk.call("postEvent", event="Bought")["status_code"] == 200
    assert queued() == ["postEvent"]
    OutboxEntry.objects.all().delete()

    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "REPEAT_EVENTS": False}
    faults.next("lose request", "unreachable")
    assert sdk.call("postEvent", event="Bought")["status_code"] == 200
    assert queued() == []
    assert sdk.call("postEvent", event="Bought")["status_code"] == 200
    assert queued() == ["postEvent"], "an unreachable Pushwoosh has not got it, so it is safe to send it later"


def test_a_registration_with_an_increment_is_queued_only_if_it_was_not_sent(sdk, wire, faults):
    body = {"push_token": "t", "tags": {"Visits": {"operation": "increment", "value": 1}}}
    faults.next("unreachable")
    assert sdk.call("registerDevice", **body)["status_code"] == 200
    assert queued() == ["registerDevice"]


def test_a_relay_stands_behind_what_its_device_has_queued(sdk, wire, sandbox):
    sdk.call("setTags", tags={"Name": "Ada"})
    sdk.call("registerDevice", push_token="t")
    sdk.call("registerDevice", hwid="another", push_token="u")
    assert [sent.method for sent in wire.sent] == ["registerDevice"], "only the other device's was relayed"
    assert queued() == ["setTags", "registerDevice"]
    run_outbox()
    assert [request.method for request in sandbox.requests] == ["registerDevice", "setTags", "registerDevice"]


def test_whatsapp_numbers_keep_their_order_with_the_prefix_and_without(sdk, wire):
    sdk.call("setTags", hwid=NUMBER, device_type=21, tags={"Name": "Ada"})
    sdk.call("registerDevice", hwid=NUMBER, device_type=21)
    sdk.call("registerDevice", hwid=f"whatsapp:{NUMBER}", device_type=21)
    assert wire.sent == []
    assert queued() == ["setTags", "registerDevice", "registerDevice"]


def test_an_increment_whose_answer_is_lost_is_not_made_twice(sdk, wire, faults, sandbox):
    sdk.call("setTags", tags={"Visits": {"operation": "increment", "value": 1}})
    faults.next("lose answer")
    run_outbox()
    assert OutboxEntry.objects.get().status == OutboxEntry.Status.LEFT
    assert sandbox.phone(HWID).device.own_tags == {"Visits": 1}


def test_while_an_application_is_paused_registrations_wait(sdk, wire):
    Pause.objects.create(application="TEST0-00001", reason="the token was refused")
    assert sdk.call("registerDevice", push_token="t")["status_code"] == 200
    assert wire.sent == []
    assert queued() == ["registerDevice"]


def test_while_everything_is_paused_nothing_is_asked(sdk, wire, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "PAUSED": True}
    assert sdk.call("registerDevice", push_token="t")["status_code"] == 200
    assert sdk.call("getTags")["status_code"] == 503
    assert wire.sent == []


@pytest.mark.parametrize(
    "fault",
    [
        "unreachable",
        "lose request",
        "lose answer",
        (200, {}, b"<html></html>"),
        (200, {}, b""),
        (500, {}, b"oops"),
        (200, {}, b'{"result":{}}'),
        (404, {}, b"<html></html>"),
        (302, {"Location": "/"}, reply(200, "OK", None)),
    ],
)
def test_a_question_without_a_readable_answer_is_503(fault, sdk, wire, faults):
    faults.next(fault)
    envelope = sdk.call("getTags")
    assert envelope["status_code"] == 503
    assert "again" in envelope["status_message"]
    assert queued() == []


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_pushwooshs_own_errors_are_passed_on(status, sdk, wire, faults):
    faults.next((status, {"Set-Cookie": "a=b", "Access-Control-Allow-Origin": "*"}, reply(status, "Theirs", None)))
    assert sdk.call("getTags")["status_message"] == "Theirs"
    assert "Set-Cookie" not in sdk.answer.headers
    assert "Access-Control-Allow-Origin" not in sdk.answer.headers


def test_a_status_that_sdks_give_up_at_becomes_503(sdk, wire, faults):
    faults.next((520, {}, reply(503, "Theirs", None)))
    assert sdk.call("getTags")["status_message"] == "Theirs"


def test_a_base_url_is_cut_out_and_nothing_else(sdk, wire, faults):
    code = "175350000012345678901.50"
    start = b'{ "status_code":200 , "base_url" : "https://elsewhere.example/" ,"status_message":"OK",'
    faults.next((200, {}, start + f'"response":{{"order":{code},"base_url":"kept"}},"base\\u005furl":1}}'.encode()))
    envelope = sdk.call("getTags")
    assert "base_url" not in envelope
    assert envelope["response"]["base_url"] == "kept"
    assert code.encode() in sdk.answer.content


def test_a_base_url_is_cut_out_of_errors_too(sdk, wire, faults):
    faults.next((500, {}, b'{"base_url":"https://elsewhere.example/","status_code":500,"status_message":"No"}'))
    assert sdk.call("getTags")["status_code"] == 500
    assert sdk.answer.content == b'{"status_code":500,"status_message":"No"}'


def test_other_answers_stay_as_they_are(sdk, wire, faults):
    answer = '{"status_code": 200, "status_message": "OK ba\\u0073e", "response": {"a": 1.10, "b": "é"}}'.encode()
    faults.next((200, {}, answer))
    sdk.call("getTags")
    assert sdk.answer.content == answer


SERVERS_OWN = sorted(name for name, method in METHODS.items() if method.asked_by is AskedBy.SERVER)


@pytest.mark.parametrize("method", SERVERS_OWN)
def test_server_methods_are_refused_whoever_may_do_what(method, sdk, wire, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_PERMISSION": lambda request, method: True}
    envelope = sdk.call(method, f"Token {TOKEN}", auth="test-api-token", notifications=[{"content": "x"}])
    assert envelope["status_code"] == 403
    assert wire.sent == []
    assert queued() == []


@pytest.mark.parametrize("method", ["registerdevice", "REGISTERDEVICE", "nonsense", "", "%0A", "..", "a" * 500, "%00"])
def test_unknown_methods_are_404(method, sdk, wire):
    envelope = sdk.post(method, {"request": PHONE})
    assert envelope["status_code"] == 404
    assert len(envelope["status_message"]) < 300


def test_deleting_a_user_is_refused_until_the_host_says_who_may(sdk, wire, settings, sandbox):
    sdk.call("registerDevice", userId="ada", push_token="t")
    body = {"application": "TEST0-00001", "user_id": "ada"}
    refused = sdk.post("deleteUser", body, path="/api/v2/device-api/{}", authorization=f"Token {TOKEN}")
    assert refused["status_code"] == 403
    assert "GATEWAY_PERMISSION" in refused["status_message"]

    asked = []

    def may(request, method):
        asked.append(method)
        return request.headers.get("X-Secret") == "sesame"

    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_PERMISSION": may}
    assert sdk.post("deleteUser", body)["status_code"] == 403
    assert asked == ["deleteUser"]
    assert sdk.post("deleteUser", body, path="/api/v2/device-api/{}", **{"X-Secret": "sesame"})["status_code"] == 200
    run_outbox()
    assert not Device.objects.exists()
    assert not sandbox.users


@pytest.mark.parametrize("answer", [1, "yes", object(), None])
def test_only_true_permits(answer, sdk, wire, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_PERMISSION": lambda request, method: answer}
    assert sdk.post("deleteUser", {"application": "TEST0-00001", "user_id": "ada"})["status_code"] == 403


@pytest.mark.parametrize("method", ["getTags", "setTags"])
@pytest.mark.parametrize("hwid", [{}, {"hwid": None}, {"hwid": ""}])
@pytest.mark.parametrize("authorization", [None, f"Token {TOKEN}"])
def test_tags_of_all_devices_of_a_user_are_beyond_the_speaker(method, hwid, authorization, sdk, wire, settings):
    sdk.call("registerDevice", userId="ada", push_token="t")
    wire.sent.clear()
    body = {"application": "TEST0-00001", "userId": "ada", **hwid, "tags": {"Vip": True}}
    envelope = sdk.post(method, {"request": body}, authorization=authorization)
    assert envelope["status_code"] == 403
    assert wire.sent == []
    assert queued() == []

    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_PERMISSION": lambda request, method: True}
    sdk.post(method, {"request": body}, authorization=authorization)
    run_outbox()
    assert [(sent.method, sent.authorization) for sent in wire.sent] == [(method, f"Token {TOKEN}")]


def test_the_mirrors_trouble_is_not_the_callers(sdk, wire, sandbox, monkeypatch, caplog):
    private = f"{NUMBER} does not fit"

    def fail(*args, **kwargs):
        raise ValueError(private)

    monkeypatch.setattr("django_pushwoosh.delivery.mirror.note", fail)
    assert sdk.call("registerDevice", hwid=NUMBER, device_type=18)["status_code"] == 200
    assert sdk.call("setTags", hwid=NUMBER, tags={"Name": "Ada"})["status_code"] == 200
    run_outbox()
    assert [request.method for request in sandbox.requests] == ["registerDevice", "setTags"]
    assert "could not be mirrored" in caplog.text
    assert NUMBER not in caplog.text


def test_what_is_queued_for_the_sdk_is_what_it_sent(sdk, wire):
    body = b'{ "request": {"application":"TEST0-00001","hwid":"x","tags":{"n":12345678901234567.50}} }'
    sdk.post("setTags", body)
    entry = OutboxEntry.objects.get()
    assert entry.call.encode() == body
    assert entry.key == push.key_of(entry.call)
    assert "12345678901234567.50" in json.dumps(entry.call.shown())


def policy(settings, **named):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_POLICIES": named}


def test_a_setting_makes_a_report_wait_for_its_answer(sdk, wire, faults, settings):
    policy(settings, setTags="relay_else_queue", pushStat="relay")
    faults.next((200, {}, reply(200, "Theirs", None)), (200, {}, reply(200, "Theirs", None)))
    assert sdk.call("setTags", tags={"Name": "Ada"})["status_message"] == "Theirs"
    assert sdk.call("pushStat", hash="h")["status_message"] == "Theirs"
    assert queued() == []
    assert Device.objects.get().tags == {"Name": "Ada"}

    faults.next("unreachable", "unreachable")
    assert sdk.call("pushStat", hash="h")["status_code"] == 503
    assert sdk.call("setTags", tags={"Name": "Grace"})["status_code"] == 200
    assert queued() == ["setTags"]


def test_a_setting_queues_what_would_be_relayed(sdk, wire, settings):
    policy(settings, registerDevice="queue", postEvent="queue")
    assert sdk.call("registerDevice", push_token="t")["response"] is None
    assert sdk.call("postEvent", event="Bought")["status_code"] == 200
    assert wire.sent == []
    assert queued() == ["registerDevice", "postEvent"]


def test_a_setting_refuses_unless_the_host_permits(sdk, wire, settings):
    policy(settings, postEvent="refused", getInApps="refused")
    for method in ("postEvent", "getInApps"):
        envelope = sdk.call(method, f"Token {TOKEN}", event="Bought")
        assert envelope["status_code"] == 403
        assert "GATEWAY_PERMISSION" in envelope["status_message"]
    assert wire.sent == []

    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_PERMISSION": lambda request, method: True}
    assert sdk.call("postEvent", event="Bought")["status_code"] == 200
    assert sdk.call("getInApps")["response"] == {"inApps": []}
    assert [sent.method for sent in wire.sent] == ["postEvent", "getInApps"], "as their rows say"


@pytest.mark.parametrize("named", ["queue", "relay", "relay_else_queue"])
@pytest.mark.parametrize(
    ("method", "arguments"),
    [("mergeUser", {"oldUserId": "a", "newUserId": "b"}), ("deleteDevice", {}), ("deleteUser", {"user_id": "ada"})],
)
def test_what_a_row_refuses_no_policy_opens_to_everybody(method, arguments, named, sdk, wire, settings):
    policy(settings, **{method: named})
    body = {**PHONE, **arguments} if method == "deleteUser" else {"request": {**PHONE, **arguments}}
    for authorization in (None, f"Token {TOKEN}"):
        assert sdk.post(method, body, authorization=authorization)["status_code"] == 403
    assert wire.sent == []
    assert queued() == []

    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_PERMISSION": lambda request, method: True}
    assert sdk.post(method, body)["status_code"] == 200
    assert ([sent.method for sent in wire.sent], queued()) == (([], [method]) if named == "queue" else ([method], []))


def test_what_was_queued_for_want_of_pushwoosh_leaves_in_the_order_it_came(sdk, wire, faults, sandbox, clock):
    faults.down = "http://sandbox.test/"
    sdk.call("registerDevice", push_token="t", tags={"Step": 1})
    sdk.call("setTags", tags={"Step": 2})
    sdk.call("postEvent", event="Bought")
    sdk.call("registerDevice", push_token="u", tags={"Step": 3})
    assert queued() == ["registerDevice", "setTags", "postEvent", "registerDevice"]
    faults.down = ""
    clock.advance(minutes=5)
    for _ in range(6):
        run_outbox()
        clock.advance(seconds=70)
    assert [request.method for request in sandbox.requests] == queued_in_order()
    assert sandbox.phone(HWID).device.own_tags["Step"] == 3
    assert sandbox.phone(HWID).device.push_token == "u"


def queued_in_order() -> list[str]:
    return [entry.method for entry in OutboxEntry.objects.order_by("pk")]


def test_a_browser_that_registers_with_its_user_stands_behind_itself(sdk, wire):
    browser = BODIES["web setTags"]
    sdk.post("setTags", browser)
    assert sdk.post("multiRegisterDevice", BODIES["web multiRegisterDevice"])["status_code"] == 200
    assert wire.sent == []
    assert queued() == ["setTags", "multiRegisterDevice"]


def test_what_asks_is_relayed_past_the_queue_for_it_cannot_wait(sdk, wire):
    sdk.call("setTags", tags={"Name": "Ada"})
    assert sdk.call("getTags")["status_code"] == 200
    assert [sent.method for sent in wire.sent] == ["getTags"]
    assert queued() == ["setTags"]


class TestUnknownMethods:
    @pytest.fixture(autouse=True)
    def _relayed(self, settings):
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_UNKNOWN_METHODS": "relay"}

    @pytest.mark.parametrize("body", [{"request": PHONE}, PHONE], ids=["enveloped", "flat"])
    @pytest.mark.parametrize(
        ("authorization", "sent_on"),
        [
            (None, None),
            ("Token null", None),
            ("Token (null)", None),
            ("Basic dXNlcjpwYXNz", None),
            (f"Token {TOKEN}", f"Token {TOKEN}"),
        ],
    )
    def test_they_are_relayed_with_the_callers_token_or_none(
        self, authorization, sent_on, body, sdk, wire, faults, settings
    ):
        answer = b'{"status_code":200,"status_message":"OK","response":{"new":1.10},"base_url":"https://away.example/"}'
        faults.next((200, {}, answer))
        assert sdk.post("getHolograms2", body, authorization=authorization)["response"] == {"new": 1.1}
        assert b"base_url" not in sdk.answer.content
        [sent] = wire.sent
        assert sent.url == "http://sandbox.test/json/1.3/getHolograms2"
        assert (sent.authorization, json.loads(sent.body)) == (sent_on, body)
        assert queued() == []
        assert not Device.objects.exists()

    def test_they_wait_for_nobody_and_nobody_for_them(self, sdk, wire, faults):
        faults.next("unreachable")
        assert sdk.call("getHolograms2")["status_code"] == 503
        assert queued() == []

    @pytest.mark.parametrize(
        "name",
        ["x", "getHolograms/..", "get-holograms", "get.holograms", "GetHolograms", "2getHolograms", "get%20Holograms",
         "get%2FHolograms", "getHologr\u00e5ms", "getHolograms%00", "getHolograms;a", "getHolograms%3Fa=b", "a" * 65,
         "getHolograms%0d%0aX: y", "registerdevice", "SETTAGS", "deleteuser", "MergeUser"],
    )  # fmt: skip
    def test_a_name_that_is_not_strictly_one_is_unknown(self, name, sdk, wire):
        assert sdk.call(name)["status_code"] == 404
        assert wire.sent == []

    def test_a_foreign_token_is_refused_before(self, sdk, wire):
        assert sdk.call("getHolograms2", "Token foreign")["status_code"] == 401
        assert wire.sent == []

    @pytest.mark.parametrize("name", ["auth", "Auth", "AUTH"])
    def test_what_a_servers_token_would_open_is_not_relayed(self, name, sdk, wire):
        body = {"request": {**PHONE, name: "anybodys-api-token"}}
        assert sdk.post("listHolograms", body)["status_code"] in (400, 403)
        assert wire.sent == []

    def test_without_a_token_of_ours_the_callers_goes_on(self, sdk, wire, faults, settings):
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "APPLICATIONS": {"default": {"CODE": "TEST0-00001"}}}
        faults.next((200, {}, reply(200)))
        assert sdk.call("getHolograms2", "Token theirs")["status_code"] == 200
        assert wire.sent[0].authorization == "Token theirs"
