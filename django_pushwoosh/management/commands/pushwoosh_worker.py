"""Drains the outbox without Celery."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone

from django_pushwoosh.delivery.assistant import Assistant
from django_pushwoosh.delivery.discretion import told_without_values
from django_pushwoosh.delivery.poller import poll
from django_pushwoosh.delivery.retention import purge
from django_pushwoosh.delivery.worker import Worker

logger = logging.getLogger("django_pushwoosh")

POLL_SECONDS = 5.0
LINGER_SECONDS = 5.0
"""How long a drain stays on for a slot under the cap, or a report, that it knows to come."""
LONGEST_SECONDS = 10.0
"""Of one drain, so that reports of jobs are asked for under a load that never ends."""
PURGE_SECONDS = 3600.0
"""Between two looks for what is to be deleted for its age."""
PURGED_FOR_SECONDS = 1.0
"""At a time, lest what waits to be delivered wait for that."""


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
        self.stdout.write("Delivering; Ctrl-C ends it.")
        self.stdout.flush()
        if once:
            Worker(using=database, is_ended=ended.is_set).drain()
            poll(now=timezone.now(), using=database)
            return
        with Assistant(using=database, is_ended=ended.is_set) as assistant:
            worker = Worker(using=database, is_ended=ended.is_set, on_many=assistant.call)
            self._deliver(worker, ended, interval, database)

    def _deliver(self, worker: Worker, ended: threading.Event, interval: float, database: str | None) -> None:
        polled_at = -math.inf
        purged_at: float | None = None
        while True:
            try:
                worker.drain(LINGER_SECONDS, LONGEST_SECONDS)
                if time.monotonic() - polled_at >= POLL_SECONDS:
                    poll(now=timezone.now(), using=database)
                    polled_at = time.monotonic()
                if purged_at is None or time.monotonic() - purged_at >= PURGE_SECONDS:
                    is_done = purge(
                        now=timezone.now(), using=database, seconds=PURGED_FOR_SECONDS, is_ended=ended.is_set
                    ).is_done
                    purged_at = time.monotonic() if is_done else None
            except (DatabaseError, InterfaceError) as error:
                # A restart, a failover: what waits is in the database, and so is there when that is back.
                logger.error("The database failed; the worker goes on: %s", told_without_values(error))
            if ended.wait(0.0 if worker.is_cut_short else interval):
                return
            close_old_connections()
