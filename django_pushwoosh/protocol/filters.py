r"""Conditions and filter expressions: build them, parse them, print them.

A filter expression names a set of devices. It is made of sets joined by operations::

    A("XXXXX-XXXXX", ["iOS"])                      subscribers of an application (G: of an application group)
    T("Age", BETWEEN, [17, 20])                    devices whose tag fulfils a condition
    AT("XXXXX-XXXXX", "Level", GTE, 5)             the same for a tag of one application
    a + b        a * b        a \ b                union, intersection, difference

and in Python::

    Application("XXXXX-XXXXX") & (Tag("Age").between(17, 20) | Tag("City").in_(["Oslo"])) - Tag("Muted").eq(True)

`+` and `*` have the same priority, `\` binds tighter, all associate to the left; what is printed here has every
operation in parentheses, so that priorities never matter. Lower-case keywords, free white space and curly quotes
around text are understood as well. `parse(str(expression)) == expression` for every expression.

Expressions may be nested as deeply as their length allows: nothing here recurses, neither parsing and printing nor
comparing, hashing, copying and pickling.

A condition, `[tag, operator, operand]`, is one such tag set as createMessage takes it in `conditions`.
Source: seed 001, "Tag conditions" (createMessage) and "devices_filter" (createTargetedMessage).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeAlias, TypeVar

from django_pushwoosh.protocol.errors import Invalid, InvalidFilter, Problem
from django_pushwoosh.protocol.platforms import PLATFORMS, Platform
from django_pushwoosh.protocol.tags import DATE_FORM, Scalar, Value, clean_name, wire_scalar, wire_text

LONGEST_TEXT = 1_000_000
"""Characters of a filter expression, as read and as printed. Theirs is unknown; this one keeps work bounded."""

_MOST_PROBLEMS = 100
_LONGEST_NUMBER = 400  # the smallest float, written without an exponent, has some 350 characters

Operand: TypeAlias = Scalar | tuple[Scalar, ...]
_T = TypeVar("_T")

_CODE = re.compile(r"[0-9A-Za-z]{5}-[0-9A-Za-z]{5}")
_DAYS_AGO = re.compile(r"([0-9]{1,9}) days? ago", re.IGNORECASE)
_VERSION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){1,3}")

_PLATFORM_NAMES = {
    name.lower(): name for name in (*(platform.filter_name for platform in PLATFORMS), "Blackberry", "Windows_Phone")
}


class Operator(StrEnum):
    """How a tag's value is compared with the operand."""

    EQ = "EQ"
    NOTEQ = "NOTEQ"
    IN = "IN"
    NOTIN = "NOTIN"
    GTE = "GTE"
    LTE = "LTE"
    BETWEEN = "BETWEEN"
    NOTSET = "NOTSET"
    ANY = "ANY"


WITHOUT_OPERAND = frozenset({Operator.NOTSET, Operator.ANY})
"""Operators whose operand is not considered; it is sent as empty text."""

_LISTED = frozenset({Operator.IN, Operator.NOTIN})
_ORDERED = frozenset({Operator.GTE, Operator.LTE, Operator.BETWEEN})


