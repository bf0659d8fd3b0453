"""The server gateway: other services of the company post createMessage and its kin here, in place of Pushwoosh.

Off unless `server_urls` is mounted, and closed until REST framework's classes say who may come in. The callers need no
token of Pushwoosh's: ours is put in. Messages are held to the account's cap: beyond it 429, or queued for whoever says
`Prefer: respond-async`. They are kept like all messages, so a lost answer is settled by the outbox's rules.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.db import IntegrityError, OperationalError, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.request import Request

from django_pushwoosh import push
from django_pushwoosh.conf import Application, settings
from django_pushwoosh.gateway.parsers import TooLarge, read
from django_pushwoosh.gateway.renderers import Refused, envelope, passed_on
from django_pushwoosh.gateway.server_access import ServerView, closed_because, wide_because
from django_pushwoosh.models import Dispatch
from django_pushwoosh.protocol.answers import CODE_NOT_AVAILABLE
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.envelope import ARGUMENT_ERROR, MalformedRequest, encode, read_answer
from django_pushwoosh.protocol.errors import (
    BadArgument,
    CallError,
    Invalid,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
)
from django_pushwoosh.protocol.methods import AskedBy, Method, Rate
from django_pushwoosh.protocol.posted import Posted
from django_pushwoosh.protocol.posted import read as read_messages
from django_pushwoosh.protocol.refusals import condemns, failure_of, words_of
from django_pushwoosh.push import posting

logger = logging.getLogger("django_pushwoosh.gateway")

ASYNC = "respond-async"
RETRY_SECONDS = 10
"""After a 429 of Pushwoosh's own."""

SENT = (Dispatch.Status.SENT, Dispatch.Status.LIMITED)
OPEN = (Dispatch.Status.QUEUED, Dispatch.Status.UNCERTAIN)


class MethodView(ServerView):
    """`POST <prefix>/json/1.3/<method>` and `<prefix>/api/v2/audience/<method>`."""

    http_method_names = ["post", "options"]

    def post(self, request: Request, method: str = "") -> HttpResponse:
        row = method_named(method)
        if row.verb != "POST":
            raise Refused(405, f"Ask for {row.name} with GET, and the request id in the address.")
        arguments, application = _read(request._request, row)
        if row.rate is not Rate.MESSAGES:
            return _asked(row, application, arguments)
        try:
            posts = read_messages(row, arguments)
        except Invalid as error:
            raise Refused(ARGUMENT_ERROR, str(error)) from None
        writer = str(getattr(request.user, "pk", None) or "")
        named = [(posting.id_of(each, application, writer), each) for each in posts]
        logger.info(
            "%s for %s by %s: %s",
            row.name,
            application.code,
            f"user {writer}" if writer else "a caller without a user",
            ", ".join(str(each) for each, _posted in named),
        )
        return self._posted(row, application, named, is_async=wants_async(request._request))

    def _posted(
        self, row: Method, application: Application, posts: Sequence[tuple[UUID, Posted]], *, is_async: bool
    ) -> HttpResponse:
        ids = [each for each, _posted in posts]
        own = [each for each, posted in posts if posted.transaction_id]
        known = posting.known(own)
        fresh = [each for each in posts if each[0] not in known]
        try:
            if fresh and is_async:
                posting.post_later(fresh, application)
            elif fresh:
                if posting.is_held_back(application):
                    raise Refused(503, f"The application is paused: try again later, or say `Prefer: {ASYNC}`.")
                answer = posting.post_now(fresh, application)
                if not known:
                    return passed_on(answer.http_status, encode(answer.document))
        except Invalid as error:
            raise Refused(ARGUMENT_ERROR, str(error)) from None
        except (IntegrityError, OperationalError):
            # The same message at the same moment, which some databases tell as a lost race: nothing was written, and
            # what becomes of the other one is what becomes of it.
            if posting.known(own) <= known:
                raise
            return self._posted(row, application, posts, is_async=is_async)
        except OutcomeUnknown as error:
            logger.warning("%s for %s: %s", row.name, application.code, error)
        except CallError as error:
            return _failed(row, error)
        response = _told(self.request.path, row, ids)
        if is_async and response.status_code == 202:
            response["Preference-Applied"] = ASYNC
        return response


