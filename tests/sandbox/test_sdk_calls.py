"""What SDKs call beyond the documents: every answer comes from the state, in the form that the SDKs read."""

from __future__ import annotations

import io
import json
import zipfile
from base64 import urlsafe_b64decode

import pytest

from django_pushwoosh.sandbox import Sandbox
from django_pushwoosh.sandbox.options import FEATURES, MOST_ENTRIES

from .conftest import APP, DEVICE, OTHER, Hand, applications


def tags_of(call, hwid):
    return call("getTags", hwid=hwid).response["result"]


def test_a_browser_asks_whether_it_is_known(call):
    assert call("checkDevice", hwid="one").response == {"exist": False, "push_token_exist": False}
    call("registerDevice", hwid="one", device_type=11)
    assert call("checkDevice", hwid="one").response == {"exist": True, "push_token_exist": False}
    call.device("one", device_type=11)
    assert call("checkDevice", hwid="one").response == {"exist": True, "push_token_exist": True}
    call("unregisterDevice", hwid="one")
    assert call("checkDevice", hwid="one").response == {"exist": True, "push_token_exist": False}
    assert call("checkDevice", app=OTHER, hwid="one").response == {"exist": False, "push_token_exist": False}


def test_a_device_is_forgotten_with_all_that_it_had(call, sandbox):
    call.device("one", userId="Ann")
    call.message(inbox_days=3)
    call("deleteDevice", hwid="one")
    assert not sandbox.devices
    assert not sandbox.users
    call.device("one")
    assert call("getInboxMessages", hwid="one").response["messages"] == []
    assert call("deleteDevice", hwid="never seen").code == 200


def test_the_configuration_lets_the_web_sdk_start(call, sandbox):
    features = call("getConfig", hwid="one").response["features"]
    assert features.keys() == FEATURES.keys()
    key = urlsafe_b64decode(features["vapid_key"] + "==")
    assert (len(key), key[0]) == (65, 4)
    assert features["page_visit"] == {"entrypoint": "https://api.pushwoosh.com/json/1.3/pageVisit", "enabled": True}
    assert features["subscription_prompt"] == {"useCase": "not-set"}
    asked = call("getConfig", hwid="one", features=["vapid_key", "events", "popup_forms", 5]).response["features"]
    assert asked.keys() == {"vapid_key", "events"}
    assert not sandbox.devices


def test_the_entrypoint_is_where_the_sandbox_was_found(sandbox):
    answered = []
    body = json.dumps({"request": {"application": APP}}).encode()
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/json/1.3/getConfig", "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": "sandbox.example:8600", "wsgi.url_scheme": "https", "wsgi.input": io.BytesIO(body),
    }  # fmt: skip
    (content,) = sandbox.wsgi(environ, lambda status, headers: answered.append(status))
    entrypoint = json.loads(content)["response"]["features"]["page_visit"]["entrypoint"]
    assert entrypoint == "https://sandbox.example:8600/json/1.3/pageVisit"


def test_features_are_changed_and_taken_away(call, sandbox):
    sandbox.set_entry("features", "events", None)
    sandbox.set_entry("features", "page_visit", {"enabled": False, "entrypoint": "https://elsewhere.example/visit"})
    sandbox.set_entry("features", "of_tomorrow", {"deep": [1, "two"]})
    features = call("getConfig").response["features"]
    assert "events" not in features
    assert features["page_visit"] == {"enabled": False, "entrypoint": "https://elsewhere.example/visit"}
    assert features["of_tomorrow"] == {"deep": [1, "two"]}
    assert features["vapid_key"] == FEATURES["vapid_key"]


