"""The outbox: enqueue → claim → settle; release, cancel. The only writer of `OutboxEntry`.

An entry is written in the transaction that decided it. Workers claim due entries for a while (the lease); the claim is
committed before the call leaves, so that a worker's death leaves behind a visible doubt and never a second sending.

What is done to held entries is done to lists of them, in as few statements as there are fates; an entry whose lease was
lost is left out, and the answer says which were not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any
from uuid import uuid4

from django.db import connections, router, transaction
from django.db.models import F, Q, QuerySet, Value, sql
from django.db.models.functions import Coalesce, Concat

from django_pushwoosh.conf import Application, settings
from django_pushwoosh.delivery.deadlocks import begun_anew
from django_pushwoosh.delivery.statements import update_returning
from django_pushwoosh.delivery.tag_mirror import Clause
from django_pushwoosh.models import BulkJobChunk, BulkRequest, Dispatch, OutboxEntry, Pause
from django_pushwoosh.models.lookups import Among
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.coalescing import BULK_METHODS, bulk_method
from django_pushwoosh.protocol.methods import Rate
from django_pushwoosh.signals import entry_queued

SLACK = timedelta(seconds=30)
"""For writing down what a call came to, on a slow machine."""
STATISTICS = frozenset({"applicationOpen", "messageDeliveryEvent", "pushStat"})
"""What only counts: after a broadcast every device says it at once, and nobody waits for it."""
MESSAGE = "message:"
CHUNK = "chunk:"
LOOKED_AT = 1000
"""Due entries that one claim looks at."""
MOST_OF_A_KEY = 100
"""Entries of one device that are said together."""
MOST_KEYS = 1000
"""Parameters of one statement; SQLite and MariaDB have bounds."""
MAX_AGE = timedelta(days=1)
MIN_ATTEMPTS = 3
"""What was tried in vain this often, and for so long, is given up."""

Status = OutboxEntry.Status
Lane = OutboxEntry.Lane
DEAD = (Status.FAILED, Status.LEFT, Status.UNCERTAIN)
"""Dead letters: they came to nothing, or nobody knows, and they do not go again by themselves."""


def longest_lease() -> timedelta:
    """Beyond the longest call (a connection is tried twice): a worker that is alive settles within it."""
    connect, read = settings.timeout
    return timedelta(seconds=2 * connect + read) + SLACK


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


def entry_of(
    call: Call,
    *,
    key: str,
    application: Application,
    now: datetime,
    lane: OutboxEntry.Lane | None = None,
    expires_at: datetime | None = None,
    dispatch: Dispatch | None = None,
    chunk: BulkJobChunk | None = None,
    is_tokenless: bool = False,
) -> OutboxEntry:
    """The entry for a call, not yet written; one that `is_tokenless` is sent without our device token."""
    columns = columns_of(call, key=key, application=application, now=now, is_tokenless=is_tokenless)
    if lane is not None:
        columns["lane"] = lane
    if expires_at is not None and columns["bulk_method"] in BULK_METHODS:
        # What becomes of it in bulk is known too late.
        columns["bulk_method"] = ""
    # What the SDK sent is kept as its bytes; a second, decoded copy would serve nobody.
    arguments = dict(call.arguments) if call.raw is None else {}
    return OutboxEntry(
        **columns,
        arguments=arguments,
        expires_at=expires_at,
        dispatch=dispatch,
        chunk=chunk,
    )


def columns_of(
    call: Call, *, key: str, application: Application, now: datetime, is_tokenless: bool = False
) -> dict[str, Any]:
    """What the entry for a call holds that is no default, beside its arguments."""
    return {
        "application": application.code,
        "api_root": application.api_root,
        "method": call.method.name,
        "raw": call.raw,
        "key": key[:300],
        "lane": Lane.BULK if call.method.name in STATISTICS else Lane.USER_VISIBLE,
        "is_capped": is_capped(call, application),
        # Bulk requests go with our token.
        "bulk_method": "" if is_tokenless else bulk_method(call),
        "is_tokenless": is_tokenless,
        "due_at": now,
        "created_at": now,
    }


def enqueue(call: Call, *, using: str | None = None, **given: Any) -> OutboxEntry:
    """Queue a call in the present transaction (see `entry_of`); the engines are woken after its commit."""
    entry = entry_of(call, **given)
    enqueue_all([entry], using=using)
    return entry


def enqueue_all(entries: Sequence[OutboxEntry], using: str | None = None) -> None:
    """Queue entries in the present transaction; the engines are woken after its commit."""
    using = using or router.db_for_write(OutboxEntry)
    if len(entries) == 1:
        entries[0].save(using=using, force_insert=True)
    else:
        OutboxEntry.objects.using(using).bulk_create(entries, batch_size=LOOKED_AT)
    wake(using)


def enqueue_held(entries: Sequence[OutboxEntry], *, now: datetime, using: str) -> None:
    """Queue entries that the caller sends itself once the present transaction has committed: held, and begun.

    Should the caller not live to settle them, they are judged when their lease has run out, as a worker's are.
    """
    token = f"caller:{uuid4().hex}"
    for entry in entries:
        entry.status, entry.begun_at, entry.tried_since = Status.SENDING, now, now
        entry.lease_owner, entry.lease_expires_at = token, now + longest_lease()
        # One by one: not every database tells the keys of many rows.
        entry.save(using=using, force_insert=True)


def enqueue_along(entry: OutboxEntry, clause: Clause, using: str) -> int:
    """Queue an entry in one statement with what a clause writes; the clause's count. A statement costs what a row does.

    PostgreSQL alone.
    """
    query = sql.InsertQuery(OutboxEntry)
    fields = [field for field in OutboxEntry._meta.concrete_fields if not field.primary_key]
    query.insert_values(fields, [entry])
    compiler = query.get_compiler(using=using)
    compiler.returning_fields = OutboxEntry._meta.db_returning_fields
    [(statement, values)] = compiler.as_sql()
    with connections[using].cursor() as cursor:
        cursor.execute(f"WITH {clause.sql} {statement}, {clause.count}", [*clause.parameters, *values])
        entry.pk, count = cursor.fetchone()
    entry._state.adding, entry._state.db = False, using
    wake(using)
    return int(count)


def is_capped(call: Call, application: Application) -> bool:
    """Whether a call counts against the account's cap; tracing ends the exemption of small pushes."""
    if call.method.rate is not Rate.MESSAGES:
        return False
    return call.is_capped or settings.account(application.account).tracing


