"""Drains the outbox without Celery."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections
from django.utils import timezone

from django_pushwoosh.delivery.poller import poll
from django_pushwoosh.delivery.worker import Worker

POLL_SECONDS = 5.0


class Command(BaseCommand):
    help = (
        "Deliver what the outbox holds, until SIGTERM or Ctrl-C; the call in flight is finished first. "
        'Several may run. Set PUSHWOOSH["ENGINE"] to "command" so that no wake-ups are sent to a broker.'
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--interval", type=float, default=1.0, help="seconds between two looks (default 1)")
        parser.add_argument(
            "--database", help="the alias of the database whose outbox to drain (default: the routers')"
        )
        parser.add_argument("--once", action="store_true", help="deliver what is due and end")

    def handle(self, *args: Any, interval: float, once: bool, database: str | None = None, **options: Any) -> None:
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        worker = Worker(using=database, is_ended=ended.is_set)
        since_poll = POLL_SECONDS
        self.stdout.write("Delivering; Ctrl-C ends it.")
        self.stdout.flush()
        while True:
            worker.drain()
            if once or since_poll >= POLL_SECONDS:
                poll(now=timezone.now(), using=database)
                since_poll = 0.0
            if once or ended.wait(interval):
                return
            since_poll += interval
            close_old_connections()
