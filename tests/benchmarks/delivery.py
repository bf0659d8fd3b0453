"""Draining the outbox, beside bare loops that do the same work, on PostgreSQL and an upstream at 20 ms.

`python -m tests.benchmarks.delivery` measures and prints; rates are rows a second of the wall clock, round by round so
that a noisy machine hits all alike, and the ratios' medians are compared with the goals.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks.harness import machine
from tests.benchmarks.upstream import upstream
from tests.copies import copied
from tests.processes import running, until
from tests.servers import AMQP_URL, POSTGRES_URL, answers

ROUNDS = 3
COALESCED = 50_000
SINGLE = 6_000
MESSAGES = 20_000
CELERY_ROWS = 3_000
REMEMBERED = 200_000
CONNECTIONS = 16
CODE = "BENCH-00001"


def main() -> None:
    os.environ.setdefault("DATABASE_URL", POSTGRES_URL)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from django.test.runner import DiscoverRunner

    print(machine())
    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    try:
        with upstream() as root, pushwoosh_at(root):
            for part in (coalesced, single, messages, memory):
                if len(sys.argv) < 2 or part.__name__ in sys.argv[1:]:
                    part(root)
    finally:
        runner.teardown_databases(databases)


@contextmanager
def pushwoosh_at(root: str) -> Iterator[None]:
    from django.test.utils import override_settings

    application = {"CODE": CODE, "API_TOKEN": "benchmark-api-token", "DEVICE_TOKEN": "benchmark-device-token"}
    tracing = {"CODE": "BENCH-00002", "API_TOKEN": "benchmark-api-token", "ACCOUNT": "traced"}
    with override_settings(
        PUSHWOOSH={
            "APPLICATIONS": {"default": application, "traced": tracing},
            "ACCOUNTS": {"traced": {"TRACING": True}},
            "API_ROOT": root,
            "ENGINE": "command",
            "CONNECTIONS": CONNECTIONS,
        }
    ):
        yield


def coalesced(root: str) -> None:
    """Tag changes of as many devices, until each is settled from its bulk request's report."""
    ratios, rates = [], []
    for _ in range(ROUNDS):
        fill_bare(COALESCED)
        bare = rate(COALESCED, lambda: bare_bulk(root))
        fill("setTags", {"hwid": "", "tags": {"Age": 30, "City": "Oslo"}}, COALESCED)
        ours = rate(COALESCED, lambda: drain(COALESCED))
        rates.append(ours)
        ratios.append(ours / bare)
        told(f"{COALESCED} tag changes in bulk", ours, bare, "a bare bulk loop")
    verdict("tag changes in bulk, of a bare loop", ratios, 0.5)
    if answers(AMQP_URL):
        rows = celery_rows(root)
        told("one Celery task per row, 16 threads", rows, rows, "itself")
        verdict("tag changes in bulk, of one Celery task per row", [each / rows for each in rates], 40)


def single(root: str) -> None:
    """Calls that cannot be coalesced."""
    ratios = []
    for _ in range(ROUNDS):
        bare = rate(SINGLE, lambda: bare_threads(root))
        fill("postEvent", {"hwid": "", "event": "Bought", "attributes": {"n": 1}}, SINGLE)
        ours = rate(SINGLE, lambda: drain(SINGLE))
        ratios.append(ours / bare)
        told(f"{SINGLE} events, {CONNECTIONS} connections", ours, bare, "bare threads")
    verdict("calls one by one, of bare threads", ratios, 0.85)


def messages(_root: str) -> None:
    """Personalised messages under the cap: 1,000 share a request."""
    minutes = []
    for _ in range(ROUNDS):
        fill_messages(MESSAGES)
        ours = rate(MESSAGES, lambda: drain(MESSAGES))
        minutes.append(ours * 60)
        told(f"{MESSAGES} personalised messages under the cap", ours, ours, "itself")
    verdict("personalised messages a minute", minutes, 300_000)


