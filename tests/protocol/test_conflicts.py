"""What the parameters of a message are to each other: refused where they contradict, told where one is ignored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_pushwoosh.protocol import conflicts
from django_pushwoosh.protocol.audience import EVERYONE, Audience, Devices
from django_pushwoosh.protocol.errors import InvalidMessage
from django_pushwoosh.protocol.messages import Message, _checked, _is_plain
from django_pushwoosh.protocol.parameters import PARAMETERS

NOW = datetime(2027, 5, 17, 12, tzinfo=UTC)
DEVICES = Devices([f"device-{number}" for number in range(10)])
APPLICATION = "DEMO0-00001"


def refused(**parameters: Any) -> dict[str, str]:
    with pytest.raises(InvalidMessage) as caught:
        Message(**parameters)
    return {problem.path: problem.text for problem in caught.value.problems}


def told(audience: Audience = EVERYONE, when: dict[str, Any] | None = None, **parameters: Any) -> dict[str, str]:
    message = Message(**{"content": "Hello", **parameters})
    message.call(APPLICATION, audience, transaction_id="t-1", **(when or {}))
    return {problem.path: problem.text for problem in message.warnings(audience, now=NOW, **(when or {}))}


def test_an_ordinary_message_gives_no_warning() -> None:
    assert told() == {}
    assert told(DEVICES, title="News", platforms=[1, 3], ios_badges="+1", android_led="#FF0000") == {}


@pytest.mark.parametrize("parameters", [{"platforms": [10]}, {"safari_ttl": 60}, {"platforms": [1, 10]}], ids=repr)
def test_safari_shows_nothing_without_its_title_and_arguments(parameters: dict[str, Any]) -> None:
    assert set(refused(content="Hello", **parameters)) == {"safari_title", "safari_url_args"}
    Message("Hello", safari_title="News", safari_url_args=[""], **parameters)
    Message(preset="1A2B3-C4D5E", **parameters)


def test_a_push_to_all_platforms_needs_nothing_of_safari() -> None:
    Message("Hello")


def test_a_push_leaves_the_inbox_after_it_came() -> None:
    message = Message("Hello", inbox_date="2027-05-17")
    with pytest.raises(InvalidMessage, match="after the day of sending, 2027-05-17"):
        message.call(APPLICATION, EVERYONE, transaction_id="t-1", now=NOW)
    with pytest.raises(InvalidMessage, match="inbox_date"):
        message.call(APPLICATION, EVERYONE, transaction_id="t-1", send_date="2027-05-18 09:00")
    message.call(APPLICATION, EVERYONE, transaction_id="t-1", now=NOW - timedelta(days=1))
    message.call(APPLICATION, EVERYONE, transaction_id="t-1", send_date="2027-05-16 09:00")


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({"platforms": [1], "android_priority": 1}, "android_priority"),
        ({"platforms": [1, 3], "ios_title": "a", "android_header": "b", "title": "c"}, "title"),
        ({"ios_silent": True}, "ios_silent"),
        ({"platforms": [1], "ios_silent": True, "ios_sound": "a.wav"}, "ios_sound"),
        ({"platforms": [1], "ios_silent": True, "ios_badges": 1}, "ios_badges"),
        ({"ios_critical": True, "ios_interruption_level": "passive"}, "ios_interruption_level"),
        ({"ios_interruption_level": "critical"}, "ios_interruption_level"),
        ({"ios_attachment": "https://example.com/a.jpg"}, "ios_attachment"),
        ({"ios_attachment": "https://example.com/a.jpg", "ios_root_params": {"aps": {}}}, "ios_attachment"),
        ({"huawei_android_sound_off": True, "huawei_android_sound": "bell"}, "huawei_android_sound"),
        ({"android_sound": "bell.wav"}, "android_sound"),
        ({"ios_trim_content": True}, "ios_trim_content"),
        ({"chrome_button_url2": "https://example.com/"}, "chrome_button_url2"),
        ({"ios_ttl": 28 * 86_400 + 1}, "ios_ttl"),
        ({"capping_days": 1, "capping_count": 2, "capping_avoid": True}, "capping_days"),
        ({"dynamic_content_placeholders": {"Name": "Ada"}}, "dynamic_content_placeholders.Name"),
        ({"template_bindings": {"Name": "Ada"}}, "template_bindings"),
        ({"content": "x" * 4096}, ""),
        ({"content": {"en": "short", "de": "ä" * 2048}}, ""),
        ({"data": {"key": "x" * 4096}}, ""),
        ({"platforms": [3], "android_root_params": {"key": "x" * 4096}}, ""),
    ],
    ids=lambda given: str(given)[:60],
)
def test_what_pushwoosh_would_ignore_is_told(parameters: dict[str, Any], path: str) -> None:
    assert path in told(**parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {"platforms": [1, 3], "ios_title": "a", "title": "c"},
        {"platforms": [1], "ios_silent": True},
        {"ios_silent": True, "android_silent": True, "huawei_android_silent": True},
        {"ios_critical": True, "ios_interruption_level": "critical"},
        {"ios_attachment": "https://example.com/a.jpg", "ios_root_params": {"aps": {"mutable-content": 1}}},
        {"huawei_android_sound_off": False, "huawei_android_sound": "bell"},
        {"chrome_button_url2": "https://example.com/", "chrome_button_text2": "Open"},
        {"ios_ttl": 28 * 86_400},
        {"content": "Hello {Name|CapitalizeFirst|friend}", "dynamic_content_placeholders": {"Name": "Ada"}},
        {"preset": "1A2B3-C4D5E", "dynamic_content_placeholders": {"Name": "Ada"}, "template_bindings": {"a": 1}},
        {"content": "Hello {{ Name }}", "template_bindings": {"Name": "Ada"}},
        {"content": "x" * 4000},
        {"content": "😀" * 1000},
        {"content": dict.fromkeys(("en", "de", "fr"), "x" * 2000)},
    ],
    ids=lambda given: str(given)[:60],
)
def test_what_works_together_gives_no_warning(parameters: dict[str, Any]) -> None:
    assert told(**parameters) == {}


def test_platforms_are_ignored_for_few_devices() -> None:
    assert "platforms" in told(Devices(["a"]), platforms=[1])
    assert "platforms" not in told(DEVICES, platforms=[1])


def test_a_time_zone_without_a_time_has_no_effect() -> None:
    assert set(told(when={"timezone": "Europe/Oslo"})) == {"timezone"}
    assert set(told(when={"ignore_user_timezone": False})) == {"ignore_user_timezone"}


def test_each_device_by_its_own_clock_may_be_at_once() -> None:
    soon = {"send_date": "2027-05-17 14:00", "ignore_user_timezone": False}
    assert set(told(when=soon)) == {"send_date"}
    assert set(told(when=soon | {"timezone": "Europe/Oslo"})) == {"send_date", "timezone"}
    assert told(when=soon | {"send_date": "2027-05-18 14:00"}) == {}
    assert told(when=soon | {"ignore_user_timezone": True}) == {}


VALUES = st.one_of(
    st.integers(-10, 10**10),
    st.booleans(),
    st.none(),
    st.text(max_size=20),
    st.sampled_from(["#FF0000", "critical", "https://example.com/", "high", " ", "{Name|x|y}", "a\x00", "\ud800"]),
)


@given(st.dictionaries(st.sampled_from([row.name for row in PARAMETERS]), VALUES, max_size=4), VALUES)
def test_what_is_taken_at_first_sight_is_what_a_second_look_takes(given: dict[str, Any], content: Any) -> None:
    """The short way through a message's check never lets more through than the long one."""
    whole = {**given, "content": content}
    if _is_plain(whole):
        assert _checked(whole, None) == (whole, {})


def test_every_rule_between_parameters_takes_the_second_look() -> None:
    assert all(row.name in conflicts.RELATED for row in PARAMETERS if row.name.startswith(("safari_", "wns_")))
    assert not _is_plain({"content": "Hello", "capping_days": 3})
    assert _is_plain({"content": "Hello", "ios_badges": 3})
