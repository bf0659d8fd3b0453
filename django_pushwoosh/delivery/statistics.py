"""Opens and deliveries as devices report them, each counted once, and joined to messages by the code in the hash.

A report is a row of its own: no row that others write too, so that a stampede after a broadcast waits for nothing.
Counting reads a message's part of an index. What goes for its age is added up in the message's dispatch before.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connections, router
from django.db.models import Count, F, QuerySet

from django_pushwoosh.models import Dispatch, ScheduledMessage, Statistic, is_storable
from django_pushwoosh.models.lookups import Among
from django_pushwoosh.protocol import hashes
from django_pushwoosh.protocol.answers import CODE_NOT_AVAILABLE
from django_pushwoosh.protocol.calls import Call

KINDS = {"messageDeliveryEvent": Statistic.Kind.DELIVERY, "pushStat": Statistic.Kind.OPEN}
"""What counts. inboxStatus and richMediaAction name pushes too, but Pushwoosh counts neither as an open."""

MOST_CODES = 1000
"""In one statement; databases have bounds."""

_COLUMNS = ("application", "message_code", "kind", "key", "at")


@dataclass(frozen=True, slots=True)
class Statistics:
    """How many devices reported that a message arrived, and that it was opened.

    As far as they spoke by the gateway: Pushwoosh's own numbers count those too that did not.
    """

    deliveries: int = 0
    opens: int = 0

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(self.deliveries + other.deliveries, self.opens + other.opens)


def told(call: Call, hwid: str, now: datetime) -> Statistic | None:
    """The row for a report; `None` if the call is none, or names no message."""
    kind = KINDS.get(call.method.name)
    text = call.arguments.get("hash")
    named = hashes.decode(text) if kind is not None and hwid else None
    if kind is None or named is None or not is_storable(named.code):
        return None
    # The length keeps what belongs to one from passing for the other's.
    known_by = f"{len(hwid)}:{hwid}{text}".encode("utf-8", "surrogatepass")
    key = UUID(bytes=hashlib.blake2b(known_by, digest_size=16).digest())
    return Statistic(application=call.application, message_code=named.code, kind=kind, key=key, at=now)


def note(report: Statistic, *, using: str) -> None:
    """Count a report that was not counted before."""
    Statistic.objects.using(using).bulk_create([report], ignore_conflicts=True)


def insertion(report: Statistic, using: str) -> tuple[str, tuple[Any, ...]]:
    """The same as a statement with its parameters, for PostgreSQL."""
    quote = connections[using].ops.quote_name
    return (
        f"INSERT INTO {quote(Statistic._meta.db_table)} ({', '.join(map(quote, _COLUMNS))})"  # noqa: S608
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        tuple(getattr(report, name) for name in _COLUMNS),
    )


def of_messages(messages: Collection[ScheduledMessage], *, using: str | None = None) -> dict[int, Statistics]:
    """What devices reported of messages, by primary key; two statements for a page of them."""
    using = using or router.db_for_read(Statistic)
    dispatches = Dispatch.objects.using(using).filter(message__in=[message.pk for message in messages]).order_by()
    needed = ("message_id", "message__application", "message_code", "past_deliveries", "past_opens")
    found = dict.fromkeys((message.pk for message in messages), Statistics())
    rows = list(dispatches.values_list(*needed))
    counts = _counts({(application, code) for _pk, application, code, *_past in rows}, using)
    for pk, application, code, deliveries, opens in rows:
        found[pk] += Statistics(deliveries, opens) + counts.get((application, code), Statistics())
    return found


def of_dispatches(dispatches: Sequence[Dispatch], application: str, *, using: str) -> dict[int, Statistics]:
    """What devices reported of dispatches of one application, by primary key; one statement."""
    counts = _counts({(application, each.message_code) for each in dispatches}, using)
    return {
        each.pk: Statistics(each.past_deliveries, each.past_opens)
        + counts.get((application, each.message_code), Statistics())
        for each in dispatches
    }


def of_code(application: str, code: str, *, using: str | None = None) -> Statistics:
    """What devices reported of a message by its code, whoever created it, as far as that is still kept."""
    counts = _counts({(application, code)}, using or router.db_for_read(Statistic))
    return counts.get((application, code), Statistics())


def add_up(rows: QuerySet[Statistic]) -> None:
    """Add what is about to go to the dispatches that it is about; what is about none is forgotten."""
    counted = Counter(rows.values_list("application", "message_code", "kind"))
    codes = {code for _application, code, _kind in counted if _is_code(code)}
    dispatches = Dispatch.objects.using(rows.db)
    found = dispatches.filter(Among("message_code", sorted(codes))).order_by("pk")
    for pk, application, code in list(found.values_list("pk", "message__application", "message_code")):
        deliveries = counted[application, code, Statistic.Kind.DELIVERY]
        opens = counted[application, code, Statistic.Kind.OPEN]
        dispatches.filter(pk=pk).update(
            past_deliveries=F("past_deliveries") + deliveries, past_opens=F("past_opens") + opens
        )


def _counts(named: Iterable[tuple[str, str]], using: str) -> dict[tuple[str, str], Statistics]:
    codes: dict[str, list[str]] = defaultdict(list)
    for application, code in named:
        if _is_code(code):
            codes[application].append(code)
    counts: dict[tuple[str, str], Statistics] = {}
    for application, of_application in codes.items():
        of_application.sort()
        for start in range(0, len(of_application), MOST_CODES):
            rows = Statistic.objects.using(using).filter(
                Among("message_code", of_application[start : start + MOST_CODES]), application=application
            )
            for code, kind, number in rows.values_list("message_code", "kind").annotate(number=Count("*")).order_by():
                is_open = kind == Statistic.Kind.OPEN
                told_of = Statistics(opens=number) if is_open else Statistics(deliveries=number)
                counts[application, code] = counts.get((application, code), Statistics()) + told_of
    return counts


def _is_code(code: str) -> bool:
    return bool(code) and code != CODE_NOT_AVAILABLE
