"""The stand-in for Pushwoosh: takes calls as Pushwoosh does over HTTP, and shows what came of them.

`Sandbox.wsgi` is a plain WSGI application, `Sandbox.handle` the same without a server. The host in the address does not
matter. There is no thread: what has become due happens when anyone asks next, or at `advance()`.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

from django_pushwoosh.protocol.calls import METHODS, Method, Rate, Token
from django_pushwoosh.protocol.envelope import encode, reply
from django_pushwoosh.protocol.errors import Invalid
from django_pushwoosh.protocol.tags import TagType
from django_pushwoosh.sandbox import phones
from django_pushwoosh.sandbox.answering import NO_RESPONSE, Asked, Refused, Reply, refusal
from django_pushwoosh.sandbox.bulk import INVALID
from django_pushwoosh.sandbox.cap import Cap
from django_pushwoosh.sandbox.clock import Clock, in_utc, system_clock
from django_pushwoosh.sandbox.delivery import advance
from django_pushwoosh.sandbox.handlers import HANDLERS
from django_pushwoosh.sandbox.journal import BadJournal, Journal, Line
from django_pushwoosh.sandbox.message_calls import is_capped
from django_pushwoosh.sandbox.routing import MOST_BYTES, Malformed, Route, arguments_of, route_of
from django_pushwoosh.sandbox.state import (
    Application,
    Device,
    Event,
    Job,
    Message,
    Options,
    Push,
    Request,
    State,
    Statistic,
    User,
)
from django_pushwoosh.sandbox.tokens import (
    BadAuthorization,
    application_of,
    application_of_server,
    check_device_token,
)

MOST_REQUESTS = 10_000
TRACING_LASTS = timedelta(hours=1)
START_TRACING = "startTracing"
"""Stands in the journal for the control panel's button; no method of Pushwoosh's has this name."""

_VISIBLE = re.compile(r"[\x21-\x7e, ]{1,512}")

_PAGE_HEADERS = {
    # The page shows what apps sent, and runs nothing but its own script.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

_log = logging.getLogger(__name__)

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Answered = tuple[int, dict[str, str], bytes]


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

    `clock` returns aware datetimes; `journal` keeps the state over restarts and is replayed here. The keyword options
    are those of `state.Options`: saved `filters`, declared `tags`, `in_apps`, `requests_per_minute` …
    Raises `ValueError` for options that make no sense and `BadJournal` for a journal that cannot be replayed.
    """

    def __init__(
        self,
        applications: Iterable[Application],
        clock: Clock = system_clock,
        journal: Journal | None = None,
        *,
        filters: Mapping[str, str] | None = None,
        tags: Mapping[str, TagType] | None = None,
        in_apps: Mapping[str, str] | None = None,
        requests_per_minute: int = 600,
        job_seconds: float = 2.0,
        case_sensitive: bool = False,
        unset_matches_negative: bool = False,
    ) -> None:
        options = Options(
            dict(filters or {}),
            dict(tags or {}),
            dict(in_apps or {}),
            requests_per_minute,
            job_seconds,
            case_sensitive,
            unset_matches_negative,
        )
        options.check()
        self._lock = threading.RLock()
        self._clock = clock
        self._journal = journal
        started_at = in_utc(clock())
        # A page that outlives this process must not take the next one's devices for the ones it knows.
        self._state = State(applications, options, version=int(started_at.timestamp() * 1000))
        self._cap = Cap(requests_per_minute)
        self._feed = phones.Feed()
        self._now = datetime.min.replace(tzinfo=started_at.tzinfo)
        self.requests: deque[Request] = deque(maxlen=MOST_REQUESTS)
        if journal is not None:
            self._replay(journal)
        self._now = max(self._now, started_at)

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
    def jobs(self) -> Mapping[str, Job]:
        """Bulk jobs by request id."""
        return self._state.jobs

    @property
    def capped_at(self) -> list[datetime]:
        """The times of all requests that counted against the cap (the latest 100,000)."""
        return list(self._cap.log)

    @property
    def version(self) -> int:
        """Changes whenever a device does."""
        return self._state.devices_version

    def phone(self, hwid: str, application: str = "") -> Phone:
        """A device by its hwid, in the one application that knows it unless that is named. Raises `LookupError`."""
        with self._lock:
            self.advance()
            codes = [application] if application else list(self._state.applications)
            found = [device for code in codes if (device := self._state.device(code, hwid))]
            if len(found) != 1:
                raise LookupError(f"{'No' if not found else 'More than one'} device of the sandbox has hwid {hwid!r}.")
            return Phone(found[0], tuple(push for push in self._state.pushes if push.device is found[0]))

    # Time

    def advance(self) -> None:
        """Let happen what has become due by the clock."""
        with self._lock:
            self._catch_up()

    def start_tracing(self) -> None:
        """Start API messaging tracing, as the control panel's button does: for an hour, small messages are recorded."""
        with self._lock:
            now = self._catch_up()
            self._state.tracing_until = now + TRACING_LASTS
            if self._journal is not None:
                self._journal.append(Line(now, START_TRACING, "", {}))

    def close(self) -> None:
        """Give the journal free."""
        with self._lock:
            if self._journal is not None:
                self._journal.close()

    # HTTP

    def wsgi(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        """The WSGI application."""
        verb = str(environ.get("REQUEST_METHOD", "GET"))
        path = str(environ.get("PATH_INFO", "/")) or "/"
        if environ.get("QUERY_STRING"):
            path = f"{path}?{environ['QUERY_STRING']}"
        headers = {
            name[5:].replace("_", "-").lower(): str(value) for name, value in environ.items() if name[:5] == "HTTP_"
        }
        headers["content-type"] = str(environ.get("CONTENT_TYPE", ""))
        try:
            length = int(environ.get("CONTENT_LENGTH") or 0)
        except ValueError:
            length = 0
        # One byte more than is allowed shows that there is too much, without reading all of it.
        body = environ["wsgi.input"].read(min(max(0, length), MOST_BYTES + 1))
        try:
            status, answered, content = self.handle(verb, path, headers, body)
        except Exception:
            _log.exception("The sandbox failed to answer %s %s", verb, path.split("?", 1)[0])
            status, answered, content = 500, {"Content-Type": "application/json"}, reply(500, "Internal error", None)
        answered["Content-Length"] = str(len(content))
        start_response(f"{status} {_REASONS.get(status, 'Answer')}", list(answered.items()))
        return [b"" if verb == "HEAD" else content]

    def handle(self, verb: str, path: str, headers: Mapping[str, str], body: bytes) -> Answered:
        """Answer one request: status, headers and body. `path` may have a query."""
        known = {name.lower(): value for name, value in headers.items()}
        where, _, query = path.partition("?")
        where = unquote(where)
        if not where.startswith(("/json/", "/api/")):
            return self._page(verb, where, query)
        cross = _cross_origin(known)
        if verb == "OPTIONS":
            return 204, cross, b""
        with self._lock:
            status, extra, content = self._call(verb, where, query, known, body)
        return status, {"Content-Type": "application/json", **extra, **cross}, content

    def _page(self, verb: str, where: str, query: str) -> Answered:
        if verb not in ("GET", "HEAD"):
            return _plain(405, "Use GET.")
        if where == "/phones.json":
            given = parse_qs(query, keep_blank_values=True, max_num_fields=20) if query.count("&") < 20 else {}
            with self._lock:
                now = self._catch_up()
                content = self._feed.document(
                    self._state,
                    now,
                    since=_natural(given.get("since"), 0),
                    application=given.get("application", [""])[0],
                    devices=_natural(given.get("devices"), -1),
                    limit=_natural(given.get("limit"), phones.MOST_PUSHES),
                )
            return 200, {"Content-Type": "application/json", "Cache-Control": "no-store"}, content
        if where == "/favicon.ico":
            return 204, {}, b""
        name = "phones.html" if where == "/" else where.removeprefix("/pages/")
        found = phones.page(name) if where == "/" or where.startswith("/pages/") else None
        if found is None:
            return _plain(404, "Nothing is here. The phones are at /, the API is under /json/1.3/ and /api/v2/.")
        return 200, {"Content-Type": found[1], "Cache-Control": "no-cache", **_PAGE_HEADERS}, found[0]

    # Calls

    def _call(self, verb: str, where: str, query: str, headers: Mapping[str, str], body: bytes) -> Answered:
        now = self._catch_up()
        route = route_of(where, query)
        if route is None:
            name = where.rsplit("/", 1)[-1][:64]
            return self._noted(now, name, "", {}, Reply(None, 404, f"Unknown method {name}", 404), is_bare=False)
        if verb != (route.method.verb if route.method else "POST"):
            return self._noted(
                now, route.name, "", {}, Reply(None, 405, "Method not allowed", 405), is_bare=route.is_bare
            )
        try:
            arguments = {**arguments_of(route, headers, body), **route.arguments}
        except Malformed as error:
            status = 413 if len(body) > MOST_BYTES else 400
            bad = Reply(None, status, str(error), status, INVALID if route.is_bare else None)
            return self._noted(now, route.name, "", {}, bad, is_bare=route.is_bare)
        application, answer, extra = self._answered(route, arguments, headers.get("authorization"), now)
        if answer.is_change:
            try:
                self._write(Line(now, route.name, application, arguments))
            except OSError:
                _log.exception("The sandbox's state file cannot be written")
                answer = Reply(None, 500, "The sandbox's state file cannot be written", 500)
            advance(self._state, now)
        return self._noted(now, route.name, application, arguments, answer, is_bare=route.is_bare, extra=extra)

    def _answered(
        self, route: Route, arguments: dict[str, Any], authorization: str | None, now: datetime
    ) -> tuple[str, Reply, dict[str, str]]:
        """The application's code, the answer and headers for it."""
        row, code = route.method, arguments.get("application")
        code = code if isinstance(code, str) else ""
        try:
            application = self._opened(row, arguments, authorization)
            code = application.code if application else ""
            account = application.account if application else "default"
            if row is not None and row.rate is Rate.MESSAGES:
                wait = self._wait(row.name, arguments, account, now)
                if wait:
                    # Unverified against Pushwoosh: no document says how a request over the cap is answered.
                    return code, Reply(None, 429, "Too many requests", 429), {"Retry-After": str(wait)}
            return code, self._carried_out(route.name, code, account, arguments, now), {}
        except BadAuthorization:
            return code, Reply(None, 401, "Unauthorized", 401), {}
        except Invalid as error:
            return code, _as_bare(route, refusal(error).reply), {}
        except Refused as error:
            return code, _as_bare(route, error.reply), {}

    def _carried_out(
        self, method: str, application: str, account: str, arguments: Mapping[str, Any], now: datetime
    ) -> Reply:
        """The handler's answer. Raises `Invalid` and `Refused`."""
        row = METHODS.get(method)
        # createMessage looks at its notifications one by one: those before the first bad one are sent.
        if row is not None and method != "createMessage":
            arguments = row.clean(arguments)
        return HANDLERS[method](Asked(self._state, method, application, account, arguments, now))

    def _opened(
        self, row: Method | None, arguments: Mapping[str, Any], authorization: str | None
    ) -> Application | None:
        """The application that the call's token opens; `None` where no token is asked for. Raises."""
        if row is not None and row.token is Token.NONE:
            return None
        if row is not None and row.token is Token.API:
            is_group = "applications_group" in arguments and row.name == "createMessage"
            if is_group and "application" in arguments:
                # Unverified against Pushwoosh: a group comes "instead of" an application, so both are refused.
                raise Refused("Give application or applications_group, not both")
            return application_of_server(self._state, arguments, is_named=row.application_required and not is_group)
        application = application_of(self._state, arguments)
        check_device_token(application, authorization, is_required=row is not None and row.token_required)
        return application

    def _wait(self, method: str, arguments: Mapping[str, Any], account: str, now: datetime) -> int:
        if not is_capped(method, arguments, is_tracing=self._state.is_tracing(now)):
            return 0
        return self._cap.take(account, now)

    def _noted(
        self,
        now: datetime,
        method: str,
        application: str,
        arguments: Mapping[str, Any],
        answer: Reply,
        *,
        is_bare: bool,
        extra: dict[str, str] | None = None,
    ) -> Answered:
        """Record the request with its verdict, and encode the answer."""
        shown = {name: value for name, value in arguments.items() if name != "auth"}
        self.requests.append(
            Request(now, method, application, shown, answer.http_status, answer.status_code, answer.status_message)
        )
        if is_bare:
            document = answer.document if answer.document is not None else {"message": answer.status_message.lower()}
            return answer.http_status, extra or {}, encode(document)
        if answer.response is NO_RESPONSE or (_leaves_out_response(method) and answer.status_code == 200):
            return answer.http_status, extra or {}, reply(answer.status_code, answer.status_message)
        return answer.http_status, extra or {}, reply(answer.status_code, answer.status_message, answer.response)

    # Memory

    def _catch_up(self) -> datetime:
        # A clock that is set back must not undo what has happened.
        self._now = max(self._now, in_utc(self._clock()))
        advance(self._state, self._now)
        return self._now

    def _write(self, line: Line) -> None:
        if self._journal is not None:
            self._journal.append(line)

    def _replay(self, journal: Journal) -> None:
        for line in journal.replay():
            self._now = max(self._now, line.at)
            advance(self._state, self._now)
            if line.method == START_TRACING:
                self._state.tracing_until = line.at + TRACING_LASTS
                continue
            if line.method not in HANDLERS:
                raise BadJournal(f"{journal.path} has a call of {line.method}, which this sandbox does not know.")
            account = self._state.account_of(line.application)
            row = METHODS.get(line.method)
            try:
                if row is not None and row.rate is Rate.MESSAGES:
                    self._wait(row.name, line.arguments, account, line.at)
                answer = self._carried_out(line.method, line.application, account, line.arguments, line.at)
            except Invalid as error:
                answer = refusal(error).reply
            except Refused as error:
                answer = error.reply
            if not answer.is_change:
                raise BadJournal(
                    f"{journal.path}: a call of {line.method} at {line.at.isoformat()} was taken then and is not now "
                    f"({answer.status_message}). Start with the same applications and filters, or with a new file."
                )
            advance(self._state, self._now)


_REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
}


