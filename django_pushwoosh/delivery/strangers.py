"""What the outbox holds for others: a copy of a database that was brought up elsewhere leaves it alone, and says so.

An entry belongs to the application and API root that it was written for. Where the settings name neither, it waits.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count

from django_pushwoosh.delivery import outbox
from django_pushwoosh.models import OutboxEntry

logger = logging.getLogger("django_pushwoosh")

TOLD_EVERY = timedelta(minutes=5)

_told: dict[str, datetime] = {}
"""When this process last looked, by database."""


@dataclass(frozen=True, slots=True)
class Strangers:
    """What waits for one application at one API root that the settings do not name; `messages` are among `entries`."""

    application: str
    api_root: str
    entries: int
    messages: int

    def __str__(self) -> str:
        messages = f", {self.messages} of them of messages" if self.messages else ""
        return f"{self.entries} entries for {self.application} at {self.api_root}{messages}"


def found(using: str, message: int | None = None) -> list[Strangers]:
    """What waits and is not ours, the most first; of one message, if its key is given."""
    waiting = OutboxEntry.objects.using(using).unsettled().exclude(outbox.ours())
    if message is not None:
        waiting = waiting.filter(dispatch__message=message)
    counted = (
        waiting.order_by()
        .values("application", "api_root")
        .annotate(entries=Count("pk"), messages=Count("dispatch"))
        .order_by("-entries", "application", "api_root")
    )
    return [Strangers(**each) for each in counted]


def told(strangers: Iterable[Strangers]) -> str:
    """Why nothing is sent, in words; empty where there are none."""
    listed = "; ".join(map(str, strangers))
    if not listed:
        return ""
    return (
        f"The outbox holds what was written for other applications or API roots than PUSHWOOSH names: {listed}. It is "
        "not sent from here. Was this database copied from somewhere else?"
    )


def mention(using: str, now: datetime) -> None:
    """Say it in the log, at most every few minutes in a process."""
    last = _told.get(using)
    if last is not None and timedelta() <= now - last < TOLD_EVERY:
        return
    _told[using] = now
    if words := told(found(using)):
        logger.warning("%s", words)
