"""Tags: what our side may say, and what becomes of a device's tags when anyone says anything."""

import copy
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_pushwoosh.protocol.errors import InvalidTag
from django_pushwoosh.protocol.tags import (
    DEFAULT_TAGS,
    Append,
    Increment,
    Remove,
    TagType,
    apply,
    clean_name,
    clean_tags,
    infer_type,
    is_operation,
    is_repeatable,
)

steady = settings(deadline=None, derandomize=True)

NAMES = st.sampled_from(["Level", "Interests", "Name", "Since"])
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=4))
OPERATIONS = st.one_of(
    st.integers(-5, 5).map(Increment),
    st.lists(SCALARS, min_size=1, max_size=4).map(Append),
    st.lists(SCALARS, min_size=1, max_size=4).map(Remove),
)

# What json.loads can return, with a liking for what looks like an operation.
ANY_SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["increment", "append", "remove", "#pwinc#1", "#pwinc#", 10**30, -(2**63), "\x00", "\ud800"]),
)
ANY_JSON = st.recursive(
    ANY_SCALAR,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=5), inner, max_size=4),
        st.fixed_dictionaries(
            {"operation": st.one_of(st.sampled_from(["increment", "append", "remove", "set", 0, 3]), inner)},
            optional={"value": inner, "values": inner},
        ),
    ),
    max_leaves=12,
)
ANY_TAGS = st.one_of(ANY_JSON, st.dictionaries(st.one_of(NAMES, st.text(max_size=3)), ANY_JSON, max_size=4))


def problems_of(tags):
    with pytest.raises(InvalidTag) as caught:
        clean_tags(tags)
    return [str(problem) for problem in caught.value.problems]


def test_every_documented_form_goes_out_as_documented():
    tags = {
        "Name": "John",
        "Level": Increment(-1),
        "Interests": Append(["tag2", "tag3"]),
        "In-App Product": Remove("outwear_02"),
        "Old": None,
        "Adult": True,
        "Price": Decimal("19.99"),
        "Cities": ("Oslo", "Rome"),
        "Since": datetime(2024, 3, 1, 1, 30, 59, tzinfo=timezone(timedelta(hours=2))),
        "Birthday": date(1990, 5, 17),
        "Visits": {"operation": "increment", "value": 1},
    }
    assert json.loads(json.dumps(clean_tags(tags))) == {
        "Name": "John",
        "Level": {"operation": "increment", "value": -1},
        "Interests": {"operation": "append", "value": ["tag2", "tag3"]},
        "In-App Product": {"operation": "remove", "value": ["outwear_02"]},
        "Old": None,
        "Adult": True,
        "Price": 19.99,
        "Cities": ["Oslo", "Rome"],
        "Since": "2024-02-29 23:30",
        "Birthday": "1990-05-17 00:00",
        "Visits": {"operation": "increment", "value": 1},
    }


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (2**63, "64 bits"),
        pytest.param(10**5000, "64 bits", id="5001 digits"),
        (float("nan"), "finite"),
        (float("-inf"), "finite"),
        (Decimal("sNaN"), "finite"),
        (Decimal("1e999"), "finite"),
        ("a\x00b", "NUL"),
        ("\ud800", "surrogate"),
        (datetime(2024, 1, 1), "time zone"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "years"),
        (b"bytes", "bytes"),
        (object(), "object"),
        ({"operation": "multiply", "value": 2}, "increment"),
        ({"operation": ["append"], "value": 2}, "increment"),
        ({"colour": "red"}, "operation"),
        ({"operation": "increment"}, "value"),
        ({"operation": "increment", "value": 1, "note": ""}, "only"),
        ({"operation": "increment", "value": "1"}, "whole number"),
        ({"operation": "increment", "value": True}, "whole number"),
        ({"operation": "append", "value": []}, "at least one"),
        ({"operation": "remove", "value": {"a": 1}}, "list"),
    ],
)
def test_a_value_that_no_tag_can_hold_is_refused_under_its_name(value, told):
    (problem,) = problems_of({"Level": value})
    assert problem.startswith("Level: ")
    assert told in problem


