"""Bulk requests: many devices' changes in one, delivered when its detailed report says so, not when it was taken in.

Until then their entries stay *sending*, and what comes after them in their keys waits. All that travels in bulk may be
said twice: a request that was lost, that Pushwoosh no longer knows, or that never ends, sends its entries again.

Entries come in tens of thousands here: they are read as tuples, and written in one statement for each fate.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db import connections, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from django_pushwoosh.conf import Application
from django_pushwoosh.delivery import connection, outbox
from django_pushwoosh.delivery.connection import Leave
from django_pushwoosh.delivery.deadlocks import begun_anew
from django_pushwoosh.models import BulkRequest, OutboxEntry, storable
from django_pushwoosh.models.lookups import Among
from django_pushwoosh.protocol.addresses import masked
from django_pushwoosh.protocol.answers import JobDevice, JobStatus
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.coalescing import (
    LEAST_IN_BULK,
    MOST_IN_BULK,
    bulk_method,
    bulk_row,
    merged,
)
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.errors import CallError, ConnectionFailed, NotFound

logger = logging.getLogger("django_pushwoosh")

FIRST_PAUSE = timedelta(seconds=0.1)
LONGEST_PAUSE = timedelta(minutes=1)
"""Between two questions for a report; half as long as it has been waited for already."""
PATIENCE = timedelta(hours=6)
"""After which a report is not waited for any longer."""
MOST_BYTES = 10_000_000
"""Of one request; ours, for the documents name no bound."""

Status = OutboxEntry.Status


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """A bulk request that may leave, with the changes of its devices."""

    request: BulkRequest
    application: Application
    call: Call
    leave: Leave
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """A question for a bulk request's report, for which there is leave."""

    request: BulkRequest
    application: Application
    call: Call
    leave: Leave


def load(application: Application, method: str, which: Q, *, now: datetime, using: str) -> Load | None:
    """Take as many devices' changes as travel together; `None` where too few wait, or Pushwoosh is not to be asked.

    They are *sending* from here on, under the request's row: if nothing is heard of it for as long as a call can take,
    they go again.
    """
    try:
        leave = connection.enter(application, is_capped=False, now=now)
    except ConnectionFailed:
        return None
    loaded = None
    try:
        loaded = begun_anew(partial(_loaded, application, method, which, leave, now, using), using)
    finally:
        if loaded is None:
            connection.unused(leave)
    return loaded


def _loaded(application: Application, method: str, which: Q, leave: Leave, now: datetime, using: str) -> Load | None:
    """Hand what waits over to a new request, unless there is too little of it."""
    waiting = OutboxEntry.objects.using(using).due(now).filter(outbox.ours([application]), which)
    taken, rows = _taken(waiting.filter(is_capped=False, bulk_method=method), application.code, now, using)
    if len(rows) < LEAST_IN_BULK:
        return None
    request = BulkRequest.objects.using(using).create(
        application=application.code,
        api_root=application.api_root,
        method=method,
        sent_at=now,
        ask_at=now + outbox.longest_lease(),
    )
    for pks in outbox.chunks(taken):
        outbox.carry(pks, request, now=now)
    more = {"create_missing_tags": True} if method == "bulkSetTags" else {}
    call = Call(METHODS[method], application.code, {"devices": rows, **more})
    return Load(request, application, call, leave, len(taken))


