"""Early refusals: gateway callers that come too often, and views that would send more than the cap lets through."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from django_pushwoosh.conf import DEFAULT_ALIAS, settings
from django_pushwoosh.delivery.governor import Governor
from django_pushwoosh.gateway.parsers import Incoming, TooLarge, read
from django_pushwoosh.gateway.renderers import envelope
from django_pushwoosh.gateway.throttling import CallerThrottle, address_of
from django_pushwoosh.models import OutboxEntry
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.envelope import MalformedRequest
from django_pushwoosh.protocol.methods import Rate

logger = logging.getLogger("django_pushwoosh.gateway")

SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
CAPPED = tuple(method.name for method in METHODS.values() if method.rate is Rate.MESSAGES)

View = TypeVar("View", bound=Callable[..., Any])


def sends_messages(account: str = DEFAULT_ALIAS) -> Callable[[View], View]:
    """Mark a view that sends messages, so that `ThrottleMiddleware` holds it to the account's cap.

    For functions, for `View.as_view()`, and by `method_decorator(sends_messages(), name="dispatch")` for classes.
    Requests that change nothing (GET, HEAD, OPTIONS) are never refused.
    """

    def mark(view: View) -> View:
        view.pushwoosh_account = account  # type: ignore[attr-defined]
        return view

    return mark


class ThrottleMiddleware:
    """Refuses with 429, `Retry-After` and the envelope, before the view runs and anything is stored.

    A cache or a database that does not work refuses nobody: the view itself will say what is wrong.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if request.method in SAFE:
            return None
        try:
            if getattr(view, "pushwoosh_gateway", False):
                return _of_gateway(request)
            account = getattr(view, "pushwoosh_account", None)
            if callable(account):
                # The server gateway learns from the call itself whose cap it counts against, if any's.
                account = account(request, **kwargs)
            return _of_account(account) if account is not None else None
        except Exception as error:
            logger.error("The throttle does not work (%s); the call goes on.", type(error).__name__)
            return None


def waiting_seconds(account: str) -> float:
    """How long a message that was queued now would wait for its turn under the account's cap."""
    codes = [each.code for each in settings.applications.values() if each.account == account]
    queued = OutboxEntry.objects.filter(
        status=OutboxEntry.Status.QUEUED, method__in=CAPPED, application__in=codes
    ).count()
    return Governor().wait(settings.account(account), ahead=queued)


def _of_gateway(request: HttpRequest) -> HttpResponse | None:
    rules = settings.throttle
    waits = []
    if rules.per_address is not None:
        address = address_of(request, rules.trusted_proxies)
        waits.append(CallerThrottle("address", address, rules.per_address).retry_after())
    if rules.per_hwid is not None and not any(waits):
        try:
            caller = _caller(read(request))
        except (TooLarge, MalformedRequest):
            # The view says it better.
            caller = ""
        if caller:
            waits.append(CallerThrottle("hwid", caller, rules.per_hwid).retry_after())
    wait = max((each for each in waits if each is not None), default=None)
    if wait is None:
        return None
    return envelope(429, f"Too many calls: try again in {wait} s.", Retry_After=str(wait))


def _caller(incoming: Incoming) -> str:
    """Whom a call counts for: the hwid, or whoever it names in its place."""
    arguments = incoming.arguments
    for name in ("hwid", "email", "userId", "user_id"):
        value = arguments.get(name)
        if isinstance(value, str) and value:
            return f"{arguments.get('application')}\n{name}\n{value}"
    return ""


def _of_account(account: str) -> HttpResponse | None:
    wait = waiting_seconds(account)
    if wait <= settings.throttle.max_wait:
        return None
    seconds = math.ceil(wait)
    return envelope(
        429, f"The account's cap is used up: the next message may go in {seconds} s.", Retry_After=str(seconds)
    )
