"""createMessage, createTargetedMessage, and what can be done with a message afterwards."""

from __future__ import annotations

import json

from django_pushwoosh.protocol import hashes

from .conftest import APP, GROUP, OTHER


def test_a_message_to_everyone_reaches_every_subscriber(call, sandbox):
    call.device("one")
    call.device("two")
    call("unregisterDevice", hwid="two")
    call.device("stranger", app=OTHER)

    answer = call.message(content="Hello")

    assert (answer.http, answer.code, answer.text) == (200, 200, "OK")
    (code,) = answer.response["Messages"]
    assert [len(part) for part in code.split("-")] == [4, 8, 8]
    assert call.got() == [("one", "Hello")]
    assert [message.code for message in sandbox.messages] == [code]


def test_notifications_are_taken_in_order_up_to_the_first_bad_one(call, sandbox):
    good = {"send_date": "now", "content": "first"}
    bad = {"send_date": "some day", "content": "second"}

    answer = call("createMessage", notifications=[good, bad, good])

    assert (answer.code, answer.text) == (210, "Cannot parse date")
    assert answer.response == {"Messages": [sandbox.messages[0].code]}
    assert [message.parameters["content"] for message in sandbox.messages] == ["first"]


def test_what_is_no_list_of_notifications_is_refused(call, sandbox):
    assert call("createMessage").text == "No notifications"
    assert call("createMessage", notifications="Hello").code == 210
    assert call("createMessage", notifications=["Hello"]).response == {"Messages": []}
    assert call("createMessage", notifications=[]).response == {"Messages": []}
    assert sandbox.messages == []


def test_wrong_parameters_are_named(call):
    assert call.message(android_root_params="x").text == "android_root_params must be key-value object"
    assert call.message(devices="abc").text == 'Invalid devices list. "devices" must be an array.'
    assert call.message(platforms=[]).text == "Please select at least one platform"
    assert "send_rate" in call.message(send_rate=5).text
    assert call.message(timezone="Mars/Olympus", send_date="2026-03-03 10:00").code == 210
    assert call.message(content=None).code == 210
    assert call.message(something_new={"a": 1}).code == 200


def test_an_empty_list_of_recipients_never_reaches_everyone(call):
    call.device("one")
    for parameter in ({"devices": []}, {"users": []}, {"conditions": []}):
        assert call.message(**parameter).code == 210
    assert call.got() == []


def test_few_devices_at_once_leave_no_record(call, sandbox):
    call.device("one")

    answer = call.message(devices=["one", "nobody"])

    assert answer.response == {"Messages": ["CODE_NOT_AVAILABLE"], "UnknownDevices": {"": ["nobody"]}}
    assert call.got() == [("one", "Hello")]
    assert call("getMessageDetails", app=None, message=sandbox.messages[0].code).text == "Message not found"


def test_ten_devices_and_scheduled_ones_are_recorded(call):
    code = call.message(devices=[f"d{number}" for number in range(10)])
    later = call.message(devices=["d1"], send_date="2026-03-03 10:00")

    for answer in (code, later):
        (known,) = answer.response["Messages"]
        assert known != "CODE_NOT_AVAILABLE"
        assert list(answer.response["UnknownDevices"]) == [known]


def test_tracing_records_for_an_hour(call, sandbox, clock):
    call.device("one")
    sandbox.start_tracing()
    assert call.message(devices=["one"]).response["Messages"] != ["CODE_NOT_AVAILABLE"]
    assert len(sandbox.capped_at) == 1
    clock.advance(hours=1)
    assert call.message(devices=["one"]).response["Messages"] == ["CODE_NOT_AVAILABLE"]
    assert len(sandbox.capped_at) == 1


def test_a_repeated_transaction_is_answered_alike_and_sent_once(call, sandbox, clock):
    call.device("one")
    first = call.message(transactionId="t-1")
    clock.advance(minutes=4, seconds=59)
    again = call.message(transactionId="t-1")
    assert again.json == first.json
    assert len(call.got()) == 1

    clock.advance(seconds=1)
    assert call.message(transactionId="t-1").json != first.json
    assert len(call.got()) == 2


def test_a_targeted_message_crosses_applications_and_is_remembered_for_a_day(call, clock):
    call.device("one", tags={"Age": 30})
    call.device("two", app=OTHER, tags={"Age": 30})
    call.device("young", tags={"Age": 3})
    given = {"devices_filter": 'T("Age", GTE, 18)', "send_date": "now", "content": "x", "transactionId": "t"}

    first = call("createTargetedMessage", app=None, **given)
    assert first.response["trackingCode"].startswith("T-")
    assert call.reached() == {"one", "two"}

    clock.advance(hours=23)
    assert call("createTargetedMessage", app=None, **given).json == first.json
    clock.advance(hours=1)
    assert call("createTargetedMessage", app=None, **given).json != first.json


