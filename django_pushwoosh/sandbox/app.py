"""The stand-in for Pushwoosh: takes calls as Pushwoosh does over HTTP, and shows what came of them.

`Sandbox.wsgi` is a plain WSGI application, `Sandbox.handle` the same without a server. The host in the address does not
matter. There is no thread: what has become due happens when anyone asks next, or at `advance()`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.errors import Invalid
from django_pushwoosh.protocol.methods import Rate
from django_pushwoosh.protocol.seam import ConnectionLost
from django_pushwoosh.protocol.tags import TagType
from django_pushwoosh.sandbox import control, http, phones
from django_pushwoosh.sandbox.answering import Asked, Refused, Reply, as_bare, encoded, refusal
from django_pushwoosh.sandbox.cap import Cap
from django_pushwoosh.sandbox.clock import Clock, SetClock, in_utc, system_clock
from django_pushwoosh.sandbox.delivery import advance
from django_pushwoosh.sandbox.faults import Effect, Fault, Faults, changed
from django_pushwoosh.sandbox.handlers import HANDLERS
from django_pushwoosh.sandbox.http import Answered, StartResponse
from django_pushwoosh.sandbox.journal import BadJournal, Journal, Line
from django_pushwoosh.sandbox.message_calls import is_capped
from django_pushwoosh.sandbox.operations import OPERATIONS, SET_CLOCK
from django_pushwoosh.sandbox.options import Options, OverCap
from django_pushwoosh.sandbox.routing import Called, read
from django_pushwoosh.sandbox.shown_by_sdks import IN_APPS, in_app_archive
from django_pushwoosh.sandbox.state import (
    Application,
    Device,
    Event,
    Job,
    Message,
    Push,
    Report,
    Request,
    State,
    Statistic,
    User,
)
from django_pushwoosh.sandbox.tokens import BadAuthorization, opened

MOST_REQUESTS = 10_000
PUSHWOOSH = "https://api.pushwoosh.com"
"""The address that the sandbox stands for, where nobody says at which it was found."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Phone:
    """A device and what it was sent, oldest first."""

    device: Device
    pushes: tuple[Push, ...]

    @property
    def shows(self) -> Push | None:
        """The newest push, if any."""
        return self.pushes[-1] if self.pushes else None


