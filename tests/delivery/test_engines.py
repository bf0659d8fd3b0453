"""What drives the worker: Celery's tasks, and the command that does without."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from django_pushwoosh import push, tasks
from django_pushwoosh.delivery.worker import Worker
from django_pushwoosh.models import BulkJob, Device, OutboxEntry
from django_pushwoosh.sandbox.app import Sandbox
from tests.conftest import Clock
from tests.processes import running, until

pytestmark = pytest.mark.django_db


@pytest.fixture
def phone(sandbox: Sandbox) -> Device:
    return Device.objects.create(application="TEST0-00001", hwid="phone", platform=3, push_token="token")


def test_the_tasks_deliver_and_follow(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    push.send("Hello", to=phone)
    job = push.bulk_set_tags([{"hwid": "phone", "tags": {"Age": 30}}])
    tasks.drain.apply(throw=True)
    clock.advance(minutes=1)
    tasks.follow.apply(throw=True)

    assert [each.body for each in sandbox.pushes] == ["Hello"]
    job.refresh_from_db()
    assert job.status == BulkJob.Status.ENDED


def test_the_command_delivers_what_is_due(sandbox: Sandbox, phone: Device) -> None:
    push.send("Hello", to=phone)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        call_command("pushwoosh_worker", once=True)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    assert [each.body for each in sandbox.pushes] == ["Hello"]


def test_a_worker_that_is_told_to_end_gives_back_what_it_has_not_begun(sandbox: Sandbox, phone: Device) -> None:
    for number in range(3):
        push.post_event(f"Number {number}", hwid=f"phone-{number}")
    statuses = OutboxEntry.objects.filter(method="postEvent").order_by("pk").values_list("status", flat=True)

    Worker(is_ended=lambda: "sent" in statuses.all()).drain()

    assert list(statuses.all()) == ["sent", "queued", "queued"]
    Worker().drain()
    assert list(statuses.all()) == ["sent", "sent", "sent"]


def test_the_command_ends_with_sigterm(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
    }
    with running(["manage.py", "migrate", "--verbosity", "0"], tmp_path / "migrate.log", environment) as migrating:
        assert migrating.wait(60) == 0
    log = tmp_path / "worker.log"
    with running(["manage.py", "pushwoosh_worker", "--interval", "60"], log, environment) as worker:
        until(lambda: b"Delivering" in log.read_bytes(), 30, "the worker's start")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0, log.read_text()


def test_a_commit_rings_for_celery_unless_the_setting_says_otherwise(
    settings: Any, monkeypatch: pytest.MonkeyPatch, phone: Device, on_commit: Any
) -> None:
    from django.apps import apps

    from django_pushwoosh.delivery.bell import Bell

    rung: list[None] = []
    monkeypatch.setattr(Bell, "ring", lambda self: rung.append(None))
    assert apps.get_app_config("django_pushwoosh").wake_up is not None
    with on_commit(execute=True):
        push.set_badge(phone, 1)
    assert rung == []

    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ENGINE": "celery"}
    with on_commit(execute=True):
        push.set_badge(phone, 2)
    assert rung == [None]
