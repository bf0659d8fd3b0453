"""Drains the outbox: claim, call, settle. The only place that retries."""

from __future__ import annotations

import logging
import random
import socket
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, router, transaction
from django.utils import timezone

from django_pushwoosh.conf import Application, settings
from django_pushwoosh.delivery import connection, outbox, results
from django_pushwoosh.delivery.governor import Governor
from django_pushwoosh.models import Attempt, OutboxEntry, Pause, storable
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.errors import (
    CallError,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    condemns,
)
from django_pushwoosh.signals import application_paused

logger = logging.getLogger("django_pushwoosh")

BATCH = 50
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
MAX_AGE = timedelta(days=1)
"""What was tried in vain for so long is given up and shown as failed."""

SETTLE_TRIES = 3

LEASE = timedelta(minutes=2)
"""Beyond the longest call: a worker that is alive settles within it."""

Status = OutboxEntry.Status


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
        self._chance = chance or random.Random()  # noqa: S311
        self._is_ended = is_ended
        self._name = socket.gethostname()

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
                    self._deliver_or_log(waiting.popleft())
            finally:
                for entry in waiting:
                    self._give_back(entry)
        return taken

    def recover(self) -> int:
        """Take up entries whose worker did not come back: what was not begun goes again, the rest is judged."""
        entries = outbox.expired(BATCH, now=self._clock(), using=self._using)
        for entry in entries:
            if entry.begun_at is None:
                self._give_back(entry)
            else:
                lost = OutcomeUnknown("The worker did not come back.", call=entry.call)
                self._settle_failed(entry, lost, entry.begun_at)
        return len(entries)

    def deliver(self, entry: OutboxEntry) -> None:
        """Make a held entry's call and settle it."""
        application = self._application(entry)
        if application is None or self._is_ended() or self._is_paused(entry.application):
            self._give_back(entry)
            return
        started = self._clock()
        call = entry.call
        if entry.doubtful_since is not None and not self._is_repeatable(entry, call, started):
            late = OutcomeUnknown("Too late to repeat it safely after an unknown outcome.", call=call)
            self._settle_ended(entry, late, started)
            return
        if not outbox.begin(entry, now=started, lease=LEASE):
            return
        try:
            answer, result = connection.ask(call, application, governor=self._governor)
        except CallError as error:
            self._settle_failed(entry, error, started)
        else:
            self._settle_sent(entry, answer, result, started)

    def _settle_sent(self, entry: OutboxEntry, answer: Answer, result: Any, started: datetime) -> None:
        entry.attempts_made += 1
        for tries_left in reversed(range(SETTLE_TRIES)):
            try:
                with transaction.atomic(using=self._using):
                    self._attempted(entry, started, "ok", answer, "")
                    if outbox.settle(entry, Status.SENT, now=self._clock(), told=storable(answer.warning)):
                        results.succeeded(entry, result, answer, now=self._clock())
            except OperationalError:
                # A deadlock, a lock that took too long: what Pushwoosh answered is worth another try.
                if not tries_left:
                    raise
            else:
                return

    def _deliver_or_log(self, entry: OutboxEntry) -> None:
        try:
            self.deliver(entry)
        except Exception:
            # One entry that cannot be dealt with must not hold up the others; its lease runs out, and it is judged.
            logger.exception("%s could not be dealt with", entry)

    @staticmethod
    def _give_back(entry: OutboxEntry) -> None:
        outbox.release(entry, due_at=entry.due_at, told=entry.told)

    def _settle_failed(self, entry: OutboxEntry, error: CallError, started: datetime) -> None:
        now = self._clock()
        told = storable(str(error))
        if isinstance(error, RateLimited) and error.answer is None:
            # The governor's word: nothing was attempted.
            outbox.release(entry, due_at=now + timedelta(seconds=error.retry_after or FIRST_PAUSE), told=told)
            return
        entry.attempts_made += 1
        if isinstance(error, OutcomeUnknown):
            entry.doubtful_since = entry.doubtful_since or started
        with transaction.atomic(using=self._using):
            self._attempted(entry, started, type(error).__name__, error.answer, told)
            if condemns(error):
                self._pause(entry.application, told, now)
                outbox.release(entry, due_at=now, told=told)
            elif self._may_go_again(entry, error, now):
                outbox.release(entry, due_at=now + self._backoff(entry, error), told=told)
            else:
                self._settle_ended(entry, error, now)

    def _settle_ended(self, entry: OutboxEntry, error: CallError, now: datetime) -> None:
        status = self._end(entry, error)
        with transaction.atomic(using=self._using):
            if outbox.settle(entry, status, now=now, told=storable(str(error))):
                results.ended(entry, status, error, now=now)
                logger.warning("%s %s: %s", entry, status, error)

    def _may_go_again(self, entry: OutboxEntry, error: CallError, now: datetime) -> bool:
        if now - (entry.tried_since or now) > MAX_AGE:
            return False
        if isinstance(error, OutcomeUnknown):
            return self._is_repeatable(entry, entry.call, now)
        return isinstance(error, NotSent)

    @staticmethod
    def _is_repeatable(entry: OutboxEntry, call: Call, now: datetime) -> bool:
        # It has to arrive while Pushwoosh remembers the first one.
        age = now - (entry.doubtful_since or now) + timedelta(seconds=sum(settings.timeout))
        return call.is_repeatable(age, repeat_events=settings.repeat_events)

    @staticmethod
    def _end(entry: OutboxEntry, error: CallError) -> OutboxEntry.Status:
        if not isinstance(error, OutcomeUnknown) and entry.doubtful_since is None:
            return Status.FAILED
        # Only messages wait for a person; device calls are left by their method's rule.
        return Status.UNCERTAIN if entry.dispatch_id or entry.chunk_id else Status.LEFT

    def _backoff(self, entry: OutboxEntry, error: CallError) -> timedelta:
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(entry.attempts_made, 10))
        pause = self._chance.uniform(0, longest)
        return timedelta(seconds=max(pause, error.retry_after or 0.0))

    def _attempted(
        self, entry: OutboxEntry, started: datetime, outcome: str, answer: Answer | None, told: str
    ) -> Attempt:
        return Attempt.objects.using(self._using).create(
            entry=entry,
            number=entry.attempts_made,
            started_at=started,
            took_seconds=(self._clock() - started).total_seconds(),
            outcome=outcome,
            http_status=answer.http_status if answer else None,
            status_code=answer.status_code if answer else None,
            told=told or storable(answer.status_message if answer else ""),
        )

    def _is_paused(self, code: str) -> bool:
        return Pause.objects.using(self._using).filter(application=code).exists()

    def _pause(self, code: str, reason: str, now: datetime) -> None:
        pauses = Pause.objects.using(self._using)
        pauses.bulk_create([Pause(application=code, reason=reason, since=now)], ignore_conflicts=True)
        logger.error("Application %s is paused: %s", code, reason)
        transaction.on_commit(
            lambda: application_paused.send_robust(Pause, application=code, reason=reason),
            using=self._using,
            robust=True,
        )

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
