"""Celery tasks: wake-ups only, the truth is in the outbox."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from django_pushwoosh.delivery.poller import poll
from django_pushwoosh.delivery.retention import purge as delete_old
from django_pushwoosh.delivery.worker import Worker

LINGER_SECONDS = 5.0
"""How long a task stays on for a slot under the cap, or a report, that it knows to come."""
LONGEST_SECONDS = 60.0
"""Well below any time limit and visibility timeout; where more is due, the next task goes on."""


@shared_task(name="django_pushwoosh.drain", ignore_result=True, acks_late=True, reject_on_worker_lost=True)
def drain() -> int:
    """Deliver what is due: on a wake-up, and periodically for the wake-ups that were lost."""
    worker = Worker()
    taken = worker.drain(LINGER_SECONDS, LONGEST_SECONDS)
    if worker.is_cut_short:
        drain.delay()
    return taken


@shared_task(name="django_pushwoosh.follow", ignore_result=True, acks_late=True, reject_on_worker_lost=True)
def follow() -> int:
    """Ask what became of what was accepted."""
    return poll(now=timezone.now())


@shared_task(name="django_pushwoosh.purge", ignore_result=True, acks_late=True, reject_on_worker_lost=True)
def purge() -> int:
    """Delete some of what has ended long ago; what is left over waits for the next time."""
    return delete_old(now=timezone.now(), seconds=60).total