class JobView(ServerView):
    """`GET <prefix>/api/v2/audience/<bulk method>/<request id>`."""

    http_method_names = ["get", "options"]

    def get(self, request: Request, method: str, request_id: str) -> HttpResponse:
        row = METHODS.get(f"{method}Status")
        if row is None or row.asked_by is not AskedBy.SERVER:
            raise Refused(404, "There is no such bulk method: check the address; upper and lower case count.")
        application = application_named(request.query_params.get("application"))
        arguments: dict[str, Any] = {"request_id": request_id}
        if "detailed" in request.query_params:
            arguments["detailed"] = request.query_params["detailed"].lower() in ("true", "1")
        return _asked(row, application, arguments)


class MessageView(ServerView):
    """`GET` and `DELETE <prefix>/messages/<id>`: what became of a message, and its cancelling."""

    http_method_names = ["get", "delete", "options"]

    def get(self, request: Request, message: str | None = None) -> HttpResponse:
        return _shown(_dispatch(message))

    def delete(self, request: Request, message: str | None = None) -> HttpResponse:
        dispatch = _dispatch(message)
        push.cancel(dispatch.message)
        dispatch.refresh_from_db(using=dispatch._state.db)
        return _shown(dispatch)


def method_named(path: str | None) -> Method:
    name = (path or "").rstrip("/").rpartition("/")[2]
    row = METHODS.get(name)
    if row is None:
        raise Refused(
            404, f"There is no method {name[:64] or '(none)'}: check the address; upper and lower case count."
        )
    if row.asked_by is not AskedBy.SERVER:
        raise Refused(403, f"{name} is for SDKs: post it to the gateway for SDKs.")
    return row


def application_named(code: Any) -> Application:
    """One of the settings' applications; where there is only one, it need not be named."""
    known = list(settings.applications.values())
    if (code is None or code == "") and len(known) == 1:
        return known[0]
    found = next((each for each in known if each.code == code), None) if isinstance(code, str) else None
    if found is None:
        said = "names no application" if code is None or code == "" else "names an application that is not served here"
        raise Refused(ARGUMENT_ERROR, f"Application not found: the call {said}; set `application` to its code.")
    return found


def wants_async(request: HttpRequest) -> bool:
    """Whether the caller would rather have its message queued than wait (RFC 7240)."""
    preferences = request.headers.get("Prefer", "").lower().split(",")
    return ASYNC in (each.partition(";")[0].strip() for each in preferences)


def account_held(request: HttpRequest, method: str | None = None, **_kwargs: Any) -> str | None:
    """The account whose cap a request waits for; `None` if it waits for none. `ThrottleMiddleware` asks."""
    try:
        row = method_named(method)
        if row.rate is not Rate.MESSAGES or wants_async(request):
            return None
        arguments, application = _read(request, row)
    except Refused:
        # The view says it better.
        return None
    return application.account if posting.is_capped(Call(row, application.code, arguments), application) else None


def _read(request: HttpRequest, row: Method) -> tuple[dict[str, Any], Application]:
    """The arguments of a call, without token and application; and the application. Raises `Refused`."""
    try:
        incoming = read(request, settings.server_gateway.body_limit)
        incoming.check_shape(row)
    except TooLarge as error:
        raise Refused(413, str(error)) from None
    except MalformedRequest as error:
        raise Refused(400, str(error)) from None
    if incoming.twice:
        # A server's mistake; SDKs, which nobody can mend any more, are let through.
        raise Refused(400, f"Stands twice in the body: {', '.join(sorted(incoming.twice))[:200]}.")
    # A caller's own token is neither needed nor kept.
    arguments = {name: value for name, value in incoming.arguments.items() if name not in ("auth", "application")}
    if any(name.casefold() == "auth" for name in arguments):
        raise Refused(400, 'Write "auth" as it is written here, or leave it out: it is not needed.')
    said = encode(arguments).decode()
    if any(each.api_token and each.api_token in said for each in settings.applications.values()):
        raise Refused(403, "The call carries the server's API token outside `auth`: take it out, and replace it.")
    return arguments, application_named(incoming.arguments.get("application"))


def _asked(row: Method, application: Application, arguments: Mapping[str, Any]) -> HttpResponse:
    """Pass on a call that creates no message, and its answer."""
    try:
        call = Call(row, application.code, row.clean(arguments))
    except Invalid as error:
        raise Refused(ARGUMENT_ERROR, str(error)) from None
    if posting.is_held_back(application):
        raise Refused(503, "The application is paused: try again later.")
    try:
        status, body = posting.ask(call, application)
    except CallError as error:
        return _failed(row, error)
    failure = failure_of(call, read_answer(status, body))
    return passed_on(status, body) if failure is None else _failed(row, failure)


