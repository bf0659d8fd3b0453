"""One budget and one outbox, many processes, on whatever database the suite runs on."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.processes import ROOT


def test_greedy_processes_share_one_budget_to_the_last_slot(shared_url: str) -> None:
    environment = {**os.environ, "DATABASE_URL": shared_url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    senders = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.governor_run", "60", "5"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    grants = [int(sender.communicate(timeout=60)[0]) for sender in senders]

    assert sum(grants) == 60
