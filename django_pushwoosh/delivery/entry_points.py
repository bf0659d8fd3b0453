"""The addresses for page visits: Pushwoosh tells them to browsers, which hear the gateway's own in their place.

An address comes from the network and is called with our token, so it is taken from Pushwoosh alone: over TLS at one of
its hosts, or at the API root. It is looked at again before each use, for settings change and databases are copied.
"""

from __future__ import annotations

import logging
import re
from datetime import datetime, timedelta

from django.db import router

from django_pushwoosh.conf import Application
from django_pushwoosh.models import EntryPoint

logger = logging.getLogger("django_pushwoosh")

MOST_CHARACTERS = 2000
WRITTEN_EVERY = timedelta(hours=1)
"""What is known to be written is written again after this, in case that the database is another one by now."""

# Nothing that two readers of addresses could read in two ways: no user, no backslash, no other port.
_PUSHWOOSHS = re.compile(r"https://(?:[a-z0-9-]+\.)*pushwoosh\.com(?:/[!-\[\]-~]*)?")
_PATH = re.compile(r"/[!-\[\]-~]*")

_known: dict[tuple[str, str, str], tuple[str, datetime]] = {}
"""What this process has written, and when, by database, application and API root: pages ask for it at every visit."""


def is_acceptable(url: object, application: Application) -> bool:
    """Whether it is Pushwoosh's, so that a call and our token may go there."""
    if not isinstance(url, str) or len(url) > MOST_CHARACTERS:
        return False
    root = application.api_root
    return bool(_PUSHWOOSHS.fullmatch(url) or (url.startswith(f"{root}/") and _PATH.fullmatch(url.removeprefix(root))))


def note(url: object, application: Application, *, now: datetime, using: str | None = None) -> None:
    """Remember what getConfig told; what is not Pushwoosh's is left out."""
    using = using or router.db_for_write(EntryPoint)
    place = (using, application.code, application.api_root)
    known, written_at = _known.get(place, ("", now))
    if known == url and timedelta() <= now - written_at < WRITTEN_EVERY:
        return
    if not isinstance(url, str) or not is_acceptable(url, application):
        logger.warning("getConfig of %s tells an address for page visits that is not Pushwoosh's.", application.code)
        return
    EntryPoint.objects.using(using).update_or_create(
        application=application.code, defaults={"api_root": application.api_root, "url": url, "told_at": now}
    )
    _known[place] = url, now


def of(application: Application, using: str | None = None) -> str:
    """Where page visits go; empty if nobody was told yet, and the API root takes them."""
    told = EntryPoint.objects.using(using or router.db_for_read(EntryPoint))
    row = told.filter(application=application.code, api_root=application.api_root).first()
    return row.url if row is not None and is_acceptable(row.url, application) else ""


def forget_known() -> None:
    """Forget what this process has written, when its database starts anew."""
    _known.clear()