def _failed(row: Method, error: CallError) -> HttpResponse:
    """What a caller is told of a call that did not succeed: Pushwoosh's own words, where they are about the call."""
    answer = error.answer
    if isinstance(error, RateLimited):
        seconds = max(1, math.ceil(error.retry_after or RETRY_SECONDS))
        or_else = f" Or say `Prefer: {ASYNC}`." if row.rate is Rate.MESSAGES else ""
        return envelope(429, f"{error}{or_else}", Retry_After=str(seconds))
    if isinstance(error, NotSent):
        return envelope(503, f"Pushwoosh cannot be reached; nothing was sent: try {row.name} again later.")
    if isinstance(error, OutcomeUnknown):
        logger.warning("%s: %s", row.name, error)
        return envelope(504, f"Pushwoosh gave no answer that can be read: nobody knows whether {row.name} took effect.")
    is_about_call = isinstance(error, BadArgument | NotFound) and not condemns(error)
    if is_about_call and answer is not None and answer.status_code is not None:
        return passed_on(answer.http_status, encode(answer.document))
    if is_about_call and answer is not None:
        # The refusals of the bare methods have no number.
        code = answer.http_status if answer.http_status >= 400 else ARGUMENT_ERROR
        return envelope(code, words_of(answer) or "Pushwoosh refused the call.")
    # That our token is refused is not the caller's fault, nor its to change.
    logger.error("%s: %s", row.name, error)
    return envelope(503, "Pushwoosh refuses this application or its token: tell whoever runs this gateway.")


def _told(path: str, row: Method, ids: Sequence[UUID]) -> HttpResponse:
    """What became of messages that were posted just now, or earlier under the same ids."""
    dispatches = posting.asked(ids)
    codes = [each.message_code or CODE_NOT_AVAILABLE for each in dispatches]
    root = path.rpartition("json/1.3/")[0]
    listed = [{**_state(each), "location": f"{root}messages/{each.transaction_id}"} for each in dispatches]
    statuses = {each.status for each in dispatches}
    if statuses <= set(SENT):
        created = {"Messages": codes} if row.name == "createMessage" else {"messageCode": codes[0]}
        return _answer(200, "OK", {**created, "messages": listed})
    if statuses <= {*SENT, *OPEN}:
        text = "Queued, or in doubt and repeated where that is safe: ask at `location` what becomes of it."
        headers = {"Location": listed[0]["location"]} if len(listed) == 1 else {}
        return _answer(202, text, {"messages": listed}, **headers)
    said = next((each.told for each in dispatches if each.status not in (*SENT, *OPEN) and each.told), "")
    return _answer(ARGUMENT_ERROR, said or "A message of these was cancelled.", {"messages": listed})


def _shown(dispatch: Dispatch) -> HttpResponse:
    return _answer(200, "OK", _state(dispatch))


def _state(dispatch: Dispatch) -> dict[str, Any]:
    return {
        "id": str(dispatch.transaction_id),
        "status": dispatch.status,
        "code": dispatch.message_code or None,
        "told": dispatch.told,
    }


def _dispatch(message: str | None) -> Dispatch:
    try:
        found = posting.asked([UUID((message or "").rstrip("/"))])
    except ValueError:
        found = []
    if not found:
        raise Refused(404, "There is no message with this id.")
    return found[0]


def _answer(status_code: int, text: str, response: Any, **headers: str) -> HttpResponse:
    document = {"status_code": status_code, "status_message": text, "response": response}
    answer = passed_on(200 if status_code == ARGUMENT_ERROR else status_code, encode(document))
    for name, value in headers.items():
        answer[name] = value
    return answer


def _mounted(view: type[ServerView]) -> Any:
    mounted: Any = login_not_required(csrf_exempt(view.as_view()))
    for alias in connections:
        # A relay waits for Pushwoosh; under ATOMIC_REQUESTS it would hold a transaction open for as long.
        transaction.non_atomic_requests(using=alias)(mounted)
    return mounted


method_view, job_view, message_view = _mounted(MethodView), _mounted(JobView), _mounted(MessageView)
method_view.pushwoosh_account = account_held
# For the system checks.
method_view.pushwoosh_closed_because = closed_because
method_view.pushwoosh_wide_because = wide_because
