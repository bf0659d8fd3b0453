"""What people decide about entries that wait, or have come to nothing."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import router, transaction
from django.db.models import QuerySet
from django.utils import timezone

from django_pushwoosh.delivery import forecasts, outbox
from django_pushwoosh.delivery.forecasts import Forecast
from django_pushwoosh.delivery.results import ENDING, lock
from django_pushwoosh.models import (
    BulkJob,
    BulkJobChunk,
    Dispatch,
    OutboxEntry,
    Pause,
    ScheduledMessage,
    home_of,
)


def retry(entry: OutboxEntry) -> bool:
    """Queue a failed, left or uncertain entry once more; a cancelled one too, unless it is a message's or a job's."""
    using = home_of(entry)
    entries = OutboxEntry.objects.using(using).select_related("dispatch", "chunk")
    again = entries.defer("chunk__devices", "chunk__report").filter(pk=entry.pk).first()
    if again is None:
        return False
    with transaction.atomic(using=using):
        lock([again])
        if not outbox.retry(again, now=timezone.now()):
            return False
        if again.dispatch is not None and again.method not in ENDING:
            dispatches = Dispatch.objects.using(using).filter(entries=again)
            dispatches.update(status=Dispatch.Status.QUEUED, settled_at=None, told="", is_unwanted=False)
            ScheduledMessage.objects.using(using).get(pk=again.dispatch.message_id).settle()
        if again.chunk_id:
            BulkJobChunk.objects.using(using).filter(entries=again).update(status=BulkJobChunk.Status.QUEUED)
            BulkJob.objects.using(using).filter(chunks__entries=again, status=BulkJob.Status.ENDED).update(
                status=BulkJob.Status.RUNNING, ended_at=None
            )
    return True


def cancel_entries(entries: QuerySet[OutboxEntry]) -> int:
    """Take queued device calls out of the outbox; how many were. Messages and bulk jobs have their own ways."""
    return len(outbox.cancel(entries.filter(dispatch=None, chunk=None), now=timezone.now()))


def discard(entries: QuerySet[OutboxEntry], *, by: str) -> int:
    """Give up dead letters (failed, left or uncertain) for good; how many were."""
    return outbox.discard(entries, told=f"Discarded by {by}.")


def forecast(message: ScheduledMessage) -> Forecast | None:
    """When a message that waits for the account's cap is expected to go; `None` where it does not, or nobody knows."""
    using = message._state.db or router.db_for_read(OutboxEntry)
    waiting = OutboxEntry.objects.using(using).filter(dispatch__message=message, status=OutboxEntry.Status.QUEUED)
    entry = waiting.filter(outbox.ours(), is_capped=True).defer("arguments", "raw").order_by("pk").first()
    return forecasts.of(entry, now=timezone.now()) if entry is not None else None


def unpause(pauses: Sequence[Pause]) -> None:
    """Let the entries of paused applications go on."""
    for paused in pauses:
        outbox.renew_patience(paused.application, home_of(paused))
        paused.delete()
    outbox.wake()