def promote(keys: Collection[str], using: str | None = None) -> None:
    """Let what waits about some devices leave with the transactional: a message to them is to find them as they are.

    What a worker has locked leaves now, and is not waited for: the caller and the worker could wait for each other.
    """
    using = using or router.db_for_write(OutboxEntry)
    entries = OutboxEntry.objects.using(using)
    queued = entries.filter(Among("key", [key[:300] for key in keys]), status=Status.QUEUED).order_by("pk")
    skips = connections[using].features.has_select_for_update_skip_locked
    with transaction.atomic(using=using, savepoint=False):
        for pks in chunks(queued.select_for_update(skip_locked=skips).values_list("pk", flat=True)):
            entries.filter(Among("pk", pks)).update(lane=Lane.TRANSACTIONAL, bulk_method="")


def wake(using: str | None = None) -> None:
    """Tell the engines, once the present transaction has committed, that there is work."""
    using = using or router.db_for_write(OutboxEntry)
    connection = connections[using]
    if connection.in_atomic_block or not connection.get_autocommit():
        transaction.on_commit(lambda: _woken(using), using=using, robust=True)
    else:
        # It is committed, and the way by `on_commit` costs the gateway more than the signal itself.
        _woken(using)


def _woken(using: str) -> None:
    entry_queued.send_robust(OutboxEntry, using=using)


def ours(applications: Iterable[Application] | None = None) -> Q:
    """Entries written for the applications (all, if none are named) and API roots of the present settings.

    A dump of production that is brought up on staging has other settings, and so sends nothing.
    """
    mine = Q(pk__in=[])
    for application in settings.applications.values() if applications is None else applications:
        mine |= Q(application=application.code, api_root=application.api_root)
    return mine


def paused(using: str) -> set[str]:
    """The codes of the applications that are paused; an empty one stands for all."""
    return set(Pause.objects.using(using).values_list("application", flat=True))


