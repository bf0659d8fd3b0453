"""What Pushwoosh's control panel would do, and what the control page does beyond it: part of the state, and journalled.

Stands in the journal under names that no method of Pushwoosh has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django_pushwoosh.protocol.tags import TagType
from django_pushwoosh.sandbox.options import ENTRIES, LONGEST_NAME, SWITCHED
from django_pushwoosh.sandbox.state import State

TRACING_LASTS = timedelta(hours=1)
SET_CLOCK = "setClock"
"""The one operation that the sandbox carries out itself, for the clock is its own."""


def start_tracing(state: State, arguments: Mapping[str, Any], now: datetime) -> None:
    state.tracing_until = now + TRACING_LASTS


def stop_tracing(state: State, arguments: Mapping[str, Any], now: datetime) -> None:
    state.tracing_until = None


def set_option(state: State, arguments: Mapping[str, Any], now: datetime) -> None:
    """Raises `ValueError`."""
    name = arguments.get("name")
    if not isinstance(name, str) or name not in SWITCHED:
        raise ValueError(f"There is no such option. There are {', '.join(sorted(SWITCHED))}.")
    changes: dict[str, Any] = {name: arguments.get("value")}
    state.options = replace(state.options, **changes)


def set_tag_type(state: State, arguments: Mapping[str, Any], now: datetime) -> None:
    """Declare a tag's type (a number, as of the tags API), or without one forget it. Raises `ValueError`."""
    name, kind = arguments.get("name"), arguments.get("type")
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise ValueError(f"A tag's name has 1 to {LONGEST_NAME} characters.")
    types = {each: known for each, known in state.options.tags.items() if each != name}
    if kind is not None:
        if isinstance(kind, bool) or not isinstance(kind, int):
            raise ValueError("A tag's type is a number from 1 to 7.")
        types[name] = TagType(kind)
    state.options = replace(state.options, tags=types)


def set_entry(state: State, arguments: Mapping[str, Any], now: datetime) -> None:
    """Set an entry of what SDKs ask for (`options.ENTRIES`); without a value, take it away. Raises `ValueError`."""
    table, name, value = arguments.get("table"), arguments.get("name"), arguments.get("value")
    if not isinstance(table, str) or table not in ENTRIES:
        raise ValueError(f"There is no such table. There are {', '.join(ENTRIES)}.")
    entries = {each: known for each, known in getattr(state.options, table).items() if each != name}
    if value is not None or table == "features":
        # A feature that was taken away stays away, though there is a default for it.
        entries[name] = value
    changes: dict[str, Any] = {table: entries}
    state.options = replace(state.options, **changes)


def fail_message(state: State, arguments: Mapping[str, Any], now: datetime) -> None:
    """Let a message that has not ended fail. Raises `ValueError`."""
    code = arguments.get("message")
    message = state.message_by_code(code) if isinstance(code, str) else None
    if message is None or not message.is_pending:
        raise ValueError("No message that is waiting, pending or processing has this code.")
    message.end(state, "failed")


OPERATIONS: Mapping[str, Callable[[State, Mapping[str, Any], datetime], None]] = {
    "startTracing": start_tracing,
    "stopTracing": stop_tracing,
    "setOption": set_option,
    "setTagType": set_tag_type,
    "setEntry": set_entry,
    "failMessage": fail_message,
}
