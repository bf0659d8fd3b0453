"""Several processes, one cap, a sandbox over HTTP that counts for itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from random import Random
from statistics import mean

import waitress

from django_pushwoosh.delivery import slots_redis
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.sandbox.faults import Fault
from django_pushwoosh.sandbox.state import Application
from tests.capped_run import API_TOKEN, CODE, CONNECTIONS, clock_at
from tests.processes import ROOT
from tests.servers import REDIS_URL, answers

PROCESSES = 4
FAULTY_SHARE = 0.05
MORE_THAN_ANY = 100_000
"""The sandbox's own cap: it takes and writes down whatever comes, so that the count can be wrong."""


def counted(
    database: str,
    *,
    governor: str,
    cap: int,
    requests: int,
    speed: float,
    seconds: float,
    faults: Sequence[Fault] = (),
) -> list[datetime]:
    """When the sandbox heard each of the requests; fails where all of them take longer than `seconds`.

    Each of the faults meets one request in twenty. Those that it keeps from taking effect are counted, too.
    """
    account = f"capped-{uuid.uuid4()}"
    sandbox = Sandbox(
        [Application(CODE, API_TOKEN, "device-token")], clock_at(speed), requests_per_minute=MORE_THAN_ANY
    )
    for number, fault in enumerate(faults):
        sandbox.faults.always("createMessage", with_=fault, probability=FAULTY_SHARE, random=Random(number))
    with served(sandbox) as address:
        given = {
            "api_root": address,
            "governor": governor,
            "account": account,
            "cap": cap,
            "count": requests // PROCESSES,
            "speed": speed,
        }
        senders = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.capped_run", json.dumps(given)],
                cwd=ROOT,
                env={**os.environ, "DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "tests.settings"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(PROCESSES)
        ]
        try:
            for sender in senders:
                assert sender.stdout is not None
                assert sender.stdout.readline() == "ready\n"
            for sender in senders:
                assert sender.stdin is not None
                sender.stdin.write("go\n")
                sender.stdin.flush()
            ended = [int(sender.communicate(timeout=seconds)[0]) for sender in senders]
        finally:
            for sender in senders:
                sender.kill()
                sender.communicate()
            forget(account)
    assert ended == [requests // PROCESSES] * PROCESSES
    return [request.at for request in sandbox.requests]


def forget(account: str) -> None:
    """Leave nothing of a test's account behind in Redis, where there is one."""
    if answers(REDIS_URL):
        with slots_redis.client_of(REDIS_URL) as client:
            client.delete(*(f"{slots_redis.PREFIX}:{account}:{kept}" for kept in ("slots", "server")))


@contextmanager
def served(sandbox: Sandbox) -> Iterator[str]:
    server = waitress.create_server(
        sandbox.wsgi, host="127.0.0.1", port=0, threads=PROCESSES * CONNECTIONS, clear_untrusted_proxy_headers=True
    )
    # A daemon: waitress ends its loop only after the last kept-alive connection.
    threading.Thread(target=server.run, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.task_dispatcher.shutdown()


def utilisation(arrivals: list[datetime], cap: int) -> float:
    """The share of the cap that is used under a standing backlog: a minute, by how long each window full took."""
    ordered = sorted(arrivals)
    return 60 / mean((later - at).total_seconds() for at, later in zip(ordered, ordered[cap:], strict=False))