def test_in_app_messages_are_listed_and_can_be_loaded(call, sandbox):
    sandbox.set_entry("in_apps", "Other", "61BC9-84DD0")
    sandbox.set_entry("in_apps", "Bought", "AAAAA-11111")
    listed = call("getInApps", hwid="one", language="en").response["inApps"]
    assert [each["code"] for each in listed] == ["61BC9-84DD0", "AAAAA-11111"]
    assert listed[0].keys() >= {"code", "url", "hash", "updated", "required", "priority"}
    path = listed[1]["url"].removeprefix("https://api.pushwoosh.com")
    status, headers, content = sandbox.handle("GET", path, {}, b"")
    assert (status, headers["Content-Type"]) == (200, "application/zip")
    assert b"AAAAA-11111" in zipfile.ZipFile(io.BytesIO(content)).read("index.html")
    assert sandbox.handle("GET", "/in-apps/BBBBB-22222.zip", {}, b"")[0] == 404
    assert sandbox.handle("POST", path, {}, b"")[0] == 405
    # An event answers with the same code.
    assert call("postEvent", hwid="one", event="Bought", attributes={}).response == {"code": "AAAAA-11111"}


def test_popups_are_listed_with_their_rules_and_their_content(call, sandbox):
    sandbox.set_entry("popups", "POPUP-1", {"content": {"version": 1, "params": {}}, "delay": 3})
    [popup] = call("getPopupForms", hwid="one").response["popup_forms"]
    assert (popup["code"], popup["delay"], popup["device_type"]) == ("POPUP-1", 3, "ALL")
    content = call("getPopupFormContent", code=popup["popup_form_content_code"]).response
    assert json.loads(content["json"]) == {"version": 1, "params": {}}
    assert call("getPopupFormContent", code="POPUP-2").response == {"code": "POPUP-2", "json": "", "html": None}
    call("recordPopupFormEvent", hwid="one", code="POPUP-1", event=1)
    assert [(each.method, each.arguments["event"]) for each in sandbox.reports] == [("recordPopupFormEvent", 1)]


def test_the_zones_around_a_device_are_told_the_nearest_first(call, sandbox):
    sandbox.set_entry("zones", "Oslo", {"lat": 59.91, "lng": 10.75, "range": 500})
    sandbox.set_entry("zones", "Berlin", {"lat": 52.52, "lng": 13.4, "range": 1000})
    told = call("getNearestZone", hwid="one", lat=52.52, lng=13.405, more=1).response["geozones"]
    assert [each["name"] for each in told] == ["Berlin", "Oslo"]
    assert told[0] == {"name": "Berlin", "lat": 52.52, "lng": 13.4, "range": 1000, "distance": 338}
    assert told[1]["distance"] == pytest.approx(838_000, rel=0.01)
    assert [each["name"] for each in call("getNearestZone", hwid="one", lat=60, lng=11).response["geozones"]] == [
        "Oslo"
    ]
    assert sandbox.phone("one").device.position == (60, 11)
    # Null means that the device stops telling.
    assert call("getNearestZone", hwid="one", lat=None, lng=None, more=1).response == {"geozones": []}
    assert sandbox.phone("one").device.position is None


def test_at_most_ten_zones_are_told(call, sandbox):
    for number in range(12):
        sandbox.set_entry("zones", f"zone {number}", {"lat": 0, "lng": number, "range": 5})
    told = call("getNearestZone", hwid="one", lat=0, lng=0, more=1).response["geozones"]
    assert [each["name"] for each in told] == [f"zone {number}" for number in range(10)]


def test_a_device_becomes_a_test_device(call, sandbox):
    answer = call(
        "createTestDevice", hwid="one", device_type=3, name="Pixel", description="of Ann", auto_created=True,
        push_token="t", language="de",
    )  # fmt: skip
    assert answer.code == 200
    device = sandbox.phone("one").device
    assert (device.test_device.name, device.test_device.description) == ("Pixel", "of Ann")
    assert device.test_device.is_auto_created
    assert (device.push_token, device.language) == ("t", "de")
    assert call.raw("GET", "/phones.json").json["devices"][0]["test_device"] is True


