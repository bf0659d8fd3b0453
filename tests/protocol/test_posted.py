"""Messages that others wrote: read as they were meant, or refused; never to more than was said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_pushwoosh.protocol import audience, posted
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.errors import Invalid
from django_pushwoosh.protocol.filters import Tag
from django_pushwoosh.protocol.messages import Message
from tests.protocol.hostile import steadily

CREATE, TARGETED = METHODS["createMessage"], METHODS["createTargetedMessage"]


def read(**note: Any) -> posted.Posted:
    [found] = posted.read(CREATE, {"notifications": [{"content": "Hello", **note}]})
    return found


@pytest.mark.parametrize(
    ("given_audience", "expected"),
    [
        ({"to_everyone": True}, audience.EVERYONE),
        ({"devices": ["a", "b"]}, audience.Devices(["a", "b"])),
        ({"users": ["7"]}, audience.Users(["7"])),
        ({"filter": "Loyal"}, audience.SavedFilter("Loyal")),
        ({"conditions": [["City", "EQ", "Oslo"]]}, audience.Conditions([Tag("City").eq("Oslo")])),
        (
            {"conditions": [["City", "EQ", "Oslo"]], "conditions_operator": "OR"},
            audience.Conditions([Tag("City").eq("Oslo")], "OR"),
        ),
        ({"geozone": {"lat": 1, "lng": 2, "range": 3}}, audience.Geozone(1, 2, 3)),
    ],
)
def test_each_audience_is_read(given_audience: dict[str, Any], expected: audience.Audience) -> None:
    found = read(**given_audience, send_date="now")
    assert found.audience == expected
    assert found.message == Message("Hello")
    assert found.send_at is None


def test_times_are_read_on_the_clock_that_is_named() -> None:
    note = {"to_everyone": True, "send_date": "2026-10-25 02:30", "timezone": "Europe/Oslo", "transactionId": "7"}
    assert read(**note).send_at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "the first of two"
    assert read(**note).transaction_id == "7"
    own = read(**note, ignore_user_timezone=False)
    assert (own.send_at, own.in_device_time) == (datetime(2026, 10, 25, 2, 30, tzinfo=UTC), True)


def test_a_filter_expression_is_read() -> None:
    arguments = {"devices_filter": 'T("City", EQ, "Oslo")', "send_date": "now", "content": "Hello", "mine": 1}
    [found] = posted.read(TARGETED, arguments)
    assert found.audience == audience.FilterExpression(Tag("City").eq("Oslo"))
    assert found.message.extra == {"mine": 1}


def test_every_problem_of_every_message_is_named() -> None:
    with pytest.raises(Invalid) as refused:
        posted.read(
            CREATE,
            {"notifications": [{"content": "Hello"}, {"content": "Hi", "to_everyone": True, "ios_badges": "many"}]},
        )
    paths = [problem.path for problem in refused.value.problems]
    assert paths == ["notifications[0]", "notifications[1].ios_badges"]


NAMES = st.sampled_from(
    ["content", "to_everyone", "devices", "users", "conditions", "filter", "geozone", "send_date", "timezone", "extra"]
) | st.text(max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["now", "UTC"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@steadily
@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_nobody_reaches_everyone_without_the_mark(note: dict[str, Any]) -> None:
    for method, arguments in ((CREATE, {"notifications": [note]}), (TARGETED, note)):
        try:
            found = posted.read(method, arguments)
        except Invalid:
            continue
        for each in found:
            assert each.audience != audience.EVERYONE or note["to_everyone"] is True
