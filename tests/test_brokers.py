"""Real brokers, and workers that are processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import AMQP_URL, REDIS_URL, answers

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("url", [REDIS_URL, AMQP_URL], ids=["redis", "rabbitmq"])
def test_a_worker_process_is_woken_by_a_commit(url: str, tmp_path: Path) -> None:
    """A real broker, a real worker, a real sandbox over HTTP; the row is committed by this process."""
    if not answers(url):
        pytest.skip(f"no server answers at {url}")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.broker_run", url, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    assert ran.stdout.strip().endswith("arrived")
