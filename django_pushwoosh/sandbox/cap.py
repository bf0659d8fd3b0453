"""The cap on message-creating requests: so many in any 60 seconds, per account.

Source: seed 001, "/createMessage Throttling". Unverified against Pushwoosh: that the window rolls, that a request
which is refused for its arguments counts and one over the cap does not, and how a request over the cap is answered.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from math import ceil

WINDOW = timedelta(seconds=60)
MOST_REMEMBERED = 100_000


class Cap:
    """Counts requests; `log` has the time of each one that counted, oldest first."""

    def __init__(self) -> None:
        self.log: deque[datetime] = deque(maxlen=MOST_REMEMBERED)
        self._recent: dict[str, deque[datetime]] = {}

    def take(self, account: str, now: datetime, requests_per_minute: int) -> int:
        """Count a request; 0, or the seconds after which the next one has room, and then nothing is counted."""
        recent = self._recent.setdefault(account, deque())
        while recent and recent[0] <= now - WINDOW:
            recent.popleft()
        if len(recent) >= requests_per_minute:
            wait = recent[0] + WINDOW - now if recent else WINDOW
            return max(1, ceil(wait.total_seconds()))
        recent.append(now)
        self.log.append(now)
        return 0

    def counted(self, now: datetime) -> int:
        """How many requests of all accounts count at present."""
        return sum(1 for recent in self._recent.values() for at in recent if at > now - WINDOW)

    def set_back(self) -> None:
        """The clock goes back: what counted in the time that never was counts no more."""
        self._recent.clear()
