"""A worker's assistant; collected where a database has many writers (see `conftest`)."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from django_pushwoosh import push
from django_pushwoosh.conf import settings as ours
from django_pushwoosh.delivery import bulk, connection
from django_pushwoosh.delivery import worker as workers
from django_pushwoosh.delivery.assistant import Assistant
from django_pushwoosh.delivery.worker import TURN, Worker
from django_pushwoosh.models import BulkRequest, OutboxEntry
from django_pushwoosh.protocol.audience import Devices
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.coalescing import LEAST_IN_BULK
from django_pushwoosh.sandbox.app import Sandbox
from tests.conftest import Clock
from tests.processes import until

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 6
IS_ASSISTANT = "pushwoosh-assistant"
WORDS = "too many clients, among them ada@example.org"


@pytest.fixture(autouse=True)
def traced(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account whose messages all count against the cap, a few of which are many, and a few to a request."""
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "CONNECTIONS": 3, "ACCOUNTS": {"default": {"TRACING": True}}}
    monkeypatch.setattr(workers, "MANY", MANY)
    monkeypatch.setattr("django_pushwoosh.delivery.outbox.LOOKED_AT", MANY)


def instead_of_draining(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> list[str]:
    """What the assistant does in place of each drain; the threads that drained, by their names."""
    names: list[str] = []
    drain = Worker.drain

    def noted(worker: Worker, linger: float = 0.0, longest: float = math.inf) -> int:
        names.append(threading.current_thread().name)
        if names[-1] == IS_ASSISTANT:
            act()
        return drain(worker, linger, longest)

    monkeypatch.setattr(Worker, "drain", noted)
    return names


def parcels(count: int) -> None:
    for number in range(count):
        push.send(f"Parcel {number}", to=Devices([f"phone-{number}"]))


def drained() -> int:
    with Assistant() as assistant:
        return Worker(on_many=assistant.call).drain()


def test_many_messages_call_the_assistant_and_each_goes_once(
    sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = instead_of_draining(monkeypatch, lambda: None)
    parcels(10 * MANY)
    clock.advance(seconds=TURN.total_seconds())

    drained()
    Worker().drain()

    assert IS_ASSISTANT in names
    sent = Counter(message.parameters["content"] for message in sandbox.messages)
    assert sent == Counter(f"Parcel {number}" for number in range(10 * MANY))


def test_so_do_many_devices_changes(sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    names = instead_of_draining(monkeypatch, lambda: None)
    monkeypatch.setattr(bulk, "MOST_IN_BULK", LEAST_IN_BULK)
    here = ours.application()
    hwids = [f"phone-{number}" for number in range(8 * LEAST_IN_BULK)]
    for hwid in hwids:
        connection.ask(Call.of("registerDevice", here.code, hwid=hwid, device_type=3, push_token=hwid), here)
    for age in (25, 26):
        push.set_tags_of_many((hwid, {"Age": age}) for hwid in hwids)

    drained()
    clock.advance(minutes=1)
    Worker().drain()

    assert IS_ASSISTANT in names
    assert {device.own_tags["Age"] for device in sandbox.devices.values()} == {26}
    assert set(OutboxEntry.objects.values_list("status", "attempts_made")) == {("sent", 1)}
    # The two may share the last fifty, and then they go by themselves.
    assert BulkRequest.objects.count() in (7, 8)


def test_what_is_too_little_for_bulk_is_the_workers(sandbox: Sandbox, clock: Clock) -> None:
    push.set_tags_of_many((f"phone-{number}", {"Age": 1}) for number in range(LEAST_IN_BULK - 1))

    assert Worker(is_assistant=True).drain() == 0


def test_a_few_are_the_workers_own(sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    names = instead_of_draining(monkeypatch, lambda: None)
    parcels(MANY - 1)

    assert drained() == MANY - 1
    assert IS_ASSISTANT not in names


def test_it_leaves_to_the_worker_what_devices_said(sandbox: Sandbox, clock: Clock) -> None:
    push.post_event("Bought", hwid="phone-1")
    push.send("Parcel", to=Devices(["phone-1"]))
    assistant = Worker(is_assistant=True)

    assert assistant.drain() == 0
    clock.advance(seconds=TURN.total_seconds())
    assert assistant.drain() == 1
    assert [entry.method for entry in OutboxEntry.objects.filter(status="queued")] == ["postEvent"]


def test_it_does_not_stay_for_reports_that_are_the_workers(sandbox: Sandbox, clock: Clock) -> None:
    here = ours.application()
    BulkRequest.objects.create(application=here.code, api_root=here.api_root, method="bulkSetTags", ask_at=clock.now)
    ended = threading.Event()
    staying = threading.Timer(10, ended.set)
    staying.start()

    Worker(is_assistant=True, is_ended=ended.is_set).drain(linger=20)

    assert not ended.is_set()
    staying.cancel()


def test_what_it_fails_at_is_logged_and_the_worker_goes_on(
    sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OperationalError(WORDS)

    instead_of_draining(monkeypatch, fail)
    parcels(3 * MANY)

    assert drained() == 3 * MANY
    assert "The assistant failed: OperationalError" in caplog.text
    assert "ada@" not in caplog.text


def test_nobody_waits_for_it_but_in_the_end(sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        began.set()
        assert go_on.wait(20)

    instead_of_draining(monkeypatch, hang)
    parcels(MANY)
    with Assistant() as assistant:
        assert Worker(on_many=assistant.call).drain() == MANY
        assert began.wait(20)
        assert Worker(on_many=assistant.call).drain() == 0
        go_on.set()


def test_the_last_call_is_not_lost_whenever_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes while the assistant has just woken up for another one."""
    instead_of_draining(monkeypatch, lambda: None)
    assistant = Assistant()
    clear = assistant._wanted.clear
    is_awake, is_over = threading.Event(), threading.Event()

    def clear_late() -> None:
        is_awake.set()
        assert is_over.wait(20)
        clear()

    monkeypatch.setattr(assistant._wanted, "clear", clear_late)
    assistant.call()
    assert is_awake.wait(20)
    ending = threading.Thread(target=assistant.__exit__, args=(None, None, None))
    ending.start()
    until(lambda: assistant._is_over, 20, "the end")
    is_over.set()
    ending.join(20)

    assert not ending.is_alive()
