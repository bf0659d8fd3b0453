"""Shows the outbox at a glance."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import router
from django.utils import timezone

from django_pushwoosh.delivery import strangers
from django_pushwoosh.delivery.overview import Overview, overview
from django_pushwoosh.models import OutboxEntry


class Command(BaseCommand):
    help = "Show what waits in the outbox, what has come to nothing, and what keeps it from being sent."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for machines")
        parser.add_argument("--database", help="the alias of the database to look into (default: the routers')")

    def handle(self, *args: Any, database: str | None = None, **options: Any) -> None:
        found = overview(database or router.db_for_read(OutboxEntry))
        self.stdout.write(json.dumps(_document(found), indent=2) if options["json"] else _text(found, timezone.now()))


def _document(found: Overview) -> dict[str, Any]:
    return {
        "by_status": found.by_status,
        "waiting": [
            {
                "application": each.application,
                "lane": each.lane.name.lower(),
                "entries": each.entries,
                "oldest_due_at": each.oldest_due_at.isoformat(),
            }
            for each in found.waiting
        ],
        "pauses": [
            {"application": each.application, "since": each.since.isoformat(), "reason": each.reason}
            for each in found.pauses
        ],
        "is_paused_by_settings": found.is_paused_by_settings,
        "strangers": [asdict(each) for each in found.strangers],
    }


def _text(found: Overview, now: datetime) -> str:
    lines = [f"{status:>10}  {count}" for status, count in sorted(found.by_status.items())] or ["The outbox is empty."]
    for each in found.waiting:
        behind = max(0, int((now - each.oldest_due_at).total_seconds()))
        lines.append(f"{each.application}, {each.lane.label}: {each.entries} wait, the first is due for {behind} s")
    if found.is_paused_by_settings:
        lines.append("Everything is paused by PUSHWOOSH['PAUSED'].")
    lines += [f"Paused since {each.since:%Y-%m-%d %H:%M}: {each}: {each.reason}" for each in found.pauses]
    if words := strangers.told(found.strangers):
        lines.append(words)
    return "\n".join(lines)
