"""Calls a server as many phones do at once, and says how it answered.

`python -m tests.benchmarks.load '{…}'`, a `Load` as JSON. In a process of its own, so that what it costs is not taken
for the server's. Threads that wait for the server, each with a connection that it keeps for as long as the server does.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

from tests.processes import ROOT

TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Load:
    """What to send, how often and by how many at once.

    In `body` `{n}` stands for a number: from `first` on, and from there again after `different`. With a `rate` calls
    leave by the clock, as many a second whatever becomes of them; without one each thread calls when it was answered.
    An answer is good where `good` is in it, blanks apart. `sources` are the addresses from which connections come.
    """

    port: int
    path: str
    body: str
    good: str
    total: int
    threads: int = 4
    rate: float = 0.0
    first: int = 0
    different: int = 10**9
    headers: dict[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ("127.0.0.1",)


@dataclass(frozen=True)
class Answered:
    """`bad` counts answers that were not good, by what they say; `late` is in seconds since each call was due."""

    seconds: float
    good: int
    bad: dict[str, int]
    late: list[float]
    own_cpu_seconds: float

    def late_at(self, share: float) -> float:
        return sorted(self.late)[min(len(self.late) - 1, int(len(self.late) * share))]


def answered(load: Load) -> Answered:
    """Run a load in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.load", json.dumps(dataclasses.asdict(load))]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Answered(**json.loads(ran.stdout))


def run(load: Load) -> Answered:
    numbers, lock = count(), threading.Lock()
    good, late, bad = 0, [], Counter[str]()
    expected = load.good.encode()
    started = time.perf_counter()

    def work(source: str) -> None:
        nonlocal good
        connection = Connection(load, source)
        while (number := next(numbers)) < load.total:
            due = started + number / load.rate if load.rate else time.perf_counter()
            time.sleep(max(0.0, due - time.perf_counter()))
            try:
                answer = connection.ask(load.first + number % load.different)
            except OSError as error:
                answer = type(error).__name__.encode()
            took = time.perf_counter() - due
            with lock:
                late.append(round(took, 6))
                if expected in answer.replace(b" ", b""):
                    good += 1
                else:
                    bad[answer.partition(b"\r\n")[0].decode() + " … " + answer[-120:].decode()] += 1

    threads = [
        threading.Thread(target=work, args=(load.sources[each % len(load.sources)],)) for each in range(load.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Answered(time.perf_counter() - started, good, dict(bad), late, time.process_time())


class Connection:
    """One after the other, over one connection for as long as the server keeps it."""

    def __init__(self, load: Load, source: str) -> None:
        self._load = load
        self._source = source
        self._socket: socket.socket | None = None
        headers = {"Host": "127.0.0.1", "Content-Type": "application/json", **load.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._head = f"POST {load.path} HTTP/1.1\r\n{lines}"

    def ask(self, number: int) -> bytes:
        body = self._load.body.replace("{n}", f"{number:010d}")
        request = f"{self._head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        if self._socket is None:
            self._socket = socket.create_connection(
                ("127.0.0.1", self._load.port), TIMEOUT_SECONDS, source_address=(self._source, 0)
            )
        try:
            self._socket.sendall(request)
            return self._answer(self._socket)
        except OSError:
            self._close()
            raise

    def _answer(self, connected: socket.socket) -> bytes:
        received = b""
        while True:
            part = connected.recv(65536)
            received += part
            head, separator, body = received.partition(b"\r\n\r\n")
            if not part:
                self._close()
                if not separator:
                    raise ConnectionResetError
                return received
            if not separator:
                continue
            told = head.lower()
            length = next((int(line[15:]) for line in told.split(b"\r\n") if line.startswith(b"content-length:")), None)
            if length is not None and len(body) >= length:
                if b"connection: close" in told:
                    self._close()
                return received

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(dataclasses.asdict(run(Load(**{**given, "sources": tuple(given["sources"])})))))
