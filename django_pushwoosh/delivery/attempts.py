"""The attempt log: one row for each try at an entry or at a bulk request, without tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import connections, router
from django.db.models import F, Value

from django_pushwoosh.delivery import outbox
from django_pushwoosh.delivery.batching import Batch
from django_pushwoosh.models import Attempt, BulkRequest, OutboxEntry, storable
from django_pushwoosh.models.lookups import Among
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.errors import CallError
from django_pushwoosh.protocol.refusals import MOST_TEXT

EXCERPT = 2000
"""Characters of a body that are kept."""


def of_entries(
    entries: Sequence[OutboxEntry],
    started: datetime,
    now: datetime,
    error: CallError | None,
    answer: Answer | None,
    batch: Batch | None = None,
) -> list[Attempt]:
    """One try for each of the entries that a request spoke for, not yet written."""
    is_company = batch is not None and len(batch.entries) > 1
    return [
        _told(
            Attempt(entry=entry, number=entry.attempts_made + 1),
            started,
            now,
            error,
            answer,
            entry.call if batch is None else batch.call,
            # What many messages were answered together is no single one's answer.
            shows_answer=not is_company,
        )
        for entry in entries
    ]


def of_bulk_request(
    request: BulkRequest, call: Call, now: datetime, error: CallError | None, answer: Answer | None
) -> Attempt:
    """The try at a bulk request, not yet written."""
    attempt = Attempt(bulk_request=request, number=1)
    return _told(attempt, request.sent_at, now, error, answer, call, shows_answer=True)


def write(attempts: Iterable[Attempt], using: str) -> None:
    Attempt.objects.using(using).bulk_create(attempts, batch_size=outbox.MOST_KEYS)


def write_shared(
    entries: Sequence[OutboxEntry], started: datetime, now: datetime, error: CallError | None, answer: Answer | None
) -> None:
    """Note the same try for entries that shared a request; what each of them said is in the entry itself.

    One statement copies the rows from the entries', for there may be a thousand.
    """
    using = entries[0]._state.db or router.db_for_write(Attempt)
    attempt = Attempt()
    _judged(attempt, started, now, error, answer)
    names = ("started_at", "took_seconds", "outcome", "http_status", "status_code", "told", "sent", "answered")
    fields = [field for name in names for field in Attempt._meta.concrete_fields if field.name == name]
    constants = [Value(getattr(attempt, field.attname), output_field=field) for field in fields]
    quote = connections[using].ops.quote_name
    columns = ", ".join(quote(column) for column in ("entry_id", "number", *names))
    for some in outbox.chunks(entries):
        rows = OutboxEntry.objects.using(using).filter(Among("pk", [entry.pk for entry in some])).order_by()
        copied = rows.values_list(F("pk"), F("attempts_made") + 1, *constants)
        statement, parameters = copied.query.get_compiler(using).as_sql()
        with connections[using].cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {quote(Attempt._meta.db_table)} ({columns}) {statement}",
                parameters,
            )


def _told(
    attempt: Attempt,
    started: datetime,
    now: datetime,
    error: CallError | None,
    answer: Answer | None,
    call: Call,
    *,
    shows_answer: bool,
) -> Attempt:
    _judged(attempt, started, now, error, answer)
    if shows_answer and answer is not None and answer.document is not None:
        attempt.answered = storable(json.dumps(answer.document, ensure_ascii=False)[:EXCERPT])
    attempt.sent = storable(call.excerpt(EXCERPT))
    return attempt


def _judged(attempt: Attempt, started: datetime, now: datetime, error: CallError | None, answer: Answer | None) -> None:
    attempt.started_at = started
    attempt.took_seconds = (now - started).total_seconds()
    attempt.outcome = "ok" if error is None else type(error).__name__
    if error is not None:
        attempt.told = storable(str(error))
    if answer is not None:
        attempt.http_status, attempt.status_code = answer.http_status, answer.status_code
        attempt.told = attempt.told or storable(answer.status_message[:MOST_TEXT])
