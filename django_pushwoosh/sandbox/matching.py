"""Whether a device's tags fulfil a condition.

Operands are compared as the tag's value asks for: text as text, numbers as numbers, times as spans (a day lasts a
day, a minute a minute), versions part by part. Source: seed 001, "Tag conditions" and "Tags types and operators".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django_pushwoosh.protocol.filters import AppTagSet, Operator, TagSet
from django_pushwoosh.protocol.tags import DATE_FORM
from django_pushwoosh.sandbox.state import Options, language_tag

_DAYS_AGO = re.compile(r"([0-9]{1,6}) days? ago", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_VERSION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})+")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def matches(tags: Mapping[str, Any], condition: TagSet | AppTagSet, now: datetime, options: Options) -> bool:
    """Whether `tags` fulfil the condition at the time `now`."""
    value = tags.get(condition.name)
    is_set = value is not None and value != []
    operator = condition.operator
    if operator is Operator.NOTSET:
        return not is_set
    if operator is Operator.ANY:
        return is_set
    is_negative = operator in (Operator.NOTEQ, Operator.NOTIN)
    if not is_set:
        # Unverified against Pushwoosh: whether a device without the tag is "not equal" to anything.
        return is_negative and options.unset_matches_negative
    operand = condition.operand
    operands: tuple[Any, ...] = operand if isinstance(operand, tuple) else (operand,)
    if condition.name == "Language":
        operands = tuple(language_tag(each) if isinstance(each, str) else each for each in operands)
    values = value if isinstance(value, list) else [value]
    if operator in (Operator.EQ, Operator.IN) or is_negative:
        is_among = any(_equals(each, wanted, now, options) for each in values for wanted in operands)
        return is_among is not is_negative
    return any(_is_within(each, operator, operands, now) for each in values)


def _equals(value: Any, operand: Any, now: datetime, options: Options) -> bool:
    if isinstance(value, bool):
        return _TRUTH.get(str(operand).lower()) is value
    if isinstance(value, int | float):
        return _number(operand) == value
    text = str(value)
    moment = _moment(text)
    if moment is not None:
        span = _span(operand, now)
        if span is not None:
            return span[0] <= moment < span[1]
    wanted = str(operand)
    # Unverified against Pushwoosh: a saved filter on "Madrid" is listed back as "madrid", so case seems not to matter.
    return text == wanted if options.case_sensitive else text.casefold() == wanted.casefold()


def _is_within(value: Any, operator: Operator, operands: tuple[Any, ...], now: datetime) -> bool:
    """GTE, LTE and BETWEEN; the bounds belong to the range."""
    low = operands[0] if operator is not Operator.LTE else None
    high = operands[-1] if operator is not Operator.GTE else None
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        least, most = _number(low), _number(high)
        return (low is None or (least is not None and value >= least)) and (
            high is None or (most is not None and value <= most)
        )
    text = str(value)
    moment = _moment(text)
    if moment is not None:
        first, last = _span(low, now), _span(high, now)
        return (low is None or (first is not None and moment >= first[0])) and (
            high is None or (last is not None and moment < last[1])
        )
    version = _version(text)
    if version is None:
        return False
    oldest, newest = _version(low), _version(high)
    return (low is None or (oldest is not None and version >= oldest)) and (
        high is None or (newest is not None and version <= newest)
    )


def _number(operand: Any) -> int | float | None:
    if isinstance(operand, int | float) and not isinstance(operand, bool):
        return operand
    if isinstance(operand, str) and _NUMBER.fullmatch(operand):
        return float(operand) if "." in operand else int(operand)
    return None


def _version(text: Any) -> tuple[int, ...] | None:
    if not isinstance(text, str) or not _VERSION.fullmatch(text):
        return None
    parts = [int(part) for part in text.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _moment(text: str) -> datetime | None:
    if not DATE_FORM.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def _span(operand: Any, now: datetime) -> tuple[datetime, datetime] | None:
    """What a date operand covers, from and until.

    Unverified against Pushwoosh: the documents write a day as "YYYY-MM-DD 00:00", and do not say how long it lasts.
    """
    try:
        if isinstance(operand, int | float) and not isinstance(operand, bool):
            moment = datetime.fromtimestamp(operand, UTC)
            return moment, moment + timedelta(seconds=1)
        if not isinstance(operand, str):
            return None
        if ago := _DAYS_AGO.fullmatch(operand):
            day = (now - timedelta(days=int(ago[1]))).replace(hour=0, minute=0, second=0, microsecond=0)
            return day, day + timedelta(days=1)
        start = _moment(operand)
        if start is None:
            return None
        is_day = len(operand) == 10 or operand.endswith(" 00:00")
        return start, start + (timedelta(days=1) if is_day else timedelta(minutes=1))
    except (OverflowError, OSError, ValueError):
        return None
