"""Races that need a database with many writers; collected where the suite runs on one (see `conftest`)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from django.db import connections
from django.utils import timezone

from django_pushwoosh import push
from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import outbox, poller
from django_pushwoosh.delivery.worker import Worker
from django_pushwoosh.models import BulkJob, BulkJobChunk, Device, OutboxEntry, ScheduledMessage
from django_pushwoosh.protocol.audience import Devices
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.errors import InvalidMessage
from django_pushwoosh.sandbox.app import Sandbox

pytestmark = pytest.mark.django_db(transaction=True)


def together(*works: Callable[[], object]) -> None:
    """Run them in threads of their own; what one raises, this raises."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            start.wait(10)
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []


def test_competing_workers_never_hold_the_same_entry() -> None:
    application = settings.application()
    now = timezone.now()
    for number in range(200):
        call = Call.of("applicationOpen", application.code, hwid=f"phone{number}")
        outbox.enqueue(call, key=f"device:{number}", application=application, now=now)
    held: list[int] = []

    def work() -> None:
        while entries := outbox.claim(7, now=now):
            held.extend(entry.pk for entry in entries)

    together(*[work] * 4)

    assert len(held) == len(set(held)) == 200


def test_chunks_that_end_at_the_same_moment_end_the_job(sandbox: Sandbox) -> None:
    for _ in range(5):
        job = push.bulk_set_tags([{"hwid": f"phone{number}", "tags": {"Age": 1}} for number in range(2000)])
        Worker().drain()
        first, second = BulkJobChunk.objects.filter(job=job).select_related("job")
        together(
            lambda chunk=first: poller._end(chunk, {"status": BulkJobChunk.Status.DONE}, timezone.now()),
            lambda chunk=second: poller._end(chunk, {"status": BulkJobChunk.Status.DONE}, timezone.now()),
        )
        job.refresh_from_db()
        assert job.status == BulkJob.Status.ENDED


@pytest.mark.parametrize("stop", ["cancel", "delete", "abort"])
def test_who_stops_and_who_settles_do_not_wait_for_each_other(sandbox: Sandbox, stop: str) -> None:
    for _ in range(10):
        if stop == "abort":
            job = push.bulk_set_tags([{"hwid": "phone", "tags": {"Age": 1}}])
            act = lambda job=job: push.abort(job)  # noqa: E731
        else:
            message = push.send("Hello", to=Devices(["phone"]))
            act = message.delete if stop == "delete" else lambda message=message: push.cancel(message)
        [entry] = outbox.claim(5, now=timezone.now())
        together(lambda entry=entry: Worker().deliver(entry), act)
        assert not OutboxEntry.objects.filter(status=OutboxEntry.Status.SENDING).exists()


def test_a_message_is_replaced_or_sent_and_not_both(sandbox: Sandbox) -> None:
    Device.objects.create(application="TEST0-00001", hwid="phone", platform=3, push_token="token")
    Worker().drain()

    def change(message: ScheduledMessage) -> None:
        message.parameters = {"content": "New"}
        with suppress(InvalidMessage):
            message.save()

    for _ in range(10):
        seen = len(sandbox.pushes)
        message = push.send("Old", to=Devices(["phone"]))
        together(lambda: Worker().drain(), lambda message=message: change(message))
        Worker().drain()
        assert len(sandbox.pushes) == seen + 1
