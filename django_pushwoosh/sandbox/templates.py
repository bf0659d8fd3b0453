"""Liquid in texts, `{{ … }}` and `{% … %}`, rendered by python-liquid where that is installed.

Without it, and where a template is wrong or asks for too much, the text stays as it is. Templates are foreign text:
their length, loops, numbers, lists and output are bounded, so that none of them holds up or fills the machine.

Unverified against Pushwoosh: which filters and tags their Liquid knows, and what a device gets whose template fails.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

LONGEST = 4096
"""Characters of a template and of every text in it; a push's whole payload holds 4 KB."""

MOST_ITEMS = 1000
MOST_ROUNDS = 100
"""Rounds of a loop, those of the loops around it multiplied."""

MOST_WORK = 20_000
"""Characters of a template times rounds, for it is rendered for each device of an audience."""

MOST_BITS = 256
MOST_VALUES = 5000
"""Values that a template can know, the nested ones counted."""

_IS_LIQUID = re.compile(r"\{[{%]")
_RANGE = re.compile(r"(?<!\.)\.\.(?!\.)")
_SMALL_RANGE = re.compile(r"\(\s*\d{1,3}\s*\.\.\s*\d{1,3}\s*\)")


class _TooMuch(ValueError):
    """A template went beyond its bounds."""


def render(text: str, variables: Mapping[str, Any], now: datetime) -> str:
    """The text with its Liquid rendered, or the text as it is. `now` is what `{{ "now" | date: … }}` tells."""
    if not _IS_LIQUID.search(text):
        return text
    template = _template(text)
    if template is None:
        return text
    known = {name.replace(" ", "_"): value for name, value in variables.items()} | dict(variables)
    try:
        return str(template.render({**_bounded(known, [MOST_VALUES]), "now": now, "today": now}))
    except Exception:
        # A template that fails is no reason for the sandbox to fail, whatever made it do so.
        return text


def is_installed() -> bool:
    """Whether Liquid is rendered at all."""
    return _environment(MOST_ROUNDS) is not None


@functools.lru_cache(maxsize=256)
def _template(text: str) -> Any | None:
    if len(text) > LONGEST:
        return None
    environment = _environment(min(MOST_ROUNDS, MOST_WORK // len(text)))
    if environment is None:
        return None
    if len(_RANGE.findall(text)) != len(_SMALL_RANGE.findall(text)):
        # A range is as long as its numbers say, and python-liquid walks through it.
        return None
    try:
        return environment.from_string(text)
    except Exception:
        # Syntax errors mostly; nested too deeply, Python's own.
        return None


@functools.cache
def _environment(rounds: int) -> Any | None:
    try:
        liquid: Any = importlib.import_module("liquid")
    except ImportError:
        return None
    environment = liquid.Environment()
    environment.output_stream_limit = 4 * LONGEST
    environment.local_namespace_limit = 64 * LONGEST
    environment.loop_iteration_limit = rounds
    environment.add_filter("date", _by_the_sandbox_clock(environment.filters["date"]))
    for name, function in list(environment.filters.items()):
        environment.add_filter(name, _guarded(function))
    return environment


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that neither takes nor gives too much: filters can be chained, and each may multiply."""

    @functools.wraps(function)
    def guarded(*given: Any, **named: Any) -> Any:
        for value in given:
            _check(value)
        result = function(*given, **named)
        _check(result)
        return result

    return guarded


def _by_the_sandbox_clock(function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter `date`, for which "now" is the sandbox's time, and every time is UTC, not the machine's."""

    @functools.wraps(function)
    def date(value: Any, *given: Any, context: Any, **named: Any) -> Any:
        if value in ("now", "today"):
            value = context.resolve("now")
        elif (isinstance(value, str) and value.isdigit()) or (isinstance(value, int) and not isinstance(value, bool)):
            value = datetime.fromtimestamp(int(value), UTC)
        return function(value, *given, **named)

    vars(date)["with_context"] = True
    return date


def _check(value: Any) -> None:
    if isinstance(value, str):
        is_large = len(value) > LONGEST
    elif isinstance(value, list | tuple | range | dict):
        is_large = len(value) > MOST_ITEMS
    else:
        is_large = isinstance(value, int) and value.bit_length() > MOST_BITS
    if is_large:
        raise _TooMuch


def _bounded(value: Any, left: list[int]) -> Any:
    """A JSON value cut to what a template may have; `left` counts down."""
    left[0] -= 1
    if left[0] < 0 or (isinstance(value, int) and value.bit_length() > MOST_BITS):
        return None
    if isinstance(value, str):
        return value[:LONGEST]
    if isinstance(value, Mapping):
        return {name[:LONGEST]: _bounded(value[name], left) for name in islice(value, MOST_ITEMS)}
    if isinstance(value, list | tuple):
        return [_bounded(each, left) for each in islice(value, MOST_ITEMS)]
    return value