def _taken(
    waiting: QuerySet[OutboxEntry], code: str, now: datetime, using: str
) -> tuple[list[int], list[dict[str, Any]]]:
    """The ids of the entries that are locked for a request, and the request's rows."""
    skips = connections[using].features.has_select_for_update_skip_locked
    followers = OutboxEntry.objects.filter(key=OuterRef("key"), pk__gt=OuterRef("pk"), status=Status.QUEUED)
    waiting = waiting.annotate(is_followed=Exists(followers)).select_for_update(skip_locked=skips)
    heads = list(waiting.values_list("pk", "key", "method", "arguments", "is_followed")[:MOST_IN_BULK])
    behind = _behind({key: pk for pk, key, _, _, is_followed in heads if is_followed}, now, using)
    taken: list[int] = []
    rows: list[dict[str, Any]] = []
    size = 0
    for pk, key, method, arguments, _is_followed in heads:
        call, together = Call(METHODS[method], code, arguments), [pk]
        for later, its_method, its_arguments in behind.get(key, ()):
            both = merged(call, Call(METHODS[its_method], code, its_arguments))
            if both is None or not bulk_method(both):
                break
            call = both
            together.append(later)
        row = bulk_row(call)
        size += len(json.dumps(row))
        if size > MOST_BYTES and rows:
            break
        taken += together
        rows.append(row)
    return taken, rows


def _behind(heads: dict[str, int], now: datetime, using: str) -> dict[str, list[tuple[int, str, Any]]]:
    """What can be said along with the heads: by key, (id, method, arguments) of what stands right behind them."""
    if not heads:
        return {}
    later = OutboxEntry.objects.using(using).unsettled().filter(Among("key", heads), pk__gt=min(heads.values()))
    fields = ("key", "pk", "status", "bulk_method", "due_at", "method", "arguments")
    behind: dict[str, list[tuple[int, str, Any]]] = {}
    listed = later.order_by("key", "pk").select_for_update().values_list(*fields)
    for key, entries in groupby(listed, itemgetter(0)):
        for _key, pk, status, travels_by, due_at, method, arguments in entries:
            if pk <= heads[key]:
                continue
            joins = status == Status.QUEUED and travels_by and due_at <= now
            if not joins or len(behind.get(key, ())) >= outbox.MOST_OF_A_KEY:
                break
            behind.setdefault(key, []).append((pk, method, arguments))
    return behind


def taken_in(request: BulkRequest, request_id: str, *, now: datetime) -> None:
    """Note that a bulk request was taken in; its report is asked for from here on."""
    waiting = _unsettled(request).filter(request_id="")
    waiting.update(request_id=storable(request_id)[:255], ask_at=now + FIRST_PAUSE)


def give_back(load: Load, *, now: datetime) -> None:
    """A request never left: its entries go where they were."""
    connection.unused(load.leave)
    with transaction.atomic(using=load.request._state.db):
        if end(load.request, now=now, told="It did not leave."):
            outbox.release(list(outbox.carried(load.request)))


def end(request: BulkRequest, *, now: datetime, told: str = "") -> bool:
    """End the waiting for a bulk request; false if somebody else has."""
    return bool(_unsettled(request).update(ask_at=None, settled_at=now, told=storable(told)))


def due(limit: int, *, applications: Iterable[Application], now: datetime, using: str) -> list[Report]:
    """The questions that are to be asked now. Each is kept from the other workers for as long as a call can take.

    Requests whose worker did not come back are given up here, and their entries go again.
    """
    known = {(each.code, each.api_root): each for each in applications}
    waiting = BulkRequest.objects.using(using).filter(outbox.ours(known.values()), ask_at__lte=now)
    if not waiting.exists():
        return []
    skips = connections[using].features.has_select_for_update_skip_locked
    with transaction.atomic(using=using):
        requests = list(waiting.order_by("ask_at").select_for_update(skip_locked=skips)[:limit])
        later = now + outbox.longest_lease()
        BulkRequest.objects.using(using).filter(Among("pk", [each.pk for each in requests])).update(ask_at=later)
    reports = []
    for request in requests:
        if not request.request_id:
            _give_up(request, "The worker did not come back.", now)
            continue
        application = known[request.application, request.api_root]
        call = Call.of(f"{request.method}Status", application.code, request_id=request.request_id, detailed=True)
        try:
            leave = connection.enter(application, is_capped=False, now=now)
        except ConnectionFailed:
            _unsettled(request).update(ask_at=now + FIRST_PAUSE)
        else:
            reports.append(Report(request, application, call, leave))
    return reports


