"""The page about targeting says what is true: its examples run, and its tables are those of the code."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_pushwoosh.models import Device, OutboxEntry
from django_pushwoosh.protocol.filter_types import OPERATORS
from django_pushwoosh.protocol.filters import Operator, parse
from django_pushwoosh.protocol.tags import DEFAULT_TAGS, TagType

PAGE = (Path(__file__).parent.parent / "docs" / "targeting.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of the first table under a heading, without its head."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    for line in re.findall(r"^\|(.*)\|$", section, re.MULTILINE)[2:]:
        yield [cell.strip() for cell in line.split("|")]


def test_the_sessions_end_as_they_are_printed() -> None:
    session = doctest.DocTestParser().get_doctest("\n".join(blocks("pycon")), {}, "targeting.md", "targeting.md", 0)
    assert len(session.examples) > 15
    told: list[str] = []
    runner = doctest.DocTestRunner()
    assert runner.run(session, out=told.append).failed == 0, "".join(told)


def test_each_line_of_filter_text_is_a_whole_filter() -> None:
    [text] = blocks("text")
    for line in text.splitlines():
        assert parse(str(parse(line))) == parse(line)


@pytest.mark.django_db
def test_the_code_does_what_its_comments_say(capsys: Any) -> None:
    Device.objects.create(
        application="TEST0-00001", hwid="H1", platform=1, push_token="T1", tags={"Last Application Open": "2020-01-01"}
    )
    OutboxEntry.objects.all().delete()
    names: dict[str, Any] = {}
    for code in blocks("python"):
        exec(compile(code, "targeting.md", "exec"), names)
    sent = [entry.method for entry in OutboxEntry.objects.order_by("pk")]
    assert sent == ["createMessage", "createTargetedMessage", "createTargetedMessage", "createTargetedMessage"]
    printed = re.search(r"print\(error\)  # (.*)", PAGE)
    assert printed is not None
    assert capsys.readouterr().out == f"{printed[1]}\n"
    # Nobody ever told the mirror of its plan.
    assert (names["matching"], names["unknown"]) == (0, 1)


def test_the_table_of_types_is_the_one_of_the_code() -> None:
    head = re.search(r"^\| type \|(.*)\| compared with \|$", PAGE, re.MULTILINE)
    assert head is not None
    operators = [Operator(cell.strip()) for cell in head[1].split("|")]
    assert set(operators) == set(Operator)
    told = {
        TagType[kind.upper()]: {operator for operator, mark in zip(operators, marks, strict=False) if mark}
        for kind, *marks in rows("What may be asked of a tag")
    }
    assert told == {kind: set(allowed) for kind, allowed in OPERATORS.items()}


def test_the_tags_that_pushwoosh_keeps_are_all_named_with_their_types() -> None:
    told = {
        name: TagType[kind.split(",")[0].upper()]
        for names, kind in rows("Tags that Pushwoosh keeps")
        for name in re.findall(r"`(.+?)`", names)
    }
    assert told == DEFAULT_TAGS
