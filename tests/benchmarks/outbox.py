"""Writing to the outbox inside a transaction, beside Django's `create()` of one row of the same width."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import transaction
from django.utils import timezone

from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import outbox
from django_pushwoosh.delivery.governor import Governor
from django_pushwoosh.models import OutboxEntry, RateSlot
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


def grant() -> None:
    governor, account = Governor(), settings.account()
    governor.unused(governor.acquire(account, 20.0))


def update() -> None:
    RateSlot.objects.filter(pk=1).update(uses=1)
    RateSlot.objects.filter(pk=1).update(uses=2)


def benchmarks() -> Iterator[Benchmark]:
    yield Benchmark("queue a call (floor: create() of such a row)", enqueue, None, create, "floor", 1.5)
    yield Benchmark("a governor's grant and return (floor: two updates)", grant, None, update, "floor", 6.0)
