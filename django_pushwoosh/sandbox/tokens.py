"""Who may ask what: the API token as `auth` in the body, the device token in the header, neither for the other."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from django_pushwoosh.sandbox.answering import Refused
from django_pushwoosh.sandbox.state import Application, State


class BadAuthorization(Exception):
    """The `Authorization` header is missing or wrong: HTTP 401."""


def application_of_server(state: State, arguments: Mapping[str, Any], *, is_named: bool) -> Application:
    """The application that an API token opens; `is_named` where the call has to name it.

    Raises `Refused` with the documents' texts.
    """
    auth = arguments.get("auth")
    if not isinstance(auth, str) or not auth:
        raise Refused("API token or application is not set")
    owners = [each for each in state.applications.values() if _is_same(each.api_token, auth)]
    if not owners:
        raise Refused("Account not found")
    if not is_named:
        return owners[0]
    named = application_of(state, arguments)
    if named not in owners:
        raise Refused("Access denied or application not found")
    return named


def application_of(state: State, arguments: Mapping[str, Any]) -> Application:
    """The application that a call names. Raises `Refused`."""
    code = arguments.get("application")
    if not isinstance(code, str) or not code:
        raise Refused("API token or application is not set")
    found = state.applications.get(code)
    if found is None:
        raise Refused("Application not found")
    return found


def check_device_token(application: Application, authorization: str | None, *, is_required: bool) -> None:
    """Check the header of a device call. Raises `BadAuthorization`.

    An SDK without a token says `Token null`, `Token (null)` or `Token`, which count as no token.
    """
    scheme, _, token = (authorization or "").strip().partition(" ")
    token = token.strip()
    if not scheme or (scheme.lower() == "token" and token in ("", "null", "(null)")):
        if is_required:
            raise BadAuthorization
        return
    if scheme.lower() != "token" or not _is_same(application.device_token, token):
        raise BadAuthorization


def _is_same(token: str, given: str) -> bool:
    return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), given.encode("utf-8", "surrogatepass"))
