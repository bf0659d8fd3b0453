"""Audiences: each says exactly whom it is, none is ever empty, and everyone only by name."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_pushwoosh.protocol.audience import (
    AUDIENCES,
    EVERYONE,
    KEYS,
    ApplicationGroup,
    Audience,
    Conditions,
    Devices,
    Everyone,
    FilterExpression,
    Geozone,
    SavedFilter,
    Users,
    from_json,
    split,
)
from django_pushwoosh.protocol.errors import Invalid, InvalidFilter, InvalidMessage
from django_pushwoosh.protocol.filters import Tag
from tests.protocol import hostile

SAMPLES: list[tuple[Audience, dict[str, Any], str]] = [
    (EVERYONE, {}, "everyone who is subscribed to the application"),
    (Devices(["AB-1", "ab-1"]), {"devices": ["AB-1", "ab-1"]}, "2 devices"),
    (Users(["ada"]), {"users": ["ada"]}, "the devices of 1 user"),
    (
        Conditions([["City", "IN", ["Oslo", "Bergen"]], Tag("Age").between(17, 20)]),
        {
            "conditions": [["City", "IN", ["Oslo", "Bergen"]], ["Age", "BETWEEN", [17, 20]]],
            "conditions_operator": "AND",
        },
        "devices where City is one of Oslo, Bergen and Age is between 17 and 20",
    ),
    (
        Conditions([["City", "EQ", "Oslo"], ["Muted", "NOTSET", ""]], "OR"),
        {"conditions": [["City", "EQ", "Oslo"], ["Muted", "NOTSET", ""]], "conditions_operator": "OR"},
        "devices where City is Oslo or Muted is not set",
    ),
    (
        FilterExpression(Tag("City").eq("Oslo")),
        {"devices_filter": 'T("City", EQ, "Oslo")'},
        'devices of the application in T("City", EQ, "Oslo")',
    ),
    (
        FilterExpression('T("City", EQ, "Oslo")', account_wide=True),
        {"devices_filter": 'T("City", EQ, "Oslo")'},
        'devices in all applications of the account in T("City", EQ, "Oslo")',
    ),
    (SavedFilter("Active"), {"filter": "Active"}, "devices in the saved filter “Active”"),
    (
        Geozone(59.91, 10.75, 500),
        {"geozone": {"lat": 59.91, "lng": 10.75, "range": 500}},
        "devices within 500 m of 59.91, 10.75",
    ),
    (
        ApplicationGroup("11111-11111"),
        {"applications_group": "11111-11111"},
        "everyone in the application group 11111-11111",
    ),
]
samples = pytest.mark.parametrize(
    ("audience", "arguments", "words"), SAMPLES, ids=lambda value: getattr(value, "kind", "")
)


def test_every_kind_is_tried() -> None:
    assert {audience.kind for audience, *_ in SAMPLES} == set(AUDIENCES)


@samples
def test_an_audience_stands_in_the_request_under_its_own_keys(
    audience: Audience, arguments: dict[str, Any], words: str
) -> None:
    assert audience.arguments() == arguments
    assert tuple(arguments) == audience.keys
    assert set(audience.keys) <= set(KEYS)


@samples
def test_an_audience_comes_back_from_json(audience: Audience, arguments: dict[str, Any], words: str) -> None:
    again = from_json(json.loads(json.dumps(audience.to_json())))
    assert again == audience
    assert hash(again) == hash(audience)


@samples
def test_an_audience_is_told_in_words(audience: Audience, arguments: dict[str, Any], words: str) -> None:
    assert audience.describe() == words


@samples
def test_an_audience_can_be_pickled_for_a_worker(audience: Audience, arguments: dict[str, Any], words: str) -> None:
    assert pickle.loads(pickle.dumps(audience)) == audience


def nothing() -> Any:
    used_up = iter(["token"])
    list(used_up)
    return used_up


@pytest.mark.parametrize("make", [Devices, Users, Conditions])
@pytest.mark.parametrize(
    "empty", [[], (), set(), nothing(), None, "", {}, 0, False], ids=lambda value: repr(value)[:12]
)
def test_nobody_is_never_taken_for_everyone(make: Any, empty: Any) -> None:
    with pytest.raises(InvalidMessage):
        make(empty)


@pytest.mark.parametrize("make", [Devices, Users, Conditions])
def test_one_text_is_not_a_list_of_letters(make: Any) -> None:
    with pytest.raises(InvalidMessage, match="wrap it in a list"):
        make("ABCDEF")
    with pytest.raises(InvalidMessage, match="wrap it in a list"):
        make(b"ABCDEF")


def test_a_lone_condition_is_not_a_list_of_conditions() -> None:
    with pytest.raises(InvalidMessage, match="wrap it in a list"):
        Conditions(Tag("City").eq("Oslo"))  # type: ignore[arg-type]
    assert len(Conditions.of(Tag("City").eq("Oslo"))) == 1


def test_conditions_are_read_from_an_expression_that_they_can_say() -> None:
    either = Conditions.of(Tag("City").eq("Oslo") | Tag("City").eq("Bergen"))
    assert (len(either), either.operator) == (2, "OR")
    with pytest.raises(InvalidFilter, match="filter expression"):
        Conditions.of(Tag("City").eq("Oslo") - Tag("Muted").eq(True))


def test_ids_keep_their_case_and_order_and_lose_their_doubles() -> None:
    assert Devices(iter(["B", "a", "B", "A"])).ids == ("B", "a", "A")


def test_a_set_of_ids_is_split_the_same_way_on_every_run() -> None:
    assert Devices({"c", "a", "b"}).ids == ("a", "b", "c")


@pytest.mark.parametrize("bad", ["", " ", "a\x00", "\ud800", "x" * 256, 7, None, True, b"a", ["a"]], ids=repr)
def test_every_wrong_id_is_named_by_its_place_and_not_by_its_value(bad: Any) -> None:
    with pytest.raises(InvalidMessage) as caught:
        Devices(["fine", bad, "secret-token\x00"])
    assert [problem.path for problem in caught.value.problems] == ["devices[1]", "devices[2]"]
    assert "secret" not in str(caught.value)


def test_a_long_list_is_split_in_order_into_parts_that_one_message_can_carry() -> None:
    users = Users(f"user {number}" for number in range(2500))
    parts = split(users)
    assert [len(part) for part in parts if isinstance(part, Users)] == [1000, 1000, 500]
    assert sum((part.ids for part in parts if isinstance(part, Users)), ()) == users.ids
    assert split(users.__class__(["a", "b", "c"]), 2) == [Users(["a", "b"]), Users(["c"])]


@samples
def test_what_is_short_or_no_list_is_one_part(audience: Audience, arguments: dict[str, Any], words: str) -> None:
    assert split(audience) == [audience]


@pytest.mark.parametrize("size", [0, -1, 1001])
def test_a_part_is_not_larger_than_a_message(size: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        split(Devices(["a"]), size)


def test_an_expression_is_bound_to_the_application_unless_it_is_account_wide() -> None:
    oslo = Tag("City").eq("Oslo")
    bound = FilterExpression(oslo | Tag("City").eq("Bergen")).bound_to("ABCDE-12345")
    assert str(bound.expression) == '(A("ABCDE-12345") * (T("City", EQ, "Oslo") + T("City", EQ, "Bergen")))'
    wide = FilterExpression(oslo, account_wide=True)
    assert wide.bound_to("ABCDE-12345") is wide


def test_a_filter_that_cannot_be_parsed_shows_the_place() -> None:
    with pytest.raises(InvalidFilter) as caught:
        FilterExpression('T("City", LIKE, "Oslo")')
    assert caught.value.position == 10


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: SavedFilter(""), "filter: must not be empty"),
        (lambda: SavedFilter(None), "filter: must be text"),  # type: ignore[arg-type]
        (lambda: Geozone(91, 0, 100), "geozone.lat"),
        (lambda: Geozone(0, float("nan"), 100), "geozone.lng"),
        (lambda: Geozone(0, 0, 0), "geozone.range"),
        (lambda: ApplicationGroup("demo"), "applications_group"),
        (lambda: Conditions([["City", "EQ", "Oslo"]], "XOR"), "conditions_operator"),
        (lambda: FilterExpression(None), "expression"),  # type: ignore[arg-type]
        (lambda: FilterExpression('A("ABCDE-12345")', account_wide="no"), "account_wide"),  # type: ignore[arg-type]
    ],
)
def test_a_refusal_names_what_to_change(make: Any, told: str) -> None:
    with pytest.raises(InvalidMessage, match=told):
        make()


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"kind": "all"},
        {"kind": "devices"},
        {"kind": "devices", "ids": []},
        {"kind": "devices", "ids": ["a"], "users": ["b"]},
        {"kind": "everyone", "ids": ["a"]},
        {"kind": ["everyone"]},
        {"kind": "saved_filter", "name": "x", 5: 5},
        None,
        [],
        "everyone",
    ],
    ids=repr,
)
def test_json_that_is_not_an_audience_is_refused(value: Any) -> None:
    with pytest.raises(InvalidMessage):
        from_json(value)


members = st.sampled_from(["ids", "conditions", "operator", "expression", "account_wide", "name", "lat", "lng", "code"])


@hostile.steadily
@given(
    kind=st.one_of(st.sampled_from(sorted(AUDIENCES)), hostile.values), more=st.dictionaries(members, hostile.values)
)
def test_hostile_json_is_refused_and_never_reaches_more_than_it_says(kind: Any, more: dict[str, Any]) -> None:
    try:
        audience = from_json({"kind": kind, **more})
    except Invalid:
        return
    assert audience.kind == kind
    assert isinstance(audience, Everyone) or all(audience.arguments().values())
    json.dumps(audience.arguments(), allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("make", [Devices, Users, Conditions, SavedFilter, ApplicationGroup, FilterExpression])
@hostile.steadily
@given(value=hostile.values)
def test_a_hostile_value_is_refused_or_is_a_sound_audience(make: Any, value: Any) -> None:
    try:
        audience = make(value)
    except Invalid:
        return
    assert all(audience.arguments().values())
    assert from_json(json.loads(json.dumps(audience.to_json(), allow_nan=False))) == audience
    audience.describe()