def test_a_filter_that_does_not_compile_is_explained(call):
    answer = call("createTargetedMessage", app=None, devices_filter='T("Age", GTE', send_date="now", content="x")
    assert (answer.http, answer.code, answer.text) == (200, 210, "Errors occurred while compiling filter")
    assert answer.response["errors"][0]["type"] == "syntax"
    assert answer.response["errors"][0]["message"]


def test_targeted_messages_refuse_other_targeting(call, sandbox):
    for name in ("platforms", "devices", "filter", "conditions", "applications_group", "users", "geozone"):
        answer = call("createTargetedMessage", app=None, devices_filter="A", send_date="now", content="x", **{name: []})
        assert answer.code == 210
        assert name in answer.text
    assert call("createTargetedMessage", devices_filter=f'A("{APP}")', send_date="now", content="x").code == 210
    assert sandbox.messages == []


def test_a_group_reaches_all_its_applications_but_no_lists(call):
    call.device("one")
    call.device("two", app=OTHER)
    assert call.message(group=GROUP).code == 200
    assert call.reached() == {"one", "two"}
    assert call.message(group=GROUP, devices=["one"]).code == 210
    assert call.message(group=GROUP, users=["one"]).code == 210
    assert call.message(group="ZZZZZ-00000").code == 210


def test_a_scheduled_message_can_be_cancelled_until_it_is_sent(call, sandbox, clock):
    call.device("one")
    (early,) = call.message(send_date="2026-03-02 12:30").response["Messages"]
    (late,) = call.message(send_date="2026-03-02 13:00").response["Messages"]
    assert call("getMessageDetails", app=None, message=early).response["message"]["status"] == "waiting"

    answer = call("cancelMessage", app=None, message=early)
    assert answer.json == {"status_code": 200, "status_message": "OK"}
    assert call("cancelMessage", app=None, message=early).code == 210

    clock.advance(hours=2)
    assert len(call.got()) == 1
    assert call("cancelMessage", app=None, message=late).code == 210
    assert call("deleteMessage", app=None, message=late).code == 210
    assert [message.status for message in sandbox.messages] == ["canceled", "done"]


def test_a_deleted_message_is_gone(call, clock):
    call.device("one")
    (code,) = call.message(send_date="2026-03-02 13:00").response["Messages"]
    assert call("deleteMessage", app=None, message=code).json == {"status_code": 200, "status_message": "OK"}
    for method in ("getMessageDetails", "deleteMessage", "cancelMessage"):
        assert call(method, app=None, message=code).text == "Message not found"
    clock.advance(days=1)
    assert call.got() == []


def test_details_are_shaped_as_documented(call, sandbox):
    (code,) = call.message(
        content={"en": "Hi"}, data={"key": "value"}, platforms=[1], send_date="2026-03-05 10:00", timezone="Europe/Oslo"
    ).response["Messages"]
    details = call("getMessageDetails", app=None, message=code).response["message"]
    assert details == {
        "id": sandbox.messages[0].id,
        "created": "2026-03-02 12:00:00",
        "send_date": "2026-03-05 09:00:00",
        "status": "waiting",
        "content": {"en": "Hi"},
        "platforms": "[1]",
        "ignore_user_timezone": "1",
        "code": code,
        "data": {"key": "value"},
    }
    assert call("getMessageDetails", app=None, message=details["id"]).response["message"] == details
    assert call("getMessageDetails", app=None, message="nothing").text == "Message not found"


def test_history_counts_sends_and_opens_page_by_page(call, sandbox):
    call.device("one", device_type=1)
    call.device("two")
    for number in range(12):
        call.message(content=f"No. {number}", campaign="CCCCC-00001")
    push = sandbox.phone("one").shows
    call("pushStat", hwid="one", hash=push.payload["p"])

    page = call("getPushHistory", app=None, limitMessages=10).response["rows"]
    rest = call("getPushHistory", app=None, limitMessages=10, lastNotificationID=page[-1]["id"]).response["rows"]

    assert [len(page), len(rest)] == [10, 2]
    assert rest[-1]["sent"] == {APP: {"IOS": 1, "ANDROID": 1}}
    assert rest[-1]["open"] == {APP: {"IOS": 1, "ANDROID": 0}}
    assert rest[-1]["ctr"] == {APP: 50.0}
    assert page[0]["open"] == {APP: {"IOS": 0, "ANDROID": 0}}
    assert call("getPushHistory", app=None, source="CP").response == {"rows": []}
    found = call("getPushHistory", app=None, searchBy="notificationCode", value=page[3]["code"]).response["rows"]
    assert [row["code"] for row in found] == [page[3]["code"]]
    assert call("getPushHistory", app=None, searchBy="campaignCode", value="other").response == {"rows": []}
    assert len(call("getPushHistory", app=None, searchBy="applicationCode", value=APP).response["rows"]) == 12
    assert call("getPushHistory", app=None, limitMessages=5).code == 210


