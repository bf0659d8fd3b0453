"""One budget and one outbox, many processes, on whatever database the suite runs on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

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
