"""The part of the suite that is the database's business, on a server of production."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import answers

ROOT = Path(__file__).parent.parent
PORTABLE = ["tests/models", "tests/delivery", "tests/gateway", "tests/admin"]
ELSEWHERE = [
    "tests/admin/test_composer.py",
    "tests/admin/test_warnings.py",
    "tests/delivery/test_bell.py",
    "tests/delivery/test_breaker.py",
    "tests/delivery/test_cap_over_http.py",
    "tests/delivery/test_engines.py",
    "tests/delivery/test_senders.py",
    "tests/gateway/test_addresses.py",
    "tests/gateway/test_bad_input.py",
    "tests/gateway/test_bodies.py",
    "tests/gateway/test_callers.py",
    "tests/gateway/test_fuzz.py",
    "tests/gateway/test_lending.py",
    "tests/gateway/test_openapi.py",
    "tests/gateway/test_pull_away.py",
    "tests/gateway/test_speakers.py",
    "tests/gateway/test_throttle.py",
    "tests/gateway/test_traps.py",
]
"""These have a server of their own, or nothing to do with one."""


def holds_on(url: str) -> None:
    passes_on(url, *PORTABLE, *(f"--ignore={name}" for name in ELSEWHERE))


def passes_on(url: str, *given: str, settings: str = "tests.settings") -> None:
    """Run tests in a process of their own, on a server's database."""
    if not answers(url):
        pytest.skip(f"no server answers at {url}")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "-p", "no:xdist", *given],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": settings, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    assert " passed" in ran.stdout
