"""A copy of a database that is brought up elsewhere sends nothing, and says why."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection

from django_pushwoosh import checks, push
from django_pushwoosh.delivery import strangers
from django_pushwoosh.delivery.worker import Worker
from django_pushwoosh.models import Device, OutboxEntry, Pause
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock

pytestmark = pytest.mark.django_db


@pytest.fixture
def copied(sandbox: Sandbox, phone: Device, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waited in production, in a new process on a host whose settings name another API root."""
    monkeypatch.setattr(strangers, "_told", {})
    push.send("Hello", to=phone)
    push.set_badge(phone, 3)
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "API_ROOT": "http://staging.test"}


def test_the_worker_says_so_once_in_a_while(copied: None, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        Worker(clock=clock).drain()
        clock.advance(seconds=10)
    [record] = caplog.records
    assert "2 entries for TEST0-00001 at http://sandbox.test, 1 of them of messages" in record.message
    assert "copied from somewhere else" in record.message

    clock.advance(minutes=5)
    Worker(clock=clock).drain()
    assert len(caplog.records) == 2
    assert OutboxEntry.objects.filter(status=OutboxEntry.Status.QUEUED).count() == 2


def test_at_home_nobody_is_a_stranger(sandbox: Sandbox, phone: Device, caplog: pytest.LogCaptureFixture) -> None:
    push.set_badge(phone, 3)
    assert strangers.found("default") == []
    run_outbox()
    assert caplog.records == []
    assert list(checks.check_strangers(None, ["default"])) == []


def test_what_has_ended_is_nobodys_trouble(copied: None) -> None:
    OutboxEntry.objects.update(status=OutboxEntry.Status.SENT)
    assert strangers.found("default") == []


def test_they_are_counted_by_whom_they_are_for(copied: None, settings: Any) -> None:
    OutboxEntry.objects.filter(method="setBadge").update(application="OTHER-00001")
    assert {(each.application, each.entries, each.messages) for each in strangers.found("default")} == {
        ("OTHER-00001", 1, 0),
        ("TEST0-00001", 1, 1),
    }
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "APPLICATIONS": {}}
    assert sum(each.entries for each in strangers.found("default")) == 2


def test_check_says_so_with_its_database_and_only_then(copied: None) -> None:
    def checked(databases: list[str] | None) -> list[Any]:
        # Of MariaDB and MySQL Django says that they know no partial indexes.
        return [each for each in run_checks(databases=databases) if each.id != "models.W037"]

    [found] = checked(["default"])
    assert found.id == "django_pushwoosh.W007"
    assert "http://sandbox.test" in found.msg
    assert checked(None) == []


def test_a_database_before_its_first_migration_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.introspection, "table_names", lambda cursor: [])
    assert list(checks.check_strangers(None, ["default"])) == []


def shown(*options: str) -> str:
    out = StringIO()
    call_command("pushwoosh_outbox", *options, stdout=out)
    return out.getvalue()


def test_the_command_shows_what_waits_and_why(copied: None, clock: Clock, settings: Any, phone: Device) -> None:
    push.set_badge(phone, 4)
    clock.advance(seconds=90)
    Pause.objects.create(application="", reason="the shop is closed")
    OutboxEntry.objects.filter(method="registerDevice").update(status=OutboxEntry.Status.FAILED)
    text = shown()
    assert "failed  1" in text
    assert "queued  3" in text
    assert "TEST0-00001, user-visible: 1 wait, the first is due for 90 s" in text
    assert "everything: the shop is closed" in text
    assert "2 entries for TEST0-00001 at http://sandbox.test" in text

    document = json.loads(shown("--json"))
    assert document["by_status"] == {"failed": 1, "queued": 3}
    assert document["waiting"] == [
        {
            "application": "TEST0-00001",
            "lane": "user_visible",
            "entries": 1,
            "oldest_due_at": (clock.now - timedelta(seconds=90)).isoformat(),
        }
    ]
    assert document["strangers"] == [
        {"application": "TEST0-00001", "api_root": "http://sandbox.test", "entries": 2, "messages": 1}
    ]
    assert document["pauses"][0]["reason"] == "the shop is closed"


def test_an_empty_outbox_says_so() -> None:
    assert shown() == "The outbox is empty.\n"
