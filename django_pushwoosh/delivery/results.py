"""What the end of an outbox entry means for the message or the bulk job it belongs to.

Everything here runs in the transaction that settles the entry, and the message's or job's row is locked before its
parts are written: of two parts that end at once, the second sees the first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Exists, OuterRef
from django.db.models.fields.json import KeyTextTransform

from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import outbox, unknown_devices
from django_pushwoosh.delivery.following import asked_next
from django_pushwoosh.delivery.statements import update_each
from django_pushwoosh.models import (
    BulkJob,
    BulkJobChunk,
    Dispatch,
    OutboxEntry,
    ScheduledMessage,
    is_storable,
    storable,
)
from django_pushwoosh.models.lookups import Among
from django_pushwoosh.protocol import answers
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.errors import CallError
from django_pushwoosh.protocol.refusals import is_lost, told_warnings
from django_pushwoosh.signals import message_settled

ENDING = ("cancelMessage", "deleteMessage")
CODE_LENGTH = 40
BEYOND_REACH = "It cannot be cancelled: Pushwoosh gave no code for it (CODE_NOT_AVAILABLE)."
MOST_ANSWER = 4 * 1024 * 1024
"""Characters of an answer that are kept; 1,000 unknown devices with the longest tokens fit in."""


def messages_created(created: Sequence[tuple[OutboxEntry, answers.MessagesCreated, Answer]], *, now: datetime) -> None:
    """createMessage succeeded for each of the entries, with an answer of its own.

    What is as usual (one code, no warning, nobody unknown) is written for all of them together.
    """
    usual = {
        entry.dispatch.pk: (entry, result.codes[0], answer)
        for entry, result, answer in created
        if entry.dispatch is not None
        and len(created) > 1
        and len(result.codes) == 1
        and not result.unknown_by_code
        and not answers.warnings_in(answer)
        and len(result.codes[0]) <= CODE_LENGTH
        and is_storable(result.codes[0])
    }
    done = _all_sent(usual, now) if usual else set()
    for entry, result, answer in created:
        if entry.dispatch_id not in done:
            succeeded(entry, result, answer, now=now)


def _all_sent(usual: dict[int, tuple[OutboxEntry, str, Answer]], now: datetime) -> set[int]:
    """Note that dispatches were accepted; those that were there, and still wanted."""
    using = next(iter(usual.values()))[0]._state.db or DEFAULT_DB_ALIAS
    dispatches = Dispatch.objects.using(using).filter(Among("pk", usual), is_unwanted=False)
    messages = dict(dispatches.values_list("pk", "message_id"))
    first = next(iter(usual.values()))[2]
    answered = {"status_code": first.status_code, "status_message": first.status_message}
    update_each(
        Dispatch,
        ["message_code"],
        {pk: [usual[pk][1]] for pk in messages},
        alike={
            "status": Dispatch.Status.SENT,
            "told": "",
            "settled_at": now,
            "answer": answered,
            "follow_at": None,
        },
        using=using,
    )
    ahead = [pk for pk in messages if is_ahead(usual[pk][0].call)]
    _follow(ahead, using, now)
    waiting = Dispatch.objects.filter(message=OuterRef("pk")).exclude(status=Dispatch.Status.SENT)
    owners = ScheduledMessage.objects.using(using).filter(Among("pk", set(messages.values())))
    owners.filter(~Exists(waiting)).update(status=ScheduledMessage.Status.SENT)
    for message in owners.filter(Exists(waiting)):
        message.settle()
    for pk in messages:
        _tell(usual[pk][0].dispatch, using, status=Dispatch.Status.SENT, settled_at=now, message_code=usual[pk][1])
    return set(messages)


def _tell(dispatch: Dispatch | None, using: str, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(dispatch, name, value)
    transaction.on_commit(lambda: message_settled.send_robust(Dispatch, dispatch=dispatch), using=using, robust=True)


def _follow(pks: Collection[int], using: str | None, now: datetime) -> None:
    """Have Pushwoosh asked what becomes of messages for a time to come."""
    by_message: dict[int, list[int]] = {}
    for pk, message_pk in Dispatch.objects.using(using).filter(Among("pk", pks)).values_list("pk", "message_id"):
        by_message.setdefault(message_pk, []).append(pk)
    for message in (
        ScheduledMessage.objects.using(using).filter(Among("pk", by_message)).defer("parameters", "audience")
    ):
        dispatches = Dispatch.objects.using(using).filter(Among("pk", by_message[message.pk]))
        dispatches.update(follow_at=asked_next(message, now))


def succeeded(entry: OutboxEntry, result: Any, answer: Answer, *, now: datetime) -> None:
    """A call of the outbox succeeded; `result` is its answer's type."""
    match result:
        case answers.MessagesCreated():
            code = result.codes[0] if result.codes else answers.CODE_NOT_AVAILABLE
            dispatch = _sent(entry, code, answer, now, result.unknown_devices)
            unknown_devices.note(entry, result.unknown_devices, dispatch, now=now)
        case answers.TargetedMessageCreated():
            _sent(entry, result.message_code, answer, now)
        case answers.JobStarted():
            request_id = storable(result.request_id)[:255]
            _with_chunk(entry, now, status=BulkJobChunk.Status.SENT, request_id=request_id)
        case _ if entry.method in ENDING:
            stopped = {"status": Dispatch.Status.CANCELLED, "told": "Cancelled at Pushwoosh.", "follow_at": None}
            _with_dispatch(entry, now, answer, **stopped)


