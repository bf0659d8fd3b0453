"""What may be asked of a tag of each type: operators and operands. Source: seed 001, "Tags types and operators".

The seeds have two tables, one for conditions and one for filter expressions; what either of them allows passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from django_pushwoosh.protocol.errors import Problem
from django_pushwoosh.protocol.filters import WITHOUT_OPERAND, AppTagSet, Expression, Operator, TagSet, walk
from django_pushwoosh.protocol.tags import DATE_FORM, DEFAULT_TAGS, Scalar, TagType

_EQUAL = (Operator.EQ, Operator.NOTEQ, Operator.IN, Operator.NOTIN)
_ORDERED = (*_EQUAL, Operator.GTE, Operator.LTE, Operator.BETWEEN)

OPERATORS: Mapping[TagType, tuple[Operator, ...]] = {
    TagType.INTEGER: (*_ORDERED, Operator.NOTSET, Operator.ANY),
    TagType.STRING: (*_EQUAL, Operator.NOTSET, Operator.ANY),
    TagType.LIST: (Operator.IN, Operator.NOTIN, Operator.NOTSET, Operator.ANY),
    TagType.DATE: (*_ORDERED, Operator.NOTSET, Operator.ANY),
    TagType.BOOLEAN: (Operator.EQ, Operator.NOTSET, Operator.ANY),
    TagType.PRICE: (*_ORDERED, Operator.NOTSET, Operator.ANY),
    TagType.VERSION: (*_ORDERED, Operator.NOTSET, Operator.ANY),
}
"""By type, the operators that compare its values."""

_AGO_OPERATORS = (Operator.EQ, Operator.BETWEEN, Operator.GTE, Operator.LTE)
_DAYS_AGO = re.compile(r"[0-9]{1,9} days? ago", re.IGNORECASE)
_VERSION = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,3}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")

_NAMES = {
    TagType.INTEGER: "a whole number",
    TagType.STRING: "text",
    TagType.LIST: "a list",
    TagType.DATE: "a date",
    TagType.BOOLEAN: "true or false",
    TagType.PRICE: "a number",
    TagType.VERSION: "a version",
}
_INSTEAD = {
    TagType.LIST: "use in_([…]) or not_in([…])",
    TagType.BOOLEAN: "use eq(True) or eq(False)",
    TagType.STRING: "use eq, not_eq, in_ or not_in",
}


def misfits(expression: Expression, types: Mapping[str, TagType]) -> list[Problem]:
    """What an expression asks of tags that their types cannot answer.

    `types` are those of the application's tags; Pushwoosh's own (`DEFAULT_TAGS`) are known. Of a tag that is in
    neither, anything may be asked.
    """
    known = {**DEFAULT_TAGS, **types}
    return [
        problem
        for node in walk(expression)
        if isinstance(node, TagSet | AppTagSet) and node.name in known
        for problem in _misfits(node, known[node.name])
    ]


def _misfits(node: TagSet | AppTagSet, kind: TagType) -> Iterator[Problem]:
    shown = node.name if len(node.name) <= 60 else f"{node.name[:60]}…"
    if node.operator not in OPERATORS[kind]:
        instead = _INSTEAD.get(kind, f"use one of {', '.join(OPERATORS[kind])}")
        yield Problem("", f"The tag “{shown}” is {_NAMES[kind]}, which {node.operator} cannot compare: {instead}.")
        return
    if node.operator in WITHOUT_OPERAND:
        return
    for operand in node.operand if isinstance(node.operand, tuple) else (node.operand,):
        if not _FITS[kind](operand):
            yield Problem("", f"The tag “{shown}” is {_NAMES[kind]}: compare it with {_WANTED[kind]}.")
            return
        if kind is TagType.DATE and _is_days_ago(operand) and node.operator not in _AGO_OPERATORS:
            yield Problem("", f"“N days ago” goes with {', '.join(_AGO_OPERATORS)}, not with {node.operator}.")
            return


def _is_days_ago(operand: Scalar) -> bool:
    return isinstance(operand, str) and _DAYS_AGO.fullmatch(operand) is not None


def _is_number(operand: Scalar) -> bool:
    if isinstance(operand, str):
        return _NUMBER.fullmatch(operand) is not None
    return not isinstance(operand, bool)


def _is_whole(operand: Scalar) -> bool:
    if isinstance(operand, str):
        return _NUMBER.fullmatch(operand) is not None and "." not in operand
    return isinstance(operand, int) and not isinstance(operand, bool)


def _is_date(operand: Scalar) -> bool:
    """A date string, unix time or "N days ago"."""
    if not isinstance(operand, str):
        return isinstance(operand, int) and not isinstance(operand, bool)
    if _DAYS_AGO.fullmatch(operand):
        return True
    try:
        return DATE_FORM.fullmatch(operand) is not None and bool(datetime.fromisoformat(operand))
    except ValueError:
        return False


def _is_truth(operand: Scalar) -> bool:
    if isinstance(operand, str):
        return operand.lower() in ("true", "false", "0", "1")
    return operand in (0, 1)


def _is_version(operand: Scalar) -> bool:
    return _VERSION.fullmatch(str(operand)) is not None and not isinstance(operand, bool)


_FITS: Mapping[TagType, Callable[[Scalar], bool]] = {
    TagType.INTEGER: _is_whole,
    # Numbers are turned into text for text tags, and lists hold text.
    TagType.STRING: lambda operand: True,
    TagType.LIST: lambda operand: True,
    TagType.DATE: _is_date,
    TagType.BOOLEAN: _is_truth,
    TagType.PRICE: _is_number,
    TagType.VERSION: _is_version,
}
_WANTED = {
    TagType.INTEGER: "a whole number",
    TagType.DATE: 'a date ("2027-05-17", "2027-05-17 09:00"), a unix time or "7 days ago"',
    TagType.BOOLEAN: "true or false",
    TagType.PRICE: "a number",
    TagType.VERSION: 'up to four numbers of up to four digits, such as "1.2.3"',
}
