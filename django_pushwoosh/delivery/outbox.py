"""The outbox: enqueue → claim → settle; release, cancel. The only writer of `OutboxEntry`.

An entry is written in the transaction that decided it. Workers claim due entries for a while (the lease); the claim is
committed before the call leaves, so that a worker's death leaves behind a visible doubt and never a second sending.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

from django.db import connections, router, transaction
from django.db.models import Q, QuerySet

from django_pushwoosh.conf import Application, settings
from django_pushwoosh.models import BulkJobChunk, Dispatch, OutboxEntry
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.signals import entry_queued

LEASE = timedelta(minutes=2)
MESSAGE = "message:"
CHUNK = "chunk:"
Status = OutboxEntry.Status


def device_key(application: str, hwid: str) -> str:
    """Calls about one device leave in the order in which they were queued."""
    return f"device:{application}:{hwid}"


def message_key(message_id: int) -> str:
    """Parts of a message leave one after the other, and what replaces them waits until they are stopped."""
    return f"{MESSAGE}{message_id}"


def chunk_key(chunk_id: int) -> str:
    return f"{CHUNK}{chunk_id}"


def user_key(application: str, user_id: str) -> str:
    return f"user:{application}:{user_id}"


def enqueue(
    call: Call,
    *,
    key: str,
    application: Application,
    now: datetime,
    dispatch: Dispatch | None = None,
    chunk: BulkJobChunk | None = None,
    using: str | None = None,
) -> OutboxEntry:
    """Queue a call in the present transaction; the engines are woken after its commit."""
    using = using or router.db_for_write(OutboxEntry)
    entry = OutboxEntry.objects.using(using).create(
        application=application.code,
        api_root=application.api_root,
        method=call.method.name,
        # What the SDK sent is kept as its bytes; a second, decoded copy would serve nobody.
        arguments=dict(call.arguments) if call.raw is None else {},
        raw=call.raw,
        key=key[:300],
        due_at=now,
        created_at=now,
        dispatch=dispatch,
        chunk=chunk,
    )
    wake(using)
    return entry


def wake(using: str | None = None) -> None:
    """Tell the engines, once the present transaction has committed, that there is work."""
    using = using or router.db_for_write(OutboxEntry)
    transaction.on_commit(lambda: _woken(using), using=using, robust=True)


def _woken(using: str) -> None:
    entry_queued.send_robust(OutboxEntry, using=using)


def has_unsettled(key: str, using: str | None = None) -> bool:
    """Whether something of this key still waits, so that what comes next has to queue behind it."""
    entries = OutboxEntry.objects.using(using or router.db_for_write(OutboxEntry))
    return entries.filter(ours(), key=key[:300]).unsettled().exists()


def ours() -> Q:
    """Entries written for the applications and API roots of the present settings.

    A dump of production that is brought up on staging has other settings, and so sends nothing.
    """
    mine = Q(pk__in=[])
    for application in settings.applications.values():
        mine |= Q(application=application.code, api_root=application.api_root)
    return mine


def claim(
    limit: int, *, now: datetime, lease: timedelta = LEASE, owner: str = "", using: str | None = None
) -> list[OutboxEntry]:
    """Take up to `limit` due entries, longest due first; unsettled ones come back after `lease`.

    No two entries of one claim share a key. A conditional UPDATE decides between competing workers on every
    database; where rows can be skipped while locked, they do not even meet.
    """
    using = using or router.db_for_write(OutboxEntry)
    entries = OutboxEntry.objects.using(using)
    token = f"{owner[:24]}:{uuid4().hex}"
    with transaction.atomic(using=using):
        due = entries.due(now).filter(ours())
        if connections[using].features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True)
        wanted = list(due.values_list("pk", flat=True)[:limit])
        if not wanted:
            return []
        entries.filter(pk__in=wanted, status=Status.QUEUED).update(
            status=Status.SENDING, lease_owner=token, lease_expires_at=now + lease, begun_at=None
        )
    return list(_with_owners(entries.filter(pk__in=wanted, lease_owner=token)).order_by("pk"))


def begin(entry: OutboxEntry, *, now: datetime, lease: timedelta = LEASE) -> bool:
    """Say that the call leaves now, and extend the lease over it; false if the lease was lost meanwhile.

    Committed before the call: what is held and not begun can go back into the queue without a doubt.
    """
    entry.begun_at = now
    entry.tried_since = entry.tried_since or now
    entry.lease_expires_at = now + lease
    return bool(
        _held(entry).update(begun_at=now, tried_since=entry.tried_since, lease_expires_at=entry.lease_expires_at)
    )


def settle(entry: OutboxEntry, status: OutboxEntry.Status, *, now: datetime, told: str = "") -> bool:
    """Bring a held entry to its end; false if the lease was lost."""
    entry.status = status
    entry.told = told
    entry.settled_at = now
    settled = _held(entry).update(
        status=status,
        told=told,
        settled_at=now,
        attempts_made=entry.attempts_made,
        lease_owner="",
        lease_expires_at=None,
    )
    if settled:
        # What stood behind it in its key is due now.
        wake(entry._state.db)
    return bool(settled)


def settle_sent(entry: OutboxEntry, *, now: datetime, told: str = "") -> bool:
    """Settle an entry as sent, also where the lease was lost over a slow answer; false if that was known already."""
    if settle(entry, Status.SENT, now=now, told=told):
        return True
    doubted = (Status.QUEUED, Status.SENDING, Status.UNCERTAIN, Status.LEFT)
    entries = OutboxEntry.objects.using(entry._state.db).filter(pk=entry.pk, status__in=doubted)
    return bool(entries.update(status=Status.SENT, told=told, settled_at=now, lease_owner="", lease_expires_at=None))


def release(entry: OutboxEntry, *, due_at: datetime, told: str = "") -> bool:
    """Put a held entry back into the queue; false if the lease was lost."""
    entry.status = Status.QUEUED
    entry.told = told
    return bool(
        _held(entry).update(
            status=Status.QUEUED,
            due_at=due_at,
            told=told,
            attempts_made=entry.attempts_made,
            begun_at=None,
            tried_since=entry.tried_since,
            doubtful_since=entry.doubtful_since,
            lease_owner="",
            lease_expires_at=None,
        )
    )


def cancel(entries: QuerySet[OutboxEntry], *, now: datetime) -> list[OutboxEntry]:
    """Take queued entries out; those that are being sent already are not touched. Returns what was cancelled."""
    using = entries.db
    with transaction.atomic(using=using):
        # The rows alone are locked, whatever else a caller's queryset looks at.
        queued = (
            entries.using(using).select_related(None).order_by("pk").filter(status=Status.QUEUED).select_for_update()
        )
        cancelled = list(queued.only("pk", "dispatch_id", "chunk_id"))
        OutboxEntry.objects.using(using).filter(pk__in=[entry.pk for entry in cancelled]).update(
            status=Status.CANCELLED, settled_at=now
        )
    return cancelled


def retry(entry: OutboxEntry, *, now: datetime) -> bool:
    """Queue a failed, left or cancelled entry once more; an uncertain one is a person's decision, made here too.

    A cancelled message or chunk is not taken up: another entry may have come in its place.
    """
    ended = [Status.FAILED, Status.LEFT, Status.UNCERTAIN]
    if entry.dispatch_id is None and entry.chunk_id is None and entry.key.startswith((MESSAGE, CHUNK)):
        # Its message or job was deleted.
        return False
    if entry.dispatch_id is None and entry.chunk_id is None:
        ended.append(Status.CANCELLED)
    with transaction.atomic(using=entry._state.db):
        again = OutboxEntry.objects.using(entry._state.db).filter(pk=entry.pk, status__in=ended)
        queued = again.update(
            status=Status.QUEUED,
            due_at=now,
            settled_at=None,
            begun_at=None,
            tried_since=None,
            attempts_made=0,
            told="",
        )
        if queued:
            wake(entry._state.db)
    return bool(queued)


def expired(limit: int, *, now: datetime, lease: timedelta = LEASE, using: str | None = None) -> list[OutboxEntry]:
    """Take over entries whose worker did not come back; `begun_at` tells whether a call may have left."""
    using = using or router.db_for_write(OutboxEntry)
    taken = []
    for entry in _with_owners(OutboxEntry.objects.using(using).expired(now).filter(ours()))[:limit]:
        token = f"recovery:{uuid4().hex}"
        if (
            _held(entry)
            .filter(lease_expires_at=entry.lease_expires_at)
            .update(lease_owner=token, lease_expires_at=now + lease)
        ):
            entry.lease_owner = token
            entry.lease_expires_at = now + lease
            taken.append(entry)
    return taken


def renew_patience(application: str, using: str | None = None) -> None:
    """Count the age of an application's entries anew: what waited for a person has not been tried in vain."""
    entries = OutboxEntry.objects.using(using or router.db_for_write(OutboxEntry)).filter(application=application)
    entries.unsettled().update(tried_since=None)


def _with_owners(entries: QuerySet[OutboxEntry]) -> QuerySet[OutboxEntry]:
    # A chunk's devices are in the entry's own arguments already.
    return entries.select_related("dispatch", "chunk__job").defer("chunk__devices", "chunk__report")


def _held(entry: OutboxEntry) -> QuerySet[OutboxEntry]:
    entries = OutboxEntry.objects.using(entry._state.db)
    return entries.filter(pk=entry.pk, status=Status.SENDING, lease_owner=entry.lease_owner)