def unpaused(using: str) -> list[Application]:
    """The applications of the settings that are not paused."""
    held = paused(using)
    return [each for each in settings.applications.values() if held.isdisjoint(("", each.code))]


def are_due(application: Application, which: Q, *, now: datetime, using: str) -> bool:
    """Whether some of an application's entries are due, should they be for its API root, and the first of their keys.

    Most looks for work find none, and to say the whole claim costs ten times as much.
    """
    statement, parameters, place = _look(using, application.code, which)
    adapted = connections[using].ops.adapt_datetimefield_value(now)
    with connections[using].cursor() as cursor:
        cursor.execute(statement, [*parameters[:place], adapted, *parameters[place + 1 :]])
        return cursor.fetchone() is not None


@lru_cache(maxsize=1000)
def _look(using: str, code: str, which: Q) -> tuple[str, tuple[Any, ...], int]:
    """The statement, its parameters, and the place of the time among them.

    It says nothing but what bounds the index `pushwoosh_entry_due`, and asks in its order: else PostgreSQL hopes to
    meet an entry early on its way through the whole table.
    """
    some_time = datetime(9999, 1, 1, tzinfo=UTC)
    entries = OutboxEntry.objects.using(using).filter(which, application=code, status=Status.QUEUED)
    order = ("is_capped", "bulk_method", "lane", "due_at", "pk") if connections[using].vendor == "postgresql" else ()
    one = entries.filter(due_at__lte=some_time).order_by(*order).values("pk")[:1]
    statement, parameters = one.query.get_compiler(using).as_sql()
    return statement, tuple(parameters), parameters.index(connections[using].ops.adapt_datetimefield_value(some_time))


def first_due(application: Application, *, now: datetime, using: str) -> OutboxEntry | None:
    """The entry of an application that leaves first among those that count against the cap."""
    due = OutboxEntry.objects.using(using).due(now).filter(ours([application]), is_capped=True)
    due = due.only("bulk_method", "lane", "due_at")
    # One by one, for the index knows the first of each alone: among them all it would sort whatever waits.
    firsts = [due.filter(bulk_method=method).first() for method in ("", "createMessage")]
    return min(filter(None, firsts), key=lambda entry: (entry.lane, entry.due_at, entry.pk), default=None)


def claim(
    limit: int,
    *,
    now: datetime,
    lease: timedelta | None = None,
    owner: str = "",
    using: str | None = None,
    applications: Iterable[Application] | None = None,
    which: Q | None = None,
    begins: bool = False,
) -> list[OutboxEntry]:
    """Take up to `limit` due entries in the order in which they leave; unsettled ones come back after `lease`.

    With `begins` they are begun at once (see `begin`): they leave right now, and are in doubt if the worker dies.

    Those of some applications, or of all that are not paused; never what was written for others. No two entries of
    one claim share a key. Where rows can be skipped while locked, competing workers do not even meet.
    """
    using = using or router.db_for_write(OutboxEntry)
    waiting = unpaused(using) if applications is None else applications
    token = f"{owner[:24]}:{uuid4().hex}"

    def take() -> list[OutboxEntry]:
        due = OutboxEntry.objects.using(using).due(now).filter(ours(waiting), which or Q())
        # SQLite has no row locks; its immediate transactions are locks of the whole file.
        skips = connections[using].features.has_select_for_update_skip_locked
        taken = list(due.select_for_update(skip_locked=skips)[:limit])
        _hold(taken, token, now, lease, using, begins=begins)
        return taken

    return _with_owners(begun_anew(take, using), using)


