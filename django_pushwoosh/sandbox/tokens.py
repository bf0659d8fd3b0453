"""Who may ask what: the API token as `auth` in the body, the device token in the header, neither for the other."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from django_pushwoosh.protocol.methods import Method, Token
from django_pushwoosh.sandbox.answering import FORBIDDEN, Refused
from django_pushwoosh.sandbox.state import Application, State


class BadAuthorization(Exception):
    """The token is missing, wrong or of the other kind: HTTP 401."""


def opened(state: State, row: Method, arguments: Mapping[str, Any], authorization: str | None) -> Application | None:
    """The application that a call's token opens; `None` where no token is asked for.

    Raises `Refused` and `BadAuthorization`.
    """
    if row.token is Token.NONE:
        return None
    if row.token is Token.API:
        is_group = "applications_group" in arguments and row.name == "createMessage"
        if is_group and "application" in arguments:
            # Unverified against Pushwoosh: a group comes "instead of" an application, so both are refused.
            raise Refused("Give application or applications_group, not both")
        found = application_of_server(state, arguments, is_named=row.application_required and not is_group)
    else:
        found = application_of(state, arguments)
        # Unverified against Pushwoosh: where the documents show no token, none is asked for (`requires_device_token`).
        is_required = state.options.requires_device_token or row.token_required
        check_device_token(found, authorization, is_required=is_required)
    if row.name in found.forbidden:
        # Unverified against Pushwoosh: the documents name the text, and 403 for both layers of status.
        raise Refused(FORBIDDEN, status_code=403)
    return found


def application_of_server(state: State, arguments: Mapping[str, Any], *, is_named: bool) -> Application:
    """The application that an API token opens; `is_named` where the call has to name it.

    Raises `Refused` with the documents' texts, and `BadAuthorization` for a device token.
    """
    auth = arguments.get("auth")
    if not isinstance(auth, str) or not auth:
        raise Refused("API token or application is not set")
    owners = [each for each in state.applications.values() if _is_same(each.api_token, auth)]
    if not owners and any(_is_same(each.device_token, auth) for each in state.applications.values()):
        # Unverified against Pushwoosh: a device token where an API token belongs is the wrong kind of token.
        raise BadAuthorization
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
