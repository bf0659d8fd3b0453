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

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django_pushwoosh.protocol.errors import InvalidFilter, Problem
from django_pushwoosh.protocol.filter_operands import (
    WITHOUT_OPERAND,
    Operand,
    Operator,
    checked,
    clean_code,
    clean_operand,
    clean_operator,
    clean_platforms,
    listed,
    printed_operand,
    quoted,
    some_platforms,
)
from django_pushwoosh.protocol.platforms import Platform
from django_pushwoosh.protocol.tags import Value, clean_name

__all__ = [
    "LONGEST_TEXT",
    "WITHOUT_OPERAND",
    "AppTag",
    "AppTagSet",
    "Application",
    "ApplicationSet",
    "Difference",
    "Expression",
    "Group",
    "GroupSet",
    "Intersection",
    "Operand",
    "Operator",
    "Tag",
    "TagSet",
    "Union",
    "bound_to",
    "clean_conditions",
    "condition_list",
    "format",
    "parse",
    "walk",
]

LONGEST_TEXT = 1_000_000
"""Characters of a filter expression, as read and as printed. Theirs is unknown; this one keeps work bounded."""

_MOST_PROBLEMS = 100
_T = TypeVar("_T")


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
        object.__setattr__(self, "application", clean_code(self.application, "application"))
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
        object.__setattr__(self, "code", clean_code(self.code, "application"))
        object.__setattr__(self, "platforms", clean_platforms(self.platforms))
        self._measure(len(_printed(self)))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GroupSet(Expression):
    """`G("code", ["iOS", …])`: subscribers of any application of the group; platforms as in ApplicationSet."""

    code: str
    platforms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", clean_code(self.code, "application group"))
        object.__setattr__(self, "platforms", clean_platforms(self.platforms))
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
        return self._compared(Operator.IN, listed(values))

    def not_in(self, values: Iterable[Value]) -> _Set:
        """The tag, or each element of it, is none of `values`. As to devices without the tag, see `not_eq`."""
        return self._compared(Operator.NOTIN, listed(values))

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
        object.__setattr__(self, "name", checked(clean_name, self.name))

    def _compared(self, operator: Operator, operand: Any) -> TagSet:
        return TagSet(self.name, operator, operand)


@dataclass(frozen=True, slots=True)
class AppTag(_Comparisons[AppTagSet]):
    """Begins a condition on a tag of one application: `AppTag("XXXXX-XXXXX", "Level").gte(5)`."""

    application: str
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "application", clean_code(self.application, "application"))
        object.__setattr__(self, "name", checked(clean_name, self.name))

    def _compared(self, operator: Operator, operand: Any) -> AppTagSet:
        return AppTagSet(self.application, self.name, operator, operand)


def Application(code: str, platforms: Iterable[str | Platform] | None = None) -> ApplicationSet:
    """Subscribers of the application, on all platforms unless some are given; an empty list is refused."""
    return ApplicationSet(code, some_platforms(platforms))


def Group(code: str, platforms: Iterable[str | Platform] | None = None) -> GroupSet:
    """Subscribers of any application of the group; platforms as in `Application`."""
    return GroupSet(code, some_platforms(platforms))


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
    # The reader makes the sets of this module, so it is known only after them.
    from django_pushwoosh.protocol.filter_parsing import Parser

    return Parser(text).parse()


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
            return f"T({quoted(name)}, {operator.value}, {printed_operand(operand)})"
        case AppTagSet(application, name, operator, operand):
            return f"AT({quoted(application)}, {quoted(name)}, {operator.value}, {printed_operand(operand)})"
        case ApplicationSet(code, platforms) | GroupSet(code, platforms):
            letter = "A" if isinstance(node, ApplicationSet) else "G"
            return f"{letter}({quoted(code)}{', ' + printed_operand(platforms) if platforms else ''})"
    raise InvalidFilter(f"{type(node).__name__} is no filter expression.")


def _clean_comparison(node: TagSet | AppTagSet) -> None:
    object.__setattr__(node, "name", checked(clean_name, node.name))
    object.__setattr__(node, "operator", clean_operator(node.operator))
    object.__setattr__(node, "operand", clean_operand(node.operator, node.operand))


def _clean_condition(condition: object, path: str, problems: list[Problem]) -> TagSet | None:
    if not isinstance(condition, list | tuple) or not 2 <= len(condition) <= 3:
        problems.append(Problem(path, "A condition is an array of three: [tag, operator, operand]."))
        return None
    before = len(problems)

    def part(index: int, clean: Callable[[Any], _T], value: object) -> _T | None:
        try:
            return checked(clean, value)
        except InvalidFilter as error:
            problems.extend(Problem(f"{path}[{index}]", problem.text) for problem in error.problems)
            return None

    name = part(0, clean_name, condition[0])
    operator = part(1, clean_operator, condition[1])
    operand: Operand | None = None
    if operator is not None:
        if len(condition) == 2 and operator not in WITHOUT_OPERAND:
            problems.append(Problem(path, f"{operator} needs an operand: [tag, operator, operand]."))
        else:
            operand = part(2, lambda value: clean_operand(operator, value), condition[-1])
    if len(problems) > before or name is None or operator is None or operand is None:
        return None
    try:
        return TagSet(name, operator, operand)
    except InvalidFilter as error:
        problems.extend(Problem(path, problem.text) for problem in error.problems)
        return None
