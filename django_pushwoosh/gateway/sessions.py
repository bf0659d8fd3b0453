"""The site's own login for the web SDK, which can send no CSRF token: browsers say truly where a call comes from."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.authentication import CSRFCheck, SessionAuthentication
from rest_framework.exceptions import PermissionDenied


class SiteSession(SessionAuthentication):
    """The session's cookie, from pages of the site itself and of `CSRF_TRUSTED_ORIGINS`; from others it is refused.

    What says nothing of its origin is no browser's `fetch`, and is refused too.
    """

    def enforce_csrf(self, request: Any) -> None:
        asked = request._request
        # Django's own comparison, which knows proxies and trusted subdomains.
        check: Any = CSRFCheck(lambda _request: HttpResponse())
        if not asked.META.get("HTTP_ORIGIN") or not check._origin_verified(asked):
            raise PermissionDenied("CSRF Failed: another site's page.")
