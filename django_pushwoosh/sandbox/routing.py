"""Which method a request means, and the arguments it brings. Hosts do not matter, paths do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.envelope import is_too_deep
from django_pushwoosh.protocol.methods import REMOTE, Body, Method, Shape
from django_pushwoosh.sandbox.answering import INVALID, Reply

MOST_BYTES = 20 * 1024 * 1024
"""The largest body that is read. Unverified against Pushwoosh: theirs is not documented."""

_CONTENT_TYPES = ("", "application/json", "text/plain")


@dataclass(frozen=True, slots=True)
class Route:
    """Where a call goes. `method` is `None` for what nobody knows."""

    name: str
    method: Method | None
    arguments: Mapping[str, Any]

    @property
    def is_bare(self) -> bool:
        return self.method is not None and self.method.answer is Shape.BARE


@dataclass(frozen=True, slots=True)
class Called:
    """A request as it was read: which method with which arguments, or why it is `refused` unread."""

    name: str
    method: Method | None
    arguments: Mapping[str, Any]
    refused: Reply | None = None
    is_bare: bool = False

    @property
    def application(self) -> str:
        """The application's code as the call names it, if it does."""
        code = self.arguments.get("application")
        return code if isinstance(code, str) else ""


class Malformed(Exception):
    """The body is not what a call looks like: HTTP 400."""


_EXACT = {method.path: method for method in METHODS.values() if method.body is not Body.URL}
# Unverified against Pushwoosh: behind a proxy, SDKs say setMADID, which has a host of its own, where they say all else.
_EXACT[REMOTE + "setMADID"] = METHODS["setMADID"]
_WITH_ID = {method.path.partition("{")[0]: method for method in METHODS.values() if method.body is Body.URL}


def read(verb: str, where: str, query: str, headers: Mapping[str, str], body: bytes, *, takes_unknown: bool) -> Called:
    """The call that a request makes. `takes_unknown` lets methods pass that nobody knows.

    Unverified against Pushwoosh: the statuses of an unknown path (404), a wrong verb (405) and a malformed body (400).
    """
    route = route_of(where, query)
    if route is None and takes_unknown and where.startswith(REMOTE) and "/" not in where.removeprefix(REMOTE):
        route = Route(where.removeprefix(REMOTE)[:64], None, {})
    if route is None:
        name = where.rsplit("/", 1)[-1][:64]
        return Called(name, None, {}, Reply(None, 404, f"Unknown method {name}", 404))
    if verb != (route.method.verb if route.method else "POST"):
        refused = Reply(None, 405, "Method not allowed", 405)
        return Called(route.name, route.method, {}, refused, route.is_bare)
    try:
        arguments = {**arguments_of(route, headers, body), **route.arguments}
    except Malformed as error:
        status = 413 if len(body) > MOST_BYTES else 400
        refused = Reply(None, status, str(error), status, INVALID if route.is_bare else None)
        return Called(route.name, route.method, {}, refused, route.is_bare)
    return Called(route.name, route.method, arguments, None, route.is_bare)


def route_of(where: str, query: str) -> Route | None:
    """The route of a path and its query, or `None`."""
    method = _EXACT.get(where)
    if method is not None:
        return Route(method.name, method, {})
    for start, candidate in _WITH_ID.items():
        if where.startswith(start) and len(where) > len(start):
            given = parse_qs(query) if query.count("&") < 20 else {}
            is_detailed = given.get("detailed", [""])[-1].lower() in ("true", "1")
            return Route(candidate.name, candidate, {"request_id": where[len(start) :], "detailed": is_detailed})
    return None


def arguments_of(route: Route, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The call's arguments out of its body. Raises `Malformed`."""
    if route.method is not None and route.method.body is Body.URL:
        return {}
    if len(body) > MOST_BYTES:
        raise Malformed("Content too large")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _CONTENT_TYPES:
        raise Malformed("Bad request: send application/json or text/plain")
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Malformed("Bad request") from None
    if is_too_deep(document):
        raise Malformed("Bad request")
    is_flat = route.method is not None and route.method.body is Body.FLAT
    arguments = document if is_flat else document.get("request") if isinstance(document, dict) else None
    if not isinstance(arguments, dict):
        raise Malformed("Bad request")
    return arguments


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
