"""Decides what becomes of entries whose request was made, was not made, or nobody knows: settle them, or let them go
again.

All that a request's answer means is written in one transaction, after the request and never during it. The rows of
messages and jobs are locked first, as by whoever stops them, so that the two do not wait for each other.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, transaction

from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import attempts, bulk, outbox, results
from django_pushwoosh.delivery.batching import Batch, Kind
from django_pushwoosh.delivery.deadlocks import begun_anew
from django_pushwoosh.delivery.reconnecting import let_go_if_broken
from django_pushwoosh.models import OutboxEntry, Pause, storable
from django_pushwoosh.protocol.addresses import masked
from django_pushwoosh.protocol.answers import JobStarted, MessagesCreated, warnings_in
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.errors import CallError, NotSent, OutcomeUnknown, Rejected
from django_pushwoosh.protocol.refusals import condemns, may_lack_token, told_warnings, told_without_token
from django_pushwoosh.signals import application_paused

logger = logging.getLogger("django_pushwoosh")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
TRIES = 3
"""Of writing down what became of a request: a database in trouble must not make a doubt of what is known."""

Status = OutboxEntry.Status


@dataclass(frozen=True, slots=True)
class Success:
    """A request that was answered well. `result` is the answer's type."""

    batch: Batch
    answer: Answer
    result: Any
    started: datetime

    @property
    def is_plain(self) -> bool:
        """Whether it means nothing but that its entries are settled."""
        return not any(entry.key.startswith((outbox.MESSAGE, outbox.CHUNK)) for entry in self.batch.entries)


