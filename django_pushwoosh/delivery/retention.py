"""Deletes what has ended long ago, so that no table grows for ever. What has not ended is never touched.

It goes in small batches, each a transaction of its own that locks no more than its rows, found along an index. Whoever
stops in between has lost nothing, and whoever comes next goes on.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from django.db import OperationalError, connections, router, transaction
from django.db.models import Exists, Max, OuterRef, ProtectedError, Q, QuerySet, RestrictedError
from django.db.models.signals import post_delete, pre_delete

from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import statistics
from django_pushwoosh.delivery.discretion import told_without_values
from django_pushwoosh.models import (
    BulkJob,
    BulkJobChunk,
    BulkRequest,
    Dispatch,
    OutboxEntry,
    ScheduledMessage,
    Statistic,
    UserLink,
)

logger = logging.getLogger("django_pushwoosh")

BATCH = 1000
FEW = 100
"""Rows at a time that may each name thousands of devices: chunks and messages."""

MOST_STATISTICS = 5_000_000
"""Rows of statistics that are kept, however young: strangers may report whatever they like."""

MOST_HELD = 1000
"""Rows of one kind that are old and stay, until the rest is left for another time."""

ENTRY = OutboxEntry.Status
MESSAGE = ScheduledMessage.Status
SETTLED = (ENTRY.SENT, ENTRY.CANCELLED, ENTRY.EXPIRED)
FAILED = (ENTRY.FAILED, ENTRY.LEFT, ENTRY.UNCERTAIN)
OVER = (MESSAGE.SENT, MESSAGE.LIMITED, MESSAGE.CANCELLED, MESSAGE.EXPIRED)
DOUBTFUL = (MESSAGE.FAILED, MESSAGE.UNCERTAIN)


class OldMessages(QuerySet[ScheduledMessage]):
    """Messages that are deleted for their age: nothing is said upstream of it."""


@dataclass
class Purged:
    """How many rows went, by model; `is_done` says that no older ones are left."""

    rows: Counter[str] = field(default_factory=Counter)
    is_done: bool = True

    @property
    def total(self) -> int:
        return sum(self.rows.values())


@dataclass(frozen=True)
class _Old:
    """Rows of one kind that may go, but for those of which `kept` is true, and how many at a time.

    `kept` is asked of a batch only: over all rows a database may well look through whole tables for it, each time.
    """

    rows: QuerySet[Any]
    batch: int
    kept: Exists | None = None


def purge(
    *,
    now: datetime,
    using: str | None = None,
    seconds: float | None = None,
    batch: int = BATCH,
    is_ended: Callable[[], bool] = lambda: False,
) -> Purged:
    """Delete what the setting `RETENTION` no longer keeps, for about so many seconds at most."""
    using = using or router.db_for_write(OutboxEntry)
    until = None if seconds is None else time.monotonic() + seconds
    purged = Purged()
    statistics.add_up(now=now, using=using)
    for old in _old(now, using, batch):
        held: set[Any] = set()
        found = old.batch
        while found >= old.batch and len(held) < MOST_HELD:
            if is_ended() or (until is not None and time.monotonic() >= until):
                purged.is_done = False
                return purged
            try:
                found = _delete_some(old, held, using, purged)
            except OperationalError as error:
                # Somebody else had the rows, or the whole file; there is no hurry.
                logger.info("Deleting what is old was interrupted: %s", told_without_values(error))
                purged.is_done = False
                return purged
    return purged


def _delete_some(old: _Old, held: set[Any], using: str, purged: Purged) -> int:
    """Delete a batch, but for what stays, which is added to `held`; how many rows it found.

    In no order: a database that thinks there are few would sort what may be a million, for each batch anew.
    """
    skips = connections[using].features.has_select_for_update_skip_locked
    with transaction.atomic(using=using):
        # Whoever takes one up meanwhile (a person's retry) keeps it; who competes for the rest gets other rows.
        rows = old.rows.order_by().select_for_update(skip_locked=skips, **_of_self(using))
        pks = list((rows.exclude(pk__in=held) if held else rows).values_list("pk", flat=True)[: old.batch])
        free = pks
        if pks and old.kept is not None:
            free = list(_by_key(old, pks).filter(~old.kept).values_list("pk", flat=True))
            held.update(set(pks).difference(free))
        try:
            with transaction.atomic(using=using):
                _delete(old, free, purged)
        except (ProtectedError, RestrictedError):
            # A row of the project's own holds on to one of them; the others go.
            for pk in free:
                try:
                    with transaction.atomic(using=using):
                        _delete(old, [pk], purged)
                except (ProtectedError, RestrictedError):
                    held.add(pk)
    return len(pks)


def _delete(old: _Old, pks: list[Any], purged: Purged) -> None:
    if pks:
        rows = _by_key(old, pks)
        if not any(signal.has_listeners(rows.model) for signal in (pre_delete, post_delete)):
            # Nobody looks at what goes; a listener may want to see all of it.
            rows = rows.only("pk")
        _deleted, counts = rows.delete()
        purged.rows.update({name.rpartition(".")[2]: count for name, count in counts.items() if count})


def _by_key(old: _Old, pks: list[Any]) -> QuerySet[Any]:
    """Locked rows by their keys alone: they are still what they were, and the database need not look along the age."""
    return type(old.rows)(old.rows.model, using=old.rows.db).filter(pk__in=pks).order_by()


def _of_self(using: str) -> dict[str, Any]:
    return {"of": ("self",)} if connections[using].features.has_select_for_update_of else {}


def _old(now: datetime, using: str, batch: int) -> Iterator[_Old]:
    """All that may go, each status by itself: an index then leads to no others."""
    keep = settings.retention
    few = min(batch, FEW)
    for status, age in chain(_each(SETTLED, keep.settled), _each(FAILED, keep.failed)):
        yield _Old(_entries(using).filter(status=status, settled_at__lt=now - age), batch)
    for age in filter(None, [keep.settled]):
        sending = OutboxEntry.objects.using(using).filter(bulk_request=OuterRef("pk"), status=ENTRY.SENDING)
        requests = BulkRequest.objects.using(using).filter(settled_at__lt=now - age)
        yield _Old(requests, batch, Exists(sending.order_by()))
    for is_composed, kept in ((False, keep.messages), (True, keep.composed)):
        longer = None if kept is None or keep.failed is None else max(kept, keep.failed)
        for status, age in chain(_each(OVER, kept), _each(DOUBTFUL, longer)):
            messages = _messages(using, now - age).filter(status=status, created_by__isnull=not is_composed)
            yield _Old(messages, few, Exists(_moving_dispatches(using)))
    for job_status, age in _each((BulkJob.Status.ENDED, BulkJob.Status.ABORTED), keep.jobs):
        jobs = BulkJob.objects.using(using).filter(status=job_status, ended_at__lt=now - age)
        chunks = BulkJobChunk.objects.using(using).filter(job__status=job_status, job__ended_at__lt=now - age)
        yield _Old(chunks, few, Exists(_moving_chunks(using).filter(job=OuterRef("job"))))
        yield _Old(jobs, few, Exists(_moving_chunks(using).filter(job=OuterRef("pk"))))
    for age in filter(None, [keep.links]):
        yield _Old(UserLink.objects.using(using).filter(is_open=None, until__lt=now - age), batch)
    single = statistics.added_up(using)
    for age in filter(None, [keep.statistics]):
        yield _Old(single.filter(at__lt=now - age), batch)
    newest = Statistic.objects.using(using).aggregate(newest=Max("pk"))["newest"]
    if newest is not None and newest > MOST_STATISTICS:
        # Keys that were given out count, which is quick to see; of reports that come twice there are some.
        yield _Old(single.filter(pk__lte=newest - MOST_STATISTICS), batch)


def _each(statuses: tuple[Any, ...], age: timedelta | None) -> Iterator[tuple[Any, timedelta]]:
    return ((status, age) for status in statuses if age is not None)


def _entries(using: str) -> QuerySet[OutboxEntry]:
    """Entries but those by which the poller knows where something was accepted that it still asks about."""
    followed = Dispatch.objects.using(using).filter(pk=OuterRef("dispatch"), follow_at__isnull=False)
    awaited = BulkJobChunk.objects.using(using).filter(pk=OuterRef("chunk"), status=BulkJobChunk.Status.SENT)
    return OutboxEntry.objects.using(using).filter(
        Q(dispatch=None) | ~Exists(followed), Q(chunk=None) | ~Exists(awaited)
    )


def _messages(using: str, before: datetime) -> QuerySet[ScheduledMessage]:
    """Messages whose time was before."""
    messages = OldMessages(ScheduledMessage, using=using).filter(created_at__lt=before)
    return messages.filter(Q(send_at=None) | Q(send_at__lt=before))


def _moving_dispatches(using: str) -> QuerySet[Dispatch]:
    """Of a message, those that are asked about, or of which an entry waits."""
    waiting = OutboxEntry.objects.using(using).filter(dispatch=OuterRef("pk")).unsettled().order_by()
    dispatches = Dispatch.objects.using(using).filter(message=OuterRef("pk")).order_by()
    return dispatches.filter(Q(follow_at__isnull=False) | Exists(waiting))


def _moving_chunks(using: str) -> QuerySet[BulkJobChunk]:
    moving = (BulkJobChunk.Status.QUEUED, BulkJobChunk.Status.SENT)
    return BulkJobChunk.objects.using(using).filter(status__in=moving).order_by()
