"""A filter expression as SQL over the mirror, in two bounds: devices that surely match, and those that possibly do.

What the mirror cannot know is *unknown*, never "no match": tags that it never saw (others may have set them), what
Pushwoosh finds out by itself (Country, City, First Install), groups, letter case, and the order of versions. Each set
of an expression is judged 0 (no), 1 (unknown) or 2 (yes) for each device, so that nothing is ever NULL, and the
operations take the bounds they need: what is surely in `a \\ b` is surely in a and not even possibly in b.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Case, CharField, F, FloatField, Func, IntegerField, Q, Value, When
from django.db.models.expressions import OuterRef, Subquery
from django.db.models.functions import Cast, Coalesce, Left, Length, Lower, Replace, StrIndex
from django.db.models.lookups import Exact, GreaterThan, GreaterThanOrEqual, In, LessThan, LessThanOrEqual, Regex

from django_pushwoosh.protocol import filters
from django_pushwoosh.protocol.errors import InvalidFilter
from django_pushwoosh.protocol.filters import Operator
from django_pushwoosh.protocol.platforms import BY_NUMBER
from django_pushwoosh.protocol.tags import DATE_FORM, Scalar

MOST_SETS = 1000
"""Sets in one expression, and DEEPEST levels of it: what a database reads as one statement."""
DEEPEST = 60
BRANCHES = 40
EXACT_TO = 2**53
"""Whole numbers beyond it are not told apart by every database."""

NO, UNKNOWN, YES = 0, 1, 2

_VALID_DATE = (
    r"^[1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|"
    r"02-(0[1-9]|1[0-9]|2[0-8]))( ([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?)?$"
)
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$"
_VERSION = r"^[0-9]+(\.[0-9]+)+$"
_ASCII = r"^[ -~]*$"
_FOLDS_TO_ASCII = "|".join(char for char in map(chr, range(128, 0x10000)) if re.search("[a-z]", char.casefold()))
"""Letters beyond ASCII that are another case of ASCII ones, such as the long s; no class, for MariaDB reads bytes."""
_DAYS_AGO = re.compile(r"([0-9]{1,6}) days? ago", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_PLAIN_ITEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]*")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}

_COLUMNS = {
    "Application Version": "app_version",
    "OS Version": "os_version",
    "Device Model": "device_model",
    "SDK Version": "sdk_version",
}


def judged(expression: filters.Expression | str, now: datetime) -> tuple[Q, Q]:
    """The conditions under which a device matches surely, and possibly. Raises `InvalidFilter`."""
    whole = filters.parse(expression) if isinstance(expression, str) else expression
    if not isinstance(whole, filters.Expression):
        raise InvalidFilter(f"A filter is an expression or its text, not {type(expression).__name__}.")
    results: list[tuple[_Branch, _Branch]] = []
    sets = 0
    for node in filters.walk(whole):
        if isinstance(node, filters.Union | filters.Intersection | filters.Difference):
            right, left = results.pop(), results.pop()
            results.append(_joined(node, left, right))
            continue
        sets += 1
        if sets > MOST_SETS:
            raise InvalidFilter(f"More than {MOST_SETS} sets are too many for a query over the mirror.")
        results.append(_set(node, now))
    surely, possibly = results.pop()
    return surely.condition(), possibly.condition()


@dataclass(slots=True)
class _Branch:
    """Conditions joined by one connector; a chain of the same operation is one branch, however long."""

    connector: str
    conditions: list[Q]
    depth: int = 1

    def condition(self) -> Q:
        """Grouped, so that thousands of them do not nest thousands of levels deep."""
        level = self.conditions
        while len(level) > BRANCHES:
            level = [
                Q(*level[start : start + BRANCHES], _connector=self.connector)
                for start in range(0, len(level), BRANCHES)
            ]
        return Q(*level, _connector=self.connector)

    def with_(self, connector: str, other: _Branch) -> _Branch:
        if self.connector == connector or len(self.conditions) == 1:
            conditions, depth = self.conditions, self.depth
        else:
            conditions, depth = [self.condition()], self.depth + 1
        conditions.extend(other.conditions if other.connector == connector else [other.condition()])
        depth = max(depth, other.depth + 1)
        if depth > DEEPEST:
            raise InvalidFilter(f"An expression nested deeper than {DEEPEST} levels is too deep for a query.")
        return _Branch(connector, conditions, depth)

    def negated(self) -> _Branch:
        return _Branch(Q.AND, [~self.condition()], self.depth + 1)


_Bounds = tuple[_Branch, _Branch]


def _joined(node: filters.Expression, left: _Bounds, right: _Bounds) -> _Bounds:
    if isinstance(node, filters.Union):
        return left[0].with_(Q.OR, right[0]), left[1].with_(Q.OR, right[1])
    if isinstance(node, filters.Intersection):
        return left[0].with_(Q.AND, right[0]), left[1].with_(Q.AND, right[1])
    return left[0].with_(Q.AND, right[1].negated()), left[1].with_(Q.AND, right[0].negated())


def _set(node: filters.Expression, now: datetime) -> _Bounds:
    match node:
        case filters.ApplicationSet(code=code, platforms=names):
            numbers = [number for number, platform in BY_NUMBER.items() if platform.filter_name in names]
            condition = Q(application=code, unsubscribed_at=None) & ~Q(push_token="")
            condition &= Q(platform__in=numbers) if names else Q()
            return _Branch(Q.AND, [condition]), _Branch(Q.AND, [condition])
        case filters.TagSet(name=name, operator=operator, operand=operand):
            return _bounds(_verdict(name, operator, operand, now))
        case filters.AppTagSet(application=code, name=name, operator=operator, operand=operand):
            verdict = _verdict(name, operator, operand, now)
            return _bounds(Case(When(application=code, then=verdict), default=Value(NO), output_field=IntegerField()))
    # Which applications are in a group is Pushwoosh's to know.
    return _bounds(Value(UNKNOWN))


def _bounds(verdict: Any) -> _Bounds:
    return (
        _Branch(Q.AND, [Q(Exact(verdict, Value(YES)))]),
        _Branch(Q.AND, [Q(GreaterThanOrEqual(verdict, Value(UNKNOWN)))]),
    )


def _case(*whens: When) -> Case:
    return Case(*whens, default=Value(NO), output_field=IntegerField())


def _verdict(name: str, operator: Operator, operand: filters.Operand, now: datetime) -> Any:
    """0, 1 or 2 for one condition: by the tag where the mirror holds it, else by what a column knows."""
    operands = operand if isinstance(operand, tuple) else (operand,)
    if name == "Language":
        operands = tuple(_language(each) if isinstance(each, str) else each for each in operands)
    asked = _Asked(operator, operands, now)
    otherwise = _by_column(name, asked)
    kind, text = TagKind(name), TagText(name)
    number = Case(When(In(kind, ["number"]), then=Cast(text, FloatField())), output_field=FloatField())
    return Case(
        When(Exact(kind, Value("text")), then=asked.of_text(text)),
        When(Exact(kind, Value("number")), then=asked.of_number(number)),
        When(Exact(kind, Value("true")), then=Value(asked.of_truth(True))),
        When(Exact(kind, Value("false")), then=Value(asked.of_truth(False))),
        When(Exact(kind, Value("array")), then=asked.of_list(text)),
        default=otherwise,
        output_field=IntegerField(),
    )


def _by_column(name: str, asked: _Asked) -> Any:
    """What the device's own columns tell of a tag that Pushwoosh keeps by itself; empty ones tell nothing."""
    if name in _COLUMNS and name != "SDK Version":
        return _unless_empty(F(_COLUMNS[name]), asked)
    if name == "Language":
        return _unless_empty(_base_language(), asked)
    if name == "User ID":
        from django_pushwoosh.models.links import UserLink

        linked = UserLink.objects.filter(device=OuterRef("pk"), is_open=True).values("user_id")[:1]
        return asked.of_text(Coalesce(Subquery(linked), F("hwid"), output_field=CharField()))
    if name == "Platform":
        labels = [When(platform=number, then=Value(row.label)) for number, row in BY_NUMBER.items()]
        return _unless_empty(Case(*labels, default=Value(""), output_field=CharField()), asked)
    if name == "Last Application Open":
        return Case(When(opened_at=None, then=Value(UNKNOWN)), default=asked.of_moment("opened_at"))
    return Value(UNKNOWN)


