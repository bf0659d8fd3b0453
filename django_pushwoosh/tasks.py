"""Celery tasks: wake-ups only, the truth is in the outbox."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from django_pushwoosh.delivery.poller import poll
from django_pushwoosh.delivery.worker import Worker


@shared_task(name="django_pushwoosh.drain", ignore_result=True, acks_late=True, reject_on_worker_lost=True)
def drain() -> int:
    """Deliver what is due: on a wake-up, and periodically for the wake-ups that were lost."""
    return Worker().drain()


@shared_task(name="django_pushwoosh.follow", ignore_result=True, acks_late=True, reject_on_worker_lost=True)
def follow() -> int:
    """Ask what became of what was accepted."""
    return poll(now=timezone.now())