def lock(entries: Iterable[OutboxEntry]) -> None:
    """Lock the messages' and jobs' rows, before the entries': whoever stops them takes them in this order.

    By their keys alone, and in order: a lock through a join takes the parts too, and two would wait for each other.
    """
    held = list(entries)
    messages = sorted({entry.dispatch.message_id for entry in held if entry.dispatch is not None})
    jobs = sorted({entry.chunk.job_id for entry in held if entry.chunk is not None})
    for model, pks in ((ScheduledMessage, messages), (BulkJob, jobs)):
        if pks:
            rows = model.objects.using(held[0]._state.db).filter(Among("pk", pks)).order_by("pk")
            list(rows.select_for_update().values_list("pk", flat=True))


def wanted_audiences(entries: Sequence[OutboxEntry]) -> dict[int, str]:
    """The kinds of audiences of the messages that entries create, by entry; cancelled and deleted ones are left out."""
    created = {entry.dispatch_id: entry.pk for entry in entries if entry.dispatch_id and creates_message(entry)}
    if not created:
        return {}
    dispatches = Dispatch.objects.using(entries[0]._state.db).filter(Among("pk", created), is_unwanted=False)
    kinds = dispatches.values_list("pk", KeyTextTransform("kind", "message__audience"))
    return {created[pk]: str(kind) for pk, kind in kinds}


def creates_message(entry: OutboxEntry) -> bool:
    return entry.key.startswith(outbox.MESSAGE) and entry.method not in ENDING


def is_ahead(call: Call) -> bool:
    """Whether a message's call is for a time to come."""
    notes = call.arguments.get("notifications") or [call.arguments]
    return all(each.get("send_date") != "now" for each in notes)


def cancelled(entry: OutboxEntry, *, now: datetime) -> None:
    """It was taken out before it left."""
    _with_dispatch(entry, now, None, status=Dispatch.Status.CANCELLED)


def expired(entry: OutboxEntry, *, now: datetime) -> None:
    """It waited until nobody should get it any more."""
    told = "It waited too long; nobody was to get it any more."
    if entry.dispatch_id:
        _with_dispatch(entry, now, None, status=Dispatch.Status.EXPIRED, told=told)
    elif entry.chunk_id:
        _with_chunk(entry, now, status=BulkJobChunk.Status.CANCELLED, told=told)


def ended(entry: OutboxEntry, status: OutboxEntry.Status, error: CallError, *, now: datetime) -> None:
    """A call of the outbox was refused, or nobody knows what became of it."""
    told = storable(str(error))
    if entry.method in ENDING:
        # That it was not stopped is said; what has become of it, Pushwoosh is asked at once.
        is_known = status == OutboxEntry.Status.FAILED
        said = "It could not be cancelled" if is_known else "Nobody knows whether it was cancelled"
        dispatches = Dispatch.objects.using(entry._state.db).filter(entries=entry)
        dispatches.exclude(status=Dispatch.Status.CANCELLED).update(told=f"{said}: {told}", follow_at=now)
        _stop_successors(entry, f"Not sent, for what it was to replace could not be stopped: {told}", now)
    elif entry.dispatch_id:
        _with_dispatch(entry, now, error.answer, status=Dispatch.Status(status.value), told=told)
    elif entry.chunk_id:
        _with_chunk(entry, now, status=status.value, told=told)


def progress(job: BulkJob, change: Callable[[], object], *, now: datetime) -> None:
    """Change something about a job's chunks, and end the job if the last of them has its report."""
    unsettled = (BulkJobChunk.Status.WAITING, BulkJobChunk.Status.QUEUED, BulkJobChunk.Status.SENT)
    using = job._state.db
    with transaction.atomic(using=using):
        jobs = BulkJob.objects.using(using).filter(pk=job.pk)
        jobs.select_for_update().first()
        change()
        chunks = BulkJobChunk.objects.using(using).filter(job=job, status__in=unsettled)
        if not chunks.select_for_update().values_list("pk", flat=True)[:1]:
            jobs.filter(status=BulkJob.Status.RUNNING).update(status=BulkJob.Status.ENDED, ended_at=now)


def _missing(unknown: tuple[str, ...]) -> str:
    count = len(unknown)
    return f"Pushwoosh does not know {count} of the devices." if count else ""


