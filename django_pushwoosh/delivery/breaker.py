"""Stops hammering a Pushwoosh that is down, and probes its way back.

One breaker per API root and process: it opens after a few failures in a row, lets one request through when its pause is
over, and closes with the first answer. Each probe that fails doubles the pause.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

FAILURES = 5
"""In a row, until it opens: single lost answers are the network's everyday life."""
FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=1)
LONGEST_PROBE = timedelta(minutes=1)
"""After which a probe of which nothing was heard keeps the others waiting no longer."""


class Breaker:
    """Knows whether to ask. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._open_until: datetime | None = None
        self._probing_until: datetime | None = None

    def open_until(self, now: datetime) -> datetime | None:
        """Until when nothing is asked; `None` where one may ask. A probe under way keeps the others waiting."""
        with self._lock:
            if self._open_until is None:
                return None
            if now < self._open_until:
                return self._open_until
            return now + FIRST_PAUSE if self._is_probing(now) else None

    def enter(self, now: datetime) -> bool:
        """Whether a request may leave now. While open, the first one after the pause goes as the probe."""
        with self._lock:
            if self._open_until is None:
                return True
            if now < self._open_until or self._is_probing(now):
                return False
            self._probing_until = now + LONGEST_PROBE
            return True

    @property
    def is_probing_next(self) -> bool:
        """Whether the next request is a probe, and the only one."""
        with self._lock:
            return self._open_until is not None

    def succeeded(self) -> None:
        """There was an answer, whatever it said of the call."""
        with self._lock:
            self._failures, self._pause, self._open_until, self._probing_until = 0, FIRST_PAUSE, None, None

    def failed(self, now: datetime) -> None:
        """There was no answer, or one that says they are in trouble."""
        with self._lock:
            self._failures += 1
            if self._open_until is not None and self._probing_until is not None:
                self._pause = min(LONGEST_PAUSE, self._pause * 2)
            elif self._failures < FAILURES or self._open_until is not None:
                return
            self._probing_until = None
            self._open_until = now + self._pause

    def left(self) -> None:
        """A probe that was entered for did not leave after all."""
        with self._lock:
            self._probing_until = None

    def _is_probing(self, now: datetime) -> bool:
        return self._probing_until is not None and now < self._probing_until
