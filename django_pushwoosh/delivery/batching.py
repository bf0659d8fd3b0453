"""Which held entries share a request: a device's changes said as one, messages under one slot of the cap."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import takewhile

from django_pushwoosh.conf import Application
from django_pushwoosh.delivery import entry_points
from django_pushwoosh.delivery.connection import Leave
from django_pushwoosh.models import OutboxEntry
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.coalescing import merged
from django_pushwoosh.protocol.methods import Upstream

MOST_NOTIFICATIONS = 1000
MOST_BYTES = 10_000_000
"""Of one createMessage that several messages share; both bounds are ours, below all that the documents name."""


class Kind(Enum):
    SINGLE = "one call, for one entry or for several that were said as one"
    SHARED = "createMessage, a notification per entry"


@dataclass(slots=True, eq=False)
class Batch:
    """One request, and the held entries that it speaks for, in the order in which it does.

    `leave` is there once it may be made.
    """

    kind: Kind
    application: Application
    call: Call
    entries: list[OutboxEntry]
    leave: Leave | None = None

    @property
    def is_tokenless(self) -> bool:
        """Whether our device token stays out of it."""
        return any(entry.is_tokenless for entry in self.entries)


def batches(
    heads: Iterable[OutboxEntry], company: Mapping[str, Sequence[OutboxEntry]], application: Application
) -> tuple[list[Batch], list[OutboxEntry]]:
    """The requests that an application's entries make, in their order; and the entries that found no place in one.

    `heads` have different keys; `company` has, by key, what stands right behind them.
    """
    made: list[Batch] = []
    left: list[OutboxEntry] = []
    messages: dict[bool, list[OutboxEntry]] = {}
    entry_point = cache(lambda using: entry_points.of(application, using))
    for head in heads:
        behind = company.get(head.key, ())
        if _is_shareable_message(head):
            fitting = list(takewhile(_is_shareable_message, behind))
            left += behind[len(fitting) :]
            messages.setdefault(head.is_capped, []).extend([head, *fitting])
            continue
        single, rest = _said_as_one(head, behind, application)
        left += rest
        if single.call.method.upstream is Upstream.ENTRY_POINT:
            single.call.address = entry_point(head._state.db)
        made.append(single)
    for waiting in messages.values():
        made += _shared(waiting, application)
    return made, left


def _said_as_one(
    head: OutboxEntry, behind: Sequence[OutboxEntry], application: Application
) -> tuple[Batch, Sequence[OutboxEntry]]:
    call, together = head.call, [head]
    if head.doubtful_since is None and not head.is_alone:
        for entry in behind:
            both = merged(call, entry.call)
            if both is None:
                break
            call = both
            together.append(entry)
    return Batch(Kind.SINGLE, application, call, together), behind[len(together) - 1 :]


def _is_shareable_message(entry: OutboxEntry) -> bool:
    return entry.bulk_method == "createMessage"


def _shared(entries: Iterable[OutboxEntry], application: Application) -> Iterator[Batch]:
    """Messages, as many to a request as it takes."""
    together: list[OutboxEntry] = []
    size = 0
    for entry in entries:
        length = len(json.dumps(entry.arguments["notifications"][0]))
        if together and (len(together) >= MOST_NOTIFICATIONS or size + length > MOST_BYTES):
            yield request_of(together, application)
            together, size = [], 0
        together.append(entry)
        size += length
    if together:
        yield request_of(together, application)


def request_of(messages: list[OutboxEntry], application: Application) -> Batch:
    """The createMessage that several messages share."""
    notes = [entry.arguments["notifications"][0] for entry in messages]
    call = Call(METHODS["createMessage"], application.code, {"notifications": notes})
    return Batch(Kind.SHARED, application, call, messages)
