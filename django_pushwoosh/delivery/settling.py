"""Decides what becomes of an entry whose call was made, was not made, or nobody knows: settle it, or let it go again.

Everything about one entry is written in one transaction, after the call and never during it. The message's or job's
row is locked first, as by whoever stops them, so that the two do not wait for each other.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, transaction

from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import outbox, results
from django_pushwoosh.models import Attempt, OutboxEntry, Pause, storable
from django_pushwoosh.protocol.answers import warnings_in
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.errors import CallError, NotSent, OutcomeUnknown
from django_pushwoosh.protocol.refusals import MOST_TEXT, condemns, told_warnings
from django_pushwoosh.signals import application_paused

logger = logging.getLogger("django_pushwoosh")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
MAX_AGE = timedelta(days=1)
MIN_ATTEMPTS = 3
"""What was tried in vain this often, and for so long, is given up and shown as failed."""

TRIES = 3
"""Of writing down what became of a call: a deadlock must not make a doubt of what is known."""

Status = OutboxEntry.Status


class Settler:
    def __init__(self, using: str, clock: Callable[[], datetime], chance: random.Random) -> None:
        self._using = using
        self._clock = clock
        self._chance = chance

    def sent(self, entry: OutboxEntry, answer: Answer, result: Any, started: datetime) -> None:
        """Pushwoosh took it. That is known for good, even if the lease was lost over a slow answer."""
        entry.attempts_made += 1
        told = storable(told_warnings(warnings_in(answer)))

        def write() -> None:
            self._attempted(entry, started, "ok", answer, "")
            if outbox.settle_sent(entry, now=self._clock(), told=told):
                results.succeeded(entry, result, answer, now=self._clock())

        self._commit(entry, write)

    def failed(self, entry: OutboxEntry, error: CallError, started: datetime) -> None:
        """The call came to nothing, or nobody knows: again later, or to its end."""
        now = self._clock()
        told = storable(str(error))
        entry.attempts_made += 1
        if isinstance(error, OutcomeUnknown):
            entry.doubtful_since = entry.doubtful_since or started

        def write() -> None:
            self._attempted(entry, started, type(error).__name__, error.answer, told)
            if condemns(error):
                self._pause(entry.application, told, now)
                outbox.release(entry, due_at=now, told=told)
            elif self._may_go_again(entry, error, now):
                outbox.release(entry, due_at=now + self._backoff(entry, error), told=told)
            else:
                self._end(entry, error, now)

        self._commit(entry, write)

    def held_back(self, entry: OutboxEntry, until: datetime, told: str) -> None:
        """The governor had no slot: nothing was tried."""
        if not entry.attempts_made:
            entry.tried_since = None
        outbox.release(entry, due_at=until, told=told)

    def given_back(self, entry: OutboxEntry) -> None:
        """It was held and not begun: it goes where it was."""
        if not entry.attempts_made:
            entry.tried_since = None
        outbox.release(entry, due_at=entry.due_at, told=entry.told)

    def unwanted(self, entry: OutboxEntry, call: Call) -> None:
        """Its message was cancelled or deleted since: it does not leave."""
        now = self._clock()
        if entry.doubtful_since is not None:
            self.ended(entry, OutcomeUnknown("Cancelled; an earlier attempt may have arrived.", call=call))
            return

        def write() -> None:
            if outbox.settle(entry, Status.CANCELLED, now=now):
                results.cancelled(entry, now=now)

        self._commit(entry, write)

    def ended(self, entry: OutboxEntry, error: CallError) -> None:
        """It does not go again."""
        self._commit(entry, lambda: self._end(entry, error, self._clock()))

    def is_repeatable(self, entry: OutboxEntry, call: Call, now: datetime) -> bool:
        """Whether it may go (again): it has to arrive while Pushwoosh remembers the first one."""
        age = now - (entry.doubtful_since or now) + timedelta(seconds=sum(settings.timeout))
        return call.is_repeatable(age, repeat_events=settings.repeat_events)

    def _commit(self, entry: OutboxEntry, write: Callable[[], None]) -> None:
        for tries_left in reversed(range(TRIES)):
            try:
                with transaction.atomic(using=self._using):
                    results.lock(entry)
                    write()
            except OperationalError:
                if not tries_left:
                    raise
            else:
                return

    def _end(self, entry: OutboxEntry, error: CallError, now: datetime) -> None:
        # After a doubt, a refusal tells about the last attempt only.
        is_known = not isinstance(error, OutcomeUnknown) and entry.doubtful_since is None
        # Only messages and jobs wait for a person; device calls are left by their method's rule.
        doubt = Status.UNCERTAIN if entry.dispatch_id or entry.chunk_id else Status.LEFT
        status = Status.FAILED if is_known else doubt
        told = storable(str(error))
        if outbox.settle(entry, status, now=now, told=told):
            results.ended(entry, status, error, now=now)
            logger.warning("%s %s: %s", entry, status, told)

    def _may_go_again(self, entry: OutboxEntry, error: CallError, now: datetime) -> bool:
        if entry.attempts_made >= MIN_ATTEMPTS and now - (entry.tried_since or now) > MAX_AGE:
            return False
        if isinstance(error, OutcomeUnknown):
            return self.is_repeatable(entry, entry.call, now)
        return isinstance(error, NotSent)

    def _backoff(self, entry: OutboxEntry, error: CallError) -> timedelta:
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(entry.attempts_made, 10))
        pause = self._chance.uniform(0, longest)
        return timedelta(seconds=max(pause, error.retry_after or 0.0))

    def _attempted(self, entry: OutboxEntry, started: datetime, outcome: str, answer: Answer | None, told: str) -> None:
        Attempt.objects.using(self._using).create(
            entry=entry,
            number=entry.attempts_made,
            started_at=started,
            took_seconds=(self._clock() - started).total_seconds(),
            outcome=outcome,
            http_status=answer.http_status if answer else None,
            status_code=answer.status_code if answer else None,
            told=told or storable(answer.status_message[:MOST_TEXT] if answer else ""),
        )

    def _pause(self, code: str, reason: str, now: datetime) -> None:
        pauses = Pause.objects.using(self._using)
        pauses.bulk_create([Pause(application=code, reason=reason, since=now)], ignore_conflicts=True)
        logger.error("Application %s is paused: %s", code, reason)
        transaction.on_commit(
            lambda: application_paused.send_robust(Pause, application=code, reason=reason),
            using=self._using,
            robust=True,
        )
