"""A message: checked as a whole, and joined with an audience and a time into a call that says all three."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_pushwoosh.protocol.audience import (
    EVERYONE,
    ApplicationGroup,
    Audience,
    Conditions,
    Devices,
    FilterExpression,
    Geozone,
    SavedFilter,
    Users,
)
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.errors import Invalid, InvalidMessage
from django_pushwoosh.protocol.filters import Tag
from django_pushwoosh.protocol.messages import Message, verify_audience
from django_pushwoosh.protocol.parameters import BY_NAME
from tests.protocol import hostile

APPLICATION = "DEMO0-00001"
OSLO = FilterExpression(Tag("City").eq("Oslo"))


def problems(**parameters: Any) -> dict[str, str]:
    with pytest.raises(InvalidMessage) as caught:
        Message(**parameters)
    return {problem.path: problem.text for problem in caught.value.problems}


def sent(call: Call) -> dict[str, Any]:
    """The request as Pushwoosh reads it."""
    request: dict[str, Any] = json.loads(call.encode("token"))["request"]
    assert request.pop("auth") == "token"
    return request


def refused(message: Message, audience: Any, **when: Any) -> str:
    with pytest.raises(InvalidMessage) as caught:
        message.call(APPLICATION, audience, **{"transaction_id": "t-1", **when})
    return str(caught.value)


def test_a_message_to_conditions_leaves_as_the_documents_write_it() -> None:
    message = Message(
        {"en": "Hello", "de": "Hallo"},
        title="News",
        ios_badges="+1",
        ios_silent=False,
        android_priority=-1,
        chrome_button_text1="Read",
        chrome_button_url1="https://example.com/",
        link="https://example.com/news",
    )
    call = message.call(APPLICATION, Conditions([["City", "EQ", "Oslo"]]), transaction_id="t-1")
    assert call.method.name == "createMessage"
    assert sent(call) == {
        "application": APPLICATION,
        "notifications": [
            {
                "send_date": "now",
                "ignore_user_timezone": True,
                "transactionId": "t-1",
                "content": {"en": "Hello", "de": "Hallo"},
                "title": "News",
                "ios_badges": "+1",
                "ios_silent": 0,
                "android_priority": -1,
                "chrome_button_text1": "Read",
                "chrome_button_url1": "https://example.com/",
                "link": "https://example.com/news",
                "minimize_link": 0,
                "conditions": [["City", "EQ", "Oslo"]],
                "conditions_operator": "AND",
            }
        ],
    }


def test_a_message_to_a_filter_expression_is_a_targeted_one_bound_to_its_application() -> None:
    call = Message("Hello", rich_page_id="7").call(APPLICATION, OSLO, transaction_id="t-1")
    assert call.method.name == "createTargetedMessage"
    assert sent(call) == {
        "devices_filter": f'(A("{APPLICATION}") * T("City", EQ, "Oslo"))',
        "send_date": "now",
        "ignore_user_timezone": True,
        "transactionId": "t-1",
        "content": "Hello",
        "rich_page_id": "7",
    }


def test_an_account_wide_expression_leaves_as_it_is() -> None:
    wide = FilterExpression(Tag("City").eq("Oslo"), account_wide=True)
    call = Message("Hello").call(APPLICATION, wide, transaction_id="t-1")
    assert sent(call)["devices_filter"] == 'T("City", EQ, "Oslo")'


def test_an_application_group_stands_in_place_of_the_application() -> None:
    request = sent(Message("Hello").call(APPLICATION, ApplicationGroup("11111-11111"), transaction_id="t-1"))
    assert request["applications_group"] == "11111-11111"
    assert "application" not in request
    assert len(request["notifications"]) == 1


@pytest.mark.parametrize(
    "audience", [Devices(["hwid"]), Users(["ada"]), SavedFilter("Active"), Geozone(1.5, 2, 100)], ids=lambda a: a.kind
)
def test_an_audience_stands_inside_the_message(audience: Audience) -> None:
    request = sent(Message("Hello").call(APPLICATION, audience, transaction_id="t-1"))
    for key, value in audience.arguments().items():
        assert request["notifications"][0][key] == value


def test_everyone_is_said_by_saying_no_one() -> None:
    request = sent(Message("Hello").call(APPLICATION, EVERYONE, transaction_id="t-1"))
    assert set(request["notifications"][0]) == {"send_date", "ignore_user_timezone", "transactionId", "content"}


def test_a_time_leaves_with_its_zone() -> None:
    call = Message("Hello").call(
        APPLICATION,
        EVERYONE,
        transaction_id="t-1",
        send_date="2027-05-17 09:00",
        timezone="Europe/Oslo",
        ignore_user_timezone=False,
    )
    (notification,) = sent(call)["notifications"]
    assert notification["send_date"] == "2027-05-17 09:00"
    assert notification["timezone"] == "Europe/Oslo"
    assert notification["ignore_user_timezone"] is False


@pytest.mark.parametrize("audience", [None, [], "everyone", {"devices": ["a"]}, ["hwid"], Devices], ids=repr)
def test_what_is_no_audience_is_never_everyone(audience: Any) -> None:
    assert "must be an audience" in refused(Message("Hello"), audience)


def test_all_that_is_wrong_with_a_call_is_told_at_once() -> None:
    text = refused(
        Message("Hello", platforms=[1]),
        OSLO,
        transaction_id="",
        send_date="tomorrow",
        timezone="Oslo",
        ignore_user_timezone="yes",
    )
    for name in ("transactionId", "send_date", "timezone", "ignore_user_timezone", "platforms"):
        assert f"{name}: " in text


def test_an_application_is_named_by_its_code() -> None:
    with pytest.raises(InvalidMessage, match="application: must be a code"):
        Message("Hello").call("default", EVERYONE, transaction_id="t-1")


def test_platforms_of_an_expression_are_said_in_the_expression() -> None:
    assert 'Application("CODE", platforms=["iOS", "Chrome"])' in refused(Message("Hello", platforms=[1, 11]), OSLO)


def test_old_pages_go_with_filter_expressions_only() -> None:
    assert "use rich_media" in refused(Message("Hello", page_id="7"), EVERYONE)


def test_one_message_carries_a_thousand_ids() -> None:
    ids = [f"hwid-{number}" for number in range(1001)]
    assert "split()" in refused(Message("Hello"), Devices(ids))
    call = Message("Hello").call(APPLICATION, Devices(ids[:1000]), transaction_id="t-1")
    assert len(sent(call)["notifications"][0]["devices"]) == 1000


class Forgetful(Audience):
    """An audience whose key gets lost, as happened to two libraries before us."""

    kind = "forgetful"
    keys = ("devices",)

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.said = arguments

    def arguments(self) -> dict[str, Any]:
        return self.said


@pytest.mark.parametrize("said", [{}, {"devices": []}, {"devices": None}, {"users": ["ada"]}], ids=repr)
def test_a_lost_audience_does_not_leave(said: dict[str, Any]) -> None:
    assert "lost" in refused(Message("Hello"), Forgetful(said))


@pytest.mark.parametrize(
    "lose",
    [
        lambda notification: notification.pop("devices"),
        lambda notification: notification.update(devices=[]),
        lambda notification: notification.update(devices=["a"]),
        lambda notification: notification.update(users=["ada"]),
        lambda notification: notification.update(filter=""),
    ],
)
def test_a_call_whose_audience_changed_is_found_out(lose: Any) -> None:
    audience = Devices(["a", "b"])
    call = Message("Hello").call(APPLICATION, audience, transaction_id="t-1")
    lose(call.arguments["notifications"][0])
    with pytest.raises(InvalidMessage, match="lost or changed"):
        verify_audience(call, audience)


def test_unknown_parameters_are_refused_with_the_name_that_was_meant() -> None:
    assert "Did you mean 'ios_badges'?" in problems(content="Hello", ios_badge=1)["ios_badge"]
    assert "extra=" in problems(content="Hello", tomorrows_parameter=1)["tomorrows_parameter"]


def test_what_the_table_does_not_know_passes_through_extra() -> None:
    message = Message("Hello", extra={"message_type": "TRANSACTIONAL"})
    assert message.to_json() == {"content": "Hello", "extra": {"message_type": "TRANSACTIONAL"}}
    call = message.call(APPLICATION, EVERYONE, transaction_id="t-1")
    assert sent(call)["notifications"][0]["message_type"] == "TRANSACTIONAL"


@pytest.mark.parametrize("name", [row.name for row in BY_NAME.values() if row.group in ("schedule", "audience")])
@pytest.mark.parametrize("value", [None, [], "x"], ids=repr)
def test_time_and_audience_are_not_smuggled_in(name: str, value: Any) -> None:
    assert "use" in problems(content="Hello", **{name: value})[name] or name == "transactionId"
    if value is not None:
        assert f"extra.{name}" in problems(content="Hello", extra={name: value})


@pytest.mark.parametrize(
    "name", ["auth", "application", "applications_group", "devices_filter", "notifications", "remote_page"]
)
def test_what_is_not_a_messages_to_say_is_sent_where_it_belongs(name: str) -> None:
    told = problems(content="Hello", **{name: "x"})[name]
    assert "documented" not in told
    assert problems(content="Hello", extra={name: "x"})[f"extra.{name}"] == told


def test_extra_does_not_get_around_the_table() -> None:
    assert "extra.ios_badges" in problems(content="Hello", extra={"ios_badges": "many"})
    assert "extra" in problems(content="Hello", extra=["ios_badges"])


def test_every_problem_is_told_at_once() -> None:
    found = problems(ios_badges="many", android_priority=3, send_rate=99, colour="red", capping_days=3)
    assert set(found) == {"ios_badges", "android_priority", "send_rate", "colour", "capping_count", "content"}


def test_none_leaves_a_parameter_out() -> None:
    assert Message("Hello", title=None, link=None, ios_badges=None).parameters == {"content": "Hello"}


@pytest.mark.parametrize(
    "instead",
    [
        {"preset": "1A2B3-C4D5E"},
        {"rich_media": "1A2B3-C4D5E"},
        {"ios_silent": True},
        {"android_silent": 1},
        {"huawei_android_silent": 1},
        {"wns_content": "PGE+PC9hPg==", "wns_type": "Raw"},
        {"live_activity": {"event": "update"}},
    ],
    ids=lambda value: next(iter(value)),
)
def test_a_push_without_text_needs_something_else_to_say(instead: dict[str, Any]) -> None:
    assert "content" not in Message(**instead).parameters


@pytest.mark.parametrize(
    "wrong", [{}, {"title": "Hello"}, {"ios_silent": 0}, {"content": ""}, {"content": {}}], ids=repr
)
def test_a_push_that_says_nothing_is_refused(wrong: dict[str, Any]) -> None:
    assert "content" in problems(**wrong)


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({"inbox_date": "2027-01-01", "inbox_days": 3}, "inbox_days"),
        ({"capping_days": 3}, "capping_count"),
        ({"capping_count": 3}, "capping_days"),
        ({"link": "myapp://orders/7", "minimize_link": 2}, "minimize_link"),
        ({"wns_content": "PGE+PC9hPg=="}, "wns_type"),
        ({"platforms": [8]}, "wns_content"),
    ],
    ids=repr,
)
def test_what_contradicts_itself_is_refused(parameters: dict[str, Any], path: str) -> None:
    assert set(problems(content="Hello", **parameters)) == {path}


def test_a_link_is_shortened_on_request_only() -> None:
    assert Message("Hello", link="myapp://orders/7").parameters["minimize_link"] == 0
    assert Message("Hello", link="https://example.com").parameters["minimize_link"] == 0
    assert Message("Hello", link="HTTPS://example.com", minimize_link=2).parameters["minimize_link"] == 2
    assert "minimize_link" not in Message("Hello").parameters


def test_an_sms_is_one_text_to_one_number() -> None:
    sms = Message("Your code is 4711", platforms=[18])
    (notification,) = sent(sms.call(APPLICATION, Devices(["+4712345678"]), transaction_id="t-1"))["notifications"]
    assert notification["devices"] == ["+4712345678"]
    others: list[Audience] = [
        EVERYONE, Devices(["+4712345678", "+4712345679"]), Devices(["4712345678"]), Users(["+4712345678"]),
    ]  # fmt: skip
    for audience in others:
        assert "exactly one device" in refused(sms, audience)


def test_an_sms_has_nothing_but_its_text() -> None:
    found = problems(content={"en": "Hi"}, title="Hi", ios_badges=1, platforms=[18])
    assert set(found) == {"content", "title", "ios_badges"}


def test_a_message_comes_back_from_json_and_is_checked_anew() -> None:
    message = Message({"en": "Hi"}, ios_silent=True, data={"a": [1]}, extra={"new": 1})
    assert Message.from_json(json.loads(json.dumps(message.to_json()))) == message
    assert message != Message("Hi")
    assert message != "Hi"
    with pytest.raises(InvalidMessage, match="send_date"):
        Message.from_json({"content": "Hi", "send_date": "now"})


def test_a_message_shows_its_text_in_short_and_the_names_of_the_rest() -> None:
    assert repr(Message({"en": "Hello"}, title="News", extra={"new": 1})) == "<Message 'Hello' with title, new>"
    assert repr(Message(preset="1A2B3-C4D5E")) == "<Message None with preset>"


def test_what_the_caller_changes_later_changes_nothing() -> None:
    content = {"en": "Hello"}
    message = Message(content)
    content["en"] = "Bye"
    assert message.parameters == {"content": {"en": "Hello"}}


@hostile.steadily
@given(
    value=st.one_of(
        hostile.values,
        st.dictionaries(st.one_of(st.sampled_from([*sorted(BY_NAME), "extra"]), hostile.any_text), hostile.values),
        st.builds(
            lambda more: {"content": "Hello", **more}, st.dictionaries(st.sampled_from(sorted(BY_NAME)), hostile.values)
        ),
    )
)
def test_hostile_json_is_refused_or_is_a_sound_message(value: Any) -> None:
    try:
        message = Message.from_json(value)
    except Invalid as error:
        str(error).encode()
        return
    text = json.dumps(message.to_json(), allow_nan=False, ensure_ascii=False).encode()
    assert Message.from_json(json.loads(text)) == message


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_a_monster_in_any_parameter_is_refused_or_becomes_sound(name: str) -> None:
    for monster in hostile.MONSTERS.values():
        try:
            message = Message.from_json({"content": "Hello", name: monster})
        except Invalid as error:
            str(error).encode()
        else:
            json.dumps(message.to_json(), allow_nan=False, ensure_ascii=False).encode()


@hostile.steadily
@given(
    audience=st.one_of(hostile.values, st.just(EVERYONE), st.just(OSLO)),
    application=st.one_of(st.just(APPLICATION), hostile.values),
    when=st.dictionaries(
        st.sampled_from(["transaction_id", "send_date", "timezone", "ignore_user_timezone"]), hostile.values
    ),
)
def test_a_hostile_call_is_refused_or_sound(audience: Any, application: Any, when: dict[str, Any]) -> None:
    message = Message("Hello")
    try:
        call = message.call(application, audience, **{"transaction_id": "t-1", **when})
    except Invalid as error:
        str(error).encode()
        return
    json.loads(call.encode("token"))
    assert audience in (EVERYONE, OSLO)


def test_a_flood_of_unknown_names_is_answered_briefly() -> None:
    with pytest.raises(InvalidMessage) as caught:
        Message.from_json({f"unknown_{number}": 1 for number in range(100_000)})
    assert len(caught.value.problems) <= 60
