"""Sends messages while somebody waits for the answer, in the caller's thread and by the outbox's books.

The entries are written as held and begun before the request leaves, so a death in between is judged as a worker's is.
What is known not to have happened ends here, for the caller decides anew; what nobody knows goes again by its method's
rule, like every message.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence

from django.db import DatabaseError, InterfaceError, router
from django.utils import timezone

from django_pushwoosh.conf import Application
from django_pushwoosh.delivery import connection
from django_pushwoosh.delivery.batching import Batch, Kind, request_of
from django_pushwoosh.delivery.discretion import told_without_values
from django_pushwoosh.delivery.settling import Settler, Success
from django_pushwoosh.models import OutboxEntry
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.errors import CallError, OutcomeUnknown

logger = logging.getLogger("django_pushwoosh")


def send(entries: Sequence[OutboxEntry], application: Application, leave: connection.Leave) -> Answer:
    """Make the one request that held entries are, and settle them. Raises `CallError`."""
    held = list(entries)
    batch = request_of(held, application) if len(held) > 1 else Batch(Kind.SINGLE, application, held[0].call, held)
    using = held[0]._state.db or router.db_for_write(OutboxEntry)
    settler = Settler(using, timezone.now, random.Random())  # noqa: S311
    started = held[0].begun_at or timezone.now()
    try:
        answer = connection.send(batch.call, application)
        result = connection.read(batch.call, answer)
    except CallError as error:
        connection.leave(leave, error)
        settle = settler.failed if isinstance(error, OutcomeUnknown) else settler.told
        settle(batch, error, started)
        raise
    connection.leave(leave, None)
    try:
        settler.sent(Success(batch, answer, result, started))
    except (DatabaseError, InterfaceError) as error:
        # What Pushwoosh said is known, and told; the lease's end brings the entries back, with the same ids.
        logger.error("%s was sent, and could not be written down: %s", held[0], told_without_values(error))
    return answer
