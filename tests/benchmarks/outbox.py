"""Writing to the outbox inside a transaction, beside Django's `create()` and `bulk_create()` of the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

from django.db import transaction
from django.utils import timezone

from django_pushwoosh import push
from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import outbox
from django_pushwoosh.models import Device, OutboxEntry
from django_pushwoosh.protocol.calls import Call
from tests.benchmarks.harness import Benchmark

DEVICES = 2000
TAGS = {"Age": 30, "City": "Oslo"}
_numbers = count()


def rolled_back(work: Callable[[], object]) -> Callable[[], None]:
    """Some of it in a transaction that leaves nothing: the transaction's own cost is not what is compared."""

    def some() -> None:
        with transaction.atomic():
            for _ in range(20):
                work()
            transaction.set_rollback(True)

    return some


def enqueue() -> None:
    application = settings.application()
    call = Call.of("setTags", application.code, hwid="phone", tags=TAGS)
    outbox.enqueue(call, key="device:phone", application=application, now=timezone.now())


def set_tags() -> None:
    number = next(_numbers)
    push.set_tags(hwid=f"phone-{number % DEVICES}", tags={**TAGS, "Age": number % 90})


def create() -> None:
    OutboxEntry.objects.create(**row(0))


def set_tags_of_many() -> None:
    with transaction.atomic():
        push.set_tags_of_many((f"phone-{number}", TAGS) for number in range(DEVICES))
        transaction.set_rollback(True)


def bulk_create() -> None:
    with transaction.atomic():
        OutboxEntry.objects.bulk_create((OutboxEntry(**row(number)) for number in range(DEVICES)), batch_size=1000)
        transaction.set_rollback(True)


def row(number: int) -> dict[str, object]:
    application = settings.application()
    return {
        "application": application.code,
        "api_root": application.api_root,
        "method": "setTags",
        "arguments": {"hwid": f"phone-{number}", "tags": TAGS},
        "key": outbox.device_key(application.code, f"phone-{number}"),
        "bulk_method": "bulkSetTags",
    }


def benchmarks() -> Iterator[Benchmark]:
    code = settings.application().code
    known = {"Age": 1, "City": "Bergen", "Name": "Kari"}
    Device.objects.bulk_create(
        Device(application=code, hwid=f"phone-{number}", platform=3, push_token="token", tags=known)
        for number in range(DEVICES)
    )
    # From here on the types of these tags are known.
    push.set_tags(hwid="phone-0", tags=TAGS)
    yield Benchmark("queue a call (floor: create() of such a row)", *_beside(enqueue, create), "floor", 1.5)
    yield Benchmark("push.set_tags (floor: create() of such a row)", *_beside(set_tags, create), "floor", 1.5)
    yield Benchmark(
        f"set_tags_of_many, {DEVICES} (floor: bulk_create())", set_tags_of_many, None, bulk_create, "floor", 1.43
    )


def _beside(
    ours: Callable[[], object], floor: Callable[[], object]
) -> tuple[Callable[[], None], None, Callable[[], None]]:
    return rolled_back(ours), None, rolled_back(floor)
