"""Calls a server as many phones do at once, and says how it answered.

`python -m tests.benchmarks.load '{…}'`, a `Load` as JSON. In a process of its own, so that what it costs is not taken
for the server's, and in one thread, so that it costs little: it shares the machine with what is measured.
"""

from __future__ import annotations

import dataclasses
import json
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from tests.processes import ROOT

TIMEOUT_SECONDS = 60
APART_SECONDS = 0.005
"""Between the first calls of two phones: of connections that come at once, one of a server's processes takes all."""


@dataclass(frozen=True)
class Load:
    """What to send, how often and by how many at once.

    In `body` `{n}` stands for a number: from `first` on, and from there again after `different`. With a `rate` calls
    leave by the clock, as many a second whatever becomes of them, while one of the `phones` is free; without one each
    phone calls when it was answered. An answer is good where `good` is in it, blanks apart. `sources` are the addresses
    from which they call.
    """

    port: int
    path: str
    body: str
    good: str
    total: int
    phones: int = 4
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
    # Each in its turn, so that none waits until the server has hung up, and all addresses call.
    idle = deque(Phone(load, load.sources[each % len(load.sources)]) for each in range(load.phones))
    busy = selectors.DefaultSelector()
    good, late, bad = 0, [], Counter[str]()
    expected = load.good.encode()
    called = 0
    started = time.perf_counter()

    def note(phone: Phone, answer: bytes) -> None:
        nonlocal good
        idle.append(phone)
        late.append(round(time.perf_counter() - phone.due, 6))
        if expected in answer.replace(b" ", b""):
            good += 1
        else:
            bad[answer.partition(b"\r\n")[0].decode() + " … " + answer[-120:].decode()] += 1

    while len(late) < load.total:
        patience: float = TIMEOUT_SECONDS
        while idle and called < load.total:
            now = time.perf_counter()
            first = started + called * APART_SECONDS if called < load.phones else now
            due = started + called / load.rate if load.rate else max(now, first)
            if due > now:
                patience = due - now
                break
            phone = idle.popleft()
            try:
                phone.call(load.first + called % load.different, due)
                busy.register(phone, selectors.EVENT_READ)
            except OSError as error:
                note(phone, type(error).__name__.encode())
            called += 1
        heard = busy.select(patience)
        if not heard and patience == TIMEOUT_SECONDS:
            raise TimeoutError(f"no answer for {TIMEOUT_SECONDS} seconds")
        for key, _ in heard:
            answering: Phone = key.fileobj  # type: ignore[assignment]
            try:
                answer = answering.hear()
            except OSError as error:
                answer = type(error).__name__.encode()
            if answer is not None:
                busy.unregister(answering)
                answering.hang_up_if_told()
                note(answering, answer)
    return Answered(time.perf_counter() - started, good, dict(bad), late, time.process_time())


class Phone:
    """Makes one call after the other, over one connection for as long as the server keeps it."""

    due = 0.0

    def __init__(self, load: Load, source: str) -> None:
        self._load = load
        self._source = source
        self._socket: socket.socket | None = None
        self._received = b""
        self._is_over = False
        headers = {"Host": "127.0.0.1", "Content-Type": "application/json", **load.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._head = f"POST {load.path} HTTP/1.1\r\n{lines}"

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def call(self, number: int, due: float) -> None:
        """Say it, and wait for nothing. Raises `OSError`."""
        self.due = due
        self._received = b""
        body = self._load.body.replace("{n}", f"{number:010d}")
        request = f"{self._head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        if self._socket is None:
            self._is_over = False
            self._socket = socket.create_connection(
                ("127.0.0.1", self._load.port), TIMEOUT_SECONDS, source_address=(self._source, 0)
            )
        try:
            self._socket.sendall(request)
        except OSError:
            self._is_over = True
            self.hang_up_if_told()
            raise

    def hear(self) -> bytes | None:
        """The whole answer, if it has come. Raises `OSError`."""
        assert self._socket is not None
        try:
            part = self._socket.recv(65536)
        except OSError:
            self._is_over = True
            raise
        self._received += part
        head, separator, body = self._received.partition(b"\r\n\r\n")
        told = head.lower()
        length = next((int(line[15:]) for line in told.split(b"\r\n") if line.startswith(b"content-length:")), None)
        if not part:
            self._is_over = True
            if not separator or len(body) < (length or 0):
                raise ConnectionResetError
            return self._received
        if not separator or length is None or len(body) < length:
            return None
        self._is_over = b"connection: close" in told
        return self._received

    def hang_up_if_told(self) -> None:
        if self._is_over and self._socket is not None:
            self._socket.close()
            self._socket = None


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(dataclasses.asdict(run(Load(**{**given, "sources": tuple(given["sources"])})))))
