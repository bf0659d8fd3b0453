"""Rings for the engines: at most once per tenth of a second and process, and never in the caller's way.

A broker that does not answer can hold a publishing thread for over a minute. The bell rings in a thread of its own,
so that neither a request nor a commit waits for it; a ring that is lost costs seconds, for a sweep follows.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable

from django_pushwoosh.delivery.discretion import told_without_values

logger = logging.getLogger("django_pushwoosh")

INTERVAL_SECONDS = 0.1
LAST_RING_SECONDS = 2.0
"""How long a process that ends waits for its last ring."""


class Bell:
    def __init__(self, ring: Callable[[], object], interval: float = INTERVAL_SECONDS) -> None:
        self._ring = ring
        self._interval = interval
        self._wanted = threading.Event()
        self._quiet = threading.Event()
        self._quiet.set()
        self._lock = threading.Lock()
        self._pid = 0

    def ring(self) -> None:
        """Have it rung soon."""
        self._quiet.clear()
        self._wanted.set()
        if self._pid != os.getpid():
            self._start()

    def wait(self, seconds: float = LAST_RING_SECONDS) -> bool:
        """Wait until what was wanted has been rung."""
        return self._quiet.wait(seconds)

    def _start(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            # A thread does not survive a fork; each process has its own.
            threading.Thread(target=self._run, name="pushwoosh-bell", daemon=True).start()
            atexit.register(self.wait)
            self._pid = os.getpid()

    def _run(self) -> None:
        pause = threading.Event()
        while self._wanted.wait():
            self._wanted.clear()
            try:
                self._ring()
            except Exception as error:
                # Whatever a broker's client raises, the next ring must still come; its words may hold the broker's URL.
                told = told_without_values(error)
                logger.warning("The wake-up could not be sent; the next sweep finds what waits: %s", told)
            if not self._wanted.is_set():
                self._quiet.set()
            pause.wait(self._interval)
