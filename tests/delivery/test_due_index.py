"""A look for what is due reads the index, whatever else the outbox holds; collected on PostgreSQL."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import outbox, worker
from django_pushwoosh.models import OutboxEntry
from django_pushwoosh.protocol.calls import Call
from tests.copies import copied

pytestmark = pytest.mark.django_db

LOOKS = {
    "urgent": worker.URGENT,
    "singles": worker.SINGLES,
    "last singles": worker.LAST_SINGLES,
    "small messages": worker.SMALL_MESSAGES,
    "last messages": worker.LAST_MESSAGES,
    "capped": worker.CAPPED,
    **{f"{method} in bulk": which & worker.BEFORE_BULK for method, which in worker.IN_BULK.items()},
    **{f"{method} in bulk at last": which & worker.BULK for method, which in worker.IN_BULK.items()},
}


def fill(count: int, **columns: object) -> None:
    """Many entries, copied in the database from one."""
    application = settings.application()
    call = Call.of("applicationOpen", application.code, hwid="phone")
    entry = outbox.enqueue(call, key="device:0", application=application, now=timezone.now())
    OutboxEntry.objects.filter(pk=entry.pk).update(**columns)
    copied(entry, count, key="'device:' || n")


@pytest.mark.parametrize("waiting_are_capped", [True, False])
def test_history_and_what_waits_for_something_else_are_not_read(waiting_are_capped: bool) -> None:
    sent = {"status": OutboxEntry.Status.SENT, "settled_at": timezone.now()}
    fill(6000, is_capped=not waiting_are_capped, bulk_method="" if waiting_are_capped else "createMessage", **sent)
    fill(2000, is_capped=waiting_are_capped, bulk_method="createMessage" if waiting_are_capped else "")
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {OutboxEntry._meta.db_table}")
    for name, which in LOOKS.items():
        assert "pushwoosh_entry_due" in plan_of(which), name


def plan_of(which: Q) -> str:
    application = settings.application()
    statement, parameters, _place = outbox._look("default", application.code, which)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}", parameters)
        return "\n".join(line for (line,) in cursor.fetchall())
