"""How often one hwid, or one address, may call: REST framework's sliding window in the default cache."""

from __future__ import annotations

import ipaddress
import math
from hashlib import sha256

from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.http import HttpRequest
from rest_framework.throttling import SimpleRateThrottle

from django_pushwoosh.gateway.addresses import caller_of

Rate = tuple[int, int]
"""Calls, and the seconds in which they may be made."""


class CallerThrottle(SimpleRateThrottle):
    """Counts the calls of one caller; `timer` is the clock."""

    rate = "as the settings name it"
    """Never read: REST framework would take the numbers out of a text anew at every call."""

    def __init__(self, scope: str, caller: str, rate: Rate) -> None:
        self.scope = scope
        self.caller = caller
        self.num_requests, self.duration = rate
        # Found once, and not for each word that is said to it.
        self.cache = caches[DEFAULT_CACHE_ALIAS]

    def get_cache_key(self, request: object = None, view: object = None) -> str:
        # Hashed: a hwid may be a telephone number, or hold what a cache takes for a key's end.
        named = sha256(self.caller.encode("utf-8", "surrogatepass")).hexdigest()
        return f"django_pushwoosh:{self.scope}:{named}"

    def retry_after(self) -> int | None:
        """Count one call: `None` if it may be made, else the seconds until one may."""
        if self.allow_request(None, None):  # type: ignore[arg-type]
            return None
        return max(1, math.ceil(self.wait() or 1))


def address_of(request: HttpRequest, trusted_proxies: int) -> str:
    """Whom the calls of an address count for: of IPv6 it is the /64 network, which is one host's."""
    address = caller_of(request, trusted_proxies)
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
