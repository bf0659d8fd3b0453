"""Asks back what became of what was accepted: chunks of bulk jobs, settled from their detailed reports, and messages
for a time to come (`delivery.following`); and adds up what devices reported of messages (`delivery.statistics`).

What was accepted elsewhere, as a copy of the database has it, is not asked.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import DatabaseError, router
from django.db.models import Exists, F, OuterRef

from django_pushwoosh.conf import Application, settings
from django_pushwoosh.delivery import connection, following, outbox, statistics
from django_pushwoosh.delivery.discretion import told_without_values
from django_pushwoosh.delivery.results import progress
from django_pushwoosh.models import BulkJobChunk, OutboxEntry, storable
from django_pushwoosh.protocol.addresses import masked
from django_pushwoosh.protocol.answers import JobStatus
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.errors import CallError, NotFound

logger = logging.getLogger("django_pushwoosh")

BATCH = 200


def poll(*, now: datetime, using: str | None = None) -> int:
    """Ask what is to be asked by now; how many chunks and messages came to their end."""
    using = using or router.db_for_write(BulkJobChunk)
    _add_up_or_log(now, using)
    held = outbox.paused(using)
    asked = [each for each in settings.applications.values() if each.code not in held]
    if settings.is_paused or "" in held or not asked:
        return 0
    return _poll_jobs(asked, now, using) + following.follow(asked, now=now, using=using)


def _add_up_or_log(now: datetime, using: str) -> None:
    try:
        statistics.add_up(now=now, using=using)
    except DatabaseError as error:
        # It goes on from where it was, the next time; until then all is counted as it was.
        logger.warning("Statistics could not be added up: %s", told_without_values(error))


def _poll_jobs(applications: Sequence[Application], now: datetime, using: str) -> int:
    sent = BulkJobChunk.objects.using(using).filter(status=BulkJobChunk.Status.SENT)
    ours = OutboxEntry.objects.using(using).filter(outbox.ours(applications), chunk=OuterRef("pk"))
    sent = sent.filter(Exists(ours.order_by()))
    # Whoever was asked about longest ago comes first, so that no job that hangs keeps the others from being asked.
    longest_ago = sent.order_by(F("asked_at").asc(nulls_first=True), "pk")
    chunks = list(longest_ago.select_related("job").defer("devices", "report")[:BATCH])
    sent.filter(pk__in=[chunk.pk for chunk in chunks]).update(asked_at=now)
    return sum(_follow_or_log(chunk, now) for chunk in chunks)


def _follow_or_log(chunk: BulkJobChunk, now: datetime) -> bool:
    try:
        return _follow(chunk, now)
    except Exception as error:
        # One report that cannot be read must not keep the others from being asked for.
        logger.error("The report of %s could not be dealt with: %s", chunk, told_without_values(error))
        return False


def _follow(chunk: BulkJobChunk, now: datetime) -> bool:
    application = settings.application(chunk.job.application)
    call = Call.of(f"{chunk.job.kind}Status", application.code, request_id=chunk.request_id, detailed=True)
    try:
        _answer, status = connection.ask(call, application)
    except NotFound as error:
        return _end(chunk, {"status": BulkJobChunk.Status.UNCERTAIN, "told": str(error)}, now)
    except CallError as error:
        logger.info("%s: %s", chunk, masked(storable(str(error))))
        return False
    if not isinstance(status, JobStatus) or not status.is_ended:
        return False
    missed = [
        {"id": device.id, "status": device.status, "tags": device.tags}
        for device in status.devices
        if device.status != "done" or any(verdict != "ok" for verdict in device.tags.values())
    ]
    failed = status.status.lower() == "failed"
    counts = {"succeeded": status.succeeded, "failed": status.failed, "not_found": status.not_found}
    ended = BulkJobChunk.Status.FAILED if failed else BulkJobChunk.Status.DONE
    return _end(chunk, {"status": ended, "report": missed, **counts}, now)


def _end(chunk: BulkJobChunk, changes: dict[str, Any], now: datetime) -> bool:
    sent = BulkJobChunk.objects.using(chunk._state.db).filter(pk=chunk.pk, status=BulkJobChunk.Status.SENT)
    ended: list[int] = []
    progress(chunk.job, lambda: ended.append(sent.update(**storable(changes))), now=now)
    return bool(ended[0])