def _base_language() -> Any:
    """`en-US` of a browser is the Language tag `en`."""
    language = Lower(Replace(F("language"), Value("_"), Value("-")))
    dash = StrIndex(language, Value("-"))
    return Case(
        When(Q(GreaterThan(dash, Value(1))), then=Left(language, dash - 1)), default=language, output_field=CharField()
    )


class _OfTag(Func):
    """A part of what `tags` holds under a name, which may be any text: it is never spliced into SQL or into a path.

    NULL where the tag is not there, and for names that a JSON path cannot spell on SQLite, MariaDB and MySQL.
    """

    output_field = CharField()

    def __init__(self, name: str) -> None:
        super().__init__(F("tags"))
        self.name = name

    def _column(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        sql, params = compiler.compile(self.source_expressions[0])
        return sql, tuple(params)

    @property
    def _path(self) -> str | None:
        has_no_path = any(char in self.name for char in '"\\') or not self.name.isprintable()
        return None if has_no_path else f'$."{self.name}"'


class TagKind(_OfTag):
    """What a tag holds: text, number, true, false or array."""

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = self._column(compiler, connection)
        return (
            f"CASE jsonb_typeof({column} -> %s) WHEN 'string' THEN 'text' WHEN 'boolean' THEN {column} ->> %s "
            f"ELSE jsonb_typeof({column} -> %s) END",
            (*params, self.name) * 3,
        )

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = self._column(compiler, connection)
        if self._path is None:
            return "NULL", ()
        return (
            f"REPLACE(REPLACE(JSON_TYPE({column}, %s), 'integer', 'number'), 'real', 'number')",
            (*params, self._path),
        )

    def as_mysql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = self._column(compiler, connection)
        if self._path is None:
            return "NULL", ()
        return (
            f"CASE JSON_TYPE(JSON_EXTRACT({column}, %s)) WHEN 'STRING' THEN 'text' WHEN 'ARRAY' THEN 'array' "
            f"WHEN 'BOOLEAN' THEN JSON_UNQUOTE(JSON_EXTRACT({column}, %s)) WHEN 'INTEGER' THEN 'number' "
            "WHEN 'UNSIGNED INTEGER' THEN 'number' WHEN 'DOUBLE' THEN 'number' WHEN 'DECIMAL' THEN 'number' END",
            (*params, self._path) * 2,
        )


class TagText(_OfTag):
    """What a tag holds as text: numbers in digits, lists as JSON."""

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = self._column(compiler, connection)
        return f"({column} ->> %s)", (*params, self.name)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = self._column(compiler, connection)
        if self._path is None:
            return "NULL", ()
        return f"CAST(JSON_EXTRACT({column}, %s) AS TEXT)", (*params, self._path)

    def as_mysql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = self._column(compiler, connection)
        if self._path is None:
            return "NULL", ()
        return f"JSON_UNQUOTE(JSON_EXTRACT({column}, %s))", (*params, self._path)


def _unless_empty(text: Any, asked: _Asked) -> Any:
    return Case(When(Exact(text, Value("")), then=Value(UNKNOWN)), default=asked.of_text(text))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A condition's operator and operands, put to a value of each kind."""

    operator: Operator
    operands: tuple[Scalar, ...]
    now: datetime

    @property
    def is_negative(self) -> bool:
        return self.operator in (Operator.NOTEQ, Operator.NOTIN)

    @property
    def is_range(self) -> bool:
        return self.operator in (Operator.GTE, Operator.LTE, Operator.BETWEEN)

    @property
    def low(self) -> Scalar | None:
        return None if self.operator is Operator.LTE else self.operands[0]

    @property
    def high(self) -> Scalar | None:
        return None if self.operator is Operator.GTE else self.operands[-1]

    def _presence(self) -> int | None:
        if self.operator is Operator.ANY:
            return YES
        return NO if self.operator is Operator.NOTSET else None

    def of_truth(self, value: bool) -> int:
        presence = self._presence()
        if presence is not None:
            return presence
        is_among = any(_TRUTH.get(str(each).lower()) is value for each in self.operands)
        return YES if not self.is_range and is_among is not self.is_negative else NO

    def of_number(self, number: Any) -> Any:
        presence = self._presence()
        if presence is not None:
            return Value(presence)
        # Numbers that are too large for a float are not told apart.
        vague = When(Q(GreaterThanOrEqual(number, Value(float(EXACT_TO)))) | _at_most(number, -EXACT_TO), then=UNKNOWN)
        wanted = [_number(each) for each in self.operands]
        if any(each is not None and abs(each) >= EXACT_TO for each in wanted):
            return Value(UNKNOWN)
        if self.is_range:
            least, most = _number(self.low), _number(self.high)
            if (self.low is not None and least is None) or (self.high is not None and most is None):
                return Value(NO)
            within = Q()
            if least is not None:
                within &= Q(GreaterThanOrEqual(number, Value(float(least))))
            if most is not None:
                within &= Q(LessThanOrEqual(number, Value(float(most))))
            return _case(vague, When(within, then=YES))
        numbers = [float(each) for each in wanted if each is not None]
        return self._signed(vague, Q(In(number, numbers)) if numbers else None)

    def of_text(self, text: Any) -> Any:
        presence = self._presence()
        if presence is not None:
            return Value(presence)
        spans = [_span(each, self.now) for each in self.operands]
        if self.is_range:
            return self._text_within(text)
        wanted = [str(each) for each in self.operands]
        exactly = Q(In(text, wanted))
        for span in spans:
            if span is not None:
                exactly |= Q(Regex(text, Value(_VALID_DATE))) & _in_span(text, *span)
        nearly = Q(In(Lower(text), [each.lower() for each in wanted])) | Q(Regex(text, Value(_FOLDS_TO_ASCII)))
        for span in spans:
            if span is not None:
                nearly |= Q(Regex(text, Value(_DATE))) & _in_span(text, *span)
        for each in wanted:
            if not each.isascii():
                # Not every database knows the cases of other alphabets; a folded letter is up to three of them.
                folded = len(each.casefold())
                lengths = Q(GreaterThanOrEqual(Length(text), Value(folded // 3))) & Q(
                    LessThanOrEqual(Length(text), Value(folded))
                )
                nearly |= lengths & ~Q(Regex(text, Value(_ASCII)))
        return self._signed(When(~exactly & nearly, then=UNKNOWN), exactly)

    def _text_within(self, text: Any) -> Any:
        """Dates within a range; versions are not ordered by databases, and other text is not ordered at all."""
        whens = []
        low, high = _span(self.low, self.now), _span(self.high, self.now)
        if (self.low is None or low is not None) and (self.high is None or high is not None):
            within = Q()
            if low is not None:
                within &= Q(GreaterThanOrEqual(text, Value(_wire(low[0]))))
            if high is not None:
                within &= Q(LessThan(text, Value(_wire(high[1]))))
            whens.append(When(Q(Regex(text, Value(_VALID_DATE))) & within, then=YES))
            whens.append(When(Q(Regex(text, Value(_DATE))) & within, then=UNKNOWN))
        if any(isinstance(each, str) and re.match(_VERSION, each) for each in self.operands):
            whens.append(When(Q(Regex(text, Value(_VERSION))), then=UNKNOWN))
        return _case(*whens) if whens else Value(NO)

    def of_list(self, json_text: Any) -> Any:
        """Plain text in a list of texts is looked for; for anything else the elements would have to be taken apart."""
        is_empty = Q(Exact(json_text, Value("[]")))
        if self.operator in (Operator.ANY, Operator.NOTSET):
            yes, no = (NO, YES) if self.operator is Operator.ANY else (YES, NO)
            return Case(When(is_empty, then=Value(yes)), default=Value(no), output_field=IntegerField())
        empty = When(is_empty, then=UNKNOWN if self.is_negative else NO)
        plain = [each for each in self.operands if isinstance(each, str) and _is_plain_item(each, self.now)]
        if self.is_range or len(plain) < len(self.operands):
            return Case(empty, default=Value(UNKNOWN), output_field=IntegerField())
        exactly, nearly = Q(), Q()
        for each in plain:
            exactly |= Q(_holds(json_text, f'"{each}"'))
            nearly |= Q(_holds(Lower(json_text), f'"{each.lower()}"'))
        # An escape or a letter beyond ASCII may be another case of an ASCII one.
        nearly |= Q(_holds(json_text, "\\")) | ~Q(Regex(json_text, Value(_ASCII)))
        return self._signed(empty, exactly, When(~exactly & nearly, then=UNKNOWN))

    def of_moment(self, column: str) -> Any:
        """A time that the mirror keeps itself, to the minute as a tag would."""
        presence = self._presence()
        if presence is not None:
            return Value(presence)
        if any(not isinstance(each, str) for each in self.operands):
            return Value(UNKNOWN)
        if self.is_range:
            low, high = _span(self.low, self.now), _span(self.high, self.now)
            if (self.low is not None and low is None) or (self.high is not None and high is None):
                return Value(NO)
            within = Q()
            if low is not None:
                within &= Q(**{f"{column}__gte": low[0]})
            if high is not None:
                within &= Q(**{f"{column}__lt": high[1]})
            return _case(When(within, then=YES))
        among: Q | None = None
        for span in filter(None, (_span(each, self.now) for each in self.operands)):
            one = Q(**{f"{column}__gte": span[0], f"{column}__lt": span[1]})
            among = one if among is None else among | one
        return self._signed(None, among)

    def _signed(self, first: When | None, among: Q | None, second: When | None = None) -> Any:
        """Yes where it is among the operands, or with a negative operator where it is not; the others go before."""
        before = [each for each in (first, second) if each is not None]
        if among is None:
            return Case(*before, default=Value(YES if self.is_negative else NO), output_field=IntegerField())
        return Case(
            *before,
            When(among, then=Value(NO if self.is_negative else YES)),
            default=Value(YES if self.is_negative else NO),
            output_field=IntegerField(),
        )


def _holds(text: Any, part: str) -> Any:
    return GreaterThanOrEqual(StrIndex(text, Value(part)), Value(1))


def _at_most(number: Any, most: int) -> Q:
    return Q(LessThanOrEqual(number, Value(float(most))))


def _in_span(text: Any, start: datetime, end: datetime) -> Q:
    return Q(GreaterThanOrEqual(text, Value(_wire(start)))) & Q(LessThan(text, Value(_wire(end))))


def _wire(moment: datetime) -> str:
    """A bound that sorts before every way to write its own time: a day without a time is its midnight."""
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    return text.removesuffix(":00").removesuffix(" 00:00")


def _is_plain_item(text: str, now: datetime) -> bool:
    is_other = _number(text) is not None or text.lower() in _TRUTH or _span(text, now) is not None
    return not is_other and _PLAIN_ITEM.fullmatch(text) is not None


def _number(operand: Any) -> int | float | None:
    if isinstance(operand, int | float) and not isinstance(operand, bool):
        return operand
    if isinstance(operand, str) and _NUMBER.fullmatch(operand):
        return float(operand) if "." in operand else int(operand)
    return None


def _language(text: str) -> str:
    return text.replace("_", "-").split("-", 1)[0].lower()


def _span(operand: Any, now: datetime) -> tuple[datetime, datetime] | None:
    """From when until when a date operand lasts: a day for days, a minute for minutes, a second for unix time."""
    try:
        if isinstance(operand, int | float) and not isinstance(operand, bool):
            moment = datetime.fromtimestamp(operand, UTC)
            return moment, moment + timedelta(seconds=1)
        if not isinstance(operand, str):
            return None
        if ago := _DAYS_AGO.fullmatch(operand):
            day = (now.astimezone(UTC) - timedelta(days=int(ago[1]))).replace(hour=0, minute=0, second=0, microsecond=0)
            return day, day + timedelta(days=1)
        if not DATE_FORM.fullmatch(operand):
            return None
        start = datetime.fromisoformat(operand).replace(tzinfo=UTC)
        is_day = len(operand) == 10 or operand.endswith(" 00:00")
        return start, start + (timedelta(days=1) if is_day else timedelta(minutes=1))
    except (OverflowError, OSError, ValueError):
        return None