def claim_company(
    heads: Sequence[OutboxEntry], *, now: datetime, lease: timedelta | None = None, using: str | None = None
) -> dict[str, list[OutboxEntry]]:
    """Take what stands right behind held entries in their keys and is of the same method, by key."""
    using = using or router.db_for_write(OutboxEntry)
    first = {head.key: head for head in heads if can_share(head)}
    if not first:
        return {}

    def take() -> dict[str, list[OutboxEntry]]:
        company: dict[str, list[OutboxEntry]] = {}
        ended: set[str] = set()
        for keys in chunks(list(first)):
            behind = OutboxEntry.objects.using(using).unsettled().filter(Among("key", keys)).order_by("key", "pk")
            behind = behind.exclude(Among("pk", [first[key].pk for key in keys]))
            for entry in behind.filter(pk__gt=min(first[key].pk for key in keys)).select_for_update():
                head = first.get(entry.key)
                if head is None or entry.pk <= head.pk or entry.key in ended or entry.api_root != head.api_root:
                    continue
                follows = (
                    entry.method == head.method
                    and entry.status == Status.QUEUED
                    and entry.raw is None
                    and not entry.is_alone
                    and not entry.is_tokenless
                    and entry.doubtful_since is None
                    and entry.due_at <= now
                    and len(company.get(entry.key, ())) < MOST_OF_A_KEY
                )
                if follows:
                    company.setdefault(entry.key, []).append(entry)
                else:
                    ended.add(entry.key)
        taken = [entry for each in company.values() for entry in each]
        _hold(taken, heads[0].lease_owner, now, lease, using, begins=heads[0].begun_at is not None)
        return company

    company = begun_anew(take, using)
    _with_owners([entry for each in company.values() for entry in each], using)
    return company


def begin(entries: Sequence[OutboxEntry], *, now: datetime, lease: timedelta | None = None) -> list[OutboxEntry]:
    """Say that the calls leave now, and extend the lease over them; those whose lease was lost are left out.

    Committed before the calls: what is held and not begun can go back into the queue without a doubt.
    """
    begun = _changed(
        entries,
        begun_at=now,
        tried_since=Coalesce("tried_since", now),
        lease_expires_at=now + (lease or longest_lease()),
    )
    for entry in begun:
        entry.begun_at = now
        entry.tried_since = entry.tried_since or now
        entry.lease_expires_at = now + (lease or longest_lease())
    return begun


def settle(
    entries: Sequence[OutboxEntry], status: OutboxEntry.Status, *, now: datetime, told: str = "", attempts: int = 1
) -> list[OutboxEntry]:
    """Bring held entries to their end; those whose lease was lost are left out."""
    settled = _changed(
        entries,
        status=status,
        told=told,
        settled_at=now,
        attempts_made=F("attempts_made") + attempts,
        lease_owner="",
        lease_expires_at=None,
    )
    for entry in settled:
        entry.status, entry.told, entry.settled_at = status, told, now
    if settled:
        # What stood behind them in their keys is due now.
        wake(settled[0]._state.db)
    return settled


def settle_sent(entries: Sequence[OutboxEntry], *, now: datetime, told: str = "") -> list[OutboxEntry]:
    """Settle entries as sent, also where the lease was lost over a slow answer; what was known already is left out."""
    settled = settle(entries, Status.SENT, now=now, told=told)
    if len(settled) == len(entries):
        return settled
    known = {entry.pk for entry in settled}
    doubted = (Status.QUEUED, Status.SENDING, Status.UNCERTAIN, Status.LEFT)
    for entry in entries:
        if entry.pk not in known:
            late = OutboxEntry.objects.using(entry._state.db).filter(pk=entry.pk, status__in=doubted)
            if late.update(status=Status.SENT, told=told, settled_at=now, lease_owner="", lease_expires_at=None):
                entry.status = Status.SENT
                settled.append(entry)
    return settled


def release(
    entries: Sequence[OutboxEntry],
    *,
    due_at: datetime | None = None,
    told: str | None = None,
    attempts: int = 0,
    in_doubt_since: datetime | None = None,
    is_alone: bool = False,
) -> list[OutboxEntry]:
    """Put held entries back into the queue: due again at `due_at`, or when they were; lost ones are left out.

    Without an attempt nothing was tried, and they are no older than they were.
    """
    changes: dict[str, Any] = {
        "status": Status.QUEUED,
        "begun_at": None,
        "bulk_request": None,
        "lease_owner": "",
        "lease_expires_at": None,
    }
    if due_at is not None:
        changes["due_at"] = due_at
    if told is not None:
        changes["told"] = told
    if is_alone:
        changes |= {"is_alone": True, "bulk_method": ""}
    if in_doubt_since is not None:
        changes["doubtful_since"] = Coalesce("doubtful_since", in_doubt_since)
    if attempts:
        return _changed(entries, **changes, attempts_made=F("attempts_made") + attempts)
    fresh = [entry for entry in entries if not entry.attempts_made]
    tried = [entry for entry in entries if entry.attempts_made]
    return [*_changed(fresh, **changes, tried_since=None), *_changed(tried, **changes)]