def test_a_person_is_registered_with_everything_at_once(call, sandbox):
    call.device("browser", tags={"Age": 30, "Interests": ["a", "b"], "Visits": 2, "Old": "x"})
    browser = {
        "hwid": "browser", "platform": 11, "push_token": "https://push.example/1", "sdk_version": "3.62.13",
        "platformData": {"public_key": "BNc", "auth_token": "tBH", "browser": "chrome 138"},
    }  # fmt: skip
    answer = call(
        "multiRegisterDevice", user_id="Ann", email="a@example.com", sms_phone_number="+4712345678",
        whatsapp_phone_number="+4712345678", language="en-US", timezone="7200", push_devices=[browser],
        tags={
            "Age": {"operation": 0, "value": "31"},
            "Zip": {"operation": 0, "value": "0150"},
            "Interests": {"operation": 1, "values": ["c"]},
            "Old": {"operation": 2},
            "Visits": {"operation": 3, "value": "5"},
        },
    )  # fmt: skip
    assert answer.code == 200, answer
    assert {(hwid, device.platform) for (_, hwid), device in sandbox.devices.items()} == {
        ("browser", 11), ("a@example.com", 14), ("+4712345678", 18), ("whatsapp:+4712345678", 21),
    }  # fmt: skip
    assert {device.user_id for device in sandbox.devices.values()} == {"Ann"}
    device = sandbox.phone("browser").device
    assert (device.push_token, device.timezone, device.language) == ("https://push.example/1", 7200, "en-US")
    assert device.attributes["public_key"] == "BNc"
    assert device.own_tags == {"Age": 31, "Zip": "0150", "Interests": ["a", "b", "c"], "Visits": 7}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"push_devices": []},
        {"push_devices": [{}]},
        {"push_devices": [{"hwid": 5, "platform": 11}]},
        {"push_devices": [{"hwid": "x" * 300, "platform": 11}]},
        {"push_devices": [{"hwid": "one", "platform": 99}]},
        {"push_devices": [{"hwid": "one", "platform": True}]},
        {"push_devices": [{"hwid": "good", "platform": 11}, {"hwid": "one", "platform": []}]},
        {"push_devices": [{"hwid": "nul\x00", "platform": 11}]},
    ],
)
def test_nobody_is_registered_where_one_device_is_none(call, sandbox, given):
    assert call("multiRegisterDevice", user_id="Ann", **given).code == 210
    assert not sandbox.devices


def test_addresses_have_tags_and_users_of_their_own(call, sandbox):
    call.device("one", userId="Ann")
    call("setEmailTags", hwid="one", device_type=3, email="a@example.com", tags={"Name": "A"}, userId="Ann")
    assert sandbox.devices[APP, "a@example.com"].own_tags == {"Name": "A"}
    assert "Name" not in tags_of(call, "one")
    call("registerEmailUser", hwid="one", email="a@example.com", userId="Bob")
    assert sandbox.devices[APP, "a@example.com"].user_id == "Bob"
    assert call("registerEmailUser", email="nobody@example.com", userId="Bob").code == 200
    assert call("setEmailTags", tags={"Name": "A"}).code == 210


@pytest.mark.parametrize("is_merged", [True, False])
def test_a_user_becomes_another(call, sandbox, is_merged):
    call.device("one", userId="anonymous")
    call("postEvent", hwid="one", event="Seen", attributes={})
    call("postEvent", userId="Bob", event="Other", attributes={})
    call("mergeUser", oldUserId="anonymous", newUserId="Ann", merge=is_merged)
    assert set(sandbox.users) == {(APP, "Ann")}
    told = [(each.name, each.user_id) for each in sandbox.events]
    assert told == ([("Seen", "Ann")] if is_merged else []) + [("Other", "Bob")]


def test_tokens_of_live_activities_come_and_go(call, sandbox):
    call("setActivityToken", hwid="one", device_type=1, activity_id="match", activity_token="t-1")
    call("setActivityToken", hwid="one", device_type=1, activity_id="order", activity_token="t-2")
    call("setActivityPushToStartToken", hwid="one", activity_push_to_start_token="t-3")
    device = sandbox.phone("one").device
    assert device.activities == {"match": "t-1", "order": "t-2"}
    assert device.attributes["activity_push_to_start_token"] == "t-3"
    call("setActivityToken", hwid="one", activity_id="match", activity_token="")
    assert device.activities == {"order": "t-2"}
    call("setActivityToken", hwid="one", activity_token="")
    assert device.activities == {}