class Expression:
    r"""A set of devices. `a | b` is the union, `a & b` the intersection, `a - b` the difference (`\` in text).

    Immutable. Two expressions are equal when they print the same, so 1, 1.0 and true are three operands.
    An expression that would print longer than `LONGEST_TEXT` cannot be made: InvalidFilter.
    """

    __slots__ = ("_length",)
    _length: int

    def __or__(self, other: Expression) -> Union:
        return Union(self, other) if isinstance(other, Expression) else NotImplemented

    def __and__(self, other: Expression) -> Intersection:
        return Intersection(self, other) if isinstance(other, Expression) else NotImplemented

    def __sub__(self, other: Expression) -> Difference:
        return Difference(self, other) if isinstance(other, Expression) else NotImplemented

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Expression):
            return NotImplemented
        return self is other or (self._length == other._length and format(self) == format(other))

    def __hash__(self) -> int:
        return hash(format(self))

    def __str__(self) -> str:
        return format(self)

    def __repr__(self) -> str:
        text = format(self)
        return f"<{type(self).__name__} {text if len(text) <= 500 else text[:500] + '…'}>"

    def __reduce__(self) -> tuple[Callable[[str], Expression], tuple[str]]:
        # Pickling and deep-copying member by member would recurse.
        return parse, (format(self),)

    def _measure(self, length: int) -> None:
        if length > LONGEST_TEXT:
            raise InvalidFilter(f"The filter expression is longer than {LONGEST_TEXT:,} characters: make it shorter.")
        object.__setattr__(self, "_length", length)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TagSet(Expression):
    """`T("name", OPERATOR, operand)`: devices whose tag `name` fulfils the condition.

    Lists become tuples; the operand of NOTSET and ANY becomes "". InvalidFilter if operator and operand disagree.
    """

    name: str
    operator: Operator
    operand: Operand

    def __post_init__(self) -> None:
        _clean_comparison(self)
        self._measure(len(_printed(self)))

    def condition(self) -> list[Any]:
        """`[name, operator, operand]`, an element of createMessage's `conditions`."""
        operand = list(self.operand) if isinstance(self.operand, tuple) else self.operand
        return [self.name, self.operator.value, operand]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AppTagSet(Expression):
    """`AT("application", "name", OPERATOR, operand)`: like TagSet, for a tag of the application with that code."""

    application: str
    name: str
    operator: Operator
    operand: Operand

    def __post_init__(self) -> None:
        object.__setattr__(self, "application", _clean_code(self.application, "application"))
        _clean_comparison(self)
        self._measure(len(_printed(self)))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ApplicationSet(Expression):
    """`A("code", ["iOS", …])`: subscribers of an application; no platforms means all of them.

    The platforms that Pushwoosh documents get its spelling; others are kept as they are, for it may add some.
    """

    code: str
    platforms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", _clean_code(self.code, "application"))
        object.__setattr__(self, "platforms", _clean_platforms(self.platforms))
        self._measure(len(_printed(self)))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GroupSet(Expression):
    """`G("code", ["iOS", …])`: subscribers of any application of the group; platforms as in ApplicationSet."""

    code: str
    platforms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", _clean_code(self.code, "application group"))
        object.__setattr__(self, "platforms", _clean_platforms(self.platforms))
        self._measure(len(_printed(self)))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Union(Expression):
    """`(left + right)`: devices in either."""

    left: Expression
    right: Expression

    def __post_init__(self) -> None:
        _join(self)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Intersection(Expression):
    """`(left * right)`: devices in both."""

    left: Expression
    right: Expression

    def __post_init__(self) -> None:
        _join(self)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Difference(Expression):
    r"""`(left \ right)`: devices in `left` that are not in `right`."""

    left: Expression
    right: Expression

    def __post_init__(self) -> None:
        _join(self)


_Set = TypeVar("_Set", TagSet, AppTagSet)


class _Comparisons(Generic[_Set]):
    """What can be asked of a tag's value.

    Operands are text, numbers, booleans, dates and aware datetimes; for date tags also "7 days ago". Each method
    raises InvalidFilter for what Pushwoosh could not compare.
    """

    __slots__ = ()

    def eq(self, value: Value) -> _Set:
        """The tag equals `value`."""
        return self._compared(Operator.EQ, value)

    def not_eq(self, value: Value) -> _Set:
        """The tag does not equal `value`. Whether devices without the tag match is not documented."""
        return self._compared(Operator.NOTEQ, value)

    def in_(self, values: Iterable[Value]) -> _Set:
        """The tag, or an element of it where it is a list, is one of `values`."""
        return self._compared(Operator.IN, _listed(values))

    def not_in(self, values: Iterable[Value]) -> _Set:
        """The tag, or each element of it, is none of `values`. As to devices without the tag, see `not_eq`."""
        return self._compared(Operator.NOTIN, _listed(values))

    def gte(self, value: Value) -> _Set:
        """The tag is at least `value`."""
        return self._compared(Operator.GTE, value)

    def lte(self, value: Value) -> _Set:
        """The tag is at most `value`."""
        return self._compared(Operator.LTE, value)

    def between(self, minimum: Value, maximum: Value) -> _Set:
        """The tag is at least `minimum` and at most `maximum`."""
        return self._compared(Operator.BETWEEN, (minimum, maximum))

    def not_set(self) -> _Set:
        """The tag has no value."""
        return self._compared(Operator.NOTSET, "")

    def any(self) -> _Set:
        """The tag has a value, whichever."""
        return self._compared(Operator.ANY, "")

    def _compared(self, operator: Operator, operand: Any) -> _Set:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Tag(_Comparisons[TagSet]):
    """Begins a condition: `Tag("Age").between(17, 20)`."""

    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _checked(clean_name, self.name))

    def _compared(self, operator: Operator, operand: Any) -> TagSet:
        return TagSet(self.name, operator, operand)


