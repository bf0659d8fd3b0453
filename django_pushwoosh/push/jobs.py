"""Bulk jobs: started, paused, resumed, aborted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import router, transaction
from django.utils import timezone

from django_pushwoosh.conf import DEFAULT_ALIAS, settings
from django_pushwoosh.delivery import outbox
from django_pushwoosh.delivery.results import progress
from django_pushwoosh.models import (
    BulkJob,
    BulkJobChunk,
    OutboxEntry,
    home_of,
)
from django_pushwoosh.protocol import tags as tag_rules
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.errors import InvalidMessage, Problem

CHUNK = 1000
"""Devices in one bulk request; the documents name no bound."""


def bulk_register_devices(
    devices: Iterable[Mapping[str, Any]], *, application: str = DEFAULT_ALIAS, is_started: bool = True
) -> BulkJob:
    """A job that registers many devices: objects with hwid, push_token, platform and perhaps tags (seeds 004)."""
    return _new_job(BulkJob.Kind.REGISTER, devices, application, is_started)


def bulk_set_tags(
    devices: Iterable[Mapping[str, Any]],
    *,
    application: str = DEFAULT_ALIAS,
    create_missing_tags: bool = False,
    is_started: bool = True,
) -> BulkJob:
    """A job that tags many devices: objects with hwid, user_id or push_token, and tags (seeds 004)."""
    return _new_job(BulkJob.Kind.TAGS, devices, application, is_started, create_missing_tags)


def start(job: BulkJob) -> bool:
    """Queue the chunks of a job that is new or was paused."""
    using = home_of(job)
    application = settings.application(job.application)
    now = timezone.now()
    startable = (BulkJob.Status.NEW, BulkJob.Status.PAUSED)
    with transaction.atomic(using=using):
        jobs = BulkJob.objects.using(using).filter(pk=job.pk, status__in=startable)
        if not jobs.update(status=BulkJob.Status.RUNNING):
            return False
        # From here on it is the primary's row, also for `progress`.
        job.refresh_from_db(using=using)
        for chunk in job.chunks.using(using).filter(status=BulkJobChunk.Status.WAITING).iterator(chunk_size=10):
            more = {"create_missing_tags": job.create_missing_tags} if job.kind == BulkJob.Kind.TAGS else {}
            call = Call.of(job.kind, application.code, devices=chunk.devices, **more)
            outbox.enqueue(
                call,
                key=outbox.chunk_key(chunk.pk),
                application=application,
                lane=OutboxEntry.Lane.BULK,
                chunk=chunk,
                now=now,
                using=using,
            )
            BulkJobChunk.objects.using(using).filter(pk=chunk.pk).update(status=BulkJobChunk.Status.QUEUED)
        progress(job, lambda: None, now=now)
        job.refresh_from_db(using=using)
    return True


resume = start


def pause(job: BulkJob) -> bool:
    """Take the chunks that have not left out of the queue; `resume` puts them back."""
    return _halt(job, BulkJob.Status.PAUSED, BulkJobChunk.Status.WAITING)


def abort(job: BulkJob) -> bool:
    """End a job; chunks that have not left never will."""
    return _halt(job, BulkJob.Status.ABORTED, BulkJobChunk.Status.CANCELLED)


def _new_job(
    kind: BulkJob.Kind,
    devices: Iterable[Mapping[str, Any]],
    application: str,
    is_started: bool,
    create_missing_tags: bool = False,
) -> BulkJob:
    using = router.db_for_write(BulkJob)
    code = settings.application(application).code
    with transaction.atomic(using=using):
        job = BulkJob.objects.using(using).create(application=code, kind=kind, create_missing_tags=create_missing_tags)
        number = 0
        for number, chunk in enumerate(_chunked(devices), start=1):
            rows = Call.of(kind, code, devices=chunk).arguments["devices"]
            BulkJobChunk.objects.using(using).create(job=job, number=number, devices=rows)
        if not number:
            raise InvalidMessage(Problem("devices", "the job has no devices"))
        if is_started:
            start(job)
    return job


def _chunked(devices: Iterable[Mapping[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for device in devices:
        row = dict(device)
        if isinstance(row.get("tags"), Mapping):
            row["tags"] = tag_rules.clean_tags(row["tags"])
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _halt(job: BulkJob, status: BulkJob.Status, of_chunks: BulkJobChunk.Status) -> bool:
    using = home_of(job)
    now = timezone.now()
    running = (BulkJob.Status.NEW, BulkJob.Status.RUNNING, BulkJob.Status.PAUSED)
    with transaction.atomic(using=using):
        ended_at = now if status == BulkJob.Status.ABORTED else None
        jobs = BulkJob.objects.using(using).filter(pk=job.pk, status__in=running)
        if not jobs.update(status=status, ended_at=ended_at):
            return False
        queued = OutboxEntry.objects.using(using).filter(chunk__job=job, status=OutboxEntry.Status.QUEUED)
        # What may have arrived is not taken back: its report, or a person, tells.
        stopped = outbox.cancel(queued.filter(doubtful_since=None), now=now)
        chunks = BulkJobChunk.objects.using(using).filter(job=job)
        chunks.filter(pk__in=[entry.chunk_id for entry in stopped]).update(status=of_chunks)
        chunks.filter(status=BulkJobChunk.Status.WAITING).update(status=of_chunks)
        job.refresh_from_db(using=using)
    return True
