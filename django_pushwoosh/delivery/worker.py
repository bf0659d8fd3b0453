"""Drains the outbox: claim, share, call, settle. The only place that retries.

One thread does all that touches the database; its senders have several requests in flight at once, and what they bring
back is settled as it comes. What is claimed leaves at once, so that a worker's death holds up little.
"""

from __future__ import annotations

import logging
import math
import random
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError, router
from django.db.models import Q
from django.utils import timezone

from django_pushwoosh.conf import Application, settings
from django_pushwoosh.delivery import bulk, connection, outbox, results, strangers
from django_pushwoosh.delivery.batching import Batch, batches
from django_pushwoosh.delivery.collecting import collected_afterwards
from django_pushwoosh.delivery.discretion import told_without_values
from django_pushwoosh.delivery.governor import Governor
from django_pushwoosh.delivery.reconnecting import let_go_if_broken
from django_pushwoosh.delivery.senders import Senders, StayedHere
from django_pushwoosh.delivery.settling import Settler, Success
from django_pushwoosh.models import OutboxEntry
from django_pushwoosh.protocol.coalescing import BULK_METHODS
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.errors import BadArgument, CallError, ConnectionFailed, OutcomeUnknown, RateLimited
from django_pushwoosh.protocol.messages import is_addressed
from django_pushwoosh.protocol.methods import Rate

logger = logging.getLogger("django_pushwoosh")

LONGEST_STAND_BY = outbox.SLACK / 2
"""How long after it was begun a request may leave, so that it is settled within its lease."""
JUST_BEGUN = timedelta(seconds=1)
"""What was begun along with its claim leaves on that lease."""
LOST = 200
"""Entries of dead workers that are taken up at a time."""
LOOK_SECONDS = 0.5
"""Between two looks for work, while what was sent is awaited."""
EMPTY_SECONDS = 0.2
"""How long what was found empty is not looked at again, while what was sent is awaited."""
TURN = timedelta(seconds=1)
"""How long messages wait behind what devices said, where that never ends."""
LONG_EMPTY_SECONDS = 1.0
"""The same, for what is not pressing."""
AHEAD_SECONDS = 0.3
"""How long it takes until what was claimed has left: a claim is dear, and what comes to be urgent waits so long."""
MANY = 500
"""Messages, or changes of devices, in one request; more wait behind them, most likely."""
LEAST_AHEAD, MOST_AHEAD = 2, 16
"""Requests claimed for each connection."""

Status = OutboxEntry.Status
Lane = OutboxEntry.Lane
Job = Batch | bulk.Load | bulk.Report
"""What a sender carries."""

BULK, BEFORE_BULK = Q(lane=Lane.BULK), Q(lane__lt=Lane.BULK)
CAPPED = Q(is_capped=True)
SINGLE = Q(is_capped=False, bulk_method="")
MESSAGE = Q(is_capped=False, bulk_method="createMessage")
URGENT, SINGLES, LAST_SINGLES = SINGLE & Q(lane=Lane.TRANSACTIONAL), SINGLE & BEFORE_BULK, SINGLE & BULK
SMALL_MESSAGES, LAST_MESSAGES = MESSAGE & BEFORE_BULK, MESSAGE & BULK
FEW = Q(is_capped=False, bulk_method__in=tuple(BULK_METHODS))
IN_BULK = {method: Q(is_capped=False, bulk_method=method) for method in BULK_METHODS}


