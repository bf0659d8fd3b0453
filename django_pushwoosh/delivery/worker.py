"""Drains the outbox: claim, call, settle. The only place that retries."""

from __future__ import annotations

import logging
import random
import socket
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import DatabaseError, router
from django.utils import timezone

from django_pushwoosh.conf import Application, settings
from django_pushwoosh.delivery import connection, outbox, results
from django_pushwoosh.delivery.governor import Governor
from django_pushwoosh.delivery.settling import FIRST_PAUSE, Settler
from django_pushwoosh.models import OutboxEntry, Pause
from django_pushwoosh.protocol.errors import BadArgument, CallError, OutcomeUnknown, RateLimited
from django_pushwoosh.protocol.messages import is_addressed

logger = logging.getLogger("django_pushwoosh")

BATCH = 50
LEASE = timedelta(minutes=2)
"""Beyond the longest call: a worker that is alive settles within it."""


class Worker:
    """One drain at a time; any number of workers may run on any number of hosts.

    `is_ended` is asked before each call: once it is true, what is held and not begun goes back into the queue.
    """

    def __init__(
        self,
        *,
        using: str | None = None,
        clock: Callable[[], datetime] = timezone.now,
        governor: Governor | None = None,
        chance: random.Random | None = None,
        is_ended: Callable[[], bool] = lambda: False,
    ) -> None:
        self._using = using or router.db_for_write(OutboxEntry)
        self._clock = clock
        self._governor = governor or Governor(using=using)
        self._settler = Settler(self._using, clock, chance or random.Random())  # noqa: S311
        self._is_ended = is_ended
        self._name = socket.gethostname()
        self._full_until: dict[str, datetime] = {}

    def drain(self) -> int:
        """Deliver what is due until nothing is; how many entries were taken up."""
        if settings.is_paused:
            return 0
        taken = self.recover()
        while not self._is_ended() and (
            entries := outbox.claim(BATCH, now=self._clock(), owner=self._name, using=self._using)
        ):
            taken += len(entries)
            waiting = deque(entries)
            try:
                while waiting:
                    self._guarded(self.deliver, waiting.popleft())
            finally:
                for entry in waiting:
                    self._settler.given_back(entry)
        return taken

    def recover(self) -> int:
        """Take up entries whose worker did not come back: what was not begun goes again, the rest is judged."""
        entries = outbox.expired(BATCH, now=self._clock(), using=self._using)
        for entry in entries:
            self._guarded(self._judge, entry)
        return len(entries)

    def deliver(self, entry: OutboxEntry) -> None:
        """Make a held entry's call and settle it."""
        application = self._application(entry)
        if application is None or self._is_ended() or self._is_paused(entry.application):
            self._settler.given_back(entry)
            return
        started = self._clock()
        call = entry.call
        full_until = self._full_until.get(application.account)
        if full_until is not None and started < full_until and connection.is_capped(call, application):
            self._settler.held_back(entry, full_until, "Waits behind others for the cap.")
            return
        is_doubtful = entry.doubtful_since is not None
        may_repeat = not is_doubtful or self._settler.is_repeatable(entry, call, started)
        # Of a future message in doubt the code is worth learning, for only by it can it be cancelled.
        if results.creates_message(entry):
            kind = results.wanted_audience(entry)
            if kind is None:
                if not (is_doubtful and may_repeat and results.is_ahead(call)):
                    self._settler.unwanted(entry, call)
                    return
            elif not is_addressed(call, kind):
                lost = BadArgument(f"Its audience ({kind}) was lost on the way; it would reach others.", call=call)
                self._settler.ended(entry, lost)
                return
        # A person's retry starts to count anew, and goes once whatever the doubt.
        if entry.attempts_made and not may_repeat:
            late = OutcomeUnknown("Too late to repeat it safely after an unknown outcome.", call=call)
            self._settler.ended(entry, late)
            return
        if not outbox.begin(entry, now=started, lease=LEASE):
            return
        try:
            answer, result = connection.ask(call, application, governor=self._governor)
        except RateLimited as error:
            if error.answer is not None:
                self._settler.failed(entry, error, started)
                return
            until = self._clock() + timedelta(seconds=error.retry_after or FIRST_PAUSE)
            self._full_until[application.account] = until
            self._settler.held_back(entry, until, str(error))
        except CallError as error:
            self._settler.failed(entry, error, started)
        else:
            self._settler.sent(entry, answer, result, started)

    def _judge(self, entry: OutboxEntry) -> None:
        if entry.begun_at is None:
            self._settler.given_back(entry)
        else:
            self._settler.failed(entry, OutcomeUnknown("The worker did not come back."), entry.begun_at)

    def _guarded(self, work: Callable[[OutboxEntry], None], entry: OutboxEntry) -> None:
        """One entry that cannot be dealt with must not hold up the others, nor come back for ever."""
        try:
            work(entry)
        except DatabaseError:
            # Its lease runs out, and it is judged when the database is well again.
            logger.exception("%s could not be settled", entry)
        except Exception as error:
            logger.exception("%s could not be dealt with", entry)
            kind = BadArgument if entry.begun_at is None else OutcomeUnknown
            self._settler.ended(entry, kind(f"{type(error).__name__} here; the log says where."))

    def _is_paused(self, code: str) -> bool:
        return Pause.objects.using(self._using).filter(application=code).exists()

    @staticmethod
    def _application(entry: OutboxEntry) -> Application | None:
        return next(
            (
                each
                for each in settings.applications.values()
                if (each.code, each.api_root) == (entry.application, entry.api_root)
            ),
            None,
        )