def carry(pks: Sequence[int], request: BulkRequest, *, now: datetime) -> None:
    """Hand locked entries over to the bulk request that carries them: no lease ends their waiting, its report does."""
    OutboxEntry.objects.using(request._state.db).filter(Among("pk", pks), status=Status.QUEUED).update(
        status=Status.SENDING,
        bulk_request=request,
        begun_at=now,
        tried_since=Coalesce("tried_since", now),
        lease_owner="",
        lease_expires_at=None,
    )


def carried(request: BulkRequest) -> QuerySet[OutboxEntry]:
    """The entries that a bulk request carries still."""
    # Not by the relation's manager: it would look at the foreign key of each.
    return OutboxEntry.objects.using(request._state.db).filter(bulk_request=request, status=Status.SENDING)


def settle_carried(entries: QuerySet[OutboxEntry], status: OutboxEntry.Status, *, now: datetime, told: str) -> None:
    """Bring entries of a bulk request to their end."""
    entries.update(status=status, told=told, settled_at=now, attempts_made=F("attempts_made") + 1)
    wake(entries.db)


def release_carried(
    entries: QuerySet[OutboxEntry], *, now: datetime, told: str, in_doubt_since: datetime, is_alone: bool
) -> None:
    """Put entries of a bulk request back into the queue, in doubt; those that were tried too long are left."""
    tired = entries.filter(attempts_made__gte=MIN_ATTEMPTS - 1, tried_since__lt=now - MAX_AGE)
    settle_carried(tired, Status.LEFT, now=now, told=told)
    entries.update(
        status=Status.QUEUED,
        begun_at=None,
        bulk_request=None,
        due_at=now,
        told=told,
        doubtful_since=Coalesce("doubtful_since", in_doubt_since),
        attempts_made=F("attempts_made") + 1,
        **({"is_alone": True, "bulk_method": ""} if is_alone else {}),
    )
    wake(entries.db)


def cancel(entries: QuerySet[OutboxEntry], *, now: datetime) -> list[OutboxEntry]:
    """Take queued entries out; those that are being sent already are not touched. Returns what was cancelled."""
    using = _written_in(entries)
    with transaction.atomic(using=using):
        # The rows alone are locked, whatever else a caller's queryset looks at.
        queued = (
            entries.using(using).select_related(None).order_by("pk").filter(status=Status.QUEUED).select_for_update()
        )
        cancelled = list(queued.only("pk", "dispatch_id", "chunk_id"))
        for pks in chunks([entry.pk for entry in cancelled]):
            OutboxEntry.objects.using(using).filter(Among("pk", pks)).update(status=Status.CANCELLED, settled_at=now)
    return cancelled


def discard(entries: QuerySet[OutboxEntry], *, told: str) -> int:
    """Give up dead letters for good: cancelled, with what a person said of it before what was told. How many were.

    What became of their messages and chunks stays as it is known: that nobody asks any more makes nothing unsent.
    """
    using = _written_in(entries)
    with transaction.atomic(using=using):
        dead = entries.using(using).select_related(None).order_by("pk").filter(status__in=DEAD).select_for_update()
        pks = list(dead.values_list("pk", flat=True))
        for some in chunks(pks):
            OutboxEntry.objects.using(using).filter(Among("pk", some)).update(
                status=Status.CANCELLED, told=Concat(Value(f"{told} "), "told")
            )
    return len(pks)


def _written_in(entries: QuerySet[OutboxEntry]) -> str:
    """The database in which a caller's queryset is written; it would be read in a replica."""
    return entries.select_for_update().db


def retry(entry: OutboxEntry, *, now: datetime) -> bool:
    """Queue a failed, left or cancelled entry once more; an uncertain one is a person's decision, made here too.

    A cancelled message or chunk is not taken up: another entry may have come in its place.
    """
    ended = list(DEAD)
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
            bulk_request=None,
            told="",
        )
        if queued:
            wake(entry._state.db)
    return bool(queued)