def test_the_hash_of_a_push_names_its_message(call, sandbox):
    call.device("one")
    (code,) = call.message().response["Messages"]
    sent = sandbox.phone("one").shows.payload["p"]
    assert len(sent.split("_")) >= 4
    assert hashes.decode(sent).code == code

    call("messageDeliveryEvent", hwid="one", hash=sent, metaData={"uid": "1"})
    call("pushStat", hwid="one", hash=sent)
    call("pushStat", hwid="one")
    told = [(each.method, each.message, each.user_id) for each in sandbox.statistics]
    assert told == [("messageDeliveryEvent", code, "one"), ("pushStat", code, "one"), ("pushStat", "", "one")]


def test_each_platform_gets_its_own_parameters(call, sandbox):
    call.device("ios", device_type=1, push_token="ABCDEF", language="de-AT")
    call.device("chrome", device_type=11)
    call.device("win", device_type=8)
    call("setBadge", hwid="ios", badge=4)
    call.message(
        content={"en": "Hello {Name|CapitalizeFirst|friend}", "de": "Hallo {Name|regular|du}"},
        title="Common",
        ios_title={"de": "Titel", "en": "Title"},
        ios_badges="+2",
        ios_sound="ding.caf",
        ios_root_params={"aps": {"mutable-content": 1}},
        chrome_button_text1="Open",
        chrome_button_url1="https://example.com/1",
        chrome_button_url2="https://example.com/ignored",
        data={"key": "value"},
        link="https://example.com/",
        wns_type="Raw",
        wns_content={"en": "aGkgdGhlcmU="},
    )
    ios = sandbox.phone("ios")
    assert (ios.shows.title, ios.shows.body, ios.device.badge) == ("Titel", "Hallo du", 6)
    assert ios.shows.payload["badge"] == 6
    assert ios.shows.payload["sound"] == "ding.caf"
    assert ios.shows.payload["root"] == {"aps": {"mutable-content": 1}}
    assert json.loads(ios.shows.payload["u"]) == {"key": "value"}
    assert ios.shows.payload["l"] == "https://example.com/"
    assert set(ios.shows.payload["parameters"]) == {"ios_title", "ios_badges", "ios_sound", "ios_root_params"}
    chrome = sandbox.phone("chrome").shows
    assert (chrome.title, chrome.body) == ("Common", "Hello friend")
    assert chrome.payload["buttons"] == [{"text": "Open", "url": "https://example.com/1"}]
    assert sandbox.phone("win").shows.body == "hi there"


def test_a_text_is_chosen_by_language_then_default_then_english_then_any(call, sandbox):
    for hwid, language in (("de", "de"), ("pt", "pt"), ("zh", "zh-Hans-CN")):
        call.device(hwid, language=language)
    call.message(content={"fr": "F", "en": "E", "default": "D", "de": "G", "zh-Hans": "Z"})
    assert dict(call.got()) == {"de": "G", "pt": "D", "zh": "Z"}
    call.message(content={"fr": "F", "en": "E"}, devices=["pt"])
    assert sandbox.phone("pt").shows.body == "E"
    call.message(content={"fr": "F"}, devices=["pt"])
    assert sandbox.phone("pt").shows.body == "F"


def test_a_silent_push_shows_nothing(call, sandbox):
    call.device("one")
    call.message(content="x", title="y", android_silent=1, android_sound="ding")
    payload = sandbox.phone("one").shows.payload
    assert (payload["title"], payload["body"], payload["silent"]) == ("", "", True)
    assert "sound" not in payload


def test_a_frequency_cap_holds_back(call, clock):
    call.device("one")
    for _ in range(3):
        call.message(capping_days=1, capping_count=2)
    assert len(call.got()) == 2
    clock.advance(days=1)
    call.message(capping_days=1, capping_count=2)
    assert len(call.got()) == 3