class Sandbox:
    """A Pushwoosh of one's own.

    `clock` returns aware datetimes; `journal` keeps the state over restarts and is replayed here. `sleep` is what a
    delayed call waits by: real seconds, or under a `SetClock` the clock moves on instead. `record` is told each call as
    it was judged. The other keywords are those of `options.Options`: saved `filters`, declared `tags`, `in_apps`,
    `requests_per_minute` …
    Raises `ValueError` for options that make no sense and `BadJournal` for a journal that cannot be replayed.
    """

    def __init__(
        self,
        applications: Iterable[Application],
        clock: Clock = system_clock,
        journal: Journal | None = None,
        *,
        sleep: Callable[[float], object] | None = None,
        control_from_anywhere: bool = False,
        record: Callable[[Request], object] | None = None,
        **options: Any,
    ) -> None:
        # Held by whoever looks at more than one thing while calls may come in.
        self.lock = threading.RLock()
        self._clock = clock
        self._offset = timedelta()
        self._sleep = sleep or (clock.sleep if isinstance(clock, SetClock) else time.sleep)
        self._journal = journal
        self._record = record
        started_at = in_utc(clock())
        # A page that outlives this process must not take the next one's devices for the ones it knows.
        self._state = State(applications, Options(**options), version=int(started_at.timestamp() * 1000))
        self._cap = Cap()
        self._feed = phones.Feed()
        self._now = datetime.min.replace(tzinfo=started_at.tzinfo)
        self.control_from_anywhere = control_from_anywhere
        self.faults: Faults = Faults()
        self.requests: deque[Request] = deque(maxlen=MOST_REQUESTS)
        if journal is not None:
            self._replay(journal)
        self._now = max(self._now, started_at + self._offset)

    # What tests look at

    @property
    def applications(self) -> Mapping[str, Application]:
        return self._state.applications

    @property
    def devices(self) -> Mapping[tuple[str, str], Device]:
        """By (application, hwid)."""
        return self._state.devices

    @property
    def users(self) -> Mapping[tuple[str, str], User]:
        """By (application, user id)."""
        return self._state.users

    @property
    def messages(self) -> list[Message]:
        """Every message that was ever accepted, in order; also canceled, deleted and unrecorded ones."""
        return list(self._state.messages)

    @property
    def pushes(self) -> list[Push]:
        """Everything that reached a phone, in order (the latest 50,000)."""
        return list(self._state.pushes)

    @property
    def events(self) -> list[Event]:
        return list(self._state.events)

    @property
    def statistics(self) -> list[Statistic]:
        """Opens and deliveries as devices reported them."""
        return list(self._state.statistics)

    @property
    def reports(self) -> list[Report]:
        """What SDKs only told: visits, purchases, and what was shown or done in in-app messages and popups."""
        return list(self._state.reports)

    @property
    def jobs(self) -> Mapping[str, Job]:
        """Bulk jobs by request id."""
        return self._state.jobs

    @property
    def capped_at(self) -> list[datetime]:
        """The times of all requests that counted against the cap (the latest 100,000)."""
        return list(self._cap.log)

    @property
    def under_way(self) -> list[Message]:
        """Messages that are waiting, pending or processing."""
        return list(self._state.pending)

    @property
    def counted(self) -> int:
        """Requests that count against the caps at present."""
        with self.lock:
            return self._cap.counted(self._catch_up())

    @property
    def version(self) -> int:
        """Changes whenever a device does."""
        return self._state.devices_version

    def phone(self, hwid: str, application: str = "") -> Phone:
        """A device by its hwid, in the one application that knows it unless that is named. Raises `LookupError`."""
        with self.lock:
            self.advance()
            codes = [application] if application else list(self._state.applications)
            found = [device for code in codes if (device := self._state.device(code, hwid))]
            if len(found) != 1:
                raise LookupError(f"{'No' if not found else 'More than one'} device of the sandbox has hwid {hwid!r}.")
            return Phone(found[0], tuple(push for push in self._state.pushes if push.device is found[0]))

    # Time and what a control panel would do

    @property
    def now(self) -> datetime:
        """The sandbox's time."""
        with self.lock:
            return self._catch_up()

    def advance(self) -> None:
        """Let happen what has become due by the clock."""
        with self.lock:
            self._catch_up()

    def move_clock(self, **duration: float) -> datetime:
        """Move the sandbox's time forward by a `timedelta`'s arguments, whatever its clock says; the new time.

        Raises `ValueError` for a move that is none, or back, or beyond the calendar.
        """
        try:
            step = timedelta(**duration)
            with self.lock:
                now = self._catch_up()
                moved = now + step
                if step <= timedelta() or moved.year > control.LAST_YEAR:
                    raise ValueError("The clock moves forward only.")
                return self._set_clock(now, moved - in_utc(self._clock()))
        except OverflowError:
            raise ValueError("The clock cannot move so far.") from None

    def return_to_clock(self) -> datetime:
        """Follow the clock as it is again; the time then.

        What happened in between stays as it was dated, and what is under way takes as long as it would have.
        """
        with self.lock:
            return self._set_clock(self._catch_up(), timedelta())

    @property
    def is_clock_moved(self) -> bool:
        return self._offset != timedelta()

    def start_tracing(self) -> None:
        """Start API messaging tracing, as the control panel's button does: for an hour, small messages are recorded."""
        self._operate("startTracing")

    def stop_tracing(self) -> None:
        self._operate("stopTracing")

    @property
    def is_tracing(self) -> bool:
        with self.lock:
            return self._state.is_tracing(self._catch_up())

    @property
    def options(self) -> Options:
        """How it decides at present."""
        return self._state.options

    def set_option(self, name: str, value: Any) -> None:
        """Decide otherwise from now on. Raises `ValueError`."""
        self._operate("setOption", name=name, value=value)

    def set_tag_type(self, name: str, kind: TagType | None) -> None:
        """Declare a tag's type; `None` leaves it to be learned. Raises `ValueError`."""
        self._operate("setTagType", name=name, type=None if kind is None else int(kind))

    def set_entry(self, table: str, name: str, value: Any) -> None:
        """Set what SDKs ask for: an entry of `in_apps`, `zones`, `popups` or `features`; `None` takes it away.

        Raises `ValueError`.
        """
        self._operate("setEntry", table=table, name=name, value=value)

    def fail_message(self, code: str) -> None:
        """Let a message fail that has not ended. Raises `ValueError`."""
        self._operate("failMessage", message=code)

    def close(self) -> None:
        """Give the journal free."""
        with self.lock:
            if self._journal is not None:
                self._journal.close()

    # HTTP

    def wsgi(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        """The WSGI application."""
        return http.serve(self, environ, start_response)

    def handle(
        self,
        verb: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        remote: str = http.HERE,
        patience: float = 0.0,
        root: str = PUSHWOOSH,
    ) -> Answered:
        """Answer one request: status, headers and body. `path` may have a query.

        `remote` is who asks, `patience` the seconds after which they hang up (0: never), `root` the address (scheme and
        host) at which they found the sandbox. Raises `NotConnected` and `ConnectionLost` where a fault has it so.
        """
        known = {name.lower(): value for name, value in headers.items()}
        where, _, query = path.partition("?")
        where = unquote(where)
        if where in control.PATHS:
            return control.answer(self, verb, where, known, body, remote)
        if where == "/phones.json" and verb in ("GET", "HEAD"):
            return 200, {"Content-Type": "application/json", "Cache-Control": "no-store"}, self._phones(query)
        if where.startswith(IN_APPS):
            return self._in_app(verb, where.removeprefix(IN_APPS).removesuffix(".zip"))
        if not where.startswith(("/json/", "/api/")):
            return http.static(verb, where)
        cross = http.cross_origin(known)
        if verb == "OPTIONS":
            return 204, cross, b""
        called = read(verb, where, query, known, body, takes_unknown=self.options.answers_unknown_methods)
        with self.lock:
            met = self.faults.take(called.name, called.application)
        is_too_slow = 0 < patience < met.seconds
        if met.seconds:
            # Outside the lock, so that others are served meanwhile.
            self._sleep(patience if is_too_slow else met.seconds)
        with self.lock:
            status, extra, content = self._call(called, known.get("authorization"), met.fault, root)
        if is_too_slow:
            raise ConnectionLost("the answer took too long")
        return status, {"Content-Type": "application/json", **extra, **cross}, content

    def _in_app(self, verb: str, code: str) -> Answered:
        if verb not in ("GET", "HEAD"):
            return http.plain(405, "Use GET.")
        if code not in self.options.in_apps.values():
            return http.plain(404, "There is no such in-app message.")
        return 200, {"Content-Type": "application/zip"}, in_app_archive(code)

    def _phones(self, query: str) -> bytes:
        given = parse_qs(query, keep_blank_values=True, max_num_fields=20) if query.count("&") < 20 else {}
        with self.lock:
            now = self._catch_up()
            return self._feed.document(
                self._state,
                now,
                since=http.natural(given.get("since"), 0),
                application=given.get("application", [""])[0],
                devices=http.natural(given.get("devices"), -1),
                limit=http.natural(given.get("limit"), phones.MOST_PUSHES),
            )

    # Calls

    def _call(self, called: Called, authorization: str | None, fault: Fault | None, root: str) -> Answered:
        """The answer to a call. Raises `NotConnected` and `ConnectionLost`."""
        now = self._catch_up()
        if fault is not None and not fault.takes_effect:
            status = fault.answer[0] if fault.answer else 0
            self._note(called, Request(now, called.name, called.application, {}, status, status, "", fault.name))
            return fault.told()
        application, answer = called.application, called.refused
        extra: dict[str, str] = {}
        if answer is None:
            application, answer, extra = self._answered(called, authorization, now, root)
            if answer.is_change:
                try:
                    self._write(Line(now, called.name, application, called.arguments))
                except OSError:
                    _log.exception("The sandbox's state file cannot be written")
                    answer = Reply(None, 500, "The sandbox's state file cannot be written", 500)
                advance(self._state, now)
        name = fault.name if fault else ""
        told = answer.http_status, answer.status_code, answer.status_message, name
        self._note(called, Request(now, called.name, application, {}, *told))
        content = encoded(answer, called.name, is_bare=called.is_bare)
        if fault is None:
            return answer.http_status, extra, content
        if fault.effect is Effect.CHANGED_ANSWER:
            return answer.http_status, extra, content if called.is_bare else changed(content, fault)
        return fault.told()

    def _answered(
        self, called: Called, authorization: str | None, now: datetime, root: str
    ) -> tuple[str, Reply, dict[str, str]]:
        """The application's code, the answer and headers for it."""
        row, code = called.method, called.application
        if row is None:
            return code, Reply(None), {}
        try:
            application = opened(self._state, row, called.arguments, authorization)
            code = application.code if application else ""
            account = application.account if application else "default"
            if row.rate is Rate.MESSAGES:
                wait = self._wait(row.name, called.arguments, account, now)
                if wait:
                    return code, *self._over_cap(wait)
            asked = Asked(self._state, row.name, code, account, called.arguments, now, root)
            return code, _carried_out(asked), {}
        except BadAuthorization:
            return code, Reply(None, 401, "Unauthorized", 401), {}
        except Invalid as error:
            refused = refusal(error).reply
        except Refused as error:
            refused = error.reply
        return code, as_bare(refused) if called.is_bare else refused, {}

    def _wait(self, method: str, arguments: Mapping[str, Any], account: str, now: datetime) -> int:
        if not is_capped(method, arguments, is_tracing=self._state.is_tracing(now)):
            return 0
        return self._cap.take(account, now, self.options.requests_per_minute)

    def _over_cap(self, wait: int) -> tuple[Reply, dict[str, str]]:
        """Unverified against Pushwoosh: no document says how a request over the cap is answered (`over_cap`)."""
        if self.options.over_cap is OverCap.ENVELOPE:
            return Reply(None, 210, "Too many requests"), {}
        return Reply(None, 429, "Too many requests", 429), {"Retry-After": str(wait)}

    def _note(self, called: Called, request: Request) -> None:
        """Record a request with its verdict, and without its token."""
        shown = {name: value for name, value in called.arguments.items() if name != "auth"}
        self.requests.append(replace(request, arguments=shown))
        if self._record is not None:
            self._record(self.requests[-1])

    # Memory

    def _catch_up(self) -> datetime:
        # A clock that is set back by others must not undo what has happened.
        self._now = max(self._now, in_utc(self._clock()) + self._offset)
        advance(self._state, self._now)
        return self._now

    def _operate(self, operation: str, **arguments: Any) -> None:
        with self.lock:
            now = self._catch_up()
            OPERATIONS[operation](self._state, arguments, now)
            self._write(Line(now, operation, "", arguments))
            advance(self._state, now)

    def _set_clock(self, now: datetime, offset: timedelta) -> datetime:
        moved = in_utc(self._clock()) + offset
        self._write(Line(moved, SET_CLOCK, "", {"from": now.isoformat(), "offset": offset.total_seconds()}))
        self._offset = offset
        self._clock_is_set(now, moved)
        return moved

    def _clock_is_set(self, earlier: datetime, moved: datetime) -> None:
        if moved < earlier:
            self._state.set_back(earlier - moved)
            self._cap.set_back()
        self._now = moved
        advance(self._state, moved)

    def _write(self, line: Line) -> None:
        if self._journal is not None:
            self._journal.append(line)

    def _replay(self, journal: Journal) -> None:
        for line in journal.replay():
            try:
                answer = self._repeated(line)
            except Invalid as error:
                answer = refusal(error).reply
            except Refused as error:
                answer = error.reply
            except LookupError:
                raise BadJournal(
                    f"{journal.path} has a call of {line.method}, which this sandbox does not know."
                ) from None
            except ValueError as error:
                raise BadJournal(f"{journal.path}: {line.method} at {line.at.isoformat()}: {error}") from None
            if answer.status_code != 200 and not answer.is_change:
                raise BadJournal(
                    f"{journal.path}: a call of {line.method} at {line.at.isoformat()} was taken then and is not now "
                    f"({answer.status_message}). Start with the same applications and filters, or with a new file."
                )
            advance(self._state, self._now)

    def _repeated(self, line: Line) -> Reply:
        """A line of the journal, once more. Raises `LookupError` for a method that is not known here."""
        if line.method == SET_CLOCK:
            return self._clock_set_again(line)
        self._now = max(self._now, line.at)
        advance(self._state, self._now)
        if line.method in OPERATIONS:
            OPERATIONS[line.method](self._state, line.arguments, line.at)
            return Reply(is_change=True)
        row = METHODS[line.method]
        account = self._state.account_of(line.application)
        if row.rate is Rate.MESSAGES:
            self._wait(row.name, line.arguments, account, line.at)
        return _carried_out(Asked(self._state, row.name, line.application, account, line.arguments, line.at))

    def _clock_set_again(self, line: Line) -> Reply:
        try:
            earlier = in_utc(datetime.fromisoformat(line.arguments["from"]))
            self._offset = timedelta(seconds=line.arguments["offset"])
        except (KeyError, TypeError, OverflowError):
            raise ValueError("no setting of the clock") from None
        self._now = max(self._now, earlier)
        advance(self._state, self._now)
        self._clock_is_set(earlier, line.at)
        return Reply(is_change=True)


def _carried_out(asked: Asked) -> Reply:
    """The handler's answer. Raises `Invalid` and `Refused`."""
    # createMessage looks at its notifications one by one: those before the first bad one are sent.
    if asked.method != "createMessage":
        asked = replace(asked, arguments=METHODS[asked.method].clean(asked.arguments))
    return HANDLERS[asked.method](asked)
