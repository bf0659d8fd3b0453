"""Text made to break the reading of filter expressions: refused with its place, or understood, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_pushwoosh.protocol.errors import InvalidFilter
from django_pushwoosh.protocol.filters import Expression, Operator, parse

from .hostile import TEXTS, any_text, steadily

LONG = (
    '( A("AAAAA-AAAAA", ["iOS", "Android"]) + G("BBBBB-BBBBB") ) * T("Age", BETWEEN, [17, 20.5]) \\ '
    'AT("AAAAA-AAAAA", "Last Application Open", gte, "90 days ago") * (((T(“Näme \\"x\\"”, NOTSET) + '
    'T("Price", IN, [-1, +2, 1e3, true, "\\\\"])) \\ T("City", NOTEQ, "Bodø")))'
)


def outcome(text: str) -> Expression | InvalidFilter:
    """What `text` is read as, or how it is refused; any other exception is a failure of the test."""
    try:
        return parse(text)
    except InvalidFilter as error:
        return error


def assert_points(error: InvalidFilter, text: str) -> None:
    """The refusal shows the text with a caret under its mistake."""
    assert error.source == text
    assert error.position is not None
    assert 0 <= error.position <= len(text)
    told, line, caret = error.pointed().rsplit("\n", 2)
    assert told == str(error)
    assert caret.strip(" ") == "^"
    column = len(caret) - 1
    assert line[column : column + 1] == text[error.position : error.position + 1].replace("\n", " ")


def test_every_beginning_of_a_filter_is_refused_where_it_ends_or_is_whole() -> None:
    whole = []
    for end in range(len(LONG) + 1):
        read = outcome(LONG[:end])
        if isinstance(read, Expression):
            whole.append(end)
            assert parse(str(read)) == read
        else:
            assert_points(read, LONG[:end])
    # A beginning is whole behind each set at the top, blanks included, and nowhere else.
    ends = {len(LONG[:end].rstrip()) for end in whole}
    assert {LONG[:end][-16:] for end in ends} == {
        '"BBBBB-BBBBB") )',
        "EEN, [17, 20.5])",
        ', "90 days ago")',
        ', NOTEQ, "Bodø")))'[-16:],
    }


def test_every_end_of_a_filter_is_refused_or_whole() -> None:
    for start in range(1, len(LONG)):
        read = outcome(LONG[start:])
        if isinstance(read, InvalidFilter):
            assert_points(read, LONG[start:])


@pytest.mark.parametrize("bad", ["\x00", "\ud800", "é\udc00"], ids=ascii)
def test_what_no_store_keeps_is_refused_wherever_it_stands(bad: str) -> None:
    for at in range(len(LONG)):
        text = LONG[:at] + bad + LONG[at:]
        read = outcome(text)
        assert isinstance(read, InvalidFilter), at
        assert_points(read, text)


@pytest.mark.parametrize("text", [*TEXTS, "(" * 10_000, "(" * 10_000 + LONG, LONG + ")" * 10_000, '"' * 9_999], ids=len)
def test_hostile_text_is_no_filter(text: str) -> None:
    read = outcome(text)
    assert isinstance(read, InvalidFilter)
    assert_points(read, text)


def test_ten_thousand_parentheses_that_are_closed_are_read() -> None:
    assert parse("(" * 10_000 + LONG + ")" * 10_000) == parse(LONG)


@pytest.mark.parametrize("name", ["LIKE", "EQUALS", "NOT", "INN", "E", "GT", "ISSET", "eqq"])
def test_an_operator_that_does_not_exist_is_told_with_those_that_do(name: str) -> None:
    text = f'T("Age", {name}, 1)'
    read = outcome(text)
    assert isinstance(read, InvalidFilter)
    assert all(operator in str(read) for operator in Operator)
    assert read.position == text.index(name)
    assert_points(read, text)


@pytest.mark.parametrize("kept", range(6))
def test_a_quote_too_few_is_refused(kept: int) -> None:
    text = 'AT("AAAAA-AAAAA", "Age", EQ, "x")'
    places = [at for at, sign in enumerate(text) if sign == '"']
    damaged = text[: places[kept]] + text[places[kept] + 1 :]
    read = outcome(damaged)
    assert isinstance(read, InvalidFilter)
    assert_points(read, damaged)


@pytest.mark.parametrize("digits", [str(2**63), str(-(2**63) - 1), "1" + "0" * 30, "1" + "0" * 5000], ids=len)
@pytest.mark.parametrize("form", ["EQ, {}", "IN, [1, {}]", "BETWEEN, [{}, 5]"])
def test_a_number_beyond_64_bits_is_refused(form: str, digits: str) -> None:
    text = f'T("Age", {form.format(digits)})'
    read = outcome(text)
    assert isinstance(read, InvalidFilter)
    assert read.position == text.index(digits)
    assert_points(read, text)


@steadily
@given(any_text)
def test_any_text_is_read_or_refused_and_points_to_its_mistake(text: str) -> None:
    for candidate in (text, LONG + text, f'T("{text}", EQ, 1)', f'T("Age", {text}, 1)', f'T("Age", EQ, {text})'):
        read = outcome(candidate)
        if isinstance(read, InvalidFilter):
            assert_points(read, candidate)
        else:
            assert parse(str(read)) == read


@steadily
@given(st.integers(0, len(LONG) - 1), st.integers(0, len(LONG) - 1))
def test_a_filter_with_a_hole_is_read_or_refused(start: int, end: int) -> None:
    text = LONG[: min(start, end)] + LONG[max(start, end) :]
    read = outcome(text)
    if isinstance(read, InvalidFilter):
        assert_points(read, text)
    else:
        assert parse(str(read)) == read
