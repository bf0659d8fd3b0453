"""The door out: clients built from the settings, with the governor before them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.utils.module_loading import import_string

from django_pushwoosh.client import Client, RequestsTransport, Transport
from django_pushwoosh.conf import Application, settings
from django_pushwoosh.delivery.governor import Governor, Grant
from django_pushwoosh.protocol.calls import Call, Rate
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.errors import CallError, ConnectionFailed, OutcomeUnknown, RateLimited

logger = logging.getLogger("django_pushwoosh")

PAUSE_SECONDS = 10.0
"""After a 429 that does not say how long to wait."""

_requests = RequestsTransport()


@lru_cache(maxsize=64)
def _client(application: Application, timeout: tuple[float, float]) -> Client:
    transport: Transport = import_string(application.transport) if application.transport else _requests
    return Client(
        application.code,
        api_token=application.api_token,
        device_token=application.device_token,
        api_root=application.api_root,
        transport=transport,
        timeout=timeout,
    )


def ask(call: Call, application: Application, *, governor: Governor | None = None) -> tuple[Answer, Any]:
    """Make a call under the cap; the answer, and the same in the type of the method's row.

    Raises `CallError`; a `RateLimited` that has no answer is our governor's, and nothing has left.
    """
    answer = _asked(call, application, governor)
    return answer, Client.read(call, answer)


def _asked(call: Call, application: Application, governor: Governor | None) -> Answer:
    timeout = settings.timeout
    client = _client(application, timeout)
    if not is_capped(call, application):
        return client.ask(call)
    governor = governor or Governor()
    account = settings.account(application.account)
    # The client tries a connection twice before it gives up.
    grant: Grant = governor.acquire(account, 2 * timeout[0] + timeout[1])
    try:
        answer = client.ask(call)
    except CallError as error:
        with _kept_books():
            if isinstance(error, ConnectionFailed):
                governor.unused(grant)
            elif not isinstance(error, OutcomeUnknown) or error.answer is not None:
                governor.answered(grant)
            if isinstance(error, RateLimited):
                governor.pause(account, error.retry_after or PAUSE_SECONDS)
        raise
    with _kept_books():
        governor.answered(grant)
    return answer


@contextmanager
def _kept_books() -> Iterator[None]:
    """What Pushwoosh answered outweighs the governor's books: a slot that is not given back frees itself in time."""
    try:
        yield
    except DatabaseError:
        logger.warning("A rate slot could not be given back.", exc_info=True)


def relay(call: Call, application: Application, *, authorization: str | None) -> tuple[int, Mapping[str, str], bytes]:
    """Pass an SDK's call on and return what came back, whatever it was.

    Raises `ConnectionFailed` or `NoAnswer`. Only for methods without a cap: SDKs create no messages.
    """
    if call.method.rate is not Rate.UNLIMITED:
        raise ImproperlyConfigured(f"{call.method.name} counts against the cap and is not relayed.")
    return _client(application, settings.relay_timeout).send(call, authorization=authorization)


def is_capped(call: Call, application: Application) -> bool:
    """Whether a call counts against the account's cap; tracing ends the exemption of small pushes."""
    if call.method.rate is not Rate.MESSAGES:
        return False
    return call.is_capped or settings.account(application.account).tracing
