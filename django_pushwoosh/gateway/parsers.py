"""Reads an SDK's call: its original bytes, and what they say.

The content type is ignored: browsers say `text/plain`, so that no preflight is needed. What goes upstream later are the
bytes as they came, and what is odd in them is Pushwoosh's to judge. But what is checked here must be what Pushwoosh
reads: where two parsers could differ over whom a call is about, it is refused.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, RawPostDataException, UnreadablePostError

from django_pushwoosh.conf import settings
from django_pushwoosh.protocol.envelope import MOST_DEPTH, MalformedRequest, is_too_deep, loads
from django_pushwoosh.protocol.methods import Body, Method

SCOPE = (
    "request",
    "application",
    "hwid",
    "device_type",
    "userId",
    "user_id",
    "oldUserId",
    "newUserId",
    "email",
    "sms_phone_number",
    "whatsapp_phone_number",
    "push_devices",
    "auth",
)
"""The names that decide whom a call is about, and by whose right."""

_SCOPE = {name.lower(): name for name in SCOPE}
_LETTERS = re.compile(r"[^a-z0-9_]")
LONGEST_NAME = 64
_MEMO = "_pushwoosh_incoming"


class TooLarge(Exception):
    """The body is larger than the setting `GATEWAY_BODY_LIMIT`."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call as it came. `is_wrapped` says whether it came in an envelope, `{"request": {…}}`."""

    raw: bytes = field(repr=False)
    arguments: Mapping[str, Any] = field(repr=False)
    is_wrapped: bool

    @property
    def twice(self) -> frozenset[str]:
        """The names that stand more than once among the arguments."""
        found: frozenset[str] = getattr(self.arguments, "twice", frozenset())
        return found

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
        document = loads(body.removeprefix(BOM_UTF8).decode(), object_pairs_hook=_object)
    except RecursionError:
        raise MalformedRequest("The body is nested too deeply.") from None
    except ValueError as error:
        raise MalformedRequest(f"The body is not JSON in UTF-8 ({error}).") from None
    if not isinstance(document, dict):
        raise MalformedRequest('The body must be a JSON object: {"request": {…}}.')
    # So few brackets open no more levels than are allowed.
    if body.count(b"{") + body.count(b"[") >= MOST_DEPTH and is_too_deep(document):
        raise MalformedRequest("The body is nested too deeply.")
    _check_names(document)
    is_wrapped = "request" in document
    arguments = document["request"] if is_wrapped else document
    if not isinstance(arguments, dict):
        raise MalformedRequest('"request" must be a JSON object.')
    _check_names(arguments)
    for each in _push_devices(arguments):
        _check_names(each)
    # A second scope around the one that is checked, or within it, would be read by somebody.
    if is_wrapped and ("request" in arguments or any(name in document for name in SCOPE if name != "request")):
        raise MalformedRequest('Whom a call is about stands in "request", and only once.')
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


class _Ambiguous(dict[str, Any]):
    """A JSON object in which names stand more than once, those in `twice`; the last of each counts here."""

    __slots__ = ("twice",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        times = Counter(name for name, _value in pairs)
        self.twice = frozenset(name for name, number in times.items() if number > 1)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Ambiguous(pairs)


def _check_names(names: Mapping[str, Any]) -> None:
    """Raises `MalformedRequest` where a parser less strict, or otherwise strict, could see another scope than we do.

    Some take "HWID" for "hwid"; some drop what is no letter for them; of a name that stands twice some take the first.
    """
    for name in names:
        # A long name is not worth the room to remember it.
        meant = _meant(name) if len(name) <= LONGEST_NAME else _meant.__wrapped__(name)
        if meant is not None and meant != name:
            raise MalformedRequest(f'Write "{meant}" as it is written here; upper and lower case count.')
    for name in getattr(names, "twice", ()):
        if name in SCOPE:
            raise MalformedRequest(f'"{name}" stands twice in the body; which one counts is anybody’s guess.')


@lru_cache(maxsize=1024)
def _meant(name: str) -> str | None:
    """The name of the scope that somebody may take a name for."""
    return _SCOPE.get(name) or _SCOPE.get(_LETTERS.sub("", name.casefold()))


def _push_devices(arguments: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = arguments.get("push_devices")
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