@dataclass(frozen=True, slots=True)
class AppTag(_Comparisons[AppTagSet]):
    """Begins a condition on a tag of one application: `AppTag("XXXXX-XXXXX", "Level").gte(5)`."""

    application: str
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "application", _clean_code(self.application, "application"))
        object.__setattr__(self, "name", _checked(clean_name, self.name))

    def _compared(self, operator: Operator, operand: Any) -> AppTagSet:
        return AppTagSet(self.application, self.name, operator, operand)


def Application(code: str, platforms: Iterable[str | Platform] | None = None) -> ApplicationSet:
    """Subscribers of the application, on all platforms unless some are given; an empty list is refused."""
    return ApplicationSet(code, _some_platforms(platforms))


def Group(code: str, platforms: Iterable[str | Platform] | None = None) -> GroupSet:
    """Subscribers of any application of the group; platforms as in `Application`."""
    return GroupSet(code, _some_platforms(platforms))


def walk(expression: Expression) -> Iterator[Expression]:
    """Every node from left to right, each operation after its two operands (so a stack suffices to evaluate)."""
    pending: list[tuple[Expression, bool]] = [(expression, False)]
    while pending:
        node, is_entered = pending.pop()
        if isinstance(node, Union | Intersection | Difference) and not is_entered:
            pending += ((node, True), (node.right, False), (node.left, False))
        else:
            yield node


def format(expression: Expression) -> str:
    """The expression as text for `devices_filter`, every operation in parentheses."""
    pieces: list[str] = []
    pending: list[Expression | str] = [expression]
    while pending:
        node = pending.pop()
        if isinstance(node, str):
            pieces.append(node)
        elif isinstance(node, Union | Intersection | Difference):
            pending += (")", node.right, f" {_SYMBOLS[type(node)]} ", node.left, "(")
        else:
            pieces.append(_printed(node))
    return "".join(pieces)


def parse(text: str) -> Expression:
    """The expression that `text` spells; InvalidFilter, with the position of the mistake, if it spells none.

    Text over `LONGEST_TEXT` is refused, and so is text that would be longer than that once printed.
    """
    if not isinstance(text, str):
        raise InvalidFilter(f"A filter expression is text, not {type(text).__name__}.")
    if len(text) > LONGEST_TEXT:
        raise InvalidFilter(f"The filter expression is longer than {LONGEST_TEXT:,} characters: make it shorter.")
    return _Parser(text).parse()


def bound_to(expression: Expression, application_code: str) -> Intersection:
    """`A("code") * (expression)`, so that no branch of it reaches devices of other applications of the account."""
    return Intersection(ApplicationSet(application_code), expression)


def condition_list(expression: Expression) -> tuple[list[list[Any]], str]:
    """The expression as createMessage's `conditions` and `conditions_operator` ("AND" or "OR").

    Only tag sets joined by intersection alone, or by union alone, can be said so; otherwise InvalidFilter.
    """
    conditions: list[list[Any]] = []
    operations: set[type[Expression]] = set()
    for node in walk(expression):
        if isinstance(node, TagSet):
            conditions.append(node.condition())
        elif isinstance(node, Union | Intersection):
            operations.add(type(node))
        else:
            raise InvalidFilter(
                f"Conditions cannot express {_named(node)}: send this as a filter expression (createTargetedMessage)."
            )
    if len(operations) > 1:
        raise InvalidFilter(
            "Conditions are joined by AND alone or by OR alone, not by both: "
            "send this as a filter expression (createTargetedMessage)."
        )
    return conditions, "OR" if Union in operations else "AND"


def clean_conditions(value: object) -> list[TagSet]:
    """The conditions in `value`, an array of `[tag, operator, operand]`, as tag sets.

    The operand may be left out for NOTSET and ANY; tag sets are accepted among the arrays. InvalidFilter lists the
    problems (the first hundred) with paths such as `conditions[0][1]`. An empty array is refused, since a message
    without conditions goes to everyone.
    """
    if not isinstance(value, list | tuple):
        raise InvalidFilter(Problem("conditions", "Give an array of [tag, operator, operand]."))
    if not value:
        raise InvalidFilter(Problem("conditions", "Give at least one condition: without any, everyone is addressed."))
    cleaned: list[TagSet] = []
    problems: list[Problem] = []
    for index, condition in enumerate(value):
        if isinstance(condition, TagSet):
            cleaned.append(condition)
            continue
        found = _clean_condition(condition, f"conditions[{index}]", problems)
        if found is not None:
            cleaned.append(found)
        if len(problems) >= _MOST_PROBLEMS:
            break
    if problems:
        raise InvalidFilter(*problems)
    return cleaned


