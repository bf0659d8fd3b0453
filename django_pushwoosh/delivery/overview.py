"""The outbox at a glance: what waits, what has come to nothing, and why nothing moves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min

from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import outbox, strangers
from django_pushwoosh.delivery.strangers import Strangers
from django_pushwoosh.models import OutboxEntry, Pause


@dataclass(frozen=True, slots=True)
class Waiting:
    """Unsettled entries of one lane of one application of ours."""

    application: str
    lane: OutboxEntry.Lane
    entries: int
    oldest_due_at: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    """`by_status` counts all entries, `waiting` those of ours that are unsettled."""

    by_status: dict[str, int]
    waiting: list[Waiting]
    pauses: list[Pause]
    is_paused_by_settings: bool
    strangers: list[Strangers]


def overview(using: str) -> Overview:
    entries = OutboxEntry.objects.using(using)
    counted = entries.order_by().values_list("status").annotate(Count("pk"))
    waiting = (
        entries.unsettled()
        .filter(outbox.ours())
        .order_by()
        .values_list("application", "lane")
        .annotate(Count("pk"), Min("due_at"))
        .order_by("application", "lane")
    )
    return Overview(
        by_status=dict(counted),
        waiting=[Waiting(code, OutboxEntry.Lane(lane), count, due_at) for code, lane, count, due_at in waiting],
        pauses=list(Pause.objects.using(using)),
        is_paused_by_settings=settings.is_paused,
        strangers=strangers.found(using),
    )
