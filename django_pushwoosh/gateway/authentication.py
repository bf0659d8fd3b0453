"""Who calls: by the gateway's secret, and by the host's own REST framework authentication classes.

`Authorization: Token …` is Pushwoosh's word between SDKs and us (`lending` reads it). The host's classes never see it:
credentials for them come in a header of their own, which SDKs add by `setReverseProxy(url, headers)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth import SESSION_KEY, get_user_model
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.module_loading import import_string
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from django_pushwoosh.conf import Speakers, settings
from django_pushwoosh.gateway.parsers import TooLarge, read
from django_pushwoosh.gateway.renderers import Refused
from django_pushwoosh.gateway.sessions import SiteSession
from django_pushwoosh.protocol.envelope import MalformedRequest

ASKED_IN_A_DIALOG = ("basic", "digest", "negotiate", "ntlm")
"""Challenges that a browser answers by asking the page's visitor for a password."""


@dataclass(frozen=True, slots=True)
class Caller:
    """`user` is whom the host's classes know, a Django user as a rule."""

    user: Any = field(default=None, repr=False)
    holds_secret: bool = False

    @property
    def is_trusted(self) -> bool:
        return self.holds_secret or self.user is not None

    @property
    def django_user(self) -> Any:
        """The user where it is a row of the user model: a token's claims alone may make another kind."""
        is_row = isinstance(self.user, get_user_model()) and self.user.pk is not None
        return self.user if is_row else None


class Said(BaseParser):
    """Gives a class that looks at `request.data` the call's arguments, whatever its content type says."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        try:
            return read((parser_context or {})["request"]._request).arguments
        except MalformedRequest as error:
            raise exceptions.ParseError(str(error)) from None


def identify(request: HttpRequest) -> Caller:
    """Who calls. Raises `Refused` (401, 403) where the secret or the credentials are wrong, or required and missing."""
    rules = settings.speakers
    holds_secret = _holds_secret(request, rules)
    is_asked = bool(rules.authentication) or rules.is_authentication_required
    return Caller(_user_of(request, rules) if is_asked else None, holds_secret)


def _holds_secret(request: HttpRequest, rules: Speakers) -> bool:
    given = request.headers.get(rules.secret_header, "").strip() if rules.secrets else ""
    if given:
        # Each is compared, so that the time tells nothing; an empty one opens nothing.
        matches = [constant_time_compare(given, secret) and bool(secret) for secret in rules.secrets]
        if any(matches):
            return True
        raise Refused(401, f"The gateway's secret in {rules.secret_header} is wrong: check the SDK's headers.")
    if rules.is_secret_required:
        raise Refused(401, f"This gateway asks for a secret: set the header {rules.secret_header} in the SDK.")
    return False


def _user_of(request: HttpRequest, rules: Speakers) -> Any:
    """The user that the host's classes find, or `None`. Raises `Refused`."""
    try:
        # A class may look into the body, which can be read once.
        read(request)
    except TooLarge as error:
        raise Refused(413, str(error)) from None
    except MalformedRequest:
        # The view says it better.
        pass
    session = getattr(request, "session", None)
    was_read = bool(getattr(session, "accessed", False))
    with _in_the_hosts_words(request, rules.credentials_header):
        classes = [import_string(each) if isinstance(each, str) else each for each in rules.authentication]
        asked = Request(
            request,
            parsers=[Said()],
            authenticators=[each() for each in classes],
            negotiator=DefaultContentNegotiation(),
        )
        try:
            user = asked.user
            by = asked.successful_authenticator
            if by is not None and user is not None:
                # Of a session that was read before, nobody knows why.
                is_session = not was_read and getattr(session, "accessed", False)
                _check_csrf(asked, by, is_session=is_session and _is_of_session(session, user))
        except exceptions.APIException as error:
            raise _refusal_of(error, asked) from None
        except PermissionDenied:
            raise Refused(403, "The authentication classes of this gateway do not let this call in.") from None
        except Http404:
            raise _unauthorized("The credentials are not known here.", asked) from None
        if by is None or user is None or not getattr(user, "is_authenticated", False):
            if rules.is_authentication_required:
                told = f"This gateway asks who calls: send credentials in the header {rules.credentials_header}."
                raise _unauthorized(told, asked)
            return None
        if not getattr(user, "is_active", True):
            raise _unauthorized("The credentials are not valid any more.", asked)
        return user


@contextmanager
def _in_the_hosts_words(request: HttpRequest, header: str) -> Iterator[None]:
    """Lets classes read what SDKs send in `header` as `Authorization`, and no `Token …` that is meant for Pushwoosh.

    REST framework's own `TokenAuthentication` has the same keyword, and would refuse every SDK's `Token null`.
    """
    sent = request.META.get("HTTP_AUTHORIZATION")
    own = request.headers.get(header)
    if own is None and sent is not None and sent.split(" ")[0].strip().lower() != "token":
        own = sent
    try:
        _set_authorization(request, own)
        yield
    finally:
        _set_authorization(request, sent)


def _set_authorization(request: HttpRequest, value: str | None) -> None:
    if value is None:
        request.META.pop("HTTP_AUTHORIZATION", None)
    else:
        request.META["HTTP_AUTHORIZATION"] = value
    # Django remembers what it has read.
    request.__dict__.pop("headers", None)


def _is_of_session(session: Any, user: Any) -> bool:
    return session.get(SESSION_KEY) == str(user.pk)  # type: ignore[no-any-return]


def _check_csrf(asked: Request, by: Any, *, is_session: bool) -> None:
    """Any page can send the session's cookie here: it counts only with Django's proof that the page is the site's.

    The view itself is exempt, and a class that the host made lax, or that reads the session on its own, asks nobody.
    """
    if isinstance(by, SiteSession):
        # It has looked at the page's origin.
        return
    if isinstance(by, SessionAuthentication) or is_session:
        SessionAuthentication.enforce_csrf(by, asked)


def _refusal_of(error: exceptions.APIException, asked: Request) -> Refused:
    """What a class's exception is to the SDK. Its words are left out: they are the host's, and may tell too much."""
    if isinstance(error, exceptions.Throttled):
        seconds = max(1, int(getattr(error, "wait", None) or 1))
        return Refused(429, f"Too many attempts: try again in {seconds} s.", Retry_After=str(seconds))
    if isinstance(error, exceptions.PermissionDenied):
        return Refused(
            403,
            "The credentials were not accepted. With a session's cookie the CSRF token has to come along, or the call "
            "from a page of the site (see SiteSession in docs/gateway.md).",
        )
    if error.status_code >= 500:
        return Refused(503, "Who calls cannot be checked at the moment: try again later.")
    return _unauthorized("The credentials are wrong or have expired: get new ones.", asked)


def _unauthorized(told: str, asked: Request) -> Refused:
    first = asked.authenticators[0] if asked.authenticators else None
    challenge = first.authenticate_header(asked) if isinstance(first, BaseAuthentication) else None
    if not challenge or str(challenge).split(" ")[0].lower() in ASKED_IN_A_DIALOG:
        return Refused(401, told)
    return Refused(401, told, WWW_Authenticate=str(challenge))