_SYMBOLS: dict[type[Expression], str] = {Union: "+", Intersection: "*", Difference: "\\"}
_OPERATIONS: dict[str, type[Union] | type[Intersection] | type[Difference]] = {
    "+": Union,
    "*": Intersection,
    "\\": Difference,
}
_PRIORITIES = {"(": 0, "+": 1, "*": 1, "\\": 2}


def _join(node: Union | Intersection | Difference) -> None:
    for side in (node.left, node.right):
        if not isinstance(side, Expression):
            raise InvalidFilter(f"{type(node).__name__} joins two expressions, not {type(side).__name__}.")
    node._measure(node.left._length + node.right._length + len("( + )"))


def _named(node: Expression) -> str:
    names: dict[type[Expression], str] = {
        ApplicationSet: "A(…), the subscribers of an application",
        GroupSet: "G(…), the subscribers of an application group",
        AppTagSet: "AT(…), a tag of one application",
        Difference: "a difference",
    }
    return names.get(type(node), type(node).__name__)


def _printed(node: Expression) -> str:
    match node:
        case TagSet(name, operator, operand):
            return f"T({_quoted(name)}, {operator.value}, {_printed_operand(operand)})"
        case AppTagSet(application, name, operator, operand):
            return f"AT({_quoted(application)}, {_quoted(name)}, {operator.value}, {_printed_operand(operand)})"
        case ApplicationSet(code, platforms) | GroupSet(code, platforms):
            letter = "A" if isinstance(node, ApplicationSet) else "G"
            return f"{letter}({_quoted(code)}{', ' + _printed_operand(platforms) if platforms else ''})"
    raise InvalidFilter(f"{type(node).__name__} is no filter expression.")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _printed_operand(operand: Operand) -> str:
    if isinstance(operand, tuple):
        return f"[{', '.join(map(_printed_operand, operand))}]"
    if isinstance(operand, str):
        return _quoted(operand)
    if isinstance(operand, bool):
        return "true" if operand else "false"
    if isinstance(operand, int):
        return str(operand)
    # No document shows an exponent, so none is written; the point keeps it apart from an integer.
    digits = f"{Decimal(repr(operand)):f}"
    return digits if "." in digits else f"{digits}.0"


def _checked(clean: Callable[[Any], _T], value: object) -> _T:
    """`clean(value)`, with its refusal told as a filter's."""
    try:
        return clean(value)
    except InvalidFilter:
        raise
    except Invalid as error:
        raise InvalidFilter(*error.problems) from None


def _clean_code(value: object, owner: str) -> str:
    text = _checked(wire_text, value) if isinstance(value, str) else ""
    if not _CODE.fullmatch(text):
        raise InvalidFilter(f"The {owner} is named by its code, which looks like XXXXX-XXXXX.")
    return text