def test_all_problems_are_told_at_once_and_list_items_by_their_index():
    assert [text.split(":")[0] for text in problems_of({"A": ["ok", None, ["deep"]], "B": 2**70, " ": 1, 7: 1})] == [
        "A[1]",
        "A[2]",
        "B",
        "tags",
        "tags",
    ]


@pytest.mark.parametrize("tags", [None, [], "Level", 5])
def test_tags_are_a_mapping(tags):
    assert "mapping" in problems_of(tags)[0]


@pytest.mark.parametrize("number", [1.5, True, "1", None, 2**63])
def test_only_whole_numbers_increment(number):
    with pytest.raises(InvalidTag, match="whole number"):
        Increment(number)


@pytest.mark.parametrize("kind", [Append, Remove])
def test_a_text_is_one_value_and_not_its_letters(kind):
    assert kind("news").to_wire()["value"] == ["news"]
    assert kind(word for word in ("a", "b")) == kind(["a", "b"])
    with pytest.raises(InvalidTag, match="at least one"):
        kind([])


@pytest.mark.parametrize(
    ("current", "change", "left"),
    [
        ({}, {"Level": 5}, {"Level": 5}),
        ({"Level": 5}, {"Level": None}, {}),
        ({}, {"Level": None}, {}),
        ({}, {"Level": {"operation": "increment", "value": 2}}, {"Level": 2}),
        ({"Level": 5}, {"Level": {"operation": "increment", "value": -7}}, {"Level": -2}),
        ({"Level": 5}, {"Level": "#pwinc#3"}, {"Level": 8}),
        ({"Level": 5}, {"Level": "#pwinc#-3"}, {"Level": 2}),
        ({}, {"Level": "#pwinc#3"}, {"Level": 3}),
        ({"L": ["a", "b"]}, {"L": {"operation": "append", "value": ["c", "a", "c"]}}, {"L": ["a", "b", "c"]}),
        ({}, {"L": {"operation": "append", "value": "a"}}, {"L": ["a"]}),
        ({"L": [1]}, {"L": {"operation": "append", "value": [True]}}, {"L": [1, True]}),
        ({"L": ["a", "b", "a"]}, {"L": {"operation": "remove", "value": "a"}}, {"L": ["b"]}),
        ({"L": ["a"]}, {"L": {"operation": "remove", "value": ["a"]}}, {"L": []}),
        ({}, {"L": {"operation": "remove", "value": "a"}}, {}),
        ({"Level": 1}, {"Level": Increment(1), "L": Append(["a"])}, {"Level": 2, "L": ["a"]}),
    ],
)
def test_what_a_device_holds_after_a_change(current, change, left):
    before = copy.deepcopy(current)
    assert json.dumps(apply(current, change)) == json.dumps(left)
    assert current == before


@pytest.mark.parametrize(
    "change",
    [
        {"operation": "increment", "value": 1},
        {"operation": "increment", "value": "1"},
        {"operation": "increment"},
        {"operation": "multiply", "value": 2},
        {"operation": ["append"], "value": ["a"]},
        {"operation": "append", "value": [["a"]]},
        {"operation": "append", "value": None},
        {"a": {"b": {}}},
        [[1]],
        [None],
        float("nan"),
        float("inf"),
        2**63,
        pytest.param("\x00", id="NUL"),
        pytest.param("\udfff", id="surrogate"),
        "#pwinc#99999999999999999999",
    ],
)
def test_a_change_that_cannot_be_carried_out_leaves_the_tag_as_it_was(change):
    assert apply({"Name": "John"}, {"Name": change}) == {"Name": "John"}
    assert apply({"Name": "John"}, {"\x00": change, " ": change}) == {"Name": "John"}


def test_an_increment_stops_at_64_bits():
    assert apply({"Id": 2**63 - 1}, {"Id": Increment(1)}) == {"Id": 2**63 - 1}


def test_a_long_append_is_not_quadratic():
    words = [str(number) for number in range(100_000)]
    assert apply({"L": words}, {"L": {"operation": "append", "value": words}}) == {"L": words}


