"""Has requests in flight side by side: threads that speak HTTP and nothing else.

All that touches the database happens in the thread that asked; the senders only carry bytes, each over a connection of
its own that is kept open. More requests may stand by, so that no connection idles while the caller is busy with what
came back, and what comes back is gathered meanwhile: it costs little more to write down many than one. With a single
connection, requests are made in the caller's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Generic, TypeVar

STANDING_BY = 3
"""Requests that may stand by, for each connection."""
GATHER_SECONDS = 0.03
"""How long what came back may wait for more, while there is enough to keep the connections busy."""

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")


class StayedHere(Exception):
    """The outcome of a request that stood by when the worker was told to end, or for too long: it never left."""


class Senders(Generic[Job, Outcome]):
    """`send` turns a job into its outcome; what it raises is the outcome's, never lost.

    `is_ended` is asked by every sender before a request leaves; from then on none does.
    """

    def __init__(
        self, send: Callable[[Job], Outcome], connections: int, is_ended: Callable[[], bool] = lambda: False
    ) -> None:
        self._send = send
        self._is_ended = is_ended
        self._connections = connections
        self._threads = ThreadPoolExecutor(connections, "pushwoosh-sender") if connections > 1 else None
        self._in_flight: dict[Future[Outcome], Job] = {}
        self._done: SimpleQueue[Future[Outcome]] = SimpleQueue()

    def __enter__(self) -> Senders[Job, Outcome]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=True)

    @property
    def idle(self) -> int:
        """How many requests more would leave at once."""
        return max(0, self._connections - len(self._in_flight))

    @property
    def free(self) -> int:
        """How many requests more may be in flight, or stand by."""
        room = STANDING_BY if self._threads is not None else 0
        return self._connections * (1 + room) - len(self._in_flight)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def start(self, job: Job) -> None:
        if self._threads is not None:
            made = self._threads.submit(self._send_unless_ended, job)
        else:
            made = Future()
            try:
                made.set_result(self._send(job))
            except Exception as error:
                made.set_exception(error)
        self._in_flight[made] = job
        made.add_done_callback(self._done.put)

    def _send_unless_ended(self, job: Job) -> Outcome:
        if self._is_ended():
            raise StayedHere
        return self._send(job)

    def finished(self, seconds: float | None = None) -> list[tuple[Job, Future[Outcome]]]:
        """What has come back; waits for the first if there is none yet, up to so many seconds."""
        finished: list[tuple[Job, Future[Outcome]]] = []
        until = None if seconds is None else time.monotonic() + seconds
        while self._in_flight:
            try:
                made = self._done.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
            except Empty:
                break
            finished.append((self._in_flight.pop(made), made))
            is_enough = self.in_flight < self._connections * (1 + STANDING_BY) // 2
            if is_enough:
                until = 0.0
            elif len(finished) == 1:
                until = time.monotonic() + GATHER_SECONDS
        return finished
