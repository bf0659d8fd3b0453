"""Ten thousand entries through everything at once: kills, restarts, cut connections, errors, delays, a suspension."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.databases import own_postgresql
from tests.ordeal.brokers import RABBITMQ, Broker, rabbitmq, redis_server
from tests.ordeal.field import Field
from tests.processes import until
from tests.servers import POSTGRES_URL, answers

SEED = int(os.environ.get("ORDEAL_SEED", "20260302"))
"""Of what is written, and of the blows; when each of them falls is the machine's."""
ENTRIES = 10_000
WRITERS = {"seed": SEED, "threads": 4, "devices": 60, "entries": ENTRIES // 8 + 150, "seconds": 150.0}
"""For each of two; the rest makes up for what is rolled back."""
SUSPENDED_AT, TROUBLE_SECONDS = 40.0, 120.0
HOPEFUL_AT = 100.0
"""When a person lets things go on too early."""
STORM_SECONDS = 230.0
BLOWS = {"kill": 9, "cut": 5, "broker": 3}
BLOW_SECONDS = 4.0


def test_no_label_is_wrong_after_the_ordeal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not answers(POSTGRES_URL):
        pytest.skip(f"no server answers at {POSTGRES_URL}")
    brokers = [redis_server(tmp_path / "redis"), rabbitmq(tmp_path / "rabbitmq")]
    if brokers[0] is None or brokers[1] is None:
        pytest.skip(f"redis-server is not installed, or not {RABBITMQ}")
    redis, rabbit = brokers
    chance = random.Random(SEED)
    started = time.monotonic()
    with own_postgresql() as database:
        field = Field(database, tmp_path, connections=16, job_seconds=2)
        try:
            redis.start()
            rabbit.start()
            with field.open():
                for broker in (redis, rabbit):
                    field.start_celery(broker.url)
                swept_after = _a_lost_wake_up_costs_seconds(field, redis)
                for _ in range(2):
                    field.start_worker()
                field.trouble(probability=0.05, jitter=2.0)
                with (
                    field.writing("one", broker=redis.url, **WRITERS) as one_written,
                    field.writing("two", broker=rabbit.url, **WRITERS) as two_written,
                ):
                    blows = _storm(field, [redis, rabbit], chance)
                    one_written(120)
                    two_written(120)
                field.calm()
                if field.is_paused:
                    field.hand("unpause")
                until(lambda: field.unsettled == 0, 200, "the end of all entries")
                assert [worker.end() for worker in field.workers] == [0] * 4
            verdict = field.verdict()
        finally:
            redis.close()
            rabbit.close()
    with capsys.disabled():
        print(
            f"\n{verdict}{dict(blows)}; {field.cuts} connections cut; a lost wake-up cost {swept_after:.1f} s;"
            f" {time.monotonic() - started:.0f} s"
        )
    assert verdict.wrong == []
    assert verdict.by_status.total() >= ENTRIES
    assert {"sent", "failed", "left"} <= verdict.by_status.keys()


def _a_lost_wake_up_costs_seconds(field: Field, broker: Broker) -> float:
    """A commit while its broker is down: nobody is told of it, and the next sweep takes it up."""
    broker.stop()
    with field.writing("lone", broker=broker.url, seed=SEED, threads=1, devices=1, entries=1, seconds=0.0) as written:
        written(60)
    until(lambda: field.unsettled == 0, 20, "the sweep")
    broker.start()
    [(seconds,)] = field.asked(
        "SELECT extract(epoch FROM settled_at - created_at) FROM django_pushwoosh_outboxentry WHERE status = 'sent'"
    )
    return float(seconds)


def _storm(field: Field, brokers: Sequence[Broker], chance: random.Random) -> Counter[str]:
    """Blow after blow, and two minutes in which Pushwoosh says that the account is suspended."""
    blows: Counter[str] = Counter()
    started = time.monotonic()
    condemned: int | None = None
    errands = [(SUSPENDED_AT, "condemn"), (HOPEFUL_AT, "hope"), (SUSPENDED_AT + TROUBLE_SECONDS, "pardon")]
    while (elapsed := time.monotonic() - started) < STORM_SECONDS:
        if errands and elapsed >= errands[0][0]:
            _, errand = errands.pop(0)
            if errand == "condemn":
                condemned = field.condemn()
            elif errand == "hope":
                assert field.is_paused
                field.hand("unpause")
            elif condemned is not None:
                field.pardon(condemned)
                condemned = None
        if condemned is None and field.is_paused:
            field.hand("unpause")
        [blow] = chance.choices(list(BLOWS), list(BLOWS.values()))
        blows[blow] += 1
        if blow == "kill":
            field.kill(chance.choice(field.workers), chance)
        elif blow == "cut":
            field.cut_off()
        else:
            broker = chance.choice(brokers)
            broker.stop()
            broker.start()
        time.sleep(BLOW_SECONDS)
    assert not errands
    return blows
