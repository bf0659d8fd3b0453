"""What the tests of this folder share, and which of them a database can run."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.db import connection

from django_pushwoosh.delivery import slots_redis
from django_pushwoosh.models import Device
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock
from tests.delivery.stores import STORES
from tests.processes import ROOT
from tests.servers import REDIS_URL, answers

# SQLite has one writer at a time, and in memory its threads share a connection: there is nothing to race.
collect_ignore = ["test_row_locks.py", "test_assistant.py"] if os.environ["DATABASE_URL"].startswith("sqlite") else []
if not os.environ["DATABASE_URL"].startswith("postgres"):
    collect_ignore += [
        "test_device_statement.py",
        "test_due_index.py",
        "test_slots_postgresql.py",
        "test_lost_connections.py",
    ]


@pytest.fixture
def phone(sandbox: Sandbox, clock: Clock) -> Device:
    device = Device.objects.create(application="TEST0-00001", hwid="phone", platform=3, push_token="token")
    run_outbox()
    return device


@pytest.fixture
def shared_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """The Redis server, where the governor's keys have a prefix of this test's own."""
    if not answers(REDIS_URL):
        pytest.skip(f"no server answers at {REDIS_URL}")
    prefix = f"test-{uuid.uuid4()}"
    monkeypatch.setattr(slots_redis, "PREFIX", prefix)
    client = redis.Redis.from_url(REDIS_URL)
    yield client
    for key in client.scan_iter(f"{prefix}:*"):
        client.delete(key)
    client.close()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    """Each store in turn that can hold the governor's slots."""
    if request.param == "redis":
        request.getfixturevalue("shared_redis")
    return str(request.param)


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
