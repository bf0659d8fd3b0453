"""The database hangs up on a worker; collected where the suite runs on PostgreSQL (see `conftest`)."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection

from django_pushwoosh import push
from django_pushwoosh.delivery import outbox
from django_pushwoosh.delivery.worker import Worker
from django_pushwoosh.models import OutboxEntry
from django_pushwoosh.protocol.tags import Increment
from django_pushwoosh.sandbox import faults
from django_pushwoosh.sandbox.app import Sandbox
from tests.processes import running, until

pytestmark = pytest.mark.django_db(transaction=True)


def hang_up() -> None:
    """End this thread's connection from the other side, as a restart of the server does."""
    connection.ensure_connection()
    backend = connection.connection.info.backend_pid
    row = connection.settings_dict
    given = {"host": row["HOST"], "port": row["PORT"], "user": row["USER"], "password": row["PASSWORD"] or None}
    with psycopg.connect(dbname=row["NAME"], autocommit=True, **given) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [backend])


@pytest.fixture
def hung_up_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Have the connection end right before a function of the outbox is called, so many times."""

    def at(name: str, times: int = 1) -> None:
        original = getattr(outbox, name)
        left = [times]

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if left[0]:
                left[0] -= 1
                hang_up()
            return original(*args, **kwargs)

        monkeypatch.setattr(outbox, name, wrapped)

    yield at
    connection.close()


def statuses() -> list[str]:
    return list(OutboxEntry.objects.order_by("pk").values_list("status", flat=True))


def test_what_pushwoosh_took_is_written_down_over_a_new_connection(sandbox: Sandbox, hung_up_at: Any) -> None:
    push.set_tags(hwid="phone", tags={"Visits": Increment(1)})
    hung_up_at("settle_sent")
    Worker().drain()

    assert statuses() == ["sent"]
    assert sandbox.phone("phone").device.own_tags == {"Visits": 1}


def test_what_pushwoosh_refused_is_known_to_have_failed(sandbox: Sandbox, hung_up_at: Any) -> None:
    push.set_tags(hwid="phone", tags={"Visits": Increment(1)})
    sandbox.faults.fail_next("setTags", with_=faults.refusal("Not today"))
    hung_up_at("settle")
    Worker().drain()

    assert statuses() == ["failed"]


def test_what_was_rolled_back_after_it_was_written_is_written_again(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection ends between the statement and its commit: the lease is as it was before."""
    push.set_tags(hwid="phone", tags={"Visits": Increment(1)})
    sandbox.faults.fail_next("setTags", with_=faults.refusal("Not today"))
    settle, left = outbox.settle, [1]

    def settle_and_hang_up(*args: Any, **kwargs: Any) -> Any:
        settled = settle(*args, **kwargs)
        if left[0]:
            left[0] -= 1
            hang_up()
        return settled

    monkeypatch.setattr(outbox, "settle", settle_and_hang_up)
    Worker().drain()

    assert statuses() == ["failed"]


def test_answers_that_come_after_a_lost_connection_are_kept(settings: Any, sandbox: Sandbox, hung_up_at: Any) -> None:
    """Two leave side by side; before either answer is there, the look for more breaks down."""
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "CONNECTIONS": 2}
    gate = threading.Event()
    sandbox._sleep = lambda seconds: gate.wait(20)
    sandbox.faults.slow("setTags", seconds=1)
    for number in range(2):
        push.set_tags(hwid=f"phone-{number}", tags={"Visits": Increment(1)})
    worker = Worker()
    take, looks = worker._take, [0]

    def look(senders: Any) -> int:
        looks[0] += 1
        if senders.in_flight:
            hang_up()
            gate.set()
        return take(senders)

    worker._take = look  # type: ignore[method-assign]
    with pytest.raises(DatabaseError):
        worker.drain()

    assert statuses() == ["sent", "sent"]
    assert looks[0] > 1


@pytest.mark.parametrize("step", ["claim_company", "begin"])
def test_what_was_claimed_and_never_left_goes_back_at_once(sandbox: Sandbox, hung_up_at: Any, step: str) -> None:
    push.set_tags(hwid="phone", tags={"Visits": Increment(1)})
    hung_up_at(step)
    with pytest.raises(DatabaseError):
        Worker().drain()

    assert statuses() == ["queued"]
    Worker().drain()
    assert statuses() == ["sent"]


def test_the_command_outlives_a_lost_connection(shared_url: str, tmp_path: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": shared_url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    log = tmp_path / "worker.log"

    def is_hit() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        return b"the worker goes on" in log.read_bytes()

    with running(["manage.py", "pushwoosh_worker", "--interval", "0.01"], log, environment) as worker:
        until(lambda: b"Delivering" in log.read_bytes(), 30, "the worker's start")
        until(is_hit, 30, "an error of the database")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0, log.read_text()
