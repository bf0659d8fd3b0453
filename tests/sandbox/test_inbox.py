"""The inbox: what goes into it, what SDKs are told of it, and what they tell."""

from __future__ import annotations

import json

import pytest

from django_pushwoosh.sandbox.inbox import MOST_LETTERS

from .conftest import APP, OTHER

IMAGE = "https://shop.example/inbox.png"


def inbox(call, **given):
    return call("getInboxMessages", **{"hwid": "one", "device_type": 3} | given).response


def texts(call, **given):
    return [each["text"] for each in inbox(call, **given)["messages"]]


@pytest.mark.parametrize("parameter", [{"inbox_image": IMAGE}, {"inbox_date": "2026-03-09"}, {"inbox_days": 3}])
def test_a_message_goes_to_the_inbox_by_each_of_its_parameters(call, parameter):
    call.device("one")
    call.message(content="elsewhere")
    call.message(content="kept", **parameter)
    assert texts(call) == ["kept"]


def test_a_letter_has_what_sdks_read(call, sandbox):
    call.device("one", language="de")
    (code,) = call.message(
        content={"de": "Hallo", "en": "Hello"}, title="Hi", inbox_image=IMAGE, inbox_date="2026-03-09",
        link="https://shop.example/a",
    ).response["Messages"]  # fmt: skip
    [push] = sandbox.pushes
    [letter] = inbox(call)["messages"]
    order = letter.pop("order")
    assert isinstance(order, int)
    assert len(str(order)) == 18
    assert letter == {
        "inbox_id": code,
        "title": "Hi",
        "text": "Hallo",
        "image": IMAGE,
        "action_type": 1,
        "action_params": '{"l": "https://shop.example/a"}',
        "status": 1,
        "hash": push.payload["p"],
        "send_date": "1772452800",
        "rt": "1773014401",
    }
    # The push itself says so too, and an SDK that was there when it came has the same letter.
    wire = push.payload["wire"]
    assert (wire["pw_inbox"], json.loads(wire["inbox_params"])) == (code, {"image": IMAGE, "rt": "1773014401"})


def test_browsers_are_told_the_order_as_text(call):
    call.device("one", device_type=11)
    call.message(inbox_days=3)
    [letter] = inbox(call, device_type=11)["messages"]
    assert letter["order"].isdigit()
    assert int(letter["order"]) > 2**53


@pytest.mark.parametrize("kind", [None, 99, "11", [], {}])
def test_whoever_names_no_platform_is_told_the_order_as_text(call, kind):
    call.device("one")
    call.message(inbox_days=3)
    assert isinstance(inbox(call, device_type=kind)["messages"][0]["order"], str)


def test_rich_media_is_another_kind_of_action(call):
    call.device("one")
    call.message(rich_media="F0A1B-2C3D4", inbox_days=3)
    [letter] = inbox(call)["messages"]
    assert letter["action_type"] == 2
    assert json.loads(letter["action_params"])["rm"].endswith("/F0A1B-2C3D4.zip")


@pytest.mark.parametrize(
    ("parameter", "seconds"),
    [
        ({"inbox_image": IMAGE}, 12 * 3600 + 1),
        ({"inbox_days": 2}, 36 * 3600 + 1),
        ({"inbox_date": "2026-03-05"}, 60 * 3600 + 1),
    ],
)
def test_a_letter_leaves_on_its_day(call, clock, parameter, seconds):
    call.device("one")
    call.message(content="kept", **parameter)
    clock.advance(seconds=seconds - 1)
    assert texts(call) == ["kept"]
    clock.advance(seconds=1)
    assert inbox(call) == {"messages": [], "next": "", "deleted": [], "new_inbox": 0}


def test_what_becomes_of_a_letter_is_remembered_and_deleted_is_the_end(call, sandbox):
    call.device("one")
    for text in ("first", "second"):
        call.message(content=text, inbox_days=3)
    first, second = inbox(call)["messages"]
    assert inbox(call)["new_inbox"] == 2
    # SDKs say the order back, as text.
    call("inboxStatus", hwid="one", inbox_code=str(first["order"]), status=2, time=1753500000123)
    assert [each["status"] for each in inbox(call)["messages"]] == [2, 1]
    assert inbox(call)["new_inbox"] == 1
    call("inboxStatus", hwid="one", inbox_code=first["inbox_id"], status=4)
    call("inboxStatus", hwid="one", inbox_code=str(first["order"]), status=3)
    told = inbox(call)
    assert [each["text"] for each in told["messages"]] == ["second"]
    assert told["deleted"] == [first["inbox_id"]]
    assert second["status"] == 1


@pytest.mark.parametrize("code", ["", "x", "9" * 30, 5, 1.5, None, ["a"], {"a": 1}, "\ud83d"])
def test_a_code_that_is_none_has_no_effect(call, sandbox, code):
    call.device("one")
    call.message(inbox_days=3)
    call("inboxStatus", hwid="one", inbox_code=code, status=4)
    call("inboxStatus", hwid="nobody", inbox_code=code, status=4)
    assert len(texts(call)) == 1
    assert (APP, "nobody") not in sandbox.devices
    assert call("inboxStatus", hwid="one", inbox_code="5", status=9).text == "Invalid status"


def test_the_web_sdk_goes_on_where_it_stopped(call, clock):
    call.device("one")
    for text in "abc":
        call.message(content=text, inbox_days=3)
        clock.advance(seconds=1)
    first = inbox(call, count=2, last_code="", last_request_time=0)
    assert [each["text"] for each in first["messages"]] == ["a", "b"]
    assert texts(call, count=0, last_code=first["next"]) == ["c"]
    last = inbox(call, last_code=inbox(call)["next"])
    assert last["messages"] == []
    assert last["next"] == inbox(call)["next"]


def test_an_inbox_is_a_devices_or_a_users_and_no_other_applications(call):
    call.device("one", userId="Ann")
    call.device("two", userId="Ann")
    call.device("one", app=OTHER)
    call.message(content="both", devices=["one", "two"], inbox_days=3)
    call.message(content="second", devices=["two"], inbox_days=3)
    assert texts(call) == ["both"]
    both = inbox(call, hwid="two")["messages"][0]
    call("inboxStatus", hwid="two", inbox_code=str(both["order"]), status=2)
    told = inbox(call, hwid=None, userId="Ann")["messages"]
    assert [(each["text"], each["status"]) for each in told] == [("both", 2), ("second", 1)]
    assert texts(call, app=OTHER) == []
    assert inbox(call, hwid="nobody")["messages"] == []


def test_the_oldest_letters_make_room(call, sandbox):
    call.device("one")
    for number in range(MOST_LETTERS + 2):
        call.message(content=str(number), inbox_days=3, devices=["one"])
    assert texts(call)[0] == "2"
    assert len(texts(call)) == MOST_LETTERS


def test_the_phones_page_is_told_of_the_inbox(call):
    call.device("one")
    call.message(content="kept", inbox_days=3)
    call.message(content="deleted", inbox_days=3)
    call("inboxStatus", hwid="one", inbox_code=str(inbox(call)["messages"][1]["order"]), status=4)
    [device] = call.raw("GET", "/phones.json").json["devices"]
    [letter] = device["letters"]
    assert (letter["text"], letter["status"], letter["removed_at"]) == ("kept", 1, "2026-03-05T00:00:01+00:00")
