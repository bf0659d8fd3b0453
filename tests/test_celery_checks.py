"""What the system checks say of Celery's settings, and that they say nothing of what they cannot see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery import current_app as loaded
from django.core.checks import run_checks

from django_pushwoosh import checks
from tests.test_conf import ids

BEAT = {
    str(number): {"task": f"django_pushwoosh.{name}", "schedule": 5.0}
    for number, name in enumerate(("drain", "follow", "purge"))
}
RIGHT: dict[str, Any] = {
    "broker_url": "memory://",
    "beat_schedule": BEAT,
    "worker_prefetch_multiplier": 1,
    "task_routes": {"django_pushwoosh.*": {"queue": "pushwoosh"}},
}
Project = Callable[..., Celery]


@pytest.fixture
def project(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project with a Celery application of these settings, and one task of its own."""
    # Celery reads it itself.
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ENGINE": "celery"}
    before = loaded._get_current_object()

    def make(**changes: Any) -> Celery:
        app = Celery("project", set_as_current=True, fixups=[])
        app.conf.update({**RIGHT, **changes})
        app.task(report, name="shop.report")
        return app

    yield make
    before.set_current()
    before.set_default()


def report() -> None:
    """What else the project does in the background."""


def found() -> set[str]:
    return ids([*checks.check_celery(None), *checks.check_celery_under_load(None)])


def test_the_documented_settings_are_right(project: Project) -> None:
    project()
    assert found() == set()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"broker_url": None}, "W008"),
        ({"beat_schedule": {}}, "W009"),
        ({"beat_schedule": {"0": BEAT["0"]}}, "W009"),
        ({"worker_prefetch_multiplier": 4}, "W010"),
        ({"broker_transport_options": {"visibility_timeout": 5}}, "W011"),
        ({"task_routes": None}, "W012"),
        ({"worker_cancel_long_running_tasks_on_connection_loss": True}, "W013"),
        ({"task_time_limit": 300}, "W014"),
        ({"task_annotations": {"django_pushwoosh.drain": {"time_limit": 300}}}, "W014"),
        ({"task_annotations": {"*": {"acks_late": False}}}, "W015"),
    ],
    ids=str,
)
def test_each_setting_that_hurts_is_told(project: Project, changes: dict[str, Any], expected: str) -> None:
    project(**changes)
    assert found() == {expected}


@pytest.mark.parametrize(
    "changes",
    [
        {"beat_schedule": {}, "beat_scheduler": "django_celery_beat.schedulers:DatabaseScheduler"},
        {"broker_transport_options": {"visibility_timeout": 3600}},
        {"task_routes": [{"django_pushwoosh.*": "pushwoosh"}]},
        {"task_default_queue": "pushwoosh", "task_routes": {"shop.*": {"queue": "shop"}, "django_pushwoosh.*": "own"}},
    ],
    ids=str,
)
def test_what_is_right_in_another_way_is_not_told(project: Project, changes: dict[str, Any]) -> None:
    project(**changes)
    assert found() == set()


def test_of_celery_nothing_is_said_where_it_is_not_the_engine(project: Project, settings: Any) -> None:
    project(broker_url=None, beat_schedule={}, worker_prefetch_multiplier=4)
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ENGINE": "command"}
    assert found() == set()


def test_the_example_project_with_celery_has_nothing_to_complain_of(settings: Any) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ENGINE": "celery"}
    assert run_checks() == []
    assert found() == set()


def test_check_with_deploy_says_so_and_without_it_nobody_is_bothered(project: Project) -> None:
    project(beat_schedule={})
    assert "W009" in ids(run_checks(include_deployment_checks=True))
    assert ids(run_checks()) == set()