def expired(
    limit: int, *, now: datetime, lease: timedelta | None = None, using: str | None = None
) -> list[OutboxEntry]:
    """Take over entries whose worker did not come back; `begun_at` tells whether a call may have left."""
    using = using or router.db_for_write(OutboxEntry)
    token = f"recovery:{uuid4().hex}"

    def take() -> list[OutboxEntry]:
        lost = OutboxEntry.objects.using(using).expired(now).filter(ours()).order_by("pk")
        skips = connections[using].features.has_select_for_update_skip_locked
        taken = list(lost.select_for_update(skip_locked=skips)[:limit])
        for pks in chunks([entry.pk for entry in taken]):
            OutboxEntry.objects.using(using).filter(Among("pk", pks)).update(
                lease_owner=token, lease_expires_at=now + (lease or longest_lease())
            )
        return taken

    taken = begun_anew(take, using)
    for entry in taken:
        entry.lease_owner = token
        entry.lease_expires_at = now + (lease or longest_lease())
    return _with_owners(taken, using)


def renew_patience(application: str, using: str | None = None) -> None:
    """Count the age of an application's entries anew: what waited for a person has not been tried in vain."""
    entries = OutboxEntry.objects.using(using or router.db_for_write(OutboxEntry))
    if application:
        entries = entries.filter(application=application)
    entries.unsettled().update(tried_since=None)


def can_share(entry: OutboxEntry) -> bool:
    """Whether an entry may go in one request with others."""
    is_free = entry.raw is None and not entry.is_alone and not entry.is_tokenless
    return is_free and entry.method in ("createMessage", "setTags", "registerDevice")


def _hold(
    entries: Sequence[OutboxEntry], token: str, now: datetime, lease: timedelta | None, using: str, *, begins: bool
) -> None:
    """Take the entries, whose rows are locked."""
    until = now + (lease or longest_lease())
    changes = {"tried_since": Coalesce("tried_since", now)} if begins else {}
    for pks in chunks([entry.pk for entry in entries]):
        OutboxEntry.objects.using(using).filter(Among("pk", pks), status=Status.QUEUED).update(
            status=Status.SENDING,
            lease_owner=token,
            lease_expires_at=until,
            begun_at=now if begins else None,
            **changes,
        )
    for entry in entries:
        entry.status, entry.lease_owner, entry.lease_expires_at = Status.SENDING, token, until
        entry.begun_at = now if begins else None
        if begins:
            entry.tried_since = entry.tried_since or now


def _with_owners(entries: list[OutboxEntry], using: str) -> list[OutboxEntry]:
    """The entries, with the dispatches and chunks that they belong to."""
    dispatches = sorted({entry.dispatch_id for entry in entries if entry.dispatch_id})
    jobs = sorted({entry.chunk_id for entry in entries if entry.chunk_id})
    # A dispatch's arguments and a chunk's devices are in the entry's own arguments already.
    messages = Dispatch.objects.using(using).defer("arguments", "answer")
    parts = BulkJobChunk.objects.using(using).select_related("job").defer("devices", "report")
    known = {each.pk: each for pks in chunks(dispatches) for each in messages.filter(Among("pk", pks))}
    started = {each.pk: each for pks in chunks(jobs) for each in parts.filter(Among("pk", pks))}
    for entry in entries:
        entry.dispatch = known.get(entry.dispatch_id) if entry.dispatch_id else None
        entry.chunk = started.get(entry.chunk_id) if entry.chunk_id else None
    return entries


def _changed(entries: Sequence[OutboxEntry], **changes: Any) -> list[OutboxEntry]:
    """Change held entries; those that were held indeed."""
    changed: list[OutboxEntry] = []
    for chunk in chunks(entries):
        using = chunk[0]._state.db or router.db_for_write(OutboxEntry)
        owners = {entry.lease_owner for entry in chunk}
        pks = [entry.pk for entry in chunk]
        held = OutboxEntry.objects.using(using).filter(Among("pk", pks), status=Status.SENDING, lease_owner__in=owners)
        held_pks = begun_anew(partial(update_returning, held, changes), using)
        changed += [entry for entry in chunk if entry.pk in held_pks]
    return changed


def chunks(items: Collection[Any]) -> Iterable[Any]:
    """As many at a time as one statement takes."""
    listed = list(items)
    return (listed[start : start + MOST_KEYS] for start in range(0, len(listed), MOST_KEYS))
