"""Who may come in to the server gateway: what the project's REST framework classes say, and never everybody.

`ServerView` asks them; everything else of it is Pushwoosh's wire.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from django.utils.module_loading import import_string
from rest_framework import permissions
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed, MethodNotAllowed, NotAuthenticated, Throttled
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from django_pushwoosh.conf import settings
from django_pushwoosh.delivery.discretion import told_without_values
from django_pushwoosh.gateway.renderers import Refused, envelope

logger = logging.getLogger("django_pushwoosh.gateway")


class ServerView(APIView):
    """Asks the caller who it is by the project's REST framework; everything else is Pushwoosh's wire.

    The settings are read at each request. Parsers, renderers, versions and exception handlers of the project have no
    say: bodies and answers have one shape.
    """

    parser_classes = []
    renderer_classes = []
    versioning_class = None
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.perform_authentication(request)
        self.check_permissions(request)
        self.check_throttles(request)

    def get_authenticators(self) -> list[BaseAuthentication]:
        return [each() for each in authentication_classes()]

    def get_permissions(self) -> list[Any]:
        return [each() for each in permission_classes()]

    def get_throttles(self) -> list[BaseThrottle]:
        classes: list[Any] = list(api_settings.DEFAULT_THROTTLE_CLASSES)
        return [each() for each in classes]

    def check_permissions(self, request: Request) -> None:
        reason = closed_because()
        if reason:
            raise Refused(403, f"The server gateway is closed: {reason}")
        super().check_permissions(request)
        is_known = request.auth is not None or bool(getattr(request.user, "is_authenticated", False))
        if not is_known and not _has_own(permission_classes()):
            # REST framework's own classes judge a user; without one they would let anybody read.
            raise NotAuthenticated

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {}

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        return envelope(200, Allow=", ".join(self.allowed_methods))

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        """Every error becomes an envelope."""
        match exc:
            case Refused():
                return exc.render()
            case NotAuthenticated() | AuthenticationFailed():
                challenge = self.get_authenticate_header(self.request)
                if challenge:
                    return envelope(401, str(exc.detail), WWW_Authenticate=challenge)
                return envelope(403, str(exc.detail))
            case Throttled():
                wait = max(1, math.ceil(getattr(exc, "wait", None) or 1))
                return envelope(429, f"Too many requests: try again in {wait} s.", Retry_After=str(wait))
            case MethodNotAllowed():
                return envelope(405, str(exc.detail), Allow=", ".join(self.allowed_methods))
            case APIException() if 400 <= exc.status_code < 500:
                return envelope(exc.status_code, str(exc.detail))
            case DjangoPermissionDenied():
                return envelope(403, "You may not do this.")
            case OperationalError() | InterfaceError():
                logger.error("The server gateway's database does not work: %s", told_without_values(exc))
                return envelope(503, "The gateway cannot store messages at the moment: try again later.")
        logger.error("The server gateway crashed: %s", told_without_values(exc))
        return envelope(500, "The gateway failed at this call; its log says where.")


def authentication_classes() -> list[Any]:
    """The classes that say who the caller is."""
    named = settings.server_gateway.authentication
    return list(api_settings.DEFAULT_AUTHENTICATION_CLASSES) if named is None else [import_string(x) for x in named]


def permission_classes() -> list[Any]:
    """The classes that say who may come in."""
    named = settings.server_gateway.permissions
    return list(api_settings.DEFAULT_PERMISSION_CLASSES) if named is None else [import_string(x) for x in named]


def closed_because() -> str:
    """Why nobody is let in, empty if somebody may be: a gateway that asks nobody anything stays shut."""
    allowed = permission_classes()
    if all(each is permissions.AllowAny for each in allowed):
        return (
            'set PUSHWOOSH["SERVER_GATEWAY"]["PERMISSIONS"], or REST_FRAMEWORK["DEFAULT_PERMISSION_CLASSES"]; '
            "AllowAny is not taken."
        )
    if not authentication_classes() and not _has_own(allowed):
        return (
            'set PUSHWOOSH["SERVER_GATEWAY"]["AUTHENTICATION"], or REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"]; '
            "there is no way to say who one is."
        )
    return ""


def wide_because() -> str:
    """Why rather many may send, empty if that was said on purpose: customers can log in too."""
    if settings.server_gateway.permissions is None and permission_classes() == [permissions.IsAuthenticated]:
        return 'REST_FRAMEWORK["DEFAULT_PERMISSION_CLASSES"] is IsAuthenticated, and nothing else was said.'
    return ""


def _has_own(classes: Sequence[Any]) -> bool:
    """Whether one of the permissions is the project's own: it may know callers by other means than a user."""
    return any(getattr(each, "__module__", "") != permissions.__name__ for each in classes)
