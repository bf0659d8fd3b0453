"""Kinds of values: what each takes, what it makes of it, and that nothing else gets past."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given

from django_pushwoosh.protocol import fields
from django_pushwoosh.protocol.errors import Invalid
from django_pushwoosh.protocol.fields import times
from django_pushwoosh.protocol.platforms import CHROME, IOS
from tests.protocol import hostile

KINDS: list[fields.Kind] = [
    fields.Anything(),
    fields.Text(),
    fields.Text(5, pattern="[0-9]+", rule="digits", blank=True),
    fields.LocalizedText(),
    fields.LocalizedBase64(),
    fields.Integer(),
    fields.Integer(1, 30, unit="days"),
    fields.Number(),
    fields.Number(-90, 90),
    fields.Boolean(),
    fields.Flag(),
    fields.Badge(),
    fields.Badge(or_boolean=True),
    fields.Seconds(),
    fields.Seconds(0, 50),
    fields.Url(),
    fields.Url(deep_links=True),
    fields.Color(),
    fields.LedColor(),
    fields.Choice(("normal", "high")),
    fields.Choice((0, 2), ("As it is", "Shortened")),
    fields.JsonObject(),
    fields.JsonObject(objects=("aps",)),
    fields.JsonObjectOrString(),
    fields.Objects(),
    fields.TextMap(),
    fields.Strings(),
    fields.Strings(0, 3, unique=False, blank=True),
    fields.Code(),
    fields.Day(),
    fields.SendDate(),
    fields.TimeZoneName(),
    fields.GeozoneKind(),
    fields.PlatformList(),
    fields.Conditions(),
]


def titled(value: object) -> str:
    return value.name if isinstance(value, fields.Kind) else type(value).__name__


def problems(kind: fields.Kind, value: Any, path: str = "it") -> list[str]:
    with pytest.raises(Invalid) as caught:
        kind.clean(value, path)
    return [str(problem) for problem in caught.value.problems]


def test_every_kind_is_tried() -> None:
    defined = [each for each in vars(fields).values() if isinstance(each, type) and issubclass(each, fields.Kind)]
    assert {type(kind) for kind in KINDS} == set(defined) - {fields.Kind}


@pytest.mark.parametrize("kind", KINDS, ids=titled)
def test_every_kind_has_a_name_and_says_what_it_takes(kind: fields.Kind) -> None:
    assert kind.name
    assert kind.describe()


@pytest.mark.parametrize("kind", KINDS, ids=titled)
def test_a_monster_is_refused_or_becomes_sound_json(kind: fields.Kind) -> None:
    for monster in hostile.MONSTERS.values():
        for value in (monster, [monster], {"en": monster}):
            sound_or_refused(kind, value)


@pytest.mark.parametrize("kind", KINDS, ids=titled)
@hostile.steadily
@given(value=hostile.values)
def test_a_hostile_value_is_refused_or_becomes_sound_json(kind: fields.Kind, value: Any) -> None:
    sound_or_refused(kind, value)


def sound_or_refused(kind: fields.Kind, value: Any) -> None:
    refusal: Invalid | None = None
    try:
        cleaned = kind.clean(value, "it")
    except Invalid as error:
        refusal = error
    if refusal:
        assert refusal.problems
        assert all(problem.path.startswith("it") and problem.text for problem in refusal.problems)
        str(refusal).encode()
        return
    text = json.dumps(cleaned, allow_nan=False, ensure_ascii=False).encode()
    assert json.loads(text) == cleaned
    assert kind.clean(cleaned, "it") == cleaned


class Size(IntEnum):
    SMALL = 5


class Word(StrEnum):
    HIGH = "high"


@pytest.mark.parametrize(
    ("kind", "value", "sent"),
    [
        (fields.Text(), "a\nb", "a\nb"),
        (fields.Text(blank=True), "", ""),
        (fields.LocalizedText(), {"en": "Hi", "zh-Hans": "你好", "default": "Hi"}, None),
        (fields.LocalizedText(), MappingProxyType({"en": "Hi"}), {"en": "Hi"}),
        (fields.LocalizedBase64(), "PGE+\nPC9hPg==", "PGE+PC9hPg=="),
        (fields.Integer(), Size.SMALL, 5),
        (fields.Flag(), True, 1),
        (fields.Flag(), 0, 0),
        (fields.Boolean(), 1, True),
        (fields.Badge(), 5, 5),
        (fields.Badge(), "+1", "+1"),
        (fields.Badge(), "5", 5),
        (fields.Badge(or_boolean=True), True, True),
        (fields.Seconds(), timedelta(hours=1), 3600),
        (fields.Url(), "https://example.com/a?b=ü#c", None),
        (fields.Url(), "https://example.com/{First Name|CapitalizeFirst|friend}", None),
        (fields.Url(deep_links=True), "myapp://orders/7", None),
        (fields.Url(deep_links=True), "{{ link }}", None),
        (fields.Url(deep_links=True), "tel:+4712345678", None),
        (fields.Color(), "#80FF0011", None),
        (fields.Color(), "red", None),
        (fields.Choice(("normal", "high")), Word.HIGH, "high"),
        (fields.JsonObjectOrString(), '{"a": [1]}', None),
        (fields.JsonObjectOrString(), {"a": (1, 2.5)}, {"a": [1, 2.5]}),
        (fields.Strings(), ["b", "a", "b"], ["b", "a"]),
        (fields.Code(), "1A2B3-C4D5E", None),
        (fields.Day(), date(2027, 1, 31), "2027-01-31"),
        (fields.SendDate(), "2027-01-31 09:30", None),
        (fields.SendDate(), "2027-01-31 09:30:15", None),
        (fields.TimeZoneName(), ZoneInfo("Europe/Oslo"), "Europe/Oslo"),
        (fields.PlatformList(), [IOS, 11, CHROME], [1, 11]),
        (fields.Conditions(), [("City", "EQ", "Oslo")], [["City", "EQ", "Oslo"]]),
    ],
    ids=titled,
)
def test_what_is_taken_and_what_is_sent(kind: fields.Kind, value: Any, sent: Any) -> None:
    cleaned = kind.clean(value)
    assert cleaned == (value if sent is None else sent)
    assert type(cleaned) is type(value if sent is None else sent)


@pytest.mark.parametrize(
    ("kind", "value", "advice"),
    [
        (fields.Text(3), "four", "at most 3 characters; it has 4"),
        (fields.Text(), b"bytes", "decode it first"),
        (fields.Text(), "a\x00", "NUL"),
        (fields.Text(), "\ud800", "surrogate"),
        (fields.Integer(1, 30, unit="days"), 31, "a whole number of days from 1 to 30"),
        (fields.Integer(), True, "must be a whole number, not True"),
        (fields.Integer(), 5.0, "must be a whole number, not 5.0"),
        (fields.Integer(), 10**5000, "beyond 64 bits"),
        (fields.Flag(), 2, "must be true or false"),
        (fields.Flag(), "1", "must be true or false"),
        (fields.Badge(), -1, "+n"),
        (fields.Badge(), True, "not True"),
        (fields.Seconds(), timedelta(milliseconds=1), "whole seconds"),
        (fields.Url(), "example.com", "starts with http:// or https://"),
        (fields.Url(), "https://", "no valid host"),
        (fields.Url(), "https://a:b/", "no valid host"),
        (fields.Url(), "https://a/b c", "%20"),
        (fields.Url(), "myapp://x", "starts with http"),
        (fields.Url(deep_links=True), "javascript:alert(1)", "deep link"),
        (fields.Url(deep_links=True), "myapp:", "says nothing"),
        (fields.LedColor(), "red", "#RRGGBB"),
        (fields.Choice(("normal", "high")), "hihg", "Did you mean 'high'?"),
        (fields.Choice((0, 2)), False, "one of 0, 2"),
        (fields.Choice((0, 2)), 1, "one of 0, 2"),
        (fields.JsonObjectOrString(), "[1]", "another JSON value"),
        (fields.JsonObjectOrString(), "{", "not valid JSON"),
        (fields.JsonObjectOrString(), '{"a": NaN}', "not valid JSON"),
        (fields.JsonObject(), [], "must be an object (dict), not a list"),
        (fields.JsonObject(), {"a": float("nan")}, "it.a: nan is no JSON number"),
        (fields.JsonObject(objects=("aps",)), {"aps": 1}, "it.aps: must be an object"),
        (fields.Strings(), "token", "wrap it in a list"),
        (fields.Strings(), [], "it has 0"),
        (fields.Strings(), ["a", 7], "it[1]: must be text (str), not 7"),
        (fields.Code(), "1a2b3-c4d5e", "capitals"),
        (fields.Day(), "2027-02-29", "there is no day"),
        (fields.Day(), datetime(2027, 1, 1), ".date()"),
        (fields.SendDate(), "2027-02-29 10:00", "there is no time"),
        (fields.SendDate(), "2027-01-01T10:00", "YYYY-MM-DD HH:mm"),
        (fields.TimeZoneName(), "Europe/Olso", "Did you mean 'Europe/Oslo'?"),
        (fields.TimeZoneName(), "../etc/passwd", "is no time zone"),
        (fields.GeozoneKind(), {"lat": 91, "lng": 0, "range": 1}, "it.lat: must be a number from -90 to 90"),
        (fields.GeozoneKind(), {"lat": 1, "lng": 0}, "needs range"),
        (fields.GeozoneKind(), {"lat": 1, "lng": 0, "range": 1, "radius": 1}, "only lat, lng and range"),
        (fields.PlatformList(), [], "leave it out"),
        (fields.PlatformList(), [14], "E-mail cannot be chosen"),
        (fields.PlatformList(), [5], "5 cannot be chosen"),
        (fields.Conditions(), [], "it"),
        (fields.Conditions(), [["City", "LIKE", "Oslo"]], "it[0][1]"),
        (fields.LocalizedBase64(), "not base64!", "base64"),
    ],
    ids=titled,
)
def test_a_refusal_says_what_to_change(kind: fields.Kind, value: Any, advice: str) -> None:
    assert advice in "; ".join(problems(kind, value))


@pytest.mark.parametrize(
    ("kind", "sound"),
    [
        (fields.Text(9, pattern="[0-9]+"), "17"),
        (fields.Badge(), "+1"),
        (fields.Color(), "red"),
        (fields.LedColor(), "#FF0011"),
        (fields.Choice(("high",)), "high"),
        (fields.Code(), "1A2B3-C4D5E"),
        (fields.Day(), "2027-01-31"),
        (fields.SendDate(), "2027-01-31 10:00"),
        (fields.SendDate(), "now"),
        (fields.TimeZoneName(), "Europe/Oslo"),
        (fields.Url(), "https://example.com/"),
        (fields.Url(deep_links=True), "myapp://x"),
    ],
    ids=titled,
)
@pytest.mark.parametrize("end", ["\n", " ", "\r\n", "\u2028", "\x00"], ids=ascii)
def test_nothing_trails_behind_a_sound_value(kind: fields.Kind, sound: str, end: str) -> None:
    assert kind.clean(sound) == sound
    assert problems(kind, sound + end)
    assert problems(kind, end + sound)


@pytest.mark.parametrize(
    ("language", "advice"),
    [("EN", "'en'"), ("en-US", "'en'"), ("pt_BR", "'pt'"), ("zh-hans", "'zh-Hans'"), ("english", "two lower-case")],
)
def test_a_language_is_refused_with_the_way_to_write_it(language: str, advice: str) -> None:
    (problem,) = problems(fields.LocalizedText(), {language: "Hi"}, "content")
    assert advice in problem


def test_all_problems_of_a_list_are_told_at_once() -> None:
    assert len(problems(fields.Strings(), [1, "fine", None, ""])) == 3


def test_a_list_of_mistakes_is_not_read_to_its_end() -> None:
    assert len(problems(fields.Strings(), [None] * 100_000)) == fields.MOST_PROBLEMS


def test_what_was_cleaned_no_longer_belongs_to_the_caller() -> None:
    mine: dict[str, Any] = {"list": [1]}
    cleaned = fields.JsonObject().clean(mine)
    mine["list"].append(2)
    assert cleaned == {"list": [1]}


def test_a_small_object_that_holds_itself_many_times_is_refused_quickly() -> None:
    value: list[Any] = ["x"]
    for _ in range(30):
        value = [value, value]
    assert "more than 10000 values" in problems(fields.JsonObject(), {"a": value})[0]


def test_choices_for_forms_come_with_labels() -> None:
    assert fields.Choice((0, 2), ("As it is", "Shortened")).choices == ((0, "As it is"), (2, "Shortened"))
    assert fields.Choice(("Tile",)).choices == (("Tile", "Tile"),)
    assert (1, "iOS") in fields.PlatformList().choices


def test_without_a_zone_database_the_form_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "_zones", frozenset)
    assert fields.TimeZoneName().clean("Europe/Oslo") == "Europe/Oslo"
    assert problems(fields.TimeZoneName(), "../etc")


def test_a_value_in_an_error_is_short() -> None:
    assert len(fields.shown("x" * 10_000)) < 50
    assert fields.shown("\ud800") == r"'\ud800'"
    assert fields.shown(hostile.Strange()) == "a Strange"
