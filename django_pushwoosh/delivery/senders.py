"""Has requests in flight side by side: threads that speak HTTP and nothing else.

All that touches the database happens in the thread that asked; the senders only carry bytes, each over a connection of
its own that is kept open. As many requests again may stand by, so that no connection idles while the caller is busy
with what came back. With a single one, requests are made in the caller's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, TypeVar

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")


class StayedHere(Exception):
    """The outcome of a request that stood by when the worker was told to end: it never left."""


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
        room = self._connections if self._threads is not None else 0
        return self._connections + room - len(self._in_flight)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def start(self, job: Job) -> None:
        if self._threads is not None:
            self._in_flight[self._threads.submit(self._send_unless_ended, job)] = job
            return
        done: Future[Outcome] = Future()
        try:
            done.set_result(self._send(job))
        except Exception as error:
            done.set_exception(error)
        self._in_flight[done] = job

    def _send_unless_ended(self, job: Job) -> Outcome:
        if self._is_ended():
            raise StayedHere
        return self._send(job)

    def finished(self, seconds: float | None = None) -> list[tuple[Job, Future[Outcome]]]:
        """What has come back; waits for the first if there is none yet, up to so many seconds."""
        done, _ = wait(self._in_flight, timeout=seconds, return_when=FIRST_COMPLETED)
        return [(self._in_flight.pop(future), future) for future in done]
