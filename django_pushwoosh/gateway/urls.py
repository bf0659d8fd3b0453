"""`path("pushwoosh/", include("django_pushwoosh.gateway.urls"))`: everything below that address is the gateway's.

SDKs put the method behind whatever address they were given, so the last segment of the path is the method, and a wrong
address gets an envelope too. Included at the site's root, where the other addresses are the host's, the gateway takes
those two that Pushwoosh itself has, and methods right at the root.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.urls import get_resolver, get_urlconf, re_path
from django.urls.resolvers import LocalePrefixPattern, RegexPattern, URLPattern, URLResolver

from django_pushwoosh.gateway.views import view
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.methods import AskedBy

_AT_ROOT = "|".join(sorted(method.name for method in METHODS.values() if method.asked_by is AskedBy.SDK))


class BelowAPrefix(RegexPattern):
    """Matches whatever is left of a path, unless the gateway is included at the site's root somewhere."""

    def match(self, path: str) -> Any:
        return None if _is_at_root(get_resolver(get_urlconf())) else super().match(path)


@lru_cache(maxsize=16)
def _is_at_root(resolver: URLResolver) -> bool:
    """Whether the gateway is reached from a resolver without any prefix."""
    for each in resolver.url_patterns:
        if not isinstance(each, URLResolver) or not _may_be_empty(each.pattern):
            continue
        if each.url_patterns is urlpatterns or _is_at_root(each):
            return True
    return False


def _may_be_empty(pattern: Any) -> bool:
    # What stands for a language may be nothing, depending on who asks.
    return isinstance(pattern, LocalePrefixPattern) or pattern.match("") is not None


urlpatterns = [
    re_path(r"^json/1\.3(?:/(?P<method>[\s\S]*))?\Z", view, name="pushwoosh-gateway"),
    re_path(r"^api/v2/device-api(?:/(?P<method>[\s\S]*))?\Z", view, name="pushwoosh-gateway-v2"),
    re_path(rf"^(?P<method>{_AT_ROOT})/?\Z", view, name="pushwoosh-gateway-method"),
    URLPattern(BelowAPrefix(r"^(?P<method>[\s\S]*)\Z", is_endpoint=True), view),
]