def _sent(
    entry: OutboxEntry,
    code: str,
    answer: Answer,
    now: datetime,
    unknown: tuple[str, ...] = (),
) -> Dispatch | None:
    """It was accepted. Without a code it is sent all the same; it can be neither followed nor cancelled."""
    warnings = answers.warnings_in(answer)
    status = Dispatch.Status.LIMITED if is_lost(warnings) else Dispatch.Status.SENT
    if len(code) > CODE_LENGTH or not is_storable(code):
        # A part of it would be the code of another message, or of none.
        code = answers.CODE_NOT_AVAILABLE
    told = storable(" ".join(filter(None, (told_warnings(warnings), _missing(unknown)))))
    dispatch = _with_dispatch(entry, now, answer, status=status, told=told, message_code=code)
    if dispatch is not None and dispatch.is_known_upstream and is_ahead(entry.call):
        _follow([dispatch.pk], entry._state.db, now)
    if dispatch is None and code != answers.CODE_NOT_AVAILABLE:
        # Deleted while it was being sent.
        _enqueue_cancel(code, entry.application, entry.key, entry._state.db, now)
    elif dispatch is not None and dispatch.is_unwanted:
        if dispatch.is_known_upstream:
            stop(dispatch, entry.application, now=now)
        else:
            say_it_is_beyond_reach(dispatch)
    return dispatch


def say_it_is_beyond_reach(dispatch: Dispatch) -> None:
    """Whoever cancelled a dispatch that was sent without a code learns that it could not be stopped."""
    if BEYOND_REACH not in dispatch.told:
        dispatch.told = f"{dispatch.told} {BEYOND_REACH}".strip()
        Dispatch.objects.using(dispatch._state.db).filter(pk=dispatch.pk).update(told=dispatch.told)


def stop(dispatch: Dispatch, application: str, *, now: datetime) -> None:
    """Queue the cancelling of a dispatch that Pushwoosh knows, unless that waits already."""
    using = dispatch._state.db
    if dispatch.entries.using(using).filter(method__in=ENDING).unsettled().exists():
        return
    key = outbox.message_key(dispatch.message_id)
    _enqueue_cancel(dispatch.message_code, application, key, using, now, dispatch)


def _enqueue_cancel(
    code: str, application: str, key: str, using: str | None, now: datetime, dispatch: Dispatch | None = None
) -> None:
    outbox.enqueue(
        Call.of("cancelMessage", application, message=code),
        key=key,
        application=settings.application(application),
        dispatch=dispatch,
        now=now,
        using=using,
    )


def _stop_successors(entry: OutboxEntry, told: str, now: datetime) -> None:
    """A message was to be replaced, and the old one goes out: the new one must not follow it to the same people."""
    using = entry._state.db
    successors = OutboxEntry.objects.using(using).filter(key=entry.key, pk__gt=entry.pk).exclude(method__in=ENDING)
    stopped = [successor.pk for successor in outbox.cancel(successors, now=now)]
    if stopped and entry.dispatch is not None:
        dispatches = Dispatch.objects.using(using).filter(entries__in=stopped)
        dispatches.update(status=Dispatch.Status.CANCELLED, told=told, settled_at=now)
        ScheduledMessage.objects.using(using).get(pk=entry.dispatch.message_id).settle()


def _with_dispatch(entry: OutboxEntry, now: datetime, answer: Answer | None, **changes: Any) -> Dispatch | None:
    using = entry._state.db
    if entry.dispatch is None:
        return None
    message = ScheduledMessage.objects.using(using).filter(pk=entry.dispatch.message_id).first()
    dispatch = Dispatch.objects.using(using).filter(pk=entry.dispatch.pk).first()
    if message is None or dispatch is None:
        # Deleted while it was being sent; the entry itself keeps what became of it.
        return None
    changes |= {"settled_at": now, "answer": _kept(answer) if answer is not None else None}
    Dispatch.objects.using(using).filter(pk=dispatch.pk).update(**changes)
    for name, value in changes.items():
        setattr(dispatch, name, value)
    message.settle()
    transaction.on_commit(lambda: message_settled.send_robust(Dispatch, dispatch=dispatch), using=using, robust=True)
    return dispatch


def _kept(answer: Answer) -> Any:
    """The whole answer, unless it is longer than any answer to a message: no database takes just anything."""
    document = storable(answer.document)
    length = len(json.dumps(document))
    if length <= MOST_ANSWER:
        return document
    return {"status_code": answer.status_code, "left_out": f"{length} characters"}


def _with_chunk(entry: OutboxEntry, now: datetime, **changes: Any) -> None:
    if entry.chunk is not None:
        chunks = BulkJobChunk.objects.using(entry._state.db).filter(pk=entry.chunk.pk)
        progress(entry.chunk.job, lambda: chunks.update(**changes), now=now)
