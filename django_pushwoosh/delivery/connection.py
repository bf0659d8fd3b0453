"""The door out: clients built from the settings, with the governor and the breaker before them.

A governed request takes three steps: `enter` asks for leave (and may touch the database), `send` carries the bytes (and
never does), `leave` closes the books. `ask` does all three.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.utils import timezone
from django.utils.module_loading import import_string

from django_pushwoosh.client import Client, RequestsTransport, Transport
from django_pushwoosh.conf import Application, settings
from django_pushwoosh.delivery import outbox
from django_pushwoosh.delivery.breaker import Breaker
from django_pushwoosh.delivery.discretion import told_without_values
from django_pushwoosh.delivery.governor import Governor, Grant
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.errors import (
    CallError,
    ConnectionFailed,
    NoAnswer,
    OutcomeUnknown,
    RateLimited,
    ServerFailed,
)
from django_pushwoosh.protocol.methods import Rate

logger = logging.getLogger("django_pushwoosh")

PAUSE_SECONDS = 10.0
"""After a 429 that does not say how long to wait."""

_requests = RequestsTransport()


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave to make one request to an application; `grant` is the slot of a capped one, `root` who is asked."""

    application: Application
    grant: Grant | None
    root: str


@lru_cache(maxsize=64)
def _client(application: Application, timeout: tuple[float, float]) -> Client:
    transport: Transport = import_string(application.transport) if application.transport else _requests
    return Client(
        application.code,
        api_token=application.api_token,
        device_token=application.device_token,
        api_root=application.api_root,
        tracking_root=application.tracking_root,
        transport=transport,
        timeout=timeout,
    )


@lru_cache(maxsize=64)
def breaker(api_root: str) -> Breaker:
    """The breaker of a root, in this process."""
    return Breaker()


def root_of(call: Call, application: Application) -> str:
    """Scheme and host of whoever takes a call."""
    return call.root(application.api_root, application.tracking_root)


def ask(
    call: Call, application: Application, *, governor: Governor | None = None, now: datetime | None = None
) -> tuple[Answer, Any]:
    """Make a call under the cap; the answer, and the same in the type of the method's row.

    Raises `CallError`; a `RateLimited` that has no answer is our governor's, and nothing has left.
    """
    is_capped, root = outbox.is_capped(call, application), root_of(call, application)
    leave_to_send = enter(application, governor=governor, is_capped=is_capped, root=root, now=now)
    try:
        answer = send(call, application)
    except CallError as error:
        leave(leave_to_send, error, governor=governor, now=now)
        raise
    leave(leave_to_send, None, governor=governor, now=now)
    return answer, Client.read(call, answer)


def enter(
    application: Application,
    *,
    is_capped: bool,
    root: str = "",
    governor: Governor | None = None,
    now: datetime | None = None,
) -> Leave:
    """Leave to make one request, to be closed with `leave`; to the API root, if no other is named.

    Raises `RateLimited` without an answer where the cap is used up, and `ConnectionFailed` while the breaker is open.
    """
    root = root or application.api_root
    if not breaker(root).enter(now or timezone.now()):
        raise ConnectionFailed(f"Pushwoosh ({root}) is down; it is asked again in a while.")
    if not is_capped:
        return Leave(application, None, root)
    account = settings.account(application.account)
    try:
        return Leave(application, (governor or Governor()).acquire(account, settings.longest_request), root)
    except BaseException:
        breaker(root).left()
        raise


def send(call: Call, application: Application, *, is_tokenless: bool = False) -> Answer:
    """Make a call for which there is leave; one that `is_tokenless` without our device token.

    Touches no database. Raises `CallError`.
    """
    return _client(application, settings.timeout).ask(call, authorization="" if is_tokenless else None)


def read(call: Call, answer: Answer) -> Any:
    """A success in the type of the method's row. Raises `ServerFailed` for one that cannot be read."""
    return Client.read(call, answer)


def leave(
    given: Leave, error: CallError | None, *, governor: Governor | None = None, now: datetime | None = None
) -> None:
    """Close the books of a request: what came of it, `None` for a success."""
    _judge(given.root, error, now or timezone.now())
    if given.grant is None:
        return
    governor = governor or Governor()
    with _kept_books():
        if isinstance(error, ConnectionFailed):
            governor.unused(given.grant)
        elif isinstance(error, OutcomeUnknown) and error.answer is None:
            governor.unanswered(given.grant, settings.timeout[1])
        else:
            governor.answered(given.grant)
        if isinstance(error, RateLimited):
            account = settings.account(given.application.account)
            governor.pause(account, error.retry_after or PAUSE_SECONDS)


def unused(given: Leave, *, governor: Governor | None = None) -> None:
    """The request is not made after all."""
    breaker(given.root).left()
    if given.grant is not None:
        with _kept_books():
            (governor or Governor()).unused(given.grant)


def _judge(root: str, error: CallError | None, now: datetime) -> None:
    """Tell the breaker whether Pushwoosh is there: silence, 5xx and what is no envelope say no, refusals say yes."""
    code = error.answer.status_code if isinstance(error, ServerFailed) and error.answer is not None else None
    if isinstance(error, ConnectionFailed | NoAnswer) or (
        isinstance(error, ServerFailed) and not 0 < (code or 0) < 500
    ):
        breaker(root).failed(now)
    else:
        breaker(root).succeeded()


@contextmanager
def _kept_books() -> Iterator[None]:
    """What Pushwoosh answered outweighs the governor's books: a slot that is not given back frees itself in time."""
    try:
        yield
    except DatabaseError as error:
        logger.warning("A rate slot could not be given back: %s", told_without_values(error))


def relay(
    call: Call, application: Application, *, authorization: str | None, more_headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """Pass an SDK's call on and return what came back, whatever it was.

    Raises `ConnectionFailed` or `NoAnswer`. Only for methods without a cap: SDKs create no messages.
    """
    if call.method.rate is not Rate.UNLIMITED:
        raise ImproperlyConfigured(f"{call.method.name} counts against the cap and is not relayed.")
    given = enter(application, is_capped=False, root=root_of(call, application))
    client = _client(application, settings.relay_timeout)
    try:
        answer = client.send(call, authorization=authorization, more_headers=more_headers)
    except CallError as error:
        leave(given, error)
        raise
    if answer[0] >= 500:
        breaker(given.root).failed(timezone.now())
    else:
        leave(given, None)
    return answer
