"""Devices, their tags, users and events."""

from __future__ import annotations

import pytest

from django_pushwoosh.protocol.tags import TagType
from django_pushwoosh.sandbox import Sandbox, SetClock

from .conftest import APP, NOON, Hand, applications


def tags_of(call, **who):
    return call("getTags", **who).response["result"]


def test_registering_twice_is_one_device_and_keeps_what_is_left_out(call, sandbox):
    call.device("one", language="en-US", timezone="7200", device_model="Pixel", tags={"Age": 5})
    answer = call("registerDevice", hwid="one", device_type=3, app_version="2.0")
    assert answer.json == {"status_code": 200, "status_message": "OK", "response": None}
    (device,) = sandbox.devices.values()
    assert (device.push_token, device.timezone, device.model, device.app_version) == ("token-one", 7200, "Pixel", "2.0")
    tags = tags_of(call, hwid="one")
    assert tags["Language"] == "en"
    assert tags["Device Model"] == "Pixel"
    assert tags["Age"] == 5


def test_registration_is_checked(call):
    assert call("registerDevice", device_type=3).text == "No hwid given"
    assert call("registerDevice", hwid="x").text == "Invalid device type"
    assert call("registerDevice", hwid="x", device_type=99).text == "Invalid device type"
    assert call("registerDevice", hwid="x", device_type=150).code == 200


def test_addresses_and_numbers_are_their_own_tokens(call, sandbox):
    call("registerDevice", email="a@example.com", userId="Ann")
    call("registerEmail", email="b@example.com", tags={"Name": "B"})
    call("registerDevice", hwid="+4712345678", device_type=18)
    call("registerDevice", hwid="+4712345678", device_type=21)
    assert {(hwid, device.platform) for (_, hwid), device in sandbox.devices.items()} == {
        ("a@example.com", 14),
        ("b@example.com", 14),
        ("+4712345678", 18),
        ("whatsapp:+4712345678", 21),
    }
    call.message()
    assert len(call.got()) == 4


def test_unregistering_keeps_the_device(call, sandbox):
    call.device("one", tags={"Age": 5})
    call("unregisterDevice", hwid="one")
    assert not sandbox.devices[APP, "one"].is_subscribed
    assert tags_of(call, hwid="one")["Age"] == 5
    assert call("unregisterDevice", hwid="never seen").code == 200
    assert (APP, "never seen") not in sandbox.devices


def test_a_token_belongs_to_the_device_that_said_it_last(call):
    call.device("old", push_token="same")
    call.device("new", push_token="same")
    call.message()
    assert call.reached() == {"new"}


def test_tag_operations(call):
    call.device("one", tags={"Level": 5, "Likes": ["a", "b"], "Name": "Ann"})
    call(
        "setTags",
        hwid="one",
        tags={
            "Level": {"operation": "increment", "value": -2},
            "Likes": {"operation": "append", "value": ["b", "c"]},
            "Name": None,
        },
    )
    call("setTags", hwid="one", tags={"Likes": {"operation": "remove", "value": "a"}, "Level": "#pwinc#10"})
    tags = tags_of(call, hwid="one")
    assert (tags["Level"], tags["Likes"], "Name" in tags) == (13, ["b", "c"], False)


def test_tags_of_a_user_are_set_on_all_devices_and_the_hwid_prevails(call):
    call.device("one", userId="Ann")
    call.device("two", userId="Ann")
    call("setTags", userId="Ann", tags={"City": "Oslo"})
    call("setTags", userId="Ann", hwid="one", tags={"City": "Bergen"})
    assert tags_of(call, hwid="one", userId="Ann")["City"] == "Bergen"
    assert tags_of(call, hwid="two")["City"] == "Oslo"
    assert tags_of(call, userId="Ann")["City"] == "Oslo"
    assert tags_of(call, hwid="nobody") == {}
    assert call("getTags").code == 210