class Settler:
    def __init__(self, using: str, clock: Callable[[], datetime], chance: random.Random) -> None:
        self._using = using
        self._clock = clock
        self._chance = chance

    def sent(self, success: Success) -> None:
        """Pushwoosh took it. That is known for good, even if a lease was lost over a slow answer."""
        self._commit(success.batch.entries, lambda: self._sent(success))

    def taken(self, successes: Sequence[Success]) -> None:
        """Pushwoosh took plain calls; written down together."""

        def write() -> None:
            now = self._clock()
            attempts.write(
                (
                    attempt
                    for each in successes
                    for attempt in attempts.of_entries(
                        each.batch.entries, each.started, now, None, each.answer, each.batch
                    )
                ),
                self._using,
            )
            by_words: dict[str, list[OutboxEntry]] = {}
            for success in successes:
                told = storable(told_warnings(warnings_in(success.answer)))
                by_words.setdefault(told, []).extend(success.batch.entries)
            for told, entries in by_words.items():
                outbox.settle_sent(entries, now=now, told=told)

        self._commit([], write)

    def failed(self, batch: Batch, error: CallError, started: datetime) -> None:
        """The request came to nothing, or nobody knows: again later, or to its end."""
        self._commit(batch.entries, lambda: self._failed(batch, error, started))

    def told(self, batch: Batch, error: CallError, started: datetime) -> None:
        """It did not happen, and whoever asked for it hears so and decides anew: it does not go again by itself."""
        entries = batch.entries
        codes = _codes_before(error) if batch.kind is Kind.SHARED and isinstance(error, Rejected) else None

        def write() -> None:
            now = self._clock()
            rest = entries[len(codes or ()) :]
            self._sent_before(batch, error, codes or [], started, now)
            self._log(rest, started, error, error.answer, batch)
            if condemns(error):
                self._pause(batch.application.code, storable(str(error)), now)
            for entry in rest:
                self._end(entry, error, now)

        self._commit(entries, write)

    def taken_in(self, load: bulk.Load, answer: Answer, result: JobStarted) -> None:
        """Pushwoosh took a bulk request: its entries wait for its report."""

        def write() -> None:
            now = self._clock()
            attempts.write([attempts.of_bulk_request(load.request, load.call, now, None, answer)], self._using)
            bulk.taken_in(load.request, result.request_id, now=now)

        self._commit([], write)

    def refused(self, load: bulk.Load, error: CallError) -> None:
        """A bulk request came to nothing, or nobody knows."""

        def write() -> None:
            now = self._clock()
            attempts.write([attempts.of_bulk_request(load.request, load.call, now, error, error.answer)], self._using)
            if not bulk.end(load.request, now=now, told=str(error)):
                return
            entries = list(outbox.carried(load.request))
            if not self._released(load.application.code, entries, error):
                self._fail_each(entries, error, load.request.sent_at)

        self._commit([], write)

    def lost(self, entry: OutboxEntry) -> None:
        """The worker that made its call did not come back."""
        error = OutcomeUnknown("The worker did not come back.")
        started = entry.begun_at or self._clock()

        def write() -> None:
            self._log([entry], started, error, None)
            self._fail_each([entry], error, started)

        self._commit([entry], write)

    def expired(self, entry: OutboxEntry) -> None:
        """Nobody is to get it any more."""
        now = self._clock()

        def write() -> None:
            if outbox.settle([entry], Status.EXPIRED, now=now, told="It waited too long.", attempts=0):
                results.expired(entry, now=now)

        self._commit([entry], write)

    def unwanted(self, entry: OutboxEntry, call: Call) -> None:
        """Its message was cancelled or deleted since: it does not leave."""
        now = self._clock()
        if entry.doubtful_since is not None:
            self.ended(entry, OutcomeUnknown("Cancelled; an earlier attempt may have arrived.", call=call))
            return

        def write() -> None:
            if outbox.settle([entry], Status.CANCELLED, now=now, attempts=0):
                results.cancelled(entry, now=now)

        self._commit([entry], write)

    def ended(self, entry: OutboxEntry, error: CallError) -> None:
        """It does not go again."""
        self._commit([entry], lambda: self._end(entry, error, self._clock(), attempts=0))

    def is_repeatable(self, entry: OutboxEntry, call: Call, now: datetime) -> bool:
        """Whether it may go (again): it has to arrive while Pushwoosh remembers the first one."""
        age = now - (entry.doubtful_since or now) + timedelta(seconds=sum(settings.timeout))
        return call.is_repeatable(age, repeat_events=settings.repeat_events)

    def _commit(self, entries: Sequence[OutboxEntry], write: Callable[[], None]) -> None:
        def write_all() -> None:
            results.lock(entries)
            write()

        for tries_left in reversed(range(TRIES)):
            try:
                begun_anew(write_all, self._using)
            except (OperationalError, InterfaceError):
                if not tries_left:
                    raise
                # Where the connection broke, another one may do.
                let_go_if_broken(self._using)
            else:
                return

    def _sent(self, success: Success) -> None:
        now = self._clock()
        batch, answer, result = success.batch, success.answer, success.result
        self._log(batch.entries, success.started, None, answer, batch)
        settled = outbox.settle_sent(batch.entries, now=now, told=storable(told_warnings(warnings_in(answer))))
        if isinstance(result, MessagesCreated):
            results.messages_created(_by_entry(batch.entries, settled, result, answer), now=now)
        else:
            for entry in settled:
                results.succeeded(entry, result, answer, now=now)

    def _failed(self, batch: Batch, error: CallError, started: datetime) -> None:
        entries = batch.entries
        if batch.is_tokenless and may_lack_token(error):
            # Whoever sent it could otherwise stop the application for everybody.
            error = told_without_token(error)
            self._log(entries, started, error, error.answer, batch)
            self._fail_each(entries, error, started)
            return
        codes = _codes_before(error) if batch.kind is Kind.SHARED and len(entries) > 1 else None
        if codes is not None and isinstance(error, Rejected) and (codes or not condemns(error)):
            self._parted(batch, error, codes, started)
            return
        self._log(entries, started, error, error.answer, batch)
        if not self._released(batch.application.code, entries, error):
            self._fail_each(entries, error, started)

    def _released(self, application: str, entries: Sequence[OutboxEntry], error: CallError) -> bool:
        """Let entries go again that the refusal of their request does not condemn; false if it does."""
        now = self._clock()
        told = storable(str(error))
        if condemns(error):
            self._pause(application, told, now)
            outbox.release(entries, due_at=now, told=told, attempts=1)
        elif len(entries) > 1 and isinstance(error, Rejected):
            # Nothing of it took effect; which of them is to blame shows when each goes by itself.
            outbox.release(entries, due_at=now, told=told, attempts=1, is_alone=True)
        else:
            return False
        return True

    def _parted(self, batch: Batch, error: CallError, codes: list[str], started: datetime) -> None:
        """Messages shared a request, and Pushwoosh stopped at a bad one: those before it are sent, it alone failed.

        Where the account was condemned meanwhile, none is bad.
        """
        now = self._clock()
        rest = batch.entries[len(codes) :]
        bad, behind = rest[:1], rest[1:]
        self._sent_before(batch, error, codes, started, now)
        if condemns(error):
            self._log(rest, started, error, error.answer, batch)
            self._released(batch.application.code, rest, error)
            return
        if bad:
            self._log(bad, started, error, error.answer, batch)
            self._fail_each(bad, error, started)
        # They were not looked at.
        outbox.release(behind, due_at=now)

    def _sent_before(self, batch: Batch, error: CallError, codes: list[str], started: datetime, now: datetime) -> None:
        """Of messages that shared a request, those that stand before the bad one are sent; they have codes."""
        before = batch.entries[: len(codes)]
        if not before:
            return
        answer = error.answer or Answer(200)
        self._log(before, started, None, answer, batch)
        document = {"status_code": 200, "status_message": "OK", "response": answer.response}
        taken = Answer(200, 200, "OK", answer.response, document)
        settled = outbox.settle_sent(before, now=now, told=storable(told_warnings(warnings_in(taken))))
        results.messages_created(_by_entry(before, settled, MessagesCreated.read(taken), taken), now=now)

    def _fail_each(self, entries: Sequence[OutboxEntry], error: CallError, started: datetime) -> None:
        now = self._clock()
        again = [entry for entry in entries if self._may_go_again(entry, error, now, started)]
        if again:
            in_doubt_since = started if isinstance(error, OutcomeUnknown) else None
            due_at = now + self._backoff(again, error)
            outbox.release(again, due_at=due_at, told=storable(str(error)), attempts=1, in_doubt_since=in_doubt_since)
        kept = {entry.pk for entry in again}
        for entry in entries:
            if entry.pk not in kept:
                self._end(entry, error, now)

    def _end(self, entry: OutboxEntry, error: CallError, now: datetime, attempts: int = 1) -> None:
        # After a doubt, a refusal tells about the last attempt only.
        is_known = not isinstance(error, OutcomeUnknown) and entry.doubtful_since is None
        # Only messages and jobs wait for a person; device calls are left by their method's rule.
        doubt = Status.UNCERTAIN if entry.dispatch_id or entry.chunk_id else Status.LEFT
        status = Status.FAILED if is_known else doubt
        told = storable(str(error))
        if outbox.settle([entry], status, now=now, told=told, attempts=attempts):
            results.ended(entry, status, error, now=now)
            logger.warning("%s %s: %s", entry, status, masked(told))

    def _may_go_again(self, entry: OutboxEntry, error: CallError, now: datetime, started: datetime) -> bool:
        if entry.attempts_made + 1 >= outbox.MIN_ATTEMPTS and now - (entry.tried_since or now) > outbox.MAX_AGE:
            return False
        if isinstance(error, OutcomeUnknown):
            entry.doubtful_since = entry.doubtful_since or started
            return self.is_repeatable(entry, entry.call, now)
        return isinstance(error, NotSent)

    def _backoff(self, entries: Sequence[OutboxEntry], error: CallError) -> timedelta:
        attempts = max(entry.attempts_made for entry in entries) + 1
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts, 10))
        pause = self._chance.uniform(0, longest)
        return timedelta(seconds=max(pause, error.retry_after or 0.0))

    def _log(
        self,
        entries: Sequence[OutboxEntry],
        started: datetime,
        error: CallError | None,
        answer: Answer | None,
        batch: Batch | None = None,
    ) -> None:
        now = self._clock()
        if batch is not None and batch.kind is Kind.SHARED and len(batch.entries) > 1:
            if entries:
                attempts.write_shared(entries, started, now, error, answer)
        else:
            attempts.write(attempts.of_entries(entries, started, now, error, answer, batch), self._using)

    def _pause(self, code: str, reason: str, now: datetime) -> None:
        reason = masked(reason)
        pauses = Pause.objects.using(self._using)
        pauses.bulk_create([Pause(application=code, reason=reason, since=now)], ignore_conflicts=True)
        logger.error("Application %s is paused: %s", code, reason)
        transaction.on_commit(
            lambda: application_paused.send_robust(Pause, application=code, reason=reason),
            using=self._using,
            robust=True,
        )


