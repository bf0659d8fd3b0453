"""What the end of an outbox entry means for the message or the bulk job it belongs to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django_pushwoosh.models import BulkJob, BulkJobChunk, Dispatch, OutboxEntry, ScheduledMessage
from django_pushwoosh.protocol import answers
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.errors import CallError
from django_pushwoosh.signals import message_settled

ENDING = ("cancelMessage", "deleteMessage")


def succeeded(entry: OutboxEntry, result: Any, answer: Answer, *, now: datetime) -> None:
    """A call of the outbox succeeded; `result` is its answer's type."""
    match result:
        case answers.MessagesCreated():
            code = result.codes[0] if result.codes else answers.CODE_NOT_AVAILABLE
            _sent(entry, code, result.warning, answer, now)
        case answers.TargetedMessageCreated():
            _sent(entry, result.message_code, result.warning, answer, now)
        case answers.JobStarted() if entry.chunk_id:
            _chunk(entry).update(status=BulkJobChunk.Status.SENT, request_id=result.request_id)
        case _ if entry.method in ENDING and entry.dispatch is not None:
            _settle_dispatch(entry, entry.dispatch, Dispatch.Status.CANCELLED, "Cancelled at Pushwoosh.", answer, now)


def ended(entry: OutboxEntry, status: OutboxEntry.Status, error: CallError, *, now: datetime) -> None:
    """A call of the outbox was refused, or nobody knows what became of it."""
    if entry.method in ENDING:
        # The message went its way; that it could not be stopped is said, and changes nothing else.
        if entry.dispatch_id:
            Dispatch.objects.using(entry._state.db).filter(pk=entry.dispatch_id).update(told=str(error))
    elif entry.dispatch is not None:
        _settle_dispatch(entry, entry.dispatch, Dispatch.Status(status.value), str(error), error.answer, now)
    elif entry.chunk is not None:
        _chunk(entry).update(status=status.value, told=str(error))
        job_progressed(entry.chunk.job, now=now)


def job_progressed(job: BulkJob, *, now: datetime) -> None:
    """End a job whose last chunk has its report."""
    unsettled = (BulkJobChunk.Status.WAITING, BulkJobChunk.Status.QUEUED, BulkJobChunk.Status.SENT)
    jobs = BulkJob.objects.using(job._state.db).filter(pk=job.pk, status=BulkJob.Status.RUNNING)
    if not job.chunks.filter(status__in=unsettled).exists():
        jobs.update(status=BulkJob.Status.ENDED, ended_at=now)


def _sent(entry: OutboxEntry, code: str, warning: str, answer: Answer, now: datetime) -> None:
    limited = "1 random device" in warning.lower()
    status = Dispatch.Status.LIMITED if limited else Dispatch.Status.SENT
    if entry.dispatch is not None:
        entry.dispatch.message_code = code
        _settle_dispatch(entry, entry.dispatch, status, warning, answer, now)


def _settle_dispatch(
    entry: OutboxEntry, dispatch: Dispatch, status: Dispatch.Status, told: str, answer: Answer | None, now: datetime
) -> None:
    dispatch.status = status
    dispatch.told = told
    dispatch.answer = answer.document if answer is not None else None
    dispatch.settled_at = now
    dispatch.save(using=entry._state.db, update_fields=["status", "told", "answer", "settled_at", "message_code"])
    message = ScheduledMessage.objects.using(entry._state.db).get(pk=dispatch.message_id)
    message.settle()
    message_settled.send_robust(Dispatch, dispatch=dispatch)


def _chunk(entry: OutboxEntry) -> Any:
    return BulkJobChunk.objects.using(entry._state.db).filter(entries=entry)
