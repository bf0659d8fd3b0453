"""Where an ordeal takes place: the sandbox, writers and workers as processes of their own, and what is done to them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from django_pushwoosh.sandbox.state import Application
from tests.ordeal.judging import Verdict, judge
from tests.ordeal.marks import API_TOKEN, CODE, DEVICE_TOKEN
from tests.processes import ROOT, running, until
from tests.servers import answers, free_port

WORKER = "ordeal-worker"
"""What workers call themselves at the database, so that nobody else is cut off."""
EACH_KIND = (
    "lost_answer",
    "lost_request",
    "too_many_requests",
    "server_error",
    "bad_gateway",
    "gateway_timeout",
    "empty_body",
    "not_json",
    "refused",
)


class Worker:
    """A process that somebody starts again whenever it dies."""

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self._command = [sys.executable, *command]
        self.log = log
        self._environment = {**os.environ, **environment}
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, chance: random.Random) -> None:
        """`kill -9`: of the whole, which is started again, or of a child, for which its parent has to answer."""
        children = _children(self._process.pid)
        if children and chance.random() < 0.5:
            os.kill(chance.choice(children), signal.SIGKILL)
            return
        self.destroy()
        self.start()

    def destroy(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> int:
        """Have it finish what it has begun; its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None


def _ends_well(process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    assert process.wait(seconds) == 0, log.read_text()[-4000:]


def _children(pid: int) -> list[int]:
    """Children, but for those that are no workers (the embedded beat, a resource tracker)."""
    try:
        listed = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [each for each in listed if b"celery" in Path(f"/proc/{each}/cmdline").read_bytes()]
    except OSError:
        return []


class Field:
    def __init__(self, database: str, folder: Path, *, connections: int, job_seconds: float) -> None:
        self.database = database
        self.folder = folder
        self.connections = connections
        self._options = {"job_seconds": job_seconds}
        self._port = free_port()
        self.workers: list[Worker] = []
        self.kills = 0
        self.cuts = 0
        self._errands = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def environment(self, *, is_worker: bool = False, broker: str = "memory://") -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "tests.ordeal.settings",
            "DATABASE_URL": f"{self.database}?application_name={WORKER}" if is_worker else self.database,
            "ORDEAL_API_ROOT": self.address,
            "ORDEAL_CONNECTIONS": str(self.connections),
            "ORDEAL_ENGINE": "command" if broker == "memory://" else "celery",
            "CELERY_BROKER_URL": broker,
        }

    @contextmanager
    def open(self) -> Iterator[None]:
        """With the sandbox; workers that are still there in the end are killed."""
        command = [
            "-m", "django_pushwoosh.sandbox", "--port", str(self._port), "--threads", "120",
            "--application", CODE, "--api-token", API_TOKEN, "--device-token", DEVICE_TOKEN,
            "--state", str(self.folder / "state"), "--record", str(self.folder / "record"),
            *(each for name, value in self._options.items() for each in ("--option", f"{name}={value}")),
        ]  # fmt: skip
        with running(command, self.folder / "sandbox.log"):
            until(lambda: answers(self.address), 30, "the sandbox's start")
            try:
                yield
            finally:
                for worker in self.workers:
                    if not worker.has_ended:
                        worker.destroy()

    # Who takes part

    def start_worker(self) -> Worker:
        command = ["manage.py", "pushwoosh_worker", "--interval", "0.2"]
        return self._start(command, self.environment(is_worker=True))

    def start_celery(self, broker: str) -> Worker:
        """A worker with a clock of its own, which sweeps."""
        schedule = self.folder / f"beat-{len(self.workers)}"
        command = [
            "-m", "celery", "-A", "example_project", "worker", "--beat", "--schedule", str(schedule),
            "--concurrency", "1", "--without-gossip", "--without-mingle", "-l", "INFO",
        ]  # fmt: skip
        worker = self._start(command, self.environment(is_worker=True, broker=broker))
        until(lambda: b"ready." in worker.log.read_bytes(), 60, "the worker's start")
        return worker

    def _start(self, command: list[str], environment: dict[str, str]) -> Worker:
        worker = Worker(command, self.folder / f"worker-{len(self.workers)}.log", environment)
        self.workers.append(worker)
        return worker

    @contextmanager
    def writing(self, name: str, *, broker: str = "memory://", **given: Any) -> Iterator[Callable[[float], None]]:
        """A writer (see `writing`), which has to come to its own end: what this gives waits for it so many seconds."""
        asked = json.dumps({"name": name, **given})
        command = ["-m", "tests.ordeal.writing", asked, str(self.folder / f"{name}.written")]
        log = self.folder / f"{name}.log"
        with running(command, log, self.environment(broker=broker)) as process:
            yield partial(_ends_well, process, log)

    def hand(self, *errand: str, broker: str = "memory://") -> None:
        """What a person does (see `hand`)."""
        self._errands += 1
        log = self.folder / f"hand-{self._errands}.log"
        command = ["-m", "tests.ordeal.hand", *errand]
        with running(command, log, self.environment(broker=broker)) as process:
            _ends_well(process, log, 120)

    # What is done to them

    def kill(self, worker: Worker, chance: random.Random) -> None:
        worker.kill(chance)
        self.kills += 1

    def cut_off(self) -> int:
        """End the workers' connections to the database; how many there were."""
        [(cut,)] = self.asked(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = %s",
            WORKER,
        )
        self.cuts += int(cut)
        return int(cut)

    def trouble(self, *, probability: float, jitter: float) -> None:
        """Errors of each kind, and answers that take their time."""
        self._switch(do="slow", seconds=0.0, jitter=jitter, seed=1)
        for seed, fault in enumerate(EACH_KIND, start=2):
            self._switch(do="add_fault", fault=fault, probability=probability, seed=seed)

    def condemn(self) -> int:
        """Have Pushwoosh say that the account is suspended, until `pardon`; the fault's number."""
        faults = self._switch(do="add_fault", fault="suspended_account")["faults"]
        return int(faults[-1]["number"])

    def pardon(self, number: int) -> None:
        self._switch(do="remove_fault", number=number)

    def calm(self) -> None:
        self._switch(do="clear_faults")

    def _switch(self, **given: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.address}/control/switch", json.dumps(given).encode(), {"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return dict(json.load(answer))

    # What is seen

    def asked(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database, autocommit=True) as connection:
            return connection.execute(statement, values).fetchall()

    @property
    def is_paused(self) -> bool:
        return bool(self.asked("SELECT 1 FROM django_pushwoosh_pause"))

    @property
    def is_delivering(self) -> bool:
        return bool(self.asked("SELECT 1 FROM django_pushwoosh_outboxentry WHERE status = 'sent' LIMIT 1"))

    @property
    def unsettled(self) -> int:
        [(count,)] = self.asked(
            "SELECT count(*) FROM django_pushwoosh_outboxentry WHERE status IN ('queued', 'sending')"
        )
        return int(count)

    def verdict(self, **otherwise: Any) -> Verdict:
        """After the sandbox has ended: are all labels right? By other books, or rules, than its own where asked."""
        written = [tuple(each) for file in self.folder.glob("*.written") for each in json.loads(file.read_text())]
        given: dict[str, Any] = {
            "state": self.folder / "state",
            "record": self.folder / "record",
            "application": Application(CODE, API_TOKEN, DEVICE_TOKEN),
            "may_be_unheard": self.kills * self.connections + self.cuts,
            **self._options,
        }
        return judge(written, self.database, **{**given, **otherwise})