def _codes_before(error: CallError) -> list[str] | None:
    """The codes of the messages before the bad one, as Pushwoosh lists them (seed 001, createMessage); else `None`."""
    response = error.answer.response if error.answer is not None else None
    codes = response.get("Messages") if isinstance(response, dict) else None
    if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
        return None
    return codes


def _by_entry(
    entries: Sequence[OutboxEntry], settled: Sequence[OutboxEntry], result: MessagesCreated, answer: Answer
) -> list[tuple[OutboxEntry, MessagesCreated, Answer]]:
    """Each settled entry with its own part of a shared answer."""
    if len(entries) == 1:
        return [(entry, result, answer) for entry in settled]
    known = {entry.pk for entry in settled}
    # As many codes as messages, or nobody can say which is whose.
    codes = result.codes if len(result.codes) == len(entries) else ("",) * len(entries)
    unnamed = result.unknown_by_code.get("", ())
    warnings = list(warnings_in(replace(answer, status_message="")))
    parts = []
    for entry, code in zip(entries, codes, strict=True):
        if entry.pk in known:
            # One code may stand for several messages (CODE_NOT_AVAILABLE): each has its own recipients.
            named = set(entry.arguments["notifications"][0].get("devices") or ())
            listed = dict.fromkeys((*result.unknown_by_code.get(code, ()), *unnamed))
            unknown = tuple(name for name in listed if name in named)
            own = MessagesCreated((code,) if code else (), {code: unknown} if unknown else {}, result.warning)
            response: dict[str, Any] = {"Messages": list(own.codes)}
            if unknown:
                response["UnknownDevices"] = {code: list(unknown)}
            if warnings:
                response["warnings"] = warnings
            document = {"status_code": 200, "status_message": answer.status_message, "response": response}
            parts.append((entry, own, Answer(200, 200, answer.status_message, response, document)))
    return parts
