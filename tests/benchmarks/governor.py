"""The governor's grants under four processes that compete without a pause, on PostgreSQL and on Redis.

`python -m tests.benchmarks.governor` measures and prints; `… WORK` is one of the four. Figures are milliseconds of the
wall clock, for a grant is mostly waiting. The floor is the shortest exchange with the same server under the same load.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles

from tests.processes import ROOT
from tests.servers import POSTGRES_URL, REDIS_URL, answers

PROCESSES = 4
WARM_UP_SECONDS = 0.5
SECONDS = 3.0
GOALS = {"PostgreSQL": 2.0, "Redis": 0.5}


def works() -> dict[str, Callable[[str], Callable[[], Iterator[None]]]]:
    """What one round does, after Django was set up. What comes before the `yield` is timed."""
    from django.db import connection

    from django_pushwoosh.conf import Account
    from django_pushwoosh.delivery import slots_redis
    from django_pushwoosh.delivery.governor import Governor
    from django_pushwoosh.delivery.slots import Slots
    from django_pushwoosh.delivery.slots_database import DatabaseSlots
    from django_pushwoosh.delivery.slots_postgresql import PostgresqlSlots
    from django_pushwoosh.delivery.slots_redis import RedisSlots

    def granted(slots: Slots) -> Callable[[str], Callable[[], Iterator[None]]]:
        def of(account: str) -> Callable[[], Iterator[None]]:
            governor = Governor(slots=slots)

            def once() -> Iterator[None]:
                grant = governor.acquire(Account(account), 26.1)
                yield
                governor.unused(grant)

            return once

        return of

    def selected(account: str) -> Callable[[], Iterator[None]]:
        def once() -> Iterator[None]:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                cursor.fetchone()
            yield

        return once

    def pinged(account: str) -> Callable[[], Iterator[None]]:
        client = slots_redis.client_of(REDIS_URL)

        def once() -> Iterator[None]:
            client.ping()
            yield

        return once

    return {
        "PostgreSQL": granted(PostgresqlSlots("default")),
        "PostgreSQL by the ORM": granted(DatabaseSlots("default")),
        "PostgreSQL: SELECT 1": selected,
        "Redis": granted(RedisSlots(REDIS_URL, "default")),
        "Redis: PING": pinged,
    }


def compete(work: str, account: str) -> None:
    """Do it again and again; print how many milliseconds each took."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    once = works()[work](account)
    for _ in once():
        pass
    print("ready", flush=True)
    sys.stdin.readline()
    took: list[float] = []
    began = time.perf_counter()
    while (now := time.perf_counter()) < began + WARM_UP_SECONDS + SECONDS:
        for _ in once():
            if now >= began + WARM_UP_SECONDS:
                took.append(time.perf_counter() - now)
    print(json.dumps([round(each * 1e3, 4) for each in took]))


def measured(work: str, database: str) -> dict[str, object]:
    """Four processes at it, together. After Django was set up."""
    from tests.capped import forget

    account = f"bench-{uuid.uuid4()}"
    command = [sys.executable, "-m", "tests.benchmarks.governor", work, account]
    environment = {**os.environ, "DATABASE_URL": database}
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    outputs = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        outputs.append(process.communicate(timeout=60)[0])
    forget(account)
    took = [each for output in outputs for each in json.loads(output)]
    goal = GOALS.get(work)
    return {
        "name": work,
        "median_ms": round(median(took), 3),
        "p95_ms": round(quantiles(took, n=20)[-1], 3),
        "per_second": round(len(took) / SECONDS),
        "goal_ms": goal,
        "met": None if goal is None else median(took) <= goal,
    }


def main() -> None:
    os.environ["DATABASE_URL"] = POSTGRES_URL
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.db import connection
    from django.test.runner import DiscoverRunner

    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    try:
        place, _, _ = POSTGRES_URL.rpartition("/")
        results = [measured(work, f"{place}/{connection.settings_dict['NAME']}") for work in works()]
    finally:
        runner.teardown_databases(databases)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'a grant, four processes competing':36} {'median ms':>10} {'p95 ms':>10} {'per second':>11} {'goal':>12}")
    for each in results:
        goal = "" if each["goal_ms"] is None else f"≤ {each['goal_ms']} ms{'' if each['met'] else ' !'}"
        print(f"{each['name']:36} {each['median_ms']:>10} {each['p95_ms']:>10} {each['per_second']:>11} {goal:>12}")
    target = os.environ.get("BENCH_JSON")
    if target:
        document = json.loads(Path(target).read_text()) if Path(target).exists() else {}
        Path(target).write_text(json.dumps({**document, "governor": results}, indent=2))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        compete(*sys.argv[1:])
    elif answers(POSTGRES_URL) and answers(REDIS_URL):
        main()
    else:
        print("The governor is measured on PostgreSQL and Redis, and they do not both answer.")
