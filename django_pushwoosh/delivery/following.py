"""Follows messages for a time to come: asks Pushwoosh from time to time what it makes of them, until they have ended.

Who cancels or deletes one in Pushwoosh's control panel does not tell us; it shows here. Before its time a message is
looked at now and then, after it with growing pauses, and in the end not any more.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connections, transaction
from django.db.models import Exists, OuterRef

from django_pushwoosh.conf import Application, settings
from django_pushwoosh.delivery import connection, outbox
from django_pushwoosh.delivery.connection import Leave
from django_pushwoosh.delivery.discretion import told_without_values
from django_pushwoosh.delivery.senders import Senders
from django_pushwoosh.models import Dispatch, OutboxEntry, ScheduledMessage, storable
from django_pushwoosh.protocol.addresses import masked
from django_pushwoosh.protocol.answers import MessageDetails
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.errors import CallError, ConnectionFailed
from django_pushwoosh.protocol.refusals import knows_no_message
from django_pushwoosh.signals import message_settled

logger = logging.getLogger("django_pushwoosh")

BATCH = 200
LOOKED_BEFORE = timedelta(hours=6)
"""Between two questions while its time has not come."""
FOLLOWED_AFTER = timedelta(minutes=1)
"""After its time, a message is asked about; then again, as long after as its time is past."""
LONGEST_PAUSE = timedelta(hours=6)
FOLLOWED_FOR = timedelta(days=3)
"""After its time; what has not ended by then is not asked about any longer."""

NOT_KNOWN = "not found"
"""Stands for Pushwoosh's word where it keeps no such message."""

FOLLOWED = (Dispatch.Status.SENT, Dispatch.Status.LIMITED)


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What became of a dispatch, to be asked with the leave that there is."""

    dispatch: Dispatch
    application: Application
    call: Call
    leave: Leave


def asked_next(message: ScheduledMessage, now: datetime) -> datetime | None:
    """When Pushwoosh is asked next about a message; `None`: not any more."""
    first = message.latest_at + FOLLOWED_AFTER
    if now < first:
        return min(first, now + LOOKED_BEFORE)
    past = now - message.latest_at
    return now + min(past, LONGEST_PAUSE) if past < FOLLOWED_FOR else None


def follow(applications: Collection[Application], *, now: datetime, using: str) -> int:
    """Ask about the messages whose time to be asked about has come; how many came to their end."""
    waiting = deque(_due(applications, now, using))
    known = {each.code: each for each in applications}
    ended = 0
    with Senders(_send, settings.connections) as senders:
        while waiting or senders.in_flight:
            while waiting and senders.free > 0:
                question = _question(waiting.popleft(), known, now)
                if question is None:
                    # Pushwoosh is down; whoever was not asked about comes again.
                    waiting.clear()
                else:
                    senders.start(question)
            if senders.in_flight:
                ended += sum(_heard_or_log(asked, done, now) for asked, done in senders.finished())
    return ended


def _due(applications: Collection[Application], now: datetime, using: str) -> list[Dispatch]:
    """What is to be asked about now, kept from other pollers for as long as a call can take."""
    due = Dispatch.objects.using(using).filter(follow_at__lte=now)
    if not due.exists():
        return []
    due.exclude(status__in=FOLLOWED).update(follow_at=None)
    accepted = OutboxEntry.objects.using(using).filter(outbox.ours(applications), dispatch=OuterRef("pk")).order_by()
    skips = connections[using].features.has_select_for_update_skip_locked
    with transaction.atomic(using=using):
        first = due.filter(Exists(accepted)).order_by("follow_at").select_for_update(skip_locked=skips)
        pks = list(first.values_list("pk", flat=True)[:BATCH])
        later = now + outbox.longest_lease()
        Dispatch.objects.using(using).filter(pk__in=pks).update(follow_at=later)
    dispatches = Dispatch.objects.using(using).filter(pk__in=pks).select_related("message").order_by("pk")
    return list(dispatches.defer("arguments", "answer", "message__parameters", "message__audience"))


def _question(dispatch: Dispatch, known: dict[str, Application], now: datetime) -> Question | None:
    application = known[dispatch.message.application]
    call = Call.of("getMessageDetails", application.code, message=dispatch.message_code)
    try:
        return Question(dispatch, application, call, connection.enter(application, is_capped=False, now=now))
    except ConnectionFailed:
        return None


def _send(question: Question) -> Answer:
    return connection.send(question.call, question.application)


def _heard_or_log(question: Question, done: Future[Answer], now: datetime) -> bool:
    try:
        return _heard(question, done, now)
    except Exception as error:
        # One answer that cannot be dealt with must not keep the others from being heard.
        logger.error("What became of %s could not be noted: %s", question.dispatch, told_without_values(error))
        return False


def _heard(question: Question, done: Future[Answer], now: datetime) -> bool:
    """Note what Pushwoosh says; whether that is the message's end."""
    dispatch = question.dispatch
    error: CallError | None = None
    details: object = None
    try:
        details = connection.read(question.call, done.result())
    except CallError as failure:
        error = failure
    connection.leave(question.leave, error, now=now)
    if error is not None and knows_no_message(error):
        return _gone(dispatch, now)
    later = asked_next(dispatch.message, now)
    if not isinstance(details, MessageDetails):
        logger.info("%s: %s", dispatch, masked(storable(str(error))))
        return _note(dispatch, now, follow_at=later)
    word = storable(details.status)[:20]
    if details.is_canceled:
        told = f"{dispatch.told} Somebody cancelled it at Pushwoosh.".strip()
        return _note(dispatch, now, upstream_status=word, follow_at=None, status=Dispatch.Status.CANCELLED, told=told)
    if details.is_failed:
        told = f"{dispatch.told} Pushwoosh accepted it, and then failed to send it.".strip()
        return _note(dispatch, now, upstream_status=word, follow_at=None, status=Dispatch.Status.FAILED, told=told)
    return _note(dispatch, now, upstream_status=word, follow_at=None if details.is_done else later)


def _gone(dispatch: Dispatch, now: datetime) -> bool:
    """Pushwoosh keeps it no longer. Before its time it was deleted there, and goes to nobody; later nobody can say."""
    changes: dict[str, Any] = {"upstream_status": NOT_KNOWN, "follow_at": None}
    message = dispatch.message
    if message.send_at is not None and not message.in_device_time and now < message.send_at:
        changes |= {"status": Dispatch.Status.CANCELLED, "told": "Somebody deleted it at Pushwoosh."}
    return _note(dispatch, now, **changes)


def _note(dispatch: Dispatch, now: datetime, **changes: Any) -> bool:
    """Write down what was heard, unless the dispatch has gone another way meanwhile; whether it has ended."""
    using = dispatch._state.db
    with transaction.atomic(using=using):
        # The message before its parts, as by whoever stops it.
        message = ScheduledMessage.objects.using(using).select_for_update().filter(pk=dispatch.message_id).first()
        heard = Dispatch.objects.using(using).filter(
            pk=dispatch.pk, status__in=FOLLOWED, message_code=dispatch.message_code
        )
        if message is None or not heard.update(**changes):
            return False
        if "status" in changes:
            heard = Dispatch.objects.using(using).filter(pk=dispatch.pk)
            heard.update(settled_at=now)
            message.settle()
            told = heard.get()
            transaction.on_commit(
                lambda: message_settled.send_robust(Dispatch, dispatch=told), using=using, robust=True
            )
    return changes["follow_at"] is None