@steady
@given(ANY_TAGS, ANY_TAGS)
def test_whatever_json_brings_is_survived_and_never_touched(current, changes):
    before = copy.deepcopy((current, changes))
    result = apply(current, changes)
    assert repr((current, changes)) == repr(before)
    assert isinstance(result, dict)
    assert isinstance(is_repeatable(changes), bool)
    assert isinstance(infer_type(changes), TagType)
    assert isinstance(is_operation(changes), bool)


@steady
@given(ANY_TAGS)
def test_what_is_kept_could_have_been_sent(changes):
    kept = apply({}, changes)
    assert clean_tags(kept) == kept
    json.dumps(kept, allow_nan=False).encode()


@steady
@given(st.dictionaries(NAMES, st.one_of(VALUES, st.none())), st.dictionaries(NAMES, st.one_of(VALUES, OPERATIONS)))
def test_changes_called_repeatable_may_be_made_twice(current, changes):
    wire = clean_tags(changes)
    once = apply(current, wire)
    if is_repeatable(changes):
        assert apply(once, wire) == once
    assert is_repeatable(changes) is is_repeatable(wire)
    assert apply(current, changes) == once


@pytest.mark.parametrize(
    ("value", "repeatable", "operation"),
    [
        (5, True, False),
        (None, True, False),
        (["a"], True, False),
        ("#pwinc#", True, False),
        (Remove("a"), True, True),
        ({"operation": "remove", "value": "a"}, True, True),
        (Increment(1), False, True),
        (Append("a"), False, True),
        ({"operation": "increment", "value": 1}, False, True),
        ({"operation": "append", "value": ["a"]}, False, True),
        ("#pwinc#+1", False, True),
        ({"operation": "Increment", "value": 1}, False, False),
        ({"operation": 3, "value": 1}, False, False),
    ],
)
def test_what_may_be_sent_twice(value, repeatable, operation):
    assert is_repeatable({"Name": "John", "Tag": value}) is repeatable
    assert is_operation(value) is operation


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, TagType.BOOLEAN),
        (1, TagType.INTEGER),
        (1.5, TagType.PRICE),
        (Decimal("1.5"), TagType.PRICE),
        ("x", TagType.STRING),
        ("1.2.3", TagType.STRING),
        ("2024-02-29 10:00", TagType.DATE),
        ("2023-02-29 10:00", TagType.STRING),
        ("2024-02-29", TagType.DATE),
        (date(2024, 2, 29), TagType.DATE),
        (datetime(2024, 2, 29, tzinfo=UTC), TagType.DATE),
        (["a"], TagType.LIST),
        ([], TagType.LIST),
        (Increment(1), TagType.INTEGER),
        ("#pwinc#1", TagType.INTEGER),
        ({"operation": "increment", "value": 0.5}, TagType.PRICE),
        (Append("a"), TagType.LIST),
        ({"operation": "remove", "value": "a"}, TagType.LIST),
        (None, TagType.STRING),
        ({"a": 1}, TagType.STRING),
    ],
)
def test_a_type_is_learned_from_a_value(value, kind):
    assert infer_type(value) is kind


def test_the_tags_that_pushwoosh_keeps_by_itself_are_known_with_their_types():
    assert {name for name, kind in DEFAULT_TAGS.items() if kind is TagType.DATE} == {
        "First Install",
        "Last Application Open",
        "Last In-app Purchase date",
    }
    assert DEFAULT_TAGS["Language"] is DEFAULT_TAGS["Country"] is DEFAULT_TAGS["City"] is TagType.STRING
    assert DEFAULT_TAGS["Application Version"] is TagType.VERSION
    assert DEFAULT_TAGS["In-app Product"] is infer_type(Remove("outwear_02"))
    assert all(clean_name(name) == name for name in DEFAULT_TAGS)


def test_nobody_changes_what_pushwoosh_keeps():
    with pytest.raises(TypeError):
        DEFAULT_TAGS["Language"] = TagType.LIST
