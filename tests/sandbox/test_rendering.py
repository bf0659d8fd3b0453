"""What a device reads of a message, and what travels to it."""

from __future__ import annotations

import json


def test_placeholders_are_filled_from_the_tags_of_each_device(call):
    call.device("ann", tags={"Name": "ann"})
    call.device("bob", tags={"Age": 3})
    call.message(content="Hello {Name|CapitalizeFirst|friend}")
    assert call.got() == [("ann", "Hello Ann"), ("bob", "Hello friend")]


def test_a_device_without_the_tag_gets_nothing_where_there_is_no_default(call, sandbox):
    call.device("ann", tags={"Name": "ann"})
    call.device("bob")
    for parameters in (
        {"content": "Hello {Name|CapitalizeFirst}"},
        {"title": "{Name|regular}"},
        {"android_root_params": {"deep": [{"name": "{Name|regular}"}]}},
        {"link": "https://example.com/{Name|regular}"},
    ):
        call.message(**parameters)
    assert call.reached() == {"ann"}
    assert len(sandbox.pushes) == 4
    call.message(content={"en": "{Name|regular}", "de": "Hallo"})
    assert len(call.got()) == 5
    call("setTags", hwid="bob", tags={"Language": "de"})
    call.message(content={"en": "{Name|regular}", "de": "Hallo"})
    assert call.got()[-1] == ("bob", "Hallo")


def test_an_empty_default_shows_the_placeholder(call):
    call.device("bob")
    call.message(content="Hello {Name|regular|}")
    assert call.got() == [("bob", "Hello {Name|regular|}")]


def test_the_message_can_bring_the_values_itself(call):
    call.device("ann", tags={"Name": "ann"})
    call.message(
        content="{Name|regular|x} {City|regular}", dynamic_content_placeholders={"Name": "Eve", "City": "Oslo"}
    )
    assert call.got() == [("ann", "Eve Oslo")]


def test_all_that_pushwoosh_fills_in_is_filled_in(call, sandbox):
    call.device("one", device_type=11, tags={"Name": "ann"})
    call.message(
        title="{Name|UPPERCASE|x}",
        link="https://example.com/{Name|regular|x}",
        chrome_icon="https://example.com/{Name|regular|x}.png",
        chrome_image="https://example.com/{Name|regular|x}.jpg",
        chrome_button_text1="Call {Name|regular|x}",
        chrome_button_url1="https://example.com/call/{Name|regular|x}",
        chrome_root_params={"who": ["{Name|regular|x}", 7]},
    )
    payload = sandbox.phone("one").shows.payload
    assert payload["title"] == "ANN"
    assert payload["l"] == "https://example.com/ann"
    assert payload["icon"] == "https://example.com/ann.png"
    assert payload["image"] == "https://example.com/ann.jpg"
    assert payload["buttons"] == [{"text": "Call ann", "url": "https://example.com/call/ann"}]
    assert payload["root"] == {"who": ["ann", 7]}
    assert payload["parameters"]["chrome_button_text1"] == "Call {Name|regular|x}"


def test_templates_know_tags_and_bindings(call, sandbox):
    call.device("one", tags={"Name": "ann", "Favourite City": "Oslo"})
    call.message(
        content="{{ Name | upcase }} in {{ Favourite_City }} at {{ Shop.name }}{% if Late %}, late{% endif %}",
        title='{Name|regular|x} {{ "now" | date: "%H:%M" }}',
        template_bindings={"Shop": {"name": "Corner"}, "Late": True},
    )
    push = sandbox.phone("one").shows
    assert push.body == "ANN in Oslo at Corner, late"
    assert push.title == "ann 12:00"


def test_a_template_that_is_wrong_is_shown_as_it_is(call):
    call.device("one")
    call.message(content="{% if %}Hello {{ Name | nonsense }}")
    assert call.got() == [("one", "{% if %}Hello {{ Name | nonsense }}")]


def test_an_android_payload_has_the_keys_that_the_sdk_reads(call, sandbox):
    call.device("one")
    call.message(
        content="Text",
        rich_media="1E23F-EDCD6",
        link="https://example.com",
        data={"key": "value"},
        android_root_params={"pw_channel": "value"},
        android_sound="soundfile",
        android_header="Header",
        android_icon="icon",
        android_custom_icon="https://example.com/image.png",
        android_banner="https://example.com/banner.png",
        android_badges="+5",
        android_vibration=0,
        android_led="#FF0000",
        android_priority=2,
        android_ibc="red",
    )
    payload = sandbox.phone("one").shows.payload
    assert payload["wire"] == {
        "pw_msg": "1",
        "pw_channel": "value",
        "header": "Header",
        "title": "Text",
        "b": "https://example.com/banner.png",
        "i": "icon",
        "ci": "https://example.com/image.png",
        "l": "https://example.com",
        "p": payload["p"],
        "s": "soundfile",
        "u": '{"key":"value"}',
        "rm": json.dumps(
            {"url": "https://richmedia.pushwoosh.com/1/E/1E23F-EDCD6.zip", "ts": "1772452800"}, separators=(",", ":")
        ),
        "ibc": "red",
        "led": "#ff0000",
        "pri": "2",
        "vib": "0",
        "pw_badges": "+5",
    }


def test_a_silent_payload_has_nothing_to_show(call, sandbox):
    call.device("one")
    call.device("ios", device_type=1)
    call.message(content="Text", title="Title", android_silent=1, android_sound="ding", ios_silent=1, data={"a": 1})
    android = sandbox.phone("one").shows.payload
    assert android["wire"] == {"pw_msg": "1", "p": android["p"], "u": '{"a":1}', "pw_silent": "1"}
    ios = sandbox.phone("ios").shows.payload
    assert ios["wire"]["aps"] == {"content-available": 1}


def test_an_apple_payload_has_its_dictionary(call, sandbox):
    call.device("one", device_type=1)
    call("setBadge", hwid="one", badge=2)
    call.message(
        content="Text",
        ios_title="Title",
        ios_subtitle="Below",
        ios_badges="+1",
        ios_sound="ding.caf",
        ios_category_id="4",
        ios_thread_id="news",
        ios_interruption_level="passive",
        ios_attachment="https://example.com/a.png",
        ios_root_params={"aps": {"mutable-content": 1}, "own": "yes"},
    )
    wire = sandbox.phone("one").shows.payload["wire"]
    assert wire.pop("p")
    assert wire == {
        "pw_msg": "1",
        "aps": {
            "alert": {"title": "Title", "subtitle": "Below", "body": "Text"},
            "sound": "ding.caf",
            "badge": 3,
            "category": "4",
            "thread-id": "news",
            "interruption-level": "passive",
            "mutable-content": 1,
        },
        "attachment": "https://example.com/a.png",
        "own": "yes",
    }


def test_every_push_has_the_hash_that_names_its_message(call, sandbox):
    for number, hwid in ((1, "a"), (3, "b"), (7, "c"), (8, "d"), (10, "e"), (11, "f"), (17, "g"), (18, "+4790000001")):
        call.device(hwid, device_type=number)
    call.message(wns_type="Raw", wns_content="aGk=")
    call.got()
    assert len(sandbox.pushes) == 8
    (named,) = {push.payload["p"] for push in sandbox.pushes}
    assert {push.payload["wire"]["p"] for push in sandbox.pushes} == {named}
