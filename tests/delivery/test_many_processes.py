"""One budget and one outbox, many processes, on whatever database the suite runs on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from django.db import connection, connections
from django.utils import timezone

from django_pushwoosh import push
from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import outbox
from django_pushwoosh.delivery.worker import Worker
from django_pushwoosh.models import OutboxEntry, ScheduledMessage
from django_pushwoosh.protocol.audience import Devices
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.sandbox.app import Sandbox

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def shared_url(tmp_path: Path, transactional_db: None) -> str:
    """The address of a database that other processes can open: the suite's, or a file with its tables."""
    if connection.vendor != "sqlite":
        row = connection.settings_dict
        password = f":{row['PASSWORD']}" if row["PASSWORD"] else ""
        scheme = "postgres" if connection.vendor == "postgresql" else "mysql"
        return f"{scheme}://{row['USER']}{password}@{row['HOST']}:{row['PORT']}/{row['NAME']}"
    url = f"sqlite:///{tmp_path / 'shared.sqlite3'}"
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        check=True,
    )
    return url


def test_greedy_processes_share_one_budget_to_the_last_slot(shared_url: str) -> None:
    environment = {**os.environ, "DATABASE_URL": shared_url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    senders = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.governor_run", "60", "2.5"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    grants = [int(sender.communicate(timeout=60)[0]) for sender in senders]

    assert sum(grants) == 60


@pytest.mark.django_db(transaction=True)
def test_competing_workers_never_hold_the_same_entry() -> None:
    application = settings.application()
    now = timezone.now()
    for number in range(200):
        call = Call.of("applicationOpen", application.code, hwid=f"phone{number}")
        outbox.enqueue(call, key=f"device:{number}", application=application, now=now)
    held: Counter[int] = Counter()
    lock = threading.Lock()

    def work() -> None:
        while entries := outbox.claim(7, now=now):
            with lock:
                held.update(entry.pk for entry in entries)
        connections.close_all()

    # In memory, threads share one connection of SQLite's; one worker shows at least that a claim is final.
    threads = [threading.Thread(target=work) for _ in range(4)] if connection.vendor != "sqlite" else []
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not threads:
        while entries := outbox.claim(7, now=now):
            held.update(entry.pk for entry in entries)

    assert len(held) == 200
    assert set(held.values()) == {1}
    assert OutboxEntry.objects.filter(status=OutboxEntry.Status.SENDING).count() == 200


@pytest.mark.django_db(transaction=True)
def test_parts_that_end_at_the_same_moment_end_the_message(sandbox: Sandbox) -> None:
    if connection.vendor == "sqlite":
        # One writer at a time; there is nothing to race.
        return
    for _ in range(5):
        scheduled = push.send("Hello", to=Devices([f"phone{number}" for number in range(2000)]))
        entries = outbox.claim(2, now=timezone.now())
        assert len(entries) == 2
        together = threading.Barrier(2)

        def settle(entry: OutboxEntry, together: threading.Barrier = together) -> None:
            together.wait(10)
            Worker().deliver(entry)
            connections.close_all()

        threads = [threading.Thread(target=settle, args=[entry]) for entry in entries]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        scheduled.refresh_from_db()
        assert scheduled.status == ScheduledMessage.Status.SENT
