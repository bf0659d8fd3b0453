"""What may be asked of a tag of each type."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_pushwoosh.protocol.errors import InvalidFilter
from django_pushwoosh.protocol.filter_types import OPERATORS, misfits
from django_pushwoosh.protocol.filters import Application, AppTag, AppTagSet, Expression, Operator, Tag, TagSet, parse
from django_pushwoosh.protocol.tags import TagType

from .hostile import steadily

EQUAL = "EQ NOTEQ IN NOTIN NOTSET ANY"
ORDERED = f"{EQUAL} GTE LTE BETWEEN"
DOCUMENTED = {
    TagType.INTEGER: ORDERED,
    TagType.STRING: EQUAL,
    TagType.LIST: "IN NOTIN NOTSET ANY",
    TagType.DATE: ORDERED,
    TagType.BOOLEAN: "EQ NOTSET ANY",
    TagType.PRICE: ORDERED,
    TagType.VERSION: ORDERED,
}
"""What either of the two tables allows, and ordered numbers for the two types that are in neither."""

TYPES = {kind.name: kind for kind in TagType}
GOOD: dict[TagType, list[Any]] = {
    TagType.INTEGER: [17, -1, "17"],
    TagType.STRING: ["Oslo", 30, "", "30 days ago"],
    TagType.LIST: ["sports", 7],
    TagType.DATE: [
        date(2027, 5, 17),
        datetime(2027, 5, 17, 9, tzinfo=UTC),
        "2027-05-17",
        "2027-05-17 00:00",
        1398407400,
    ],
    TagType.BOOLEAN: [True, False, 0, 1, "true", "False"],
    TagType.PRICE: [9.99, 10, "9.99"],
    TagType.VERSION: ["1.2.3.4", "1.2", "9999.0", 2],
}
BAD: dict[TagType, list[Any]] = {
    TagType.INTEGER: ["many", 1.5, True, "1.5", str(2**63), "٣", ""],
    TagType.STRING: [True],
    TagType.LIST: [False],
    TagType.DATE: ["soon", "2027-02-30", "17.05.2027", "2027-05-17 24:01", "days ago", "1398407400", 1.5, True],
    TagType.BOOLEAN: ["yes", 2, "2", "1", "", 1.0],
    TagType.PRICE: ["much", False, "1,5", "1e5"],
    TagType.VERSION: ["10000.1", "1.2.3.4.5", "beta", True, -1, 10_000, "1.", ""],
}


def told(node: Any, types: Any = TYPES) -> list[str]:
    return [problem.text for problem in misfits(node, types)]


def operands(operator: Operator, value: Any) -> Any:
    if operator is Operator.BETWEEN:
        return (value, value)
    return (value,) if operator in (Operator.IN, Operator.NOTIN) else value


@pytest.mark.parametrize("kind", TagType, ids=lambda kind: kind.name)
@pytest.mark.parametrize("operator", Operator)
def test_each_type_takes_its_operators_and_refuses_the_others(kind: TagType, operator: Operator) -> None:
    is_documented = operator in DOCUMENTED[kind].split()
    assert (operator in OPERATORS[kind]) is is_documented
    for value in GOOD[kind]:
        if isinstance(value, bool) and operator in (Operator.GTE, Operator.LTE, Operator.BETWEEN):
            continue
        for node in (
            TagSet(kind.name, operator, operands(operator, value)),
            AppTagSet("AAAAA-00001", kind.name, operator, operands(operator, value)),
        ):
            assert bool(told(node)) is not is_documented, value


@pytest.mark.parametrize("kind", BAD, ids=lambda kind: kind.name)
def test_each_type_refuses_operands_of_another_kind(kind: TagType) -> None:
    operator = Operator.IN if kind is TagType.LIST else Operator.EQ
    for value in BAD[kind]:
        [text] = told(TagSet(kind.name, operator, operands(operator, value)))
        assert "compare it with" in text


@pytest.mark.parametrize("kind", TagType, ids=lambda kind: kind.name)
def test_one_wrong_value_in_a_list_is_enough(kind: TagType) -> None:
    operator = Operator.IN if Operator.IN in OPERATORS[kind] else Operator.EQ
    value = (GOOD[kind][0], BAD[kind][0]) if operator is Operator.IN else BAD[kind][0]
    assert len(told(TagSet(kind.name, operator, value))) == 1


def test_the_problem_says_what_to_change() -> None:
    assert told(Tag("LIST").eq("a")) == [
        "The tag “LIST” is a list, which EQ cannot compare: use in_([…]) or not_in([…])."
    ]
    assert told(Tag("BOOLEAN").not_eq(True)) == [
        "The tag “BOOLEAN” is true or false, which NOTEQ cannot compare: use eq(True) or eq(False)."
    ]
    assert "compare it with a date" in told(Tag("DATE").gte("soon"))[0]
    assert "…” is a list" in told(Tag("x" * 500).eq(1), {"x" * 500: TagType.LIST})[0]


@pytest.mark.parametrize("operator", Operator)
def test_days_ago_go_with_four_operators(operator: Operator) -> None:
    texts = told(TagSet("DATE", operator, operands(operator, "1 day ago")))
    if operator in ("EQ", "BETWEEN", "GTE", "LTE", "NOTSET", "ANY"):
        assert texts == []
    else:
        assert texts == [f"The tag “DATE”: “N days ago” goes with EQ, BETWEEN, GTE, LTE, not with {operator}."]
    assert told(TagSet("STRING", operator, operands(operator, "7 days ago"))) == told(
        TagSet("STRING", operator, operands(operator, "text"))
    )


def test_pushwooshs_own_tags_are_known_and_strangers_are_not_judged() -> None:
    assert told(Tag("Last Application Open").gte("90 days ago"), {}) == []
    assert told(Tag("Last Application Open").gte("long ago"), {})
    assert told(AppTag("AAAAA-00001", "Language").gte("en"), {})
    assert told(Tag("Whatever").gte("long ago"), {}) == []


def test_a_declaration_wins_over_what_is_known_of_pushwooshs_own() -> None:
    assert told(Tag("City").in_(["Oslo"]), {"City": TagType.LIST}) == []
    assert told(Tag("City").eq("Oslo"), {"City": TagType.LIST})


def test_every_condition_of_the_documents_fits_the_tags_that_pushwoosh_keeps() -> None:
    for text in (
        'T("Country", EQ, "BR") * T("Language", EQ, "pt")',
        'AT("00000-00000", "Application Version", IN, ["1.0.0", "1.0.5"])',
        'AT("7777D-322A7", "Last Application Open", BETWEEN, ["2022-02-28", "2022-03-02"])',
        'AT("7777D-322A7", "Last Application Open", GTE, "90 days ago")',
        'T("In-app Purchase", NOTEQ, 0)',
    ):
        assert told(parse(text), {}) == []


def test_every_part_of_an_expression_is_looked_at() -> None:
    whole = Application("AAAAA-00001") & (Tag("LIST").eq("a") | (Tag("STRING").eq("b") - Tag("BOOLEAN").eq("maybe")))
    assert len(told(whole)) == 2


def test_endless_problems_end_and_depth_is_no_matter() -> None:
    assert len(told(parse(" + ".join(['T("LIST", EQ, "a")'] * 20_000)))) == 100
    assert len(told(parse("(" * 20_000 + 'T("LIST", EQ, "a")' + ")" * 20_000))) == 1


OSLO = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (date(2027, 5, 17), '"2027-05-17 00:00"'),
        (datetime(2027, 5, 17, 9, 30, tzinfo=UTC), '"2027-05-17 09:30"'),
        (datetime(2027, 5, 17, 1, 30, 59, tzinfo=OSLO), '"2027-05-16 23:30"'),
        ("2027-05-17", '"2027-05-17"'),
        ("2027-05-17 09:00", '"2027-05-17 09:00"'),
        ("90 days ago", '"90 days ago"'),
        (1398407400, "1398407400"),
    ],
    ids=str,
)
def test_every_form_of_a_date_is_written_as_the_documents_do(value: Any, written: str) -> None:
    due = Tag("Last Application Open")
    forms: dict[Expression, str] = {
        due.gte(value): f"GTE, {written}",
        due.lte(value): f"LTE, {written}",
        due.eq(value): f"EQ, {written}",
        due.between(value, value): f"BETWEEN, [{written}, {written}]",
    }
    if value != "90 days ago":
        forms[due.in_([value])] = f"IN, [{written}]"
        forms[due.not_eq(value)] = f"NOTEQ, {written}"
    for made, rest in forms.items():
        assert str(made) == f'T("Last Application Open", {rest})'
        assert parse(str(made)) == made
        assert told(made, {}) == []


def test_a_time_without_a_zone_could_mean_any() -> None:
    naive = datetime(2027, 5, 17, 9)
    for ask in (Tag("Due").eq, Tag("Due").gte, AppTag("AAAAA-00001", "Due").lte):
        with pytest.raises(InvalidFilter, match="time zone"):
            ask(naive)
    with pytest.raises(InvalidFilter, match="time zone"):
        Tag("Due").between(naive, naive + timedelta(days=1))
    with pytest.raises(InvalidFilter, match="time zone"):
        Tag("Due").in_([naive])


ANY_OPERAND = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30),
    st.from_regex(r"[0-9. -]{1,20}( days? ago)?", fullmatch=True),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)


@steadily
@given(st.sampled_from(TagType), st.sampled_from(["EQ", "NOTEQ", "IN", "NOTIN"]), ANY_OPERAND)
def test_whatever_is_compared_there_is_one_answer_at_most(kind: TagType, operator: str, value: Any) -> None:
    node = TagSet(kind.name, Operator(operator), operands(Operator(operator), value))
    assert len(told(node)) <= 1
    assert told(parse(str(node))) == told(node)
