"""What SDKs send goes through, and does at Pushwoosh what the documents say."""

from __future__ import annotations

import pytest
from django.test import Client

from django_pushwoosh.models import Device, UserLink
from django_pushwoosh.testing import run_outbox
from tests.gateway.conftest import BODIES, HWID, PHONE, TOKEN, envelope_of

pytestmark = pytest.mark.django_db


def test_a_registered_device_is_in_the_mirror_and_at_pushwoosh(sdk, sandbox):
    sdk.post("registerDevice", BODIES["android registerDevice"])

    device = Device.objects.get(application="TEST0-00001", hwid=HWID)
    assert (device.platform, device.language, device.utc_offset_seconds) == (3, "en", 7200)
    assert device.is_subscribed
    assert device.tags["Age"] == 25
    assert UserLink.objects.open().get(device=device).user_id == "ada"
    assert sandbox.phone(HWID).device.own_tags["Age"] == 25
    assert sandbox.users["TEST0-00001", "ada"].hwids == [HWID]


def test_tags_set_by_the_sdk_are_read_back_by_the_sdk(sdk, sandbox):
    sdk.call("setTags", tags={"Name": "Ada", "Visits": {"operation": "increment", "value": 2}})
    assert Device.objects.get(hwid=HWID).tags == {"Name": "Ada", "Visits": 2}
    run_outbox()
    result = sdk.call("getTags")["response"]["result"]
    assert (result["Name"], result["Visits"]) == ("Ada", 2)


def test_unregistering_unsubscribes_here_and_there(sdk, sandbox):
    sdk.call("registerDevice", push_token="t0ken")
    sdk.call("unregisterDevice")
    run_outbox()
    assert not Device.objects.get(hwid=HWID).is_subscribed
    assert not sandbox.phone(HWID).device.is_subscribed


def test_a_user_is_linked_and_made_anonymous_again(sdk, sandbox):
    sdk.call("registerUser", userId="ada")
    run_outbox()
    assert sandbox.phone(HWID).device.user_id == "ada"
    sdk.call("registerUser", userId=HWID)
    run_outbox()
    assert sandbox.phone(HWID).device.user_id == HWID
    assert not UserLink.objects.open().exists()


def test_events_statistics_and_badges_arrive(sdk, sandbox):
    sdk.call("postEvent", event="Bought", attributes={"price": 9.5})
    sdk.call("pushStat", hash="1_2_3_1-1")
    sdk.call("messageDeliveryEvent", hash="1_2_3_1-1")
    sdk.call("setBadge", badge=4)
    sdk.call("applicationOpen", device_model="Pixel 8")
    run_outbox()
    assert [(event.name, event.attributes) for event in sandbox.events] == [("Bought", {"price": 9.5})]
    assert [each.method for each in sandbox.statistics] == ["pushStat", "messageDeliveryEvent"]
    device = sandbox.phone(HWID).device
    assert (device.badge, device.model) == (4, "Pixel 8")
    assert device.last_open_at is not None


def test_an_in_app_message_comes_back_with_its_event(sdk, wire, faults):
    answer = b'{"status_code":200,"status_message":"OK","response":{"code":"ABCDE-12345"}}'
    faults.next((200, {}, answer))
    assert sdk.call("postEvent", event="Bought")["response"] == {"code": "ABCDE-12345"}
    assert sdk.answer.content == answer


def test_answers_leave_the_response_out_where_pushwoosh_does(sdk, sandbox):
    assert "response" not in sdk.call("applicationOpen")
    assert sdk.call("setTags", tags={})["response"] is None


def test_cookies_csrf_and_content_negotiation_do_not_matter(sandbox):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies["sessionid"] = "whatever"
    for accept in ("text/html", "application/xml", "image/png", "nonsense", "*/*"):
        answer = strict.post(
            "/json/1.3/getTags?format=api",
            {"request": PHONE},
            content_type="application/json",
            headers={"Accept": accept, "Origin": "https://elsewhere.example"},
        )
        assert envelope_of(answer)["status_code"] == 200


def test_a_body_that_curl_calls_a_form_is_read_too(sdk, sandbox):
    body = {"request": {**PHONE, "tags": {"Name": "Ada"}}}
    assert sdk.post("setTags", body, content_type="application/x-www-form-urlencoded")["status_code"] == 200


def test_nothing_of_the_request_goes_upstream_but_the_body(sdk, wire):
    sdk.post(
        "getTags",
        {"request": PHONE},
        authorization=f"Token {TOKEN}",
        Cookie="sessionid=secret",
        **{"X-Forwarded-For": "1.2.3.4", "X-Gateway-Secret": "secret", "Accept-Encoding": "br"},
    )
    assert {name.lower() for name in wire.sent[0].headers} == {"content-type", "authorization"}


@pytest.mark.parametrize("verb", ["get", "put", "patch", "delete", "head"])
def test_other_verbs_are_told_to_post(verb, client):
    answer = getattr(client, verb)("/json/1.3/registerDevice")
    assert answer.status_code == 405
    assert answer["Allow"] == "POST, OPTIONS"
    if verb != "head":
        assert "POST" in envelope_of(answer)["status_message"]


def test_a_preflight_needs_no_token_and_gets_its_headers(client, settings):
    settings.CORS_ALLOWED_ORIGIN_REGEXES = [r"^http://localhost(:\d+)?$"]
    asked = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    answer = client.options("/json/1.3/getTags", headers={**asked, "Access-Control-Request-Headers": "authorization"})
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert "authorization" in answer["Access-Control-Allow-Headers"]
    assert client.options("/json/1.3/getTags").status_code == 200


def test_errors_carry_cors_headers_too(sdk, sandbox):
    sdk.post("getTags", b"{", Origin="http://localhost:3000")
    assert sdk.answer.status_code == 400
    assert sdk.answer["Access-Control-Allow-Origin"] == "http://localhost:3000"