def _as_bare(route: Route, refused: Reply) -> Reply:
    """A refusal in the words of the audience methods, which have no envelope.

    Unverified against Pushwoosh: the HTTP status of `{"message": "invalid request"}`, and how a bad token is answered.
    """
    if not route.is_bare:
        return refused
    is_token = refused.status_message in ("Account not found", "Access denied or application not found")
    if is_token:
        return replace(refused, http_status=401, document={"message": refused.status_message.lower()})
    return replace(refused, http_status=400, document=INVALID)


def _leaves_out_response(method: str) -> bool:
    row = METHODS.get(method)
    return row is not None and row.response_absent


def _cross_origin(headers: Mapping[str, str]) -> dict[str, str]:
    """What a browser wants to hear: any origin may call, with credentials, as the web SDK does."""
    origin = headers.get("origin", "")
    if not _VISIBLE.fullmatch(origin):
        return {}
    asked = headers.get("access-control-request-headers", "")
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
        "Access-Control-Allow-Headers": asked if _VISIBLE.fullmatch(asked) else "authorization, content-type",
        "Access-Control-Max-Age": "86400",
        "Vary": "Origin",
    }


def _plain(status: int, text: str) -> Answered:
    return status, {"Content-Type": "text/plain; charset=utf-8"}, text.encode()


def _natural(values: list[str] | None, default: int) -> int:
    text = values[-1] if values else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else default
