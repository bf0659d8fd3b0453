"""A second worker beside the first, in the same process, for when messages or changes in bulk abound.

A thousand of them share a request, and what became of each has to be written down: while the database does that for one
request, the other worker makes the next. Nothing else gains by it, for Python runs one thread at a time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType

from django.db import connections, router

from django_pushwoosh.conf import settings
from django_pushwoosh.delivery.discretion import told_without_values
from django_pushwoosh.delivery.worker import Worker
from django_pushwoosh.models import OutboxEntry

logger = logging.getLogger("django_pushwoosh")

LINGER_SECONDS = 5.0
"""How long it stays on for a slot under the cap that it knows to come."""
LONGEST_SECONDS = 5.0
"""Of one drain, for by then there may be something more urgent to do; whoever has many still calls again."""


class Assistant:
    """Drains when it is called, in a thread with a database connection, and connections to Pushwoosh, of its own.

    Whoever calls never waits for it, but in the end: what it has in flight is finished, as a worker's is.
    """

    def __init__(self, *, using: str | None = None, is_ended: Callable[[], bool] = lambda: False) -> None:
        self._using = using or router.db_for_write(OutboxEntry)
        self._is_ended = is_ended
        self._is_over = False
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Assistant:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()

    def call(self) -> None:
        """There is much to do. Where locked rows cannot be skipped, two workers would stand in each other's way."""
        if settings.connections == 1 or not connections[self._using].features.has_select_for_update_skip_locked:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pushwoosh-assistant")
            self._thread.start()
        self._wanted.set()

    def _run(self) -> None:
        worker = Worker(using=self._using, is_ended=self._has_to_end, is_assistant=True)
        while self._wanted.wait():
            # First of all, so that no call is lost, and above all not the last.
            self._wanted.clear()
            if self._has_to_end():
                return
            try:
                worker.drain(LINGER_SECONDS, LONGEST_SECONDS)
            except Exception as error:
                # The worker itself goes on, and calls again; what this one held comes back when its lease ends.
                logger.error("The assistant failed: %s", told_without_values(error))
            finally:
                connections.close_all()

    def _has_to_end(self) -> bool:
        return self._is_over or self._is_ended()
