"""Several requests in flight at once, over real HTTP: what may overtake what, and what SIGTERM leaves behind."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import waitress
from django.core.management import call_command
from django.utils import timezone

from django_pushwoosh import push
from django_pushwoosh.conf import settings as ours
from django_pushwoosh.delivery import outbox
from django_pushwoosh.delivery.senders import STANDING_BY, Senders
from django_pushwoosh.delivery.worker import LONGEST_STAND_BY, Worker
from django_pushwoosh.models import BulkRequest, OutboxEntry, ScheduledMessage
from django_pushwoosh.protocol.audience import EVERYONE
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.sandbox import faults
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import use_sandbox

pytestmark = pytest.mark.django_db
Status = OutboxEntry.Status
APPLICATION = "TEST0-00001"
PATIENCE = 20
"""Seconds until a test that waits for what does not come fails."""


class Hall:
    """A server on a port of its own; `meanwhile` is what happens while a request is in flight there."""

    sandbox: Sandbox
    meanwhile: Callable[[dict[str, Any]], object]

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        self.meanwhile = lambda arguments: None
        self.in_flight: Counter[str] = Counter()
        self.most = 0
        self.together: list[str] = []
        self.ports: set[str] = set()

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> Any:
        body = environ["wsgi.input"].read()
        environ["wsgi.input"].seek(0)
        document = json.loads(body) if body else {}
        arguments = document.get("request", document)
        hwid = str(arguments.get("hwid", ""))
        with self._lock:
            self.ports.add(environ["REMOTE_PORT"])
            self.in_flight[hwid] += 1
            self.most = max(self.most, self.in_flight.total())
            if hwid and self.in_flight[hwid] > 1:
                self.together.append(hwid)
        try:
            self.meanwhile(arguments)
            return self.sandbox.wsgi(environ, start_response)
        finally:
            with self._lock:
                self.in_flight[hwid] -= 1


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Hall, str]]:
    hall = Hall()
    server = waitress.create_server(hall.wsgi, host="127.0.0.1", port=0, threads=12, clear_untrusted_proxy_headers=True)
    # A daemon: waitress ends its loop only after the last kept-alive connection.
    threading.Thread(target=server.run, daemon=True).start()
    yield hall, f"http://127.0.0.1:{server.effective_port}"
    server.task_dispatcher.shutdown()


@pytest.fixture
def hall(server: tuple[Hall, str], settings: Any) -> Iterator[Hall]:
    hall, address = server
    hall.reset()
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "API_ROOT": address, "TRANSPORT": "", "CONNECTIONS": 4}
    with use_sandbox() as hall.sandbox:
        yield hall


def say(*calls: Call) -> None:
    application, now = ours.application(), timezone.now()
    keys = [outbox.device_key(application.code, call.hwid) for call in calls]
    outbox.enqueue_all(
        [
            outbox.entry_of(call, key=key, application=application, now=now)
            for call, key in zip(calls, keys, strict=True)
        ]
    )


def event(hwid: str, name: str = "Seen") -> Call:
    return Call.of("postEvent", APPLICATION, hwid=hwid, event=name)


def visit(hwid: str) -> Call:
    return Call.of("setTags", APPLICATION, hwid=hwid, tags={"Visits": {"operation": "increment", "value": 1}})


def statuses() -> Counter[str]:
    return Counter(OutboxEntry.objects.values_list("status", flat=True))


class Longest(random.Random):
    """Chance has everyone wait as long as may be."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_as_many_are_in_flight_as_may_be(hall: Hall) -> None:
    meeting = threading.Barrier(4)
    hall.meanwhile = lambda _: meeting.wait(PATIENCE)
    say(*(event(f"phone{number}") for number in range(12)))
    Worker().drain()

    assert not meeting.broken
    assert hall.most == 4
    assert statuses() == {Status.SENT: 12}


def test_nothing_leaves_that_stood_by_for_too_long(hall: Hall) -> None:
    """Behind slow answers it would leave after its lease, when others may have gone past it."""
    say(*(event(f"phone{number}") for number in range(12)))
    now = [timezone.now()]
    left: dict[str, datetime] = {}

    def pass_time() -> None:
        now[0] += LONGEST_STAND_BY + timedelta(seconds=1)

    slow = threading.Barrier(4, pass_time)

    def meanwhile(arguments: dict[str, Any]) -> None:
        if arguments["hwid"] in first:
            slow.wait(PATIENCE)
        else:
            left[arguments["hwid"]] = now[0]

    first = {f"phone{number}" for number in range(4)}
    hall.meanwhile = meanwhile
    Worker(clock=lambda: now[0]).drain()

    assert statuses() == {Status.SENT: 12}
    begun = dict(OutboxEntry.objects.values_list("key", "begun_at"))
    assert len(left) == 8
    for hwid, at in left.items():
        assert at - begun[outbox.device_key(APPLICATION, hwid)] <= LONGEST_STAND_BY


def test_connections_are_kept_open(hall: Hall) -> None:
    say(*(event(f"phone{number}") for number in range(40)))
    Worker().drain()

    assert len(hall.sandbox.events) == 40
    assert len(hall.ports) <= 4


