"""Opens and deliveries as devices report them, each counted once, and joined to messages by the code in the hash.

A report is a row of its own: no row that others write too, so that a stampede after a broadcast waits for nothing.
The poller adds up in the messages' dispatches what was reported a while ago; counting reads what came since.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connections, router, transaction
from django.db.models import Count, F, Max, QuerySet, Subquery

from django_pushwoosh.models import Dispatch, ScheduledMessage, Statistic, StatisticsMark, is_storable
from django_pushwoosh.models.lookups import Among
from django_pushwoosh.protocol import hashes
from django_pushwoosh.protocol.answers import CODE_NOT_AVAILABLE
from django_pushwoosh.protocol.calls import Call

KINDS = {"messageDeliveryEvent": Statistic.Kind.DELIVERY, "pushStat": Statistic.Kind.OPEN}
"""What counts. inboxStatus and richMediaAction name pushes too, but Pushwoosh counts neither as an open."""

MOST_CODES = 1000
"""In one statement; databases have bounds."""

ADDED_UP_AFTER = timedelta(minutes=5)
"""Longer than a report's transaction takes, and than hosts' clocks differ."""
ADDED_UP_AT_ONCE = 100_000
THE_MARK = 1

_COLUMNS = ("application", "message_code", "kind", "key", "at")


@dataclass(frozen=True, slots=True)
class Statistics:
    """How many devices reported that a message arrived, and that it was opened.

    As far as they spoke by the gateway: Pushwoosh's own numbers count those too that did not.
    """

    deliveries: int = 0
    opens: int = 0

    def __bool__(self) -> bool:
        return bool(self.deliveries or self.opens)

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
    # Marked as made of a name: MariaDB takes bits for another UUID where they are no UUID of any kind.
    key = UUID(bytes=hashlib.blake2b(known_by, digest_size=16).digest(), version=5)
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
    needed = ("message_id", "message__application", "message_code", "deliveries_added_up", "opens_added_up")
    found = dict.fromkeys((message.pk for message in messages), Statistics())
    mark = StatisticsMark.objects.using(using).filter(pk=THE_MARK).values("added_up_to")
    rows = list(dispatches.annotate(mark=Subquery(mark)).values_list(*needed, "mark"))
    since = (rows[0][-1] or 0) if rows else 0
    counts = _counts({(application, code) for _pk, application, code, *_added_up in rows}, using, since=since)
    for pk, application, code, deliveries, opens, _mark in rows:
        found[pk] += Statistics(deliveries, opens) + counts.get((application, code), Statistics())
    return found


def of_dispatches(dispatches: Iterable[Dispatch], application: str, *, using: str) -> dict[int, Statistics]:
    """What devices reported of dispatches of one application, by primary key; two statements."""
    listed = list(dispatches)
    counts = _counts({(application, each.message_code) for each in listed}, using, since=_the_mark(using))
    found = {}
    for each in listed:
        before = Statistics(each.deliveries_added_up, each.opens_added_up)
        found[each.pk] = before + counts.get((application, each.message_code), Statistics())
    return found


def of_code(application: str, code: str, *, using: str | None = None) -> Statistics:
    """What devices reported of a message by its code, whoever created it, as far as that is still kept."""
    counts = _counts({(application, code)}, using or router.db_for_read(Statistic), since=0)
    return counts.get((application, code), Statistics())


def add_up(*, now: datetime, using: str) -> None:
    """Add what was reported up to a while ago to the dispatches that it is about, and move the mark."""
    while _add_up_some(now, using):
        pass


def added_up(using: str) -> QuerySet[Statistic]:
    """The rows that are added up, and may go."""
    return Statistic.objects.using(using).filter(pk__lte=_the_mark(using))


def _add_up_some(now: datetime, using: str) -> bool:
    """Go on with the next rows; whether there may be more."""
    marks, rows = StatisticsMark.objects.using(using), Statistic.objects.using(using)
    # By then everybody has committed whose row has a lower key.
    until = rows.filter(pk__gt=_the_mark(using), at__lt=now - ADDED_UP_AFTER).aggregate(last=Max("pk"))["last"]
    if until is None:
        return False
    with transaction.atomic(using=using):
        marks.bulk_create([StatisticsMark(pk=THE_MARK)], ignore_conflicts=True)
        mark = marks.select_for_update().get(pk=THE_MARK)
        last = min(until, mark.added_up_to + ADDED_UP_AT_ONCE)
        if last <= mark.added_up_to:
            # Somebody else did it meanwhile.
            return False
        some = rows.filter(pk__gt=mark.added_up_to, pk__lte=last).order_by()
        numbers = some.values_list("application", "message_code", "kind").annotate(number=Count("*"))
        counted = {(application, code, kind): number for application, code, kind, number in numbers}
        codes = sorted({code for _application, code, _kind in counted if _is_code(code)})
        for start in range(0, len(codes), MOST_CODES):
            dispatches = Dispatch.objects.using(using)
            found = dispatches.filter(Among("message_code", codes[start : start + MOST_CODES])).order_by("pk")
            for pk, application, code in list(found.values_list("pk", "message__application", "message_code")):
                dispatches.filter(pk=pk).update(
                    deliveries_added_up=F("deliveries_added_up")
                    + counted.get((application, code, Statistic.Kind.DELIVERY), 0),
                    opens_added_up=F("opens_added_up") + counted.get((application, code, Statistic.Kind.OPEN), 0),
                )
        marks.filter(pk=THE_MARK).update(added_up_to=last)
    return bool(last < until)


def _the_mark(using: str) -> int:
    marks = StatisticsMark.objects.using(using).filter(pk=THE_MARK)
    return next(iter(marks.values_list("added_up_to", flat=True)), 0)


def _counts(named: Iterable[tuple[str, str]], using: str, *, since: int) -> dict[tuple[str, str], Statistics]:
    """What the rows after a key come to."""
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
            rows = rows.filter(pk__gt=since) if since else rows
            for code, kind, number in rows.values_list("message_code", "kind").annotate(number=Count("*")).order_by():
                is_open = kind == Statistic.Kind.OPEN
                told_of = Statistics(opens=number) if is_open else Statistics(deliveries=number)
                counts[application, code] = counts.get((application, code), Statistics()) + told_of
    return counts


def _is_code(code: str) -> bool:
    return bool(code) and code != CODE_NOT_AVAILABLE
