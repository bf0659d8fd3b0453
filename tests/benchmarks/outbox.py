"""Writing to the outbox inside a transaction, beside Django's `create()` of one row of the same width."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import transaction
from django.utils import timezone

from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import outbox
from django_pushwoosh.models import OutboxEntry
from django_pushwoosh.protocol.calls import Call
from tests.benchmarks.harness import Benchmark


def enqueue() -> None:
    application = settings.application()
    call = Call.of("setTags", application.code, hwid="phone", tags={"Age": 30, "City": "Oslo"})
    with transaction.atomic():
        outbox.enqueue(call, key="device:phone", application=application, now=timezone.now())
        transaction.set_rollback(True)


def create() -> None:
    application = settings.application()
    with transaction.atomic():
        OutboxEntry.objects.create(
            application=application.code,
            api_root=application.api_root,
            method="setTags",
            arguments={"hwid": "phone", "tags": {"Age": 30, "City": "Oslo"}},
            key="device:phone",
        )
        transaction.set_rollback(True)


def benchmarks() -> Iterator[Benchmark]:
    yield Benchmark("queue a call (floor: create() of such a row)", enqueue, None, create, "floor", 1.5)