class Worker:
    """One drain at a time; any number of workers may run on any number of hosts.

    `is_ended` is asked before each call, by any thread: once it is true, what has not left goes back into the queue,
    and what is in flight is finished. `on_many` is called whenever messages, or changes in bulk, fill a good part of a
    request; one that `is_assistant` takes up nothing else, and of messages those whose turn under the cap has come.
    """

    def __init__(
        self,
        *,
        using: str | None = None,
        clock: Callable[[], datetime] = timezone.now,
        governor: Governor | None = None,
        chance: random.Random | None = None,
        is_ended: Callable[[], bool] = lambda: False,
        on_many: Callable[[], object] = lambda: None,
        is_assistant: bool = False,
    ) -> None:
        self._using = using or router.db_for_write(OutboxEntry)
        self._on_many = on_many
        self._is_assistant = is_assistant
        self._clock = clock
        self._governor = governor or Governor(using=using)
        self._settler = Settler(self._using, clock, chance or random.Random())  # noqa: S311
        self._is_ended = is_ended
        self._name = socket.gethostname()
        self._full_until: dict[str, datetime] = {}
        self._ready: deque[Batch] = deque()
        self.is_cut_short = False
        self._turn = False
        self._empty_until: dict[str, float] = {}
        self._unpaused: list[Application] = []
        self._unpaused_until = 0.0
        self._claimed, self._claimed_at = 0, 0.0

    def drain(self, linger: float = 0.0, longest: float = math.inf) -> int:
        """Deliver what is due until nothing is; how many entries were taken up.

        With `linger` it stays on for so many seconds for what it knows to come: a slot under the cap, the report of a
        bulk request. It ends after `longest` seconds, though more may be due: `is_cut_short` tells.
        """
        self.is_cut_short = False
        if settings.is_paused:
            return 0
        strangers.mention(self._using, self._clock())
        taken = self.recover()
        started = time.monotonic()
        with Senders(self._send, settings.connections, self._is_ended) as senders:
            try:
                while not self.is_cut_short:
                    with collected_afterwards():
                        launched = self._launch(senders)
                    taken += launched
                    if senders.in_flight:
                        finished = senders.finished(EMPTY_SECONDS if senders.idle else LOOK_SECONDS)
                        with collected_afterwards():
                            self._finish_all(finished)
                        if senders.idle > settings.connections // 2:
                            # What was settled lets its key's next one go, and there is room for it.
                            self._empty_until.clear()
                    elif not launched and not self._stays(started + linger):
                        break
                    self.is_cut_short = time.monotonic() - started > longest
            except (DatabaseError, InterfaceError):
                # What is in flight is to be written down all the same, over a new connection.
                let_go_if_broken(self._using)
                raise
            finally:
                self._wind_up(senders)
        return taken

    def deliver(self, held: list[OutboxEntry]) -> None:
        """Send entries that are held already, and settle them."""
        with Senders(self._send, settings.connections) as senders:
            self._ready.extend(self._requests(held))
            while self._ready or senders.in_flight:
                self._start(senders)
                self._finish_all(senders.finished(LOOK_SECONDS))

    def recover(self) -> int:
        """Take up entries whose worker did not come back: what was not begun goes again, the rest is judged."""
        lost = outbox.expired(LOST, now=self._clock(), using=self._using)
        for entry in lost:
            self._guarded([entry], lambda entry=entry: self._judge(entry))  # type: ignore[misc]
        return len(lost)

    def _launch(self, senders: Senders[Job, Answer]) -> int:
        """Send what can be sent now; how many entries were taken up."""
        if not senders.in_flight:
            self._forget()
        taken = 0
        while not self._is_ended():
            self._start(senders)
            found = self._take(senders) if senders.free > 0 and not self._ready else 0
            taken += found
            if not found:
                break
        return taken

    def _forget(self) -> None:
        """Look anew where nothing was found, and at what is paused."""
        self._empty_until.clear()
        self._unpaused_until = 0.0

    def _take(self, senders: Senders[Job, Answer]) -> int:
        """Take up what leaves next; how many entries.

        What devices said leaves before messages, which are to find them as they are, and bulk comes last. Messages
        that have waited for long have their turn all the same, and so have devices that can travel together.
        """
        self._turn = not self._turn
        singly = (("singles", lambda: self._ungoverned(SINGLES)), ("bulk", lambda: self._load(senders, BEFORE_BULK)))
        sources: list[tuple[str, Callable[[], int]]] = [
            ("urgent", lambda: self._ungoverned(URGENT)),
            ("small messages", lambda: self._ungoverned(SMALL_MESSAGES, limit=outbox.LOOKED_AT)),
            ("late messages", lambda: self._governed(TURN)),
            ("reports", lambda: self._reports(senders)),
            *(singly if self._turn else reversed(singly)),
            ("messages", lambda: self._governed(timedelta())),
            ("last singles", lambda: self._ungoverned(LAST_SINGLES)),
            ("last bulk", lambda: self._load(senders, BULK)),
            ("last messages", lambda: self._ungoverned(LAST_MESSAGES, limit=outbox.LOOKED_AT)),
        ]
        if self._is_assistant:
            sources = [each for each in sources if each[0] in ("late messages", "bulk", "last bulk")]
        return next((found for name, source in sources if (found := self._look(name, source))), 0)

    def _look(self, name: str, source: Callable[[], int]) -> int:
        """Take from a source, unless it was found empty just now; how many entries."""
        if time.monotonic() < self._empty_until.get(name, 0.0):
            return 0
        found = source()
        if not found:
            is_pressing = name in ("urgent", "small messages")
            self._empty_until[name] = time.monotonic() + (EMPTY_SECONDS if is_pressing else LONG_EMPTY_SECONDS)
        return found

    def _load(self, senders: Senders[Job, Answer], lanes: Q) -> int:
        """Send many devices' changes in one request; where few wait, by themselves."""

        def start(application: Application, method: str) -> int:
            if not self._are_due(application, IN_BULK[method] & lanes):
                return 0
            load = bulk.load(application, method, lanes, now=self._clock(), using=self._using)
            if load is None:
                return 0
            senders.start(load)
            if load.count >= MANY:
                self._on_many()
            return load.count

        for application in self._asked():
            for method in BULK_METHODS:
                name = f"{method} of {application.code} in {lanes}"
                if found := self._look(name, lambda a=application, m=method: start(a, m)):  # type: ignore[misc]
                    return found
        return 0 if self._is_assistant else self._ungoverned(FEW & lanes, [each & lanes for each in IN_BULK.values()])

    def _governed(self, waited: timedelta) -> int:
        """Claim messages that count against the cap and have waited for so long: as many as share one request."""
        for application in self._asked():
            now = self._clock()
            if now < self._full_until.get(application.account, now):
                continue
            if not self._are_due(application, CAPPED, waited):
                continue
            first = outbox.first_due(application, now=now - waited, using=self._using)
            if first is None:
                continue
            try:
                leave = connection.enter(application, is_capped=True, governor=self._governor, now=now)
            except RateLimited as error:
                self._full_until[application.account] = now + timedelta(seconds=error.retry_after or 1.0)
                continue
            except ConnectionFailed:
                continue
            # With a slot for one request, messages that can share it come with the first.
            limit = outbox.LOOKED_AT if first.bulk_method else 1
            which = Q(is_capped=True, bulk_method=first.bulk_method)
            ready: list[Batch] = []
            try:
                heads = self._claim(application, limit, which, begins=True)
                ready = self._requests(heads)
            finally:
                if not ready:
                    connection.unused(leave, governor=self._governor)
            if ready:
                ready[0].leave = leave
            # Whatever did not fit into one request waits for the next slot.
            self._give_back(ready[1:])
            self._ready.extendleft(ready[:1])
            if len(heads) >= MANY:
                self._on_many()
            if heads:
                return len(heads)
        return 0

    def _ungoverned(self, which: Q, parts: Sequence[Q] = (), *, limit: int | None = None) -> int:
        """Claim what is not capped: a few more than there are connections, so that none of them has to wait.

        `parts` is what to look for where no index knows the whole.
        """
        for application in self._asked():
            if not any(self._are_due(application, part) for part in parts or [which]):
                continue
            is_probing = connection.breaker(application.api_root).is_probing_next
            heads = self._claim(application, 1 if is_probing else limit or self._ahead(), which)
            if heads:
                self._claimed, self._claimed_at = len(heads), time.monotonic()
                self._ready.extend(self._requests(heads))
                return len(heads)
        return 0

    def _ahead(self) -> int:
        """How many to claim at once: as many as leave in a while, by how long the last ones took."""
        took = max(time.monotonic() - self._claimed_at, AHEAD_SECONDS / MOST_AHEAD)
        for_each = round(self._claimed * AHEAD_SECONDS / took / settings.connections)
        return settings.connections * max(LEAST_AHEAD, min(MOST_AHEAD, for_each))

    def _reports(self, senders: Senders[Job, Answer]) -> int:
        """Ask for the reports of bulk requests that are due."""
        reports = bulk.due(senders.free, applications=self._asked(), now=self._clock(), using=self._using)
        for report in reports:
            senders.start(report)
        return len(reports)

    def _asked(self) -> list[Application]:
        """The applications that are not paused, and whose Pushwoosh may be asked now."""
        if time.monotonic() >= self._unpaused_until:
            self._unpaused = outbox.unpaused(self._using)
            self._unpaused_until = time.monotonic() + EMPTY_SECONDS
        now = self._clock()
        # In turns, so that no application waits until another has nothing left.
        self._unpaused = [*self._unpaused[1:], *self._unpaused[:1]]
        return [each for each in self._unpaused if connection.breaker(each.api_root).open_until(now) is None]

    def _are_due(self, application: Application, which: Q, waited: timedelta = timedelta()) -> bool:
        return outbox.are_due(application, which, now=self._clock() - waited, using=self._using)

    def _claim(self, application: Application, limit: int, which: Q, *, begins: bool = False) -> list[OutboxEntry]:
        return outbox.claim(
            limit,
            now=self._clock(),
            owner=self._name,
            using=self._using,
            applications=[application],
            which=which,
            begins=begins,
        )

    def _requests(self, heads: list[OutboxEntry]) -> list[Batch]:
        """The requests that held entries make, first things first; those that are not to leave any more are settled."""
        held = list(heads)
        try:
            return self._made_of(heads, held)
        except (DatabaseError, InterfaceError):
            let_go_if_broken(self._using)
            outbox.release(held)
            raise

    def _made_of(self, heads: list[OutboxEntry], held: list[OutboxEntry]) -> list[Batch]:
        """The requests; whatever is taken up along with the heads is held, too."""
        wanted = self._sifted(heads)
        company = outbox.claim_company(wanted, now=self._clock(), using=self._using)
        held += [entry for each in company.values() for entry in each]
        kept = {entry.pk for entry in self._sifted([entry for each in company.values() for entry in each])}
        company = {key: [entry for entry in each if entry.pk in kept] for key, each in company.items()}
        by_application: dict[str, list[OutboxEntry]] = {}
        for entry in wanted:
            by_application.setdefault(entry.application, []).append(entry)
        made: list[Batch] = []
        for code, mine in by_application.items():
            fit, rest = batches(mine, company, settings.application(code))
            made += fit
            outbox.release(rest)
        place = {entry.pk: number for number, entry in enumerate(heads)}
        return sorted(made, key=lambda batch: min(place.get(entry.pk, len(place)) for entry in batch.entries))

    def _sifted(self, entries: list[OutboxEntry]) -> list[OutboxEntry]:
        """The entries that may leave now; the others are settled here."""
        audiences = results.wanted_audiences(entries)
        wanted: list[OutboxEntry] = []
        for entry in entries:
            self._guarded([entry], lambda entry=entry: self._sift(entry, audiences, wanted), has_left=False)  # type: ignore[misc]
        return wanted

    def _sift(self, entry: OutboxEntry, audiences: dict[int, str], wanted: list[OutboxEntry]) -> None:
        now = self._clock()
        is_doubtful = entry.doubtful_since is not None
        if entry.expires_at is not None and entry.expires_at <= now and not is_doubtful:
            self._settler.expired(entry)
            return
        call = entry.call
        may_repeat = not is_doubtful or self._settler.is_repeatable(entry, call, now)
        # Of a future message in doubt the code is worth learning, for only by it can it be cancelled.
        if results.creates_message(entry):
            kind = audiences.get(entry.pk)
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
        wanted.append(entry)

    def _start(self, senders: Senders[Job, Answer]) -> None:
        """Begin as much of what is ready as there are senders for."""
        starting: list[Batch] = []
        while self._ready and len(starting) < senders.free:
            if len(starting) >= senders.idle and not self._may_stand_by(self._ready[0]):
                break
            batch = self._ready.popleft()
            if batch.leave is not None or self._has_leave(batch):
                starting.append(batch)
        if not starting:
            return
        try:
            now = self._clock()
            entries = [entry for batch in starting for entry in batch.entries]
            just = {entry.pk for entry in entries if entry.begun_at is not None and now - entry.begun_at < JUST_BEGUN}
            begun = just | {e.pk for e in outbox.begin([e for e in entries if e.pk not in just], now=now)}
        except BaseException:
            # They have leave that somebody else is waiting for.
            self._ready.extendleft(reversed(starting))
            raise
        for batch in starting:
            if all(entry.pk in begun for entry in batch.entries):
                senders.start(batch)
            else:
                self._give_back([batch])

    @staticmethod
    def _may_stand_by(batch: Batch) -> bool:
        """Whether a request may be begun before there is a connection for it.

        If the worker dies, nobody knows of what was begun whether it left: only what may be said twice stands by.
        """
        is_message = batch.call.method.rate is not Rate.UNLIMITED
        return not is_message and batch.call.is_repeatable(repeat_events=settings.repeat_events)

    def _has_leave(self, batch: Batch) -> bool:
        """Ask for leave to send a request; without it, its entries go back."""
        application, now = batch.application, self._clock()
        is_capped, root = outbox.is_capped(batch.call, application), connection.root_of(batch.call, application)
        try:
            batch.leave = connection.enter(
                application, is_capped=is_capped, root=root, governor=self._governor, now=now
            )
        except RateLimited as error:
            until = now + timedelta(seconds=error.retry_after or 1.0)
            outbox.release(batch.entries, due_at=until, told=str(error))
        except ConnectionFailed as error:
            if root == application.api_root:
                self._give_back([batch])
            else:
                # The application itself is asked on, and would bring it up again at once.
                opens_at = connection.breaker(root).open_until(now)
                outbox.release(batch.entries, due_at=opens_at, told=str(error))
        else:
            return True
        return False

    def _send(self, job: Job) -> Answer:
        if not isinstance(job, bulk.Report):
            begun = job.request.sent_at if isinstance(job, bulk.Load) else job.entries[0].begun_at
            if begun is not None and self._clock() - begun > LONGEST_STAND_BY:
                # By the time it is answered somebody else could have taken its entries up, and gone past it.
                raise StayedHere
        is_tokenless = isinstance(job, Batch) and job.is_tokenless
        return connection.send(job.call, job.application, is_tokenless=is_tokenless)

    def _finish_all(self, finished: list[tuple[Job, Future[Answer]]]) -> None:
        plain: list[Success] = []
        for job, done in finished:
            if isinstance(done.exception(), StayedHere):
                self._take_back(job)
            elif isinstance(job, Batch):
                self._guarded(job.entries, lambda job=job, done=done: self._finish(job, done, plain))  # type: ignore[misc]
            else:
                self._finish_bulk(job, done)
        if plain:
            self._guarded([entry for each in plain for entry in each.batch.entries], lambda: self._settler.taken(plain))

    def _finish_bulk(self, job: bulk.Load | bulk.Report, done: Future[Answer]) -> None:
        # What cannot be written down is looked after when the request's time has come.
        try:
            if isinstance(job, bulk.Report):
                bulk.settle(job, done, now=self._clock())
            else:
                self._finish_load(job, done)
        except Exception as error:
            told = told_without_values(error)
            logger.error("What became of %s could not be written down: %s", job.request, told)
            let_go_if_broken(self._using)

    def _finish_load(self, load: bulk.Load, done: Future[Answer]) -> None:
        try:
            answer = done.result()
            result = connection.read(load.call, answer)
        except CallError as error:
            connection.leave(load.leave, error, now=self._clock())
            self._settler.refused(load, error)
            self._forget()
        else:
            connection.leave(load.leave, None, now=self._clock())
            self._settler.taken_in(load, answer, result)

    def _finish(self, batch: Batch, done: Future[Answer], plain: list[Success]) -> None:
        """Settle what came back; plain successes are gathered, and settled together."""
        started = batch.entries[0].begun_at or self._clock()
        try:
            answer = done.result()
            result = connection.read(batch.call, answer)
        except CallError as error:
            self._leave(batch, error)
            if isinstance(error, RateLimited):
                self._full_until.pop(batch.application.account, None)
            self._settler.failed(batch, error, started)
            self._forget()
        else:
            self._leave(batch, None)
            success = Success(batch, answer, result, started)
            if success.is_plain:
                plain.append(success)
            else:
                self._settler.sent(success)

    def _leave(self, batch: Batch, error: CallError | None) -> None:
        if batch.leave is not None:
            connection.leave(batch.leave, error, governor=self._governor, now=self._clock())

    def _judge(self, entry: OutboxEntry) -> None:
        if entry.begun_at is None:
            outbox.release([entry])
        else:
            self._settler.lost(entry)

    def _give_back(self, made: Iterable[Batch]) -> None:
        """What is held and not begun goes where it was."""
        listed = list(made)
        for batch in listed:
            if batch.leave is not None:
                connection.unused(batch.leave, governor=self._governor)
        for batch in listed:
            self._guarded(batch.entries, lambda batch=batch: outbox.release(batch.entries))  # type: ignore[misc]

    def _wind_up(self, senders: Senders[Job, Answer]) -> None:
        """Give back what has not left, and hear out what has; what cannot be given back is taken up after its lease."""
        try:
            self._give_back(self._ready)
        finally:
            self._ready.clear()
            while senders.in_flight:
                self._finish_all(senders.finished())

    def _take_back(self, job: Job) -> None:
        """What stood by goes where it was; a report is asked for by whoever comes next."""
        if isinstance(job, Batch):
            self._give_back([job])
        elif isinstance(job, bulk.Load):
            bulk.give_back(job, now=self._clock())

    def _stays(self, until: float) -> bool:
        """Wait for what is known to come; false if that is nothing, or later than `until`."""
        left = until - time.monotonic()
        if left <= 0 or self._is_ended():
            return False
        now = self._clock()
        coming = [each for each in self._full_until.values() if each > now]
        if not self._is_assistant:
            report_at = bulk.next_due(applications=self._asked(), using=self._using)
            coming += [report_at] if report_at is not None else []
        wait = min((max(0.01, (each - now).total_seconds()) for each in coming), default=math.inf)
        if wait > left:
            return False
        time.sleep(min(wait, LOOK_SECONDS))
        return True

    def _guarded(self, entries: list[OutboxEntry], work: Callable[[], object], *, has_left: bool = True) -> None:
        """What cannot be dealt with must not hold up the others, nor come back for ever."""
        try:
            work()
        except (DatabaseError, InterfaceError) as error:
            # The leases run out, and it is judged when the database is well again.
            logger.error("%s could not be settled: %s", entries[0], told_without_values(error))
            let_go_if_broken(self._using)
        except Exception as error:
            logger.error("%s could not be dealt with: %s", entries[0], told_without_values(error))
            for entry in entries:
                kind = OutcomeUnknown if has_left and entry.begun_at is not None else BadArgument
                self._settler.ended(entry, kind(f"{type(error).__name__} here; the log says where."))