def memory(_root: str) -> None:
    """What a worker's process holds after many entries, beside what it held after a few."""
    some = REMEMBERED // 10
    held = []
    for _ in range(10):
        fill("setTags", {"hwid": "", "tags": {"Age": 30, "City": "Oslo"}}, some - SINGLE // 3)
        fill("postEvent", {"hwid": "", "event": "Bought", "attributes": {"n": 1}}, SINGLE // 3, empty=False)
        drain(some)
        held.append(resident_megabytes())
    print(f"memory after each {some} entries: {', '.join(f'{each:.0f}' for each in held)} MB")
    verdict("memory after 200,000 entries, of that after 40,000", [held[1] / held[-1]], 0.95)


def drain(count: int) -> None:
    from django_pushwoosh.delivery.assistant import Assistant
    from django_pushwoosh.delivery.worker import Worker
    from django_pushwoosh.models import OutboxEntry

    with Assistant() as assistant:
        worker = Worker(on_many=assistant.call)
        # As the command does: what the assistant has in hand, the worker does not wait for.
        while OutboxEntry.objects.unsettled().exists():
            worker.drain(linger=60)
    sent = OutboxEntry.objects.filter(status=OutboxEntry.Status.SENT).count()
    if sent != count:
        raise AssertionError(f"{sent} of {count} entries were sent")


def fill(method: str, arguments: dict[str, Any], count: int, *, empty: bool = True) -> None:
    """As many entries as devices, copied in the database from one that was queued."""
    from django.db import connection
    from django.utils import timezone

    from django_pushwoosh.conf import settings
    from django_pushwoosh.delivery import outbox
    from django_pushwoosh.protocol.calls import Call

    if empty:
        clear()
    call = Call.of(method, CODE, **{**arguments, "hwid": f"{method}-0"})
    key = outbox.device_key(CODE, f"{method}-0")
    entry = outbox.enqueue(call, key=key, application=settings.application(), now=timezone.now())
    copied(
        entry,
        count - 1,
        key=f"'{outbox.device_key(CODE, method)}-' || n",
        arguments=f"jsonb_set(arguments, '{{hwid}}', to_jsonb('{method}-' || n))",
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def fill_messages(count: int) -> None:
    """Messages to one device each, of an account that traces its messages: all of them count against the cap."""
    from django.db import connection
    from django.utils import timezone

    from django_pushwoosh.conf import settings
    from django_pushwoosh.delivery import outbox
    from django_pushwoosh.models import Dispatch, RateSlot, ScheduledMessage
    from django_pushwoosh.protocol.audience import Devices

    clear()
    RateSlot.objects.all().delete()
    application, now = settings.application("traced"), timezone.now()
    written = ScheduledMessage.objects.bulk_create(
        [
            ScheduledMessage(
                application=application.code,
                parameters={"content": f"Your parcel {number} is here", "ios_badges": 1},
                audience=Devices([f"phone-{number}"]).to_json(),
                status=ScheduledMessage.Status.SCHEDULED,
            )
            for number in range(count)
        ],
        batch_size=1000,
    )
    dispatches = [Dispatch(message=each, number=1, method="createMessage", arguments={}) for each in written]
    calls = [
        each.message.message.call(CODE, each.message.to, transaction_id=str(each.transaction_id)) for each in dispatches
    ]
    for dispatch, call in zip(dispatches, calls, strict=True):
        dispatch.arguments = dict(call.arguments)
    Dispatch.objects.bulk_create(dispatches, batch_size=1000)
    entries = [
        outbox.entry_of(
            call, key=outbox.message_key(dispatch.message_id), application=application, now=now, dispatch=dispatch
        )
        for dispatch, call in zip(dispatches, calls, strict=True)
    ]
    outbox.enqueue_all(entries)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def clear() -> None:
    from django.db import connection

    from django_pushwoosh.models import Attempt, BulkRequest, Dispatch, OutboxEntry, ScheduledMessage

    tables = ", ".join(each._meta.db_table for each in (Attempt, BulkRequest, OutboxEntry, Dispatch, ScheduledMessage))
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables}, benchmark_row" if "benchmark_row" in _tables() else f"TRUNCATE {tables}")


def fill_bare(count: int) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS benchmark_row (id bigserial PRIMARY KEY, hwid text, tags jsonb)")
        cursor.execute("TRUNCATE benchmark_row")
        cursor.execute(
            "INSERT INTO benchmark_row (hwid, tags) SELECT 'phone-' || n, %s FROM generate_series(1, %s) n",
            ['{"Age": 30, "City": "Oslo"}', count],
        )
        cursor.execute("ANALYZE benchmark_row")


def bare_bulk(root: str) -> None:
    """Claims 1,000 rows, posts one bulk request and deletes the rows, until there are none."""
    import requests
    from django.db import connection, transaction

    session = requests.Session()
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT id, hwid, tags FROM benchmark_row ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED")
            rows = cursor.fetchall()
            if not rows:
                return
            devices = [{"hwid": hwid, "tags": json.loads(tags)} for _, hwid, tags in rows]
            session.post(f"{root}/api/v2/audience/bulkSetTags", json={"devices": devices}).raise_for_status()
            cursor.execute("DELETE FROM benchmark_row WHERE id = ANY(%s)", [[pk for pk, _, _ in rows]])


def bare_threads(root: str) -> None:
    """As many threads as connections, each posting through a Session of its own."""
    import requests

    numbers = iter(range(SINGLE))
    lock = threading.Lock()

    def work() -> None:
        session = requests.Session()
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            request = {"application": CODE, "hwid": f"phone-{number}", "event": "Bought", "attributes": {"n": 1}}
            session.post(f"{root}/json/1.3/postEvent", json={"request": request}).raise_for_status()

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def celery_rows(root: str) -> float:
    """Rows a second of one Celery task per row: it reads its row, posts it and deletes it."""
    from django.db import connection
    from kombu import Connection

    from tests.benchmarks.celery_rows import send

    fill_bare(CELERY_ROWS)
    database = connection.settings_dict["NAME"]
    environment = {
        "DATABASE_URL": POSTGRES_URL.rsplit("/", 1)[0] + f"/{database}",
        "BENCH_ROOT": root,
        # It outweighs what the code says, and the tests' settings name another one there.
        "CELERY_BROKER_URL": AMQP_URL,
    }
    command = ["-m", "celery", "-A", "tests.benchmarks.celery_rows", "worker", "-P", "threads", "-c", str(CONNECTIONS)]
    command += ["-Q", "benchmark-rows", "-l", "ERROR"]
    with connection.cursor() as cursor, TemporaryDirectory() as folder:
        cursor.execute("SELECT id FROM benchmark_row")
        with Connection(AMQP_URL) as broker:
            for (pk,) in cursor.fetchall():
                send.apply_async([pk], connection=broker)

        def left() -> int:
            cursor.execute("SELECT count(*) FROM benchmark_row")
            return int(cursor.fetchone()[0])

        with running(command, Path(folder) / "celery.log", environment):
            # The start of the process is not the tasks' doing.
            until(lambda: left() < CELERY_ROWS, 60, "the first task")
            started, before = time.perf_counter(), left()
            until(lambda: left() == 0, 120, "the last task")
            return before / (time.perf_counter() - started)


def rate(count: int, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000


def told(what: str, ours: float, theirs: float, name: str) -> None:
    print(f"  {what:52} ours {ours:>9.0f}/s   {name} {theirs:>9.0f}/s   load {os.getloadavg()[0]:.1f}", flush=True)


def verdict(what: str, figures: list[float], goal: float) -> None:
    middle = median(figures)
    print(f"{what:56} median {middle:>10.2f}   goal ≥ {goal}{'' if middle >= goal else ' !'}", flush=True)


def _tables() -> set[str]:
    from django.db import connection

    return set(connection.introspection.table_names())


if __name__ == "__main__":
    main()