def next_due(*, applications: Iterable[Application], using: str) -> datetime | None:
    """When the next bulk request is to be looked after."""
    waiting = BulkRequest.objects.using(using).filter(outbox.ours(applications), ask_at__isnull=False)
    return waiting.order_by("ask_at").values_list("ask_at", flat=True).first()


def settle(report: Report, done: Future[Answer], *, now: datetime) -> None:
    """Settle the entries by the answer to a question; where there is none yet, ask again later."""
    request = report.request
    status: object = None
    error: CallError | None = None
    try:
        status = connection.read(report.call, done.result())
    except CallError as failure:
        error = failure
    connection.leave(report.leave, error, now=now)
    is_late = now - request.sent_at > PATIENCE
    if isinstance(error, NotFound):
        _give_up(request, f"Pushwoosh does not know the bulk request any more: {error}", now)
    elif error is not None:
        logger.info("%s: %s", request, masked(storable(str(error))))
        _give_up(request, str(error), now) if is_late else _ask_again(request, now)
    elif isinstance(status, JobStatus) and status.is_ended:
        _settle(request, status, now)
    elif is_late:
        _give_up(request, "Its report never came.", now)
    else:
        _ask_again(request, now)


def _ask_again(request: BulkRequest, now: datetime) -> None:
    pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, (now - request.sent_at) / 2))
    _unsettled(request).update(ask_at=now + pause)


def _settle(request: BulkRequest, status: JobStatus, now: datetime) -> None:
    """Settle each entry as the report says; those that it does not list, or whose device is unknown, go alone."""
    verdicts = {outbox.device_key(request.application, device.id): _fate(device) for device in status.devices}
    with transaction.atomic(using=request._state.db):
        if not end(request, now=now):
            return
        carried = outbox.carried(request)
        # As a rule this is all of them.
        done = [key for key, verdict in verdicts.items() if verdict is _DONE]
        if done:
            outbox.settle_carried(carried.filter(Among("key", done)), Status.SENT, now=now, told="")
        by_fate: dict[tuple[OutboxEntry.Status | None, str], list[int]] = {}
        for pk, key in carried.order_by().values_list("pk", "key"):
            by_fate.setdefault(verdicts.get(key, _UNLISTED), []).append(pk)
        for (fate, told), pks in by_fate.items():
            for some in (carried.filter(Among("pk", chunk)) for chunk in outbox.chunks(pks)):
                if fate is None:
                    outbox.release_carried(some, now=now, told=told, in_doubt_since=request.sent_at, is_alone=True)
                else:
                    outbox.settle_carried(some, fate, now=now, told=told)


def _fate(device: JobDevice) -> tuple[OutboxEntry.Status | None, str]:
    """What a report says of a device's changes, and in which words."""
    if device.status == "done" and not device.tags:
        return _DONE
    if device.status == "not found":
        return _UNKNOWN
    refused = [f"{name}: {verdict}" for name, verdict in device.tags.items() if verdict != "ok"]
    if device.status == "done" and len(refused) < max(1, len(device.tags)):
        return (Status.SENT, storable("; ".join(refused))[:1000]) if refused else _DONE
    told = storable("; ".join(refused))[:1000]
    return Status.FAILED, told or f"Pushwoosh says of the device: {storable(device.status)[:100] or 'nothing'}."


_DONE = (Status.SENT, "")
_UNLISTED = (None, "The bulk request's report does not list it.")
_UNKNOWN = (None, "Pushwoosh does not know the device, and adds none in bulk.")


def _give_up(request: BulkRequest, told: str, now: datetime) -> None:
    with transaction.atomic(using=request._state.db):
        if end(request, now=now, told=told):
            outbox.release_carried(
                outbox.carried(request), now=now, told=storable(told), in_doubt_since=request.sent_at, is_alone=False
            )


def _unsettled(request: BulkRequest) -> QuerySet[BulkRequest]:
    return BulkRequest.objects.using(request._state.db).filter(pk=request.pk, settled_at=None)
