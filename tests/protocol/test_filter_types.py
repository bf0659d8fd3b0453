"""What may be asked of a tag of each type."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from django_pushwoosh.protocol.filter_types import OPERATORS, misfits
from django_pushwoosh.protocol.filters import Application, AppTag, Operator, Tag, TagSet, parse
from django_pushwoosh.protocol.tags import DEFAULT_TAGS, TagType

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
    TagType.INTEGER: ["many", 1.5, True, "1.5"],
    TagType.DATE: ["soon", "2027-02-30", "17.05.2027", 1.5, True],
    TagType.BOOLEAN: ["yes", 2, "2"],
    TagType.PRICE: ["much", False],
    TagType.VERSION: ["10000.1", "1.2.3.4.5", "beta", True],
}


def told(node: Any, types: Any = TYPES) -> list[str]:
    return [problem.text for problem in misfits(node, types)]


def operands(operator: Operator, value: Any) -> Any:
    if operator is Operator.BETWEEN:
        return (value, value)
    return (value,) if operator in (Operator.IN, Operator.NOTIN) else value


@pytest.mark.parametrize("kind", TagType, ids=lambda kind: kind.name)
def test_each_type_takes_its_operators_and_refuses_the_others(kind: TagType) -> None:
    for operator in Operator:
        for value in GOOD[kind]:
            if isinstance(value, bool) and operator in (Operator.GTE, Operator.LTE, Operator.BETWEEN):
                continue
            node = TagSet(kind.name, operator, operands(operator, value))
            assert bool(told(node)) is (operator not in OPERATORS[kind]), (operator, value)


@pytest.mark.parametrize("kind", BAD, ids=lambda kind: kind.name)
def test_each_type_refuses_operands_of_another_kind(kind: TagType) -> None:
    for value in BAD[kind]:
        assert told(TagSet(kind.name, Operator.EQ, value)), value


def test_the_problem_says_what_to_change() -> None:
    assert told(Tag("LIST").eq("a")) == [
        "The tag “LIST” is a list, which EQ cannot compare: use in_([…]) or not_in([…])."
    ]
    assert "compare it with a date" in told(Tag("DATE").gte("soon"))[0]
    assert told(Tag("DATE").in_(["7 days ago"])) == ["“N days ago” goes with EQ, BETWEEN, GTE, LTE, not with IN."]
    assert told(Tag("DATE").between("90 days ago", "7 days ago")) == []


def test_pushwooshs_own_tags_are_known_and_strangers_are_not_judged() -> None:
    assert told(Tag("Last Application Open").gte("90 days ago"), {}) == []
    assert told(Tag("Last Application Open").gte("long ago"), {})
    assert told(AppTag("AAAAA-00001", "Language").gte("en"), {})
    assert told(Tag("Whatever").gte("long ago"), {}) == []
    assert set(DEFAULT_TAGS.values()) == {TagType.STRING, TagType.VERSION, TagType.DATE}


def test_every_part_of_an_expression_is_looked_at() -> None:
    whole = Application("AAAAA-00001") & (Tag("LIST").eq("a") | (Tag("STRING").eq("b") - Tag("BOOLEAN").eq("maybe")))
    assert len(told(whole)) == 2
    assert len(told(parse(" + ".join(['T("LIST", EQ, "a")'] * 2000)))) == 2000


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (date(2027, 5, 17), '"2027-05-17 00:00"'),
        (datetime(2027, 5, 17, 9, 30, tzinfo=UTC), '"2027-05-17 09:30"'),
        ("2027-05-17", '"2027-05-17"'),
        ("7 days ago", '"7 days ago"'),
        (1398407400, "1398407400"),
    ],
    ids=str,
)
def test_every_form_of_a_date_is_written_as_the_documents_do(value: Any, written: str) -> None:
    assert str(Tag("Due").gte(value)) == f'T("Due", GTE, {written})'
