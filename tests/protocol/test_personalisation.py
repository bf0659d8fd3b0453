"""Placeholders: what they are, what is said about them, and what each device reads in their place."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_pushwoosh.protocol.personalisation import (
    MODIFIERS,
    MOST_PROBLEMS,
    MOST_ROOM,
    Placeholder,
    fill,
    placeholders,
    problems,
    warnings,
)

from .hostile import steadily

TAGS: dict[str, Any] = {
    "Name": "ann van dyke",
    "Cents": 123456,
    "Born": 1398407400,  # 2014-04-25 06:30 UTC, a Friday
    "Interests": ["sport", "news"],
    "Muted": True,
    "Empty": "",
    "None": [],
}
PIECES = st.sampled_from(
    ["{", "}", "|", "{{", "}}", "{%", "%}", "Name", "regular", "x", " ", "{Name|regular|x}", "\ud83d", "\x00", "\n"]
)
TEXTS = st.lists(PIECES, max_size=30).map("".join) | st.text()


def filled(text: str) -> str | None:
    return fill(text, TAGS.get)


def test_a_placeholder_has_a_tag_a_modifier_and_perhaps_a_default():
    assert placeholders("Hi {Name|CapitalizeFirst|friend}, {City|regular} and {Age|text|}.") == [
        Placeholder("{Name|CapitalizeFirst|friend}", "Name", "CapitalizeFirst", "friend"),
        Placeholder("{City|regular}", "City", "regular", None),
        Placeholder("{Age|text|}", "Age", "text", ""),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "{}",
        "{Name}",
        "{Name|regular",
        "Name|regular|x}",
        "{{ name | upcase }}",
        "{% if a | b %}",
        "{{ a }}{%- b | c -%}",
        '{"a": {"b": 1}}',
    ],
)
def test_other_braces_are_text(text):
    assert placeholders(text) == []
    assert filled(text) == text


def test_placeholders_stand_between_liquid_and_never_in_it():
    text = "{{ a | b }}{Name|regular|x}{% if c %}{Name|lowercase|y}{% endif %}{{ {Name|regular|z} }}"
    assert [each.modifier for each in placeholders(text)] == ["regular", "lowercase"]
    assert placeholders("{{ never closed {Name|regular|x}")[0].name == "Name"
    assert placeholders("{% never closed {Name|regular|x}")[0].name == "Name"
    assert placeholders("{oops {Name|regular|x}")[0].name == "Name"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("{Name|regular|x}", "ann van dyke"),
        ("{Name|text|x}", "ann van dyke"),
        ("{Name|UPPERCASE|x}", "ANN VAN DYKE"),
        ("{Name|lowercase|x}", "ann van dyke"),
        ("{Name|CapitalizeFirst|x}", "Ann van dyke"),
        ("{Name|CapitalizeAllFirst|x}", "Ann Van Dyke"),
        ("{Cents|comma|x}", "123,456"),
        ("{Cents|dollar|x}", "$123,456"),
        ("{Cents|euro|x}", "€123,456"),
        ("{Cents|jpy|x}", "¥123,456"),
        ("{Cents|lira|x}", "₤123,456"),
        ("{Cents|cent|x}", "$1234.56"),
        ("{Empty|cent|x}", "$.00"),
        ("{Born|M-d-y|x}", "Apr-25-14"),
        ("{Born|m-d-y|x}", "04-25-14"),
        ("{Born|M d y|x}", "Apr 25 14"),
        ("{Born|M d Y|x}", "Apr 25 2014"),
        ("{Born|l|x}", "Friday"),
        ("{Born|M d|x}", "Apr 25"),
        ("{Born|H:i|x}", "06:30"),
        ("{Born|m-d-y H:i|x}", "04-25-14 06:30"),
        ("{Interests|regular|x}", "sport, news"),
        ("{Muted|regular|x}", "true"),
    ],
)
def test_every_modifier_writes_a_value_its_way(text, read):
    assert filled(text) == read


def test_modifiers_take_what_tags_hold():
    assert fill("{C|cent|x}", {"C": 42}.get) == "$.42"
    assert fill("{C|cent|x}", {"C": "5"}.get) == "$.05"
    assert fill("{C|dollar|x}", {"C": -1234.5}.get) == "-$1,234.5"
    assert fill("{D|M d Y|x}", {"D": "2014-04-25 06:30"}.get) == "Apr 25 2014"
    assert fill("{D|M d Y|x}", {"D": "soon"}.get) == "soon"
    assert fill("{D|l|x}", {"D": 10**30}.get) == str(10**30)
    assert fill("{N|comma|x}", {"N": float("inf")}.get) == "inf"
    assert fill("{N|Unheard|x}", {"N": "of"}.get) == "of"


def test_a_device_without_the_tag_reads_the_default():
    for name in ("City", "Empty", "None"):
        assert filled(f"Hello {{{name}|regular|friend}}!") == "Hello friend!"


def test_a_device_without_the_tag_is_left_out_where_there_is_no_default():
    assert filled("Hello {Name|regular}") == "Hello ann van dyke"
    assert filled("Hello {City|regular}") is None
    assert filled("{City|regular|x} {City|regular}") is None


def test_an_empty_default_shows_the_placeholder_itself():
    assert filled("Hello {City|regular|}!") == "Hello {City|regular|}!"
    assert filled("Hello {Name|regular|}!") == "Hello ann van dyke!"


def test_a_filled_in_value_is_not_read_again():
    assert fill("{A|regular|x}", {"A": "{B|regular}"}.get) == "{B|regular}"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("{Name|capitalizefirst|x}", "Did you mean 'CapitalizeFirst'?"),
        ("{Name|uppercase|x}", "Did you mean 'UPPERCASE'?"),
        ("{Name| regular |x}", "Did you mean 'regular'?"),
        ("{Name|Capitalise|x}", "Did you mean 'Capitalize"),
        ("{Hi|Hello|Hey}", "There are regular, text"),
        ("{Name||x}", "has no modifier; regular"),
        ("{|regular|x}", "has no tag's name"),
    ],
)
def test_what_would_be_misread_is_a_problem(text, hint):
    (problem,) = problems(f"Hello {text}", "content.en")
    assert problem.path == "content.en"
    assert hint in problem.text
    assert repr(text) in problem.text


def test_every_known_modifier_is_fine():
    assert problems(" ".join(f"{{Tag|{each}|x}}" for each in MODIFIERS), "content") == []


def test_what_devices_without_the_tag_get_is_a_warning():
    text = "{Name|regular} {Name|regular|} {Name|regular|x} {Name|regular}"
    assert [str(each) for each in warnings(text, "title")] == [
        "title: '{Name|regular}': devices without the tag get no message at all; add |a default",
        "title: '{Name|regular|}': devices without the tag see the placeholder itself; write a default in it",
    ]
    assert problems(text, "title") == []


def test_a_text_full_of_mistakes_is_told_briefly():
    text = "".join(f"{{a{number}|b}}" for number in range(1000))
    assert len(problems(text, "content")) == MOST_PROBLEMS
    assert len(warnings(text, "content")) == MOST_PROBLEMS


@pytest.mark.parametrize("piece", ["{", "{{", "{%", "{a", "{a|", "{a|b", "{%}", "{a|b}", "{a|b|c}", "}", "|", "{{{%"])
def test_time_is_in_proportion_to_the_length(piece):
    def seconds(text: str) -> float:
        start = time.process_time()
        problems(text, "content")
        fill(text, {"a": "x"}.get)
        return time.process_time() - start

    assert seconds(piece * 200_000 + "}") < 5
    assert seconds(piece * 200_000) < 5


def test_values_cannot_make_a_text_grow_without_end():
    text = "{a|UPPERCASE|x}" * 10_000
    assert len(fill(text, {"a": "y" * 1_000_000}.get) or "") == MOST_ROOM


@steadily
@given(TEXTS)
def test_any_text_is_read(text):
    found = placeholders(text)
    assert all(each.text in text for each in found)
    assert len(problems(text, "content")) <= len(found)
    if not found:
        assert fill(text, lambda name: None) == text
    if all(each.default for each in found):
        assert fill(text, lambda name: None) is not None


@steadily
@given(
    st.sampled_from(sorted(MODIFIERS)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    ),
)
def test_any_value_is_written(modifier, value):
    assert isinstance(fill(f"{{Tag|{modifier}|default}}", lambda name: value), str)
