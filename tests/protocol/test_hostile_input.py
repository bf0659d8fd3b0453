"""Whatever a program, a form or a body brings: refused with what to change, or taken and sound on the wire."""

from __future__ import annotations

import json
from collections import UserDict, UserString
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_pushwoosh.protocol.audience import EVERYONE
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.errors import Invalid, InvalidTag
from django_pushwoosh.protocol.messages import Message
from django_pushwoosh.protocol.parameters import BY_NAME
from django_pushwoosh.protocol.tags import clean_tags

from .hostile import MONSTERS, any_text, steadily, values

APPLICATION = "AAAAA-AAAAA"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Sly(str):
    """A text that says one thing when it is looked at, and another when it is written."""

    def __str__(self) -> str:
        return "../../etc"

    def encode(self, *args: object) -> bytes:  # type: ignore[override]
        return b"\xff"

    def __len__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class Growing(dict[str, Any]):
    """An object that is another one every time it is asked."""

    def __iter__(self) -> Any:
        raise RuntimeError("no one may ask")

    def items(self) -> Any:
        return [("more", "x")] * (1 + len(self))


class Counted(int):
    def __repr__(self) -> str:
        return "1, 'auth': 'stolen'"

    __str__ = __repr__


SLY = {
    "a sly text": Sly("Oslo"),
    "a growing object": Growing(en="Hello"),
    "a number that writes itself": Counted(3),
    "a text that is none": UserString("Oslo"),
    "an object that is none": UserDict({"en": "Hello"}),
}


def sound(call: Call) -> dict[str, Any]:
    """The body, read as Pushwoosh would."""
    body: dict[str, Any] = json.loads(call.encode("token") or b"{}")
    said = body.get("request", body)
    if said:
        assert said.get("auth", "token") == "token"
    call.url("https://api.example.com")
    return body


@pytest.mark.parametrize("name", sorted(METHODS))
@steadily
@given(data=st.data())
def test_whatever_a_call_is_given(name: str, data: st.DataObject) -> None:
    row = METHODS[name]
    names = [argument.name for argument in row.arguments] or ["more"]
    given_ = data.draw(st.dictionaries(st.sampled_from(names), values))
    try:
        call = Call.of(name, APPLICATION, **given_)
    except Invalid as error:
        str(error).encode()
    else:
        sound(call)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_monster_in_any_argument_of_any_call(name: str) -> None:
    for argument in METHODS[name].arguments:
        for value in [*MONSTERS.values(), *SLY.values()]:
            try:
                call = Call.of(name, APPLICATION, **{argument.name: value})
            except Invalid as error:
                str(error).encode()
            else:
                sound(call)


@pytest.mark.parametrize("shape", sorted(SLY))
@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_a_parameter_that_is_not_what_it_looks_like(name: str, shape: str) -> None:
    try:
        message = Message.from_json({"content": "Hello", name: SLY[shape]})
        call = message.call(APPLICATION, EVERYONE, transaction_id="t-1")
    except Invalid as error:
        str(error).encode()
        return
    assert "stolen" not in json.dumps(sound(call))
    message.warnings(EVERYONE, now=NOW)


@steadily
@given(changes=st.one_of(values, st.dictionaries(any_text, values)))
def test_whatever_tags_are_given(changes: Any) -> None:
    try:
        cleaned = clean_tags(changes)
    except InvalidTag as error:
        str(error).encode()
    else:
        assert clean_tags(json.loads(json.dumps(cleaned, allow_nan=False, ensure_ascii=False).encode())) == cleaned


@steadily
@given(given_=st.dictionaries(st.sampled_from(sorted(BY_NAME)), values))
def test_a_message_that_was_taken_can_be_warned_about(given_: dict[str, Any]) -> None:
    try:
        message = Message.from_json({"content": "Hello", **given_})
        call = message.call(APPLICATION, EVERYONE, transaction_id="t-1", now=NOW)
    except Invalid:
        return
    sound(call)
    for warning in message.warnings(EVERYONE, now=NOW):
        assert warning.path
        assert warning.text
