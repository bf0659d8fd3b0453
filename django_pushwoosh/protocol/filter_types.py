"""What may be asked of a tag of each type: operators and operands.

Pushwoosh has two tables, one for conditions and one for filter expressions; what either of them allows passes. Prices
and versions are in neither: prices are compared as integers are, versions likewise, in the form of its tags page.
Source: seed 001, "Tag conditions" (createMessage) and "Tags types and operators" (createTargetedMessage).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from django_pushwoosh.protocol.errors import Problem
from django_pushwoosh.protocol.filters import WITHOUT_OPERAND, AppTagSet, Expression, Operator, TagSet, walk
from django_pushwoosh.protocol.tags import (
    DATE_FORM,
    DEFAULT_TAGS,
    LARGEST_INTEGER,
    SMALLEST_INTEGER,
    Scalar,
    TagType,
)

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
"""By type, the operators that may be asked of its values."""

_MOST_PROBLEMS = 100
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
    """What an expression asks of tags that their types cannot answer (the first hundred); what to change instead.

    `types` are those of the application's tags; Pushwoosh's own (`DEFAULT_TAGS`) are known, unless `types` says
    otherwise. Of a tag that is in neither, anything may be asked. A tag of one application counts like any other, for
    applications of an account share their tags.
    """
    problems: list[Problem] = []
    for node in walk(expression):
        if not isinstance(node, TagSet | AppTagSet):
            continue
        kind = types.get(node.name, DEFAULT_TAGS.get(node.name))
        text = None if kind is None else _misfit(node, kind)
        if text is not None:
            problems.append(Problem("", text))
            if len(problems) == _MOST_PROBLEMS:
                break
    return problems


def _misfit(node: TagSet | AppTagSet, kind: TagType) -> str | None:
    shown = node.name if len(node.name) <= 60 else f"{node.name[:60]}…"
    if node.operator not in OPERATORS[kind]:
        instead = _INSTEAD.get(kind, f"use one of {', '.join(OPERATORS[kind])}")
        return f"The tag “{shown}” is {_NAMES[kind]}, which {node.operator} cannot compare: {instead}."
    if node.operator in WITHOUT_OPERAND:
        return None
    operands = node.operand if isinstance(node.operand, tuple) else (node.operand,)
    if not all(map(_FITS[kind], operands)):
        return f"The tag “{shown}” is {_NAMES[kind]}: compare it with {_WANTED[kind]}."
    if kind is TagType.DATE and node.operator not in _AGO_OPERATORS and any(map(_is_days_ago, operands)):
        return f"The tag “{shown}”: “N days ago” goes with {', '.join(_AGO_OPERATORS)}, not with {node.operator}."
    return None


def _is_days_ago(operand: Scalar) -> bool:
    return isinstance(operand, str) and _DAYS_AGO.fullmatch(operand) is not None


def _is_number(operand: Scalar) -> bool:
    if isinstance(operand, str):
        return _NUMBER.fullmatch(operand) is not None
    return not isinstance(operand, bool)


def _is_whole(operand: Scalar) -> bool:
    if isinstance(operand, str):
        is_written = _NUMBER.fullmatch(operand) is not None and "." not in operand
        return is_written and SMALLEST_INTEGER <= int(operand) <= LARGEST_INTEGER
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
        return operand.lower() in ("true", "false")
    return isinstance(operand, int) and operand in (0, 1)


def _is_text(operand: Scalar) -> bool:
    """Text, or a number: for text tags numbers are turned into text, and lists hold text."""
    return not isinstance(operand, bool)


def _is_version(operand: Scalar) -> bool:
    return _VERSION.fullmatch(str(operand)) is not None and not isinstance(operand, bool)


_FITS: Mapping[TagType, Callable[[Scalar], bool]] = {
    TagType.INTEGER: _is_whole,
    TagType.STRING: _is_text,
    TagType.LIST: _is_text,
    TagType.DATE: _is_date,
    TagType.BOOLEAN: _is_truth,
    TagType.PRICE: _is_number,
    TagType.VERSION: _is_version,
}
_WANTED = {
    TagType.INTEGER: "a whole number",
    TagType.STRING: "text",
    TagType.LIST: "texts",
    TagType.DATE: 'a date ("2027-05-17", "2027-05-17 09:00"), a unix time or "7 days ago"',
    TagType.BOOLEAN: "true or false",
    TagType.PRICE: "a number",
    TagType.VERSION: 'up to four numbers of up to four digits, such as "1.2.3"',
}
