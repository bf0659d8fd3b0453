"""Authentication classes as hosts write them, good and bad ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, TokenAuthentication

PRIVATE = "a-hosts-private-words"


def named(username: str) -> Any:
    user = get_user_model().objects.filter(username=username).first()
    if user is None:
        raise exceptions.AuthenticationFailed(PRIVATE)
    return user


class Keyword(TokenAuthentication):
    """REST framework's own, with the same keyword as the SDKs; the key is the user's name."""

    def authenticate_credentials(self, key: str) -> tuple[Any, Any]:
        return named(key), key


class Bearer(BaseAuthentication):
    def authenticate(self, request: Any) -> Any:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        return (named(key), key) if scheme == "Bearer" else None

    def authenticate_header(self, request: Any) -> str:
        return 'Bearer realm="shop"'


class Signed(BaseAuthentication):
    """Looks into the body."""

    def authenticate(self, request: Any) -> Any:
        return named(request.data["userId"]), None


class Stateless(BaseAuthentication):
    """A user that is no row, as a token's claims make one."""

    def authenticate(self, request: Any) -> Any:
        return SimpleNamespace(pk="claimed", is_authenticated=True, is_active=True), None


class Lax(SessionAuthentication):
    """As many a forum advises."""

    def enforce_csrf(self, request: Any) -> None:
        pass


class OwnSession(BaseAuthentication):
    def authenticate(self, request: Any) -> Any:
        user = request._request.user
        return (user, None) if user.is_authenticated else None


class Failing(BaseAuthentication):
    error: Exception = RuntimeError(PRIVATE)

    def authenticate(self, request: Any) -> Any:
        raise self.error


class NotFound(Failing):
    error = Http404(PRIVATE)


class Denied(Failing):
    error = PermissionDenied(PRIVATE)


class Exhausted(Failing):
    error = exceptions.Throttled(wait=7, detail=PRIVATE)


class Away(Failing):
    error = OperationalError(PRIVATE)


class Unavailable(Failing):
    error = exceptions.APIException(PRIVATE)


class Misspelled(Failing):
    error = AttributeError(PRIVATE)
