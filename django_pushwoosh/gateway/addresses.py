"""Addresses: the gateway's own, as a browser reaches it, and the caller's."""

from __future__ import annotations

import ipaddress

from django.http import HttpRequest
from django.utils.encoding import escape_uri_path

from django_pushwoosh.conf import settings


def own_address(request: HttpRequest, method: str) -> str:
    """Where another method is called by whoever made this request, with scheme and host: pages have another origin."""
    root = settings.gateway_url
    if not root:
        path = request.path.rstrip("/").rpartition("/")[0]
        root = f"{request.scheme}://{request.get_host()}{escape_uri_path(path)}"
    return f"{root}/{method}"


def caller_of(request: HttpRequest, trusted_proxies: int) -> str:
    """The caller's address as the outermost trusted proxy saw it; whatever that wrote, where it is none."""
    address = str(request.META.get("REMOTE_ADDR") or "")
    if trusted_proxies > 0:
        # What stands further left was written by the caller, who may write anything.
        named = [each.strip() for each in request.headers.get("X-Forwarded-For", "").split(",") if each.strip()]
        if named:
            address = named[-min(trusted_proxies, len(named))]
    return address


def forwarded_for(request: HttpRequest) -> dict[str, str]:
    """The header by which Pushwoosh learns the caller's address, if it is to, and if there is one."""
    if not settings.tells_address:
        return {}
    written = caller_of(request, settings.throttle.trusted_proxies)
    try:
        # A zone ("%eth0") says nothing elsewhere, and may be any text.
        address = ipaddress.ip_address(written.partition("%")[0])
    except ValueError:
        return {}
    return {"X-Forwarded-For": str(getattr(address, "ipv4_mapped", None) or address)}
