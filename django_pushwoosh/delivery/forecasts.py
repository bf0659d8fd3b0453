"""When what waits for the account's cap is expected to go.

An estimate: messages of one application share requests, lanes may be filled before it, and others use the account too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from django_pushwoosh.conf import Application, settings
from django_pushwoosh.delivery import outbox
from django_pushwoosh.delivery.batching import MOST_NOTIFICATIONS
from django_pushwoosh.delivery.governor import Governor
from django_pushwoosh.models import OutboxEntry

MOST_COUNTED = 100_000
"""Entries of one kind of one application that are counted; a page must not read a million rows to say “later”."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """It goes at about `at`, behind so many requests; both are a least where `is_least`."""

    at: datetime
    requests_before: int
    is_least: bool = False


def of(entry: OutboxEntry, *, now: datetime, governor: Governor | None = None) -> Forecast | None:
    """When a queued entry that counts against the cap is expected to go; `None` while it is paused."""
    using = entry._state.db or "default"
    held = outbox.paused(using)
    if settings.is_paused or not held.isdisjoint(("", entry.application)):
        return None
    account = settings.account(settings.application(entry.application).account)
    sending = [each for each in settings.applications.values() if each.code not in held]
    sharing = [each for each in sending if each.account == account.name]
    before, is_least = _requests_before(entry, sharing, now, using)
    wait = timedelta(seconds=(governor or Governor()).wait(account, before))
    return Forecast(max(now + wait, entry.due_at), before, is_least)


def _requests_before(
    entry: OutboxEntry, applications: Iterable[Application], now: datetime, using: str
) -> tuple[int, bool]:
    """How many requests leave before an entry's; and whether there are more, as not all were counted."""
    waiting = (
        OutboxEntry.objects.using(using)
        .filter(status=OutboxEntry.Status.QUEUED, is_capped=True, due_at__lte=max(now, entry.due_at))
        .filter(_earlier(entry))
    )
    requests, is_least = 0, False
    together = Q(bulk_method="createMessage")
    for application in applications:
        mine = waiting.filter(outbox.ours([application]))
        shared, alone = _count(mine.filter(together)), _count(mine.exclude(together))
        is_own = application.code == entry.application and entry.bulk_method == "createMessage"
        # What shares a request with others may share one with this entry.
        requests += alone + (shared // MOST_NOTIFICATIONS if is_own else -(-shared // MOST_NOTIFICATIONS))
        is_least = is_least or MOST_COUNTED in (shared, alone)
    return requests, is_least


def _earlier(entry: OutboxEntry) -> Q:
    """What leaves first, in the order of `OutboxEntryQuerySet.due`."""
    same_time = Q(lane=entry.lane, due_at=entry.due_at, pk__lt=entry.pk)
    return Q(lane__lt=entry.lane) | Q(lane=entry.lane, due_at__lt=entry.due_at) | same_time


def _count(entries: QuerySet[OutboxEntry]) -> int:
    return entries.order_by()[:MOST_COUNTED].count()