@pytest.mark.parametrize("path", ["/api/v2/device-api/setMADID", "/json/1.3/setMADID"])
def test_the_advertising_id_has_no_envelope_at_either_address(call, sandbox, path):
    def say(madid):
        body = json.dumps({"application": APP, "hwid": "one", "madid": madid}).encode()
        return call.raw("POST", path, body, Authorization=f"Token {DEVICE}").code

    assert say("38400000-8cf0-11bd-b23e-10b96e40000d") == 200
    assert sandbox.phone("one").device.attributes["madid"] == "38400000-8cf0-11bd-b23e-10b96e40000d"
    assert say(None) == 200
    assert "madid" not in sandbox.phone("one").device.attributes
    wrapped = json.dumps({"request": {"application": APP, "hwid": "one"}}).encode()
    assert call.raw("POST", path, wrapped).code == 210


def test_what_is_merely_told_is_kept(call, sandbox):
    call.device("one", userId="Ann")
    call("pageVisit", hwid="one", title="A", url_path="https://shop.example/a", url="https://shop.example/a?x=1")
    call("setPurchase", hwid="one", productIdentifier="sku-1", price=9.99, currency="EUR", quantity=1)
    call("triggerInAppAction", hwid="one", action="show", code="", richMediaCode="F0A1B-2C3D4")
    call("richMediaAction", hwid="two", rich_media_code="F0A1B-2C3D4", action_type=1, action_attributes='{"a":1}')
    call("pageVisit", title="without a device", auth="a token, where none belongs")
    assert [(each.method, each.hwid, each.user_id) for each in sandbox.reports] == [
        ("pageVisit", "one", "Ann"), ("setPurchase", "one", "Ann"), ("triggerInAppAction", "one", "Ann"),
        ("richMediaAction", "two", "two"), ("pageVisit", "", ""),
    ]  # fmt: skip
    assert sandbox.reports[1].arguments == {
        "productIdentifier": "sku-1", "price": 9.99, "currency": "EUR", "quantity": 1,
    }  # fmt: skip
    assert sandbox.reports[4].arguments == {"title": "without a device"}


@pytest.mark.parametrize(
    ("table", "name", "value", "said"),
    [
        ("zones", "Oslo", {"lat": 91, "lng": 0, "range": 1}, "makes no sense"),
        ("zones", "Oslo", {"lat": 0, "lng": 0, "range": 0}, "makes no sense"),
        ("zones", "Oslo", {"lat": True, "lng": 0, "range": 1}, "makes no sense"),
        ("zones", "Oslo", {"lat": float("nan"), "lng": 0, "range": 1}, "JSON"),
        ("zones", "Oslo", [1, 2, 3], "makes no sense"),
        ("popups", "P", {"no": "content"}, "makes no sense"),
        ("popups", "P", "text", "makes no sense"),
        ("in_apps", "Event", 5, "makes no sense"),
        ("in_apps", "Event", "", "makes no sense"),
        ("in_apps", "", "AAAAA-11111", "characters"),
        ("features", "x" * 300, 1, "characters"),
        ("features", "large", "x" * 20_000, "too large"),
        ("features", "odd", {1, 2}, "JSON"),
        ("filters", "Adults", 'T("Age", GTE, 18)', "no such table"),
        (["zones"], "Oslo", {}, "no such table"),
    ],
)
def test_entries_that_make_no_sense_are_refused(sandbox, table, name, value, said):
    before = sandbox.options
    with pytest.raises(ValueError, match=said):
        sandbox.set_entry(table, name, value)
    assert sandbox.options == before


def test_entries_are_given_at_the_start_too(clock):
    zones = {"Oslo": {"lat": 59.91, "lng": 10.75, "range": 500}}
    call = Hand(Sandbox(applications(), clock, zones=zones, features={"events": None}))
    assert "events" not in call("getConfig").response["features"]
    assert call("getNearestZone", hwid="one", lat=59, lng=10).response["geozones"][0]["name"] == "Oslo"
    with pytest.raises(ValueError, match="makes no sense"):
        Sandbox(applications(), clock, popups={"P": {}})
    with pytest.raises(ValueError, match="at most"):
        Sandbox(applications(), clock, features=dict.fromkeys(map(str, range(MOST_ENTRIES + 1))))
