"""Reads an SDK's call: its original bytes, and what they say.

The content type is ignored: browsers say `text/plain`, so that no preflight is needed. What goes upstream later are the
bytes as they came, so a body that two parsers could read in two ways is refused here: what is checked must be what
Pushwoosh reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, RawPostDataException, UnreadablePostError

from django_pushwoosh.conf import settings
from django_pushwoosh.protocol.envelope import MalformedRequest, is_too_deep
from django_pushwoosh.protocol.methods import Body, Method

"""Levels of nesting. SDKs use five; databases and Pushwoosh end somewhere."""

SCOPE = ("request", "application", "hwid", "userId", "user_id", "email")
"""The names that decide whom a call is about."""

_SCOPE = {name.casefold(): name for name in SCOPE}
_MEMO = "_pushwoosh_incoming"


class TooLarge(Exception):
    """The body is larger than the setting `GATEWAY_BODY_LIMIT`."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call as it came. `is_wrapped` says whether it came in an envelope, `{"request": {…}}`."""

    raw: bytes = field(repr=False)
    arguments: Mapping[str, Any] = field(repr=False)
    is_wrapped: bool

    def check_shape(self, method: Method) -> None:
        """Raises `MalformedRequest` for an envelope where the method has none, or none where it has one."""
        expected = method.body is Body.ENVELOPE
        if self.is_wrapped is not expected:
            shape = 'an envelope, {"request": {…}}' if expected else "no envelope: the arguments stand at the top"
            raise MalformedRequest(f"The body of {method.name} has {shape}.")


def read(request: HttpRequest, limit: int | None = None) -> Incoming:
    """The call in a request; read once, however often it is asked for. Raises `TooLarge`, `MalformedRequest`.

    `limit` is in bytes: `GATEWAY_BODY_LIMIT`, unless somebody else than an SDK speaks.
    """
    known = getattr(request, _MEMO, None)
    if known is None:
        try:
            known = parse(_body(request, settings.gateway_body_limit if limit is None else limit))
        except (TooLarge, MalformedRequest) as error:
            known = error
        setattr(request, _MEMO, known)
    if isinstance(known, Exception):
        raise known
    incoming: Incoming = known
    return incoming


def parse(body: bytes) -> Incoming:
    """What a body says. Raises `MalformedRequest`, with what to send."""
    try:
        document = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_object)
    except MalformedRequest:
        raise
    except RecursionError:
        raise MalformedRequest("The body is nested too deeply.") from None
    except ValueError as error:
        raise MalformedRequest(f"The body is not JSON in UTF-8 ({error}).") from None
    if not isinstance(document, dict):
        raise MalformedRequest('The body must be a JSON object: {"request": {…}}.')
    if is_too_deep(document):
        raise MalformedRequest("The body is nested too deeply.")
    _check_names(document)
    is_wrapped = "request" in document
    arguments = document["request"] if is_wrapped else document
    if not isinstance(arguments, dict):
        raise MalformedRequest('"request" must be a JSON object.')
    _check_names(arguments)
    return Incoming(body, arguments, is_wrapped)


def _body(request: HttpRequest, limit: int) -> bytes:
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    if length > limit:
        raise TooLarge(f"The body may have at most {limit} bytes.")
    try:
        body = request.body
    except RequestDataTooBig:
        raise TooLarge("The body is larger than this server reads.") from None
    except (UnreadablePostError, RawPostDataException):
        raise MalformedRequest("The body could not be read; send JSON as text/plain or application/json.") from None
    if len(body) > limit:
        raise TooLarge(f"The body may have at most {limit} bytes.")
    return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedRequest("A key stands twice in one object of the body; which one counts is anybody's guess.")
    return found


def _check_names(names: Mapping[str, Any]) -> None:
    # Some parsers match names without regard to case: "HWID" beside "hwid" would be a second, unchecked scope.
    for name in names:
        meant = _SCOPE.get(name.casefold())
        if meant is not None and meant != name:
            raise MalformedRequest(f'Write "{meant}" as it is written here; upper and lower case count.')
