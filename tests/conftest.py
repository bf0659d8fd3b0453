"""What every test may use, and the rule that a skipped test is not a passed one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.db import router
from django.utils import timezone

from django_pushwoosh.models import OutboxEntry
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import use_sandbox
from tests.faults import Faults
from tests.faults import transport as scripted

skipped: list[str] = []


class Clock:
    """The process's clock; it stands still until it is told to go on. The database's own goes its way."""

    def __init__(self, traveller: time_machine.Traveller) -> None:
        self._traveller = traveller

    @property
    def now(self) -> datetime:
        return timezone.now()

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> datetime:
        self._traveller.shift(timedelta(**duration))
        return self.now


@pytest.fixture
def clock() -> Iterator[Clock]:
    with time_machine.travel(datetime(2026, 3, 2, 12, 0, tzinfo=UTC), tick=False) as traveller:
        yield Clock(traveller)


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    """Pushwoosh, as far as a test can tell."""
    with use_sandbox(sleep=lambda seconds: clock.advance(seconds=seconds)) as sandbox:
        yield sandbox


@pytest.fixture
def faults(settings: Any, sandbox: Sandbox) -> Iterator[Faults]:
    """Between us and the sandbox: what is to be lost, refused or answered otherwise."""
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "TRANSPORT": "tests.faults.transport"}
    yield scripted
    scripted.waiting.clear()
    scripted.down = ""


@pytest.fixture
def on_commit(django_capture_on_commit_callbacks: Callable[..., object]) -> Callable[..., object]:
    return partial(django_capture_on_commit_callbacks, using=router.db_for_write(OutboxEntry))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # What takes longest starts first, side by side where there are several processes.
    items.sort(key=lambda item: "tests/test_on_" not in item.nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    is_worker = hasattr(session.config, "workerinput")
    if skipped and not is_worker and os.environ.get("CI") == "true" and session.exitstatus == 0:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if skipped:
        verdict = "; with CI=true that fails the run" if os.environ.get("CI") == "true" else ""
        terminalreporter.write_line(f"{len(skipped)} tests were skipped, for what they need is not here{verdict}.")