def test_declared_types_hold_and_learned_ones_follow():
    sandbox = Sandbox(applications(), SetClock(NOON), tags={"Age": TagType.INTEGER, "Zip": TagType.STRING})
    call = Hand(sandbox)
    call.device("one", tags={"Age": "old", "Zip": 1234, "Free": 5})
    call("setTags", hwid="one", tags={"Age": 7, "Free": "five"})
    call("setTags", hwid="one", tags={"Age": ["x"]})
    tags = tags_of(call, hwid="one")
    assert (tags["Age"], tags["Zip"], tags["Free"]) == (7, "1234", "five")


def test_badges_and_opens(call, sandbox, clock):
    assert call("setBadge", hwid="one", badge=3).json == {"status_code": 200, "status_message": "OK"}
    clock.advance(minutes=5)
    assert call("applicationOpen", hwid="one", device_type=3).json == {"status_code": 200, "status_message": "OK"}
    device = sandbox.devices[APP, "one"]
    assert device.badge == 3
    assert device.tags["Last Application Open"] == "2026-03-02 12:05"
    assert call("setBadge", hwid="one", badge="+1").code == 210


def test_a_device_moves_between_users_and_a_user_without_devices_vanishes(call, sandbox):
    call("registerUser", hwid="one", userId="Ann", device_type=3)
    assert set(sandbox.users) == {(APP, "Ann")}
    call.device("one")
    assert sandbox.devices[APP, "one"].user_id == "Ann"
    call("registerUser", hwid="one", userId="Bob")
    assert set(sandbox.users) == {(APP, "Bob")}
    call("registerUser", hwid="one")
    assert set(sandbox.users) == {(APP, "one")}


def test_deleting_a_user_deletes_the_devices(call, sandbox):
    call.device("one", userId="Ann")
    call.device("two", userId="Ann")
    call.device("three")
    answer = call("deleteUser", user_id="Ann")
    assert answer.json == {"status_code": 200, "status_message": "OK", "response": None}
    assert {hwid for _, hwid in sandbox.devices} == {"three"}
    assert call("deleteUser", user_id="Ann").code == 200
    assert call.message(devices=["token-one"]).response["UnknownDevices"] == {"": ["token-one"]}


def test_events_are_kept_and_may_answer_with_an_in_app(call, sandbox):
    call.device("one", userId="Ann")
    assert call("postEvent", hwid="one", event="Finished", attributes={"level": 1}).response == {"code": "61BC9-84DD0"}
    assert call("postEvent", userId="Bob", event="Other", attributes={}).response is None
    told = [(each.name, each.hwid, each.user_id, each.attributes) for each in sandbox.events]
    assert told == [("Finished", "one", "Ann", {"level": 1}), ("Other", "", "Bob", {})]
    assert call("postEvent", event="Other", attributes={}).code == 210


@pytest.mark.parametrize("hwid", ["", "x" * 300, "nul\x00", "\ud83d", 5, None, ["x"], {"a": 1}])
def test_hwids_that_are_none_are_refused(call, sandbox, hwid):
    assert call("registerDevice", hwid=hwid, device_type=3).code == 210
    assert not sandbox.devices


def test_the_tags_that_pushwoosh_keeps_have_their_types(call, sandbox, clock):
    call.device("one", tags={"City": ["Oslo"], "Country": "NO"})
    call("setTags", hwid="one", tags={"City": 47, "First Install": "soon", "Language": ["de"]})
    assert sandbox.phone("one").device.own_tags == {"City": "47", "Country": "NO"}
    job = call(
        "bulkSetTags", devices=[{"hwid": "one", "tags": {"City": "Bergen", "Last Application Open": 5, "New": 1}}]
    )
    clock.advance(seconds=2)
    told = call.raw("GET", f"/api/v2/audience/bulkSetTags/{job.json['request_id']}?detailed=true").json
    assert told["devices"][0]["tags"] == {
        "City": "ok",
        "Last Application Open": "wrong value. expect :date",
        "New": "tag not found",
    }
