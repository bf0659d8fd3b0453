"""Reading filter expressions: text becomes sets, and a mistake is told with its place.

Nothing recurses and nothing is read twice, so the work grows with the text's length and no faster.
Source: seed 001, "devices_filter" (createTargetedMessage).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from django_pushwoosh.protocol.errors import InvalidFilter
from django_pushwoosh.protocol.filter_operands import WITHOUT_OPERAND, Operand, Operator, checked, clean_operator
from django_pushwoosh.protocol.filters import (
    ApplicationSet,
    AppTagSet,
    Difference,
    Expression,
    GroupSet,
    Intersection,
    TagSet,
    Union,
)
from django_pushwoosh.protocol.tags import Scalar, wire_scalar

_T = TypeVar("_T")
_LONGEST_NUMBER = 400  # the smallest float, written without an exponent, has some 350 characters

_OPERATIONS: dict[str, type[Union] | type[Intersection] | type[Difference]] = {
    "+": Union,
    "*": Intersection,
    "\\": Difference,
}
_PRIORITIES = {"(": 0, "+": 1, "*": 1, "\\": 2}

_BLANK = re.compile(r"\s*+")
_WORD = re.compile(r"[A-Za-z]++")
_NUMBER = re.compile(r"[+-]?[0-9]++(\.[0-9]++)?([eE][+-]?[0-9]++)?")
# Text in straight quotes may hold curly ones; text that began with a curly quote ends with any quote.
_STRAIGHT = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_CURLY = re.compile(r'[“”]([^"“”\\]*+(?:\\.[^"“”\\]*+)*+)["“”]', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class Parser:
    """Reads one text; every step moves forward, so the work grows with the text's length and no faster."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def parse(self) -> Expression:
        operands: list[Expression] = []
        pending: list[str] = []  # operators and opening parentheses that wait for their right side
        openings = 0
        while True:
            while self.take("("):
                pending.append("(")
                openings += 1
            operands.append(self.set())
            while openings and self.take(")"):
                while pending[-1] != "(":
                    self.join(operands, pending.pop())
                pending.pop()
                openings -= 1
            if self.is_at_end() and not openings:
                break
            operator = self.operator(is_open=openings > 0)
            while pending and _PRIORITIES[pending[-1]] >= _PRIORITIES[operator]:
                self.join(operands, pending.pop())
            pending.append(operator)
        while pending:
            self.join(operands, pending.pop())
        return operands[0]

    def join(self, operands: list[Expression], operator: str) -> None:
        right, left = operands.pop(), operands.pop()
        operands.append(self.made(self.position, lambda: _OPERATIONS[operator](left, right)))

    def operator(self, *, is_open: bool) -> str:
        here = self.peek()
        if here in _OPERATIONS and not self.is_escaped_quote():
            self.position += 1
            return here
        if here == ")" and not is_open:
            raise self.mistake('Unexpected ")": no "(" is open')
        raise self.expected('")"' if is_open else '"+", "*", "\\" or the end')

    def set(self) -> Expression:
        self.skip()
        start = self.position
        word = self.word("A set, A(…), G(…), T(…) or AT(…),").upper()
        if word not in ("A", "G", "T", "AT"):
            self.position = start
            raise self.expected("A set, A(…), G(…), T(…) or AT(…),")
        self.expect("(")
        first = self.string()
        if word in ("A", "G"):
            platforms = self.platforms() if self.take(",") else ()
            self.expect(")")
            kind = ApplicationSet if word == "A" else GroupSet
            return self.made(start, lambda: kind(first, platforms))
        self.expect(",")
        name = first
        if word == "AT":
            name = self.string()
            self.expect(",")
        operator = self.comparison()
        operand: Operand = ""
        if self.take(","):
            operand = self.operand()
        elif operator not in WITHOUT_OPERAND:
            raise self.expected('"," and an operand')
        self.expect(")")
        if word == "AT":
            return self.made(start, lambda: AppTagSet(first, name, operator, operand))
        return self.made(start, lambda: TagSet(name, operator, operand))

    def comparison(self) -> Operator:
        self.skip()
        start = self.position
        word = self.word("An operator, such as EQ or IN,")
        return self.made(start, lambda: clean_operator(word))

    def operand(self) -> Operand:
        return self.listed(self.scalar) if self.take("[") else self.scalar()

    def platforms(self) -> tuple[str, ...]:
        self.expect("[")
        return self.listed(self.string)

    def listed(self, item: Callable[[], _T]) -> tuple[_T, ...]:
        items = [item()]
        while self.take(","):
            items.append(item())
        self.expect("]")
        return tuple(items)

    def scalar(self) -> Scalar:
        here = self.peek()
        if here in ('"', "“", "”"):
            return self.string()
        if match := _NUMBER.match(self.text, self.position):
            return self.number(match)
        word = _WORD.match(self.text, self.position)
        if word and word[0].lower() in ("true", "false"):
            self.position = word.end()
            return word[0].lower() == "true"
        raise self.expected("A value (text in quotes, a number, true or false)")

    def number(self, match: re.Match[str]) -> int | float:
        if len(match[0]) > _LONGEST_NUMBER:
            raise self.mistake("The number has too many digits")
        number = float(match[0]) if match[1] or match[2] else int(match[0])
        self.made(self.position, lambda: checked(wire_scalar, number))
        self.position = match.end()
        return number

    def string(self) -> str:
        here = self.peek()
        if here not in ('"', "“", "”"):
            raise self.expected("Text in quotes")
        match = (_STRAIGHT if here == '"' else _CURLY).match(self.text, self.position)
        if match is None:
            raise self.mistake("The text that begins here has no closing quote")
        inside = match[1]
        if "\\" in inside:
            inside = _ESCAPE.sub(lambda escape: self.unescaped(escape, match.start(1)), inside)
        self.position = match.end()
        return inside

    def unescaped(self, escape: re.Match[str], offset: int) -> str:
        if escape[1] not in '"\\“”':
            self.position = offset + escape.start()
            raise self.mistake('In text a backslash stands before " or another backslash only: double it')
        return escape[1]

    def word(self, what: str) -> str:
        self.skip()
        match = _WORD.match(self.text, self.position)
        if match is None:
            raise self.expected(what)
        self.position = match.end()
        return match[0]

    def skip(self) -> None:
        blank = _BLANK.match(self.text, self.position)
        if blank:
            self.position = blank.end()

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        self.skip()
        return self.text[self.position : self.position + 1]

    def is_at_end(self) -> bool:
        return self.peek() == ""

    def is_escaped_quote(self) -> bool:
        return self.text.startswith('\\"', self.position)

    def take(self, symbol: str) -> bool:
        if self.peek() != symbol:
            return False
        self.position += 1
        return True

    def expect(self, symbol: str) -> None:
        if not self.take(symbol):
            raise self.expected(f'"{symbol}"')

    def made(self, start: int, make: Callable[[], _T]) -> _T:
        """`make()`, its refusal completed with where the text gave rise to it."""
        try:
            return make()
        except InvalidFilter as error:
            raise InvalidFilter(*error.problems, source=self.text, position=start) from None

    def expected(self, what: str) -> InvalidFilter:
        self.skip()
        if self.is_escaped_quote():
            return self.mistake('The quotes are still escaped for JSON: write " instead of \\"')
        rest = self.text[self.position : self.position + 1]
        if not rest:
            return self.mistake(f"{what} expected, but the text ends")
        word = _WORD.match(self.text, self.position, self.position + 20)
        found = word[0] if word else rest
        return self.mistake(f"{what} expected, found {found if found.isprintable() else ascii(found)}")

    def mistake(self, text: str) -> InvalidFilter:
        where = f"at character {self.position + 1}"
        return InvalidFilter(f"{text} ({where}).", source=self.text, position=self.position)