def _clean_platforms(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidFilter("Give the platforms as a list of names, such as iOS and Android.")
    names: dict[str, None] = {}
    for item in value:
        name = item.filter_name if isinstance(item, Platform) else item
        if not isinstance(name, str) or not name.strip():
            raise InvalidFilter("A platform is given by its name, such as iOS or Android.")
        text = _checked(wire_text, name)
        names[_PLATFORM_NAMES.get(text.lower(), text)] = None
    return tuple(names)


def _some_platforms(platforms: Iterable[str | Platform] | None) -> tuple[str, ...]:
    if platforms is None:
        return ()
    names = _clean_platforms(platforms)
    if not names:
        raise InvalidFilter("The list of platforms is empty: leave it out to address all of them.")
    return names


def _listed(values: Iterable[Value]) -> tuple[Value, ...]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidFilter("Give a list of values; for a single one use eq() or not_eq().")
    if isinstance(values, set | frozenset):
        # Sets have no order of their own; the same set shall print the same.
        return tuple(sorted((_checked(wire_scalar, value) for value in values), key=_printed_operand))
    return tuple(values)


def _clean_comparison(node: TagSet | AppTagSet) -> None:
    object.__setattr__(node, "name", _checked(clean_name, node.name))
    object.__setattr__(node, "operator", _clean_operator(node.operator))
    object.__setattr__(node, "operand", _clean_operand(node.operator, node.operand))


def _clean_operator(value: object) -> Operator:
    name = value.upper() if isinstance(value, str) else ""
    if name not in Operator.__members__:
        raise InvalidFilter(f"The operator must be one of {', '.join(Operator)}.")
    return Operator[name]


def _clean_operand(operator: Operator, value: object) -> Operand:
    if operator in WITHOUT_OPERAND:
        return ""
    if operator in _LISTED or operator is Operator.BETWEEN:
        if not isinstance(value, list | tuple):
            raise InvalidFilter(f"{operator} takes a list of values.")
        operand = tuple(_checked(wire_scalar, item) for item in value)
        if operator is Operator.BETWEEN:
            _check_range(operand)
        elif not operand:
            raise InvalidFilter(f"{operator} takes at least one value.")
        return operand
    if isinstance(value, list | tuple):
        instead = "BETWEEN" if operator in _ORDERED else "IN or NOTIN"
        raise InvalidFilter(f"{operator} takes a single value: use {instead} for a list.")
    scalar = _checked(wire_scalar, value)
    if operator in _ORDERED and isinstance(scalar, bool):
        raise InvalidFilter(f"{operator} cannot compare true and false: use EQ.")
    return scalar


def _check_range(operand: tuple[Scalar, ...]) -> None:
    if len(operand) != 2:
        raise InvalidFilter("BETWEEN takes exactly two values, [minimum, maximum].")
    minimum, maximum = operand
    if isinstance(minimum, bool) or isinstance(maximum, bool):
        raise InvalidFilter("BETWEEN cannot compare true and false: use EQ.")
    if isinstance(minimum, str) and isinstance(maximum, str):
        is_reversed = _is_later(minimum, maximum)
    elif isinstance(minimum, str) or isinstance(maximum, str):
        is_reversed = False
    else:
        is_reversed = minimum > maximum
    if is_reversed:
        raise InvalidFilter("BETWEEN takes the minimum first: swap the two values.")


def _is_later(first: str, second: str) -> bool:
    """Whether `first` is known to come after `second`; texts whose order nobody knows are left to Pushwoosh."""
    if DATE_FORM.fullmatch(first) and DATE_FORM.fullmatch(second):
        midnight = "0000-00-00 00:00:00"
        return first + midnight[len(first) :] > second + midnight[len(second) :]
    ages = _DAYS_AGO.fullmatch(first), _DAYS_AGO.fullmatch(second)
    if ages[0] and ages[1]:
        return int(ages[0][1]) < int(ages[1][1])
    if _VERSION.fullmatch(first) and _VERSION.fullmatch(second):
        parts = [[int(part) for part in text.split(".")] for text in (first, second)]
        padded = [version + [0] * (4 - len(version)) for version in parts]
        return padded[0] > padded[1]
    return False


def _clean_condition(condition: object, path: str, problems: list[Problem]) -> TagSet | None:
    if not isinstance(condition, list | tuple) or not 2 <= len(condition) <= 3:
        problems.append(Problem(path, "A condition is an array of three: [tag, operator, operand]."))
        return None
    before = len(problems)

    def part(index: int, clean: Callable[[Any], _T], value: object) -> _T | None:
        try:
            return _checked(clean, value)
        except InvalidFilter as error:
            problems.extend(Problem(f"{path}[{index}]", problem.text) for problem in error.problems)
            return None

    name = part(0, clean_name, condition[0])
    operator = part(1, _clean_operator, condition[1])
    operand: Operand | None = None
    if operator is not None:
        if len(condition) == 2 and operator not in WITHOUT_OPERAND:
            problems.append(Problem(path, f"{operator} needs an operand: [tag, operator, operand]."))
        else:
            operand = part(2, lambda value: _clean_operand(operator, value), condition[-1])
    if len(problems) > before or name is None or operator is None or operand is None:
        return None
    try:
        return TagSet(name, operator, operand)
    except InvalidFilter as error:
        problems.extend(Problem(path, problem.text) for problem in error.problems)
        return None


_BLANK = re.compile(r"\s*+")
_WORD = re.compile(r"[A-Za-z]++")
_NUMBER = re.compile(r"[+-]?[0-9]++(\.[0-9]++)?([eE][+-]?[0-9]++)?")
# Text in straight quotes may hold curly ones; text that began with a curly quote ends with any quote.
_STRAIGHT = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_CURLY = re.compile(r'[“”]([^"“”\\]*+(?:\\.[^"“”\\]*+)*+)["“”]', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class _Parser:
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
        return self.made(start, lambda: _clean_operator(word))

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
        self.made(self.position, lambda: _checked(wire_scalar, number))
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