def test_a_slow_call_holds_up_its_device_and_nobody_else(hall: Hall) -> None:
    others_are_done = threading.Event()

    def hold_the_first(arguments: dict[str, Any]) -> None:
        if (arguments["hwid"], arguments["event"]) == ("slow", "0"):
            assert others_are_done.wait(PATIENCE)
        elif (arguments["hwid"], arguments["event"]) == ("phone4", "4"):
            others_are_done.set()

    hall.meanwhile = hold_the_first
    hwids = ["slow", *(f"phone{number}" for number in range(5))]
    say(*(event(hwid, str(number)) for number in range(5) for hwid in hwids))
    Worker().drain()

    assert hall.together == []
    for hwid in hwids:
        assert [each.name for each in hall.sandbox.events if each.hwid == hwid] == list("01234")
    # When the last of the others left, the slow one was let go on; a few were still on their way.
    assert [each.hwid for each in hall.sandbox.events].index("slow") > 20
    assert statuses() == {Status.SENT: 30}


def test_answers_are_settled_as_they_come(hall: Hall) -> None:
    """What was refused, lost, or taken is each entry's own, whoever answered first."""
    hall.sandbox.faults.fail_next("postEvent", times=2, with_=faults.refusal("No"))
    hall.sandbox.faults.fail_next("postEvent", times=2, with_=faults.lost_request())
    say(*(event(f"phone{number}") for number in range(12)))
    Worker(chance=Longest()).drain()

    sent = {entry.call.hwid for entry in OutboxEntry.objects.filter(status=Status.SENT)}
    assert statuses() == {Status.SENT: 8, Status.FAILED: 2, Status.QUEUED: 2}
    assert sent == {each.hwid for each in hall.sandbox.events}


def test_messages_and_devices_share_the_connections(hall: Hall) -> None:
    meeting = threading.Barrier(2)

    def meet(arguments: dict[str, Any]) -> None:
        if "notifications" in arguments or arguments.get("hwid") == "phone1":
            meeting.wait(PATIENCE)

    hall.meanwhile = meet
    say(event("phone0"), event("phone1"))
    message = push.send("Hello", to=EVERYONE)
    Worker().drain()

    message.refresh_from_db()
    assert message.status == ScheduledMessage.Status.SENT
    assert statuses() == {Status.SENT: 3}


@pytest.mark.parametrize("call", [event, visit])
def test_what_is_in_flight_is_finished_and_the_rest_goes_back(hall: Hall, call: Callable[[str], Call]) -> None:
    ended = threading.Event()
    meeting = threading.Barrier(4, action=ended.set)
    hall.meanwhile = lambda _: meeting.wait(PATIENCE)
    say(*(call(f"phone{number}") for number in range(20)))
    Worker(is_ended=ended.is_set).drain()

    assert statuses() == {Status.SENT: 4, Status.QUEUED: 16}
    assert {entry.call.hwid for entry in OutboxEntry.objects.filter(status=Status.SENT)} == {
        hwid for _, hwid in hall.sandbox.devices
    }
    rest = OutboxEntry.objects.filter(status=Status.QUEUED)
    assert set(rest.values_list("attempts_made", "begun_at", "lease_owner", "doubtful_since", "tried_since")) == {
        (0, None, "", None, None)
    }

    hall.meanwhile = lambda _: None
    Worker().drain()
    assert statuses() == {Status.SENT: 20}
    assert len(hall.sandbox.devices) == 20
    assert {device.own_tags.get("Visits", 1) for device in hall.sandbox.devices.values()} == {1}


def test_a_bulk_request_in_flight_is_noted_before_the_end(hall: Hall) -> None:
    ended = threading.Event()
    hall.meanwhile = lambda _: ended.set()
    say(*(Call.of("setTags", APPLICATION, hwid=f"phone{number}", tags={"Age": 1}) for number in range(60)))
    Worker(is_ended=ended.is_set).drain()

    [request] = BulkRequest.objects.all()
    assert request.request_id in hall.sandbox.jobs
    assert statuses() == {Status.SENDING: 60}


@pytest.fixture
def handlers() -> Iterator[None]:
    """The command takes the process's signals; here they are given back."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    kept = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, kept, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_calls_in_flight_finish(hall: Hall, handlers: None, number: signal.Signals) -> None:
    told = threading.Event()

    def tell() -> None:
        told.set()
        os.kill(os.getpid(), number)

    meeting = threading.Barrier(4, action=tell)
    hall.meanwhile = lambda _: told.is_set() or meeting.wait(PATIENCE)
    say(*(event(f"phone{place}") for place in range(20)))
    call_command("pushwoosh_worker")

    # What stood by may leave before the signal is heard.
    sent = statuses()[Status.SENT]
    assert 4 <= sent <= 4 * (1 + STANDING_BY) < 20
    assert statuses() == {Status.SENT: sent, Status.QUEUED: 20 - sent}
    assert not OutboxEntry.objects.exclude(lease_owner="").exists()


def test_what_a_sender_raises_is_its_jobs_outcome() -> None:
    def divide(number: int) -> float:
        return 12 / number

    for connections in (1, 3):
        with Senders(divide, connections) as senders:
            outcomes = {}
            for number in (0, 3, 4):
                while not senders.free:
                    outcomes |= dict(senders.finished())
                senders.start(number)
            while senders.in_flight:
                outcomes |= dict(senders.finished())
        assert isinstance(outcomes[0].exception(), ZeroDivisionError)
        assert (outcomes[3].result(), outcomes[4].result()) == (4.0, 3.0)


def test_looking_for_what_is_finished_waits_no_longer_than_told() -> None:
    go_on = threading.Event()
    with Senders(lambda _: go_on.wait(PATIENCE), 2) as senders:
        senders.start("slow")
        assert senders.finished(0.0) == []
        assert (senders.idle, senders.in_flight) == (1, 1)
        go_on.set()
        [(job, done)] = senders.finished()
        assert (job, done.result()) == ("slow", True)
        assert senders.in_flight == 0
