"""Deletes what has ended long ago, at once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from django_pushwoosh.delivery.retention import purge


class Command(BaseCommand):
    help = 'Delete what has ended longer ago than PUSHWOOSH["RETENTION"] keeps it. It may be stopped at any time.'

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--database", help="the alias of the database to tidy (default: the routers')")

    def handle(self, *args: Any, database: str | None = None, **options: Any) -> None:
        rows = purge(now=timezone.now(), using=database).rows
        told = ", ".join(f"{count} × {name}" for name, count in sorted(rows.items()))
        self.stdout.write(f"Deleted: {told or 'nothing, there was nothing old'}.")
