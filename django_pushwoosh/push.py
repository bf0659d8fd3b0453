"""The door in: everything that is said to Pushwoosh is said here.

What is queued is a row in the present transaction; it leaves after the commit. `relay` alone asks at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import router, transaction
from django.db.models import QuerySet
from django.utils import timezone

from django_pushwoosh.conf import DEFAULT_ALIAS, settings
from django_pushwoosh.delivery import connection, mirror, outbox
from django_pushwoosh.delivery.results import ENDING, progress, stop
from django_pushwoosh.models import (
    BulkJob,
    BulkJobChunk,
    Device,
    Dispatch,
    OutboxEntry,
    Pause,
    ScheduledMessage,
    UserLink,
)
from django_pushwoosh.protocol import audience as audiences
from django_pushwoosh.protocol import filters
from django_pushwoosh.protocol import tags as tag_rules
from django_pushwoosh.protocol.audience import Audience
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.errors import InvalidFilter, InvalidMessage, Problem
from django_pushwoosh.protocol.messages import Message

EVERYONE = audiences.EVERYONE
"""Every subscriber of the application: the one way to say so."""

CHUNK = 1000
"""Devices in one bulk request; the documents name no bound."""

Target = Audience | filters.Expression | Device | AbstractBaseUser | Iterable[Device | AbstractBaseUser]


# Messages


def send(
    message: Message | str, *, to: Target, application: str = DEFAULT_ALIAS, created_by: Any = None
) -> ScheduledMessage:
    """Queue a push. `to` is `EVERYONE`, a filter (`Tag("City").eq("Oslo")`), devices, Django users or an audience.

    Raises `InvalidMessage` or `InvalidFilter` for what Pushwoosh would misread; an empty `to` is an error, never
    everyone.
    """
    return schedule(message, to=to, at=None, application=application, created_by=created_by)


def schedule(
    message: Message | str,
    *,
    to: Target,
    at: datetime | None,
    time_zone: str = "UTC",
    in_device_time: bool = False,
    application: str = DEFAULT_ALIAS,
    created_by: Any = None,
) -> ScheduledMessage:
    """Queue a push for a time (aware; to the minute, rounded up). Pushwoosh keeps it until then."""
    app = settings.application(application)
    whole = Message(message) if isinstance(message, str) else message
    using = router.db_for_write(ScheduledMessage)
    with transaction.atomic(using=using):
        scheduled = ScheduledMessage(
            application=app.code,
            parameters=whole.to_json(),
            audience=audience_of(to).to_json(),
            send_at=at,
            time_zone=time_zone,
            in_device_time=in_device_time,
            created_by=created_by,
        )
        scheduled.save(using=using)
        submit(scheduled)
    return scheduled


def submit(scheduled: ScheduledMessage) -> bool:
    """Queue a draft. Once: of ten callers at the same moment one gets true, and one push goes out."""
    using = scheduled._state.db or router.db_for_write(ScheduledMessage)
    now = timezone.now()
    with transaction.atomic(using=using):
        drafts = ScheduledMessage.objects.using(using).filter(pk=scheduled.pk, status=ScheduledMessage.Status.DRAFT)
        if not drafts.update(status=ScheduledMessage.Status.SCHEDULED, queued_at=now):
            return False
        # What is sent is what the row holds now, not what somebody once read from it.
        scheduled.refresh_from_db(using=using)
        _dispatch(scheduled, now, using, first=1)
    return True


def cancel(scheduled: ScheduledMessage) -> None:
    """Stop a message: what is still queued never leaves, what Pushwoosh holds is cancelled there.

    What is being sent at this moment is cancelled as soon as it has a code; its status tells whether that was in time.
    """
    using = scheduled._state.db or router.db_for_write(ScheduledMessage)
    with transaction.atomic(using=using):
        message = ScheduledMessage.objects.using(using).select_for_update().get(pk=scheduled.pk)
        if message.status == ScheduledMessage.Status.DRAFT:
            message.status = ScheduledMessage.Status.CANCELLED
            ScheduledMessage.objects.using(using).filter(pk=message.pk).update(status=message.status)
        else:
            _stop_all(message, using)
            message.settle()
        scheduled.status = message.status


def reschedule(scheduled: ScheduledMessage, before: ScheduledMessage) -> None:
    """Put a message's row, as it is now, in the place of what was queued: cancel and create anew.

    Raises `InvalidMessage` where a part of it is out already, or may be: nobody is to get it twice.
    """
    using = scheduled._state.db or router.db_for_write(ScheduledMessage)
    now = timezone.now()
    with transaction.atomic(using=using):
        dispatches = list(scheduled.dispatches.using(using).select_for_update().order_by("number"))
        live = [dispatch for dispatch in dispatches if dispatch.status != Dispatch.Status.CANCELLED]
        for dispatch in live:
            if not (before.is_ahead and dispatch.is_known_upstream) and not _is_untouched(dispatch, using):
                raise InvalidMessage(
                    Problem("", "a part of the message has left, or is leaving now; compose a new one instead")
                )
        _stop_all(scheduled, using)
        _dispatch(scheduled, now, using, first=len(dispatches) + 1)
        scheduled.settle()


def withdraw(scheduled: ScheduledMessage) -> None:
    """The row is about to be deleted: take out what is queued, cancel what Pushwoosh knows."""
    using = scheduled._state.db or router.db_for_write(ScheduledMessage)
    ScheduledMessage.objects.using(using).select_for_update().filter(pk=scheduled.pk).first()
    _stop_all(scheduled, using)


def to(user: AbstractBaseUser) -> audiences.Users:
    """All devices of a Django user, as an audience."""
    return audiences.Users([settings.user_id(user)])


def audience_of(to: Target) -> Audience:
    """Whom `to` means. Raises `InvalidMessage` for nobody, and for what could be mistaken."""
    if isinstance(to, Audience):
        return to
    if isinstance(to, filters.Expression):
        try:
            return audiences.Conditions(*filters.condition_list(to))
        except InvalidFilter:
            return audiences.FilterExpression(to)
    targets = [to] if isinstance(to, Device | AbstractBaseUser) else to
    if targets is None or isinstance(targets, str | bytes | Mapping) or not isinstance(targets, Iterable):
        raise InvalidMessage(
            Problem("to", "name an audience: EVERYONE, a filter, devices, users, Devices([…]) or Users([…])")
        )
    found = list(targets)
    if not found:
        raise InvalidMessage(Problem("to", "the list is empty; nobody is never read as everyone"))
    if all(isinstance(each, Device) for each in found):
        return audiences.Devices([each.hwid for each in found if isinstance(each, Device)])
    if all(isinstance(each, AbstractBaseUser) for each in found):
        return audiences.Users([settings.user_id(each) for each in found])
    raise InvalidMessage(Problem("to", "list either devices or Django users; for ids use Devices([…]) or Users([…])"))


def call_of(scheduled: ScheduledMessage, audience: Audience, transaction_id: UUID, now: datetime) -> Call:
    """The call that a message makes for (a part of) its audience. Raises `InvalidMessage`."""
    send_date, zone = _send_date(scheduled, now)
    return scheduled.message.call(
        scheduled.application,
        audience,
        transaction_id=str(transaction_id),
        send_date=send_date,
        timezone=zone,
        ignore_user_timezone=not scheduled.in_device_time,
    )


def _dispatch(scheduled: ScheduledMessage, now: datetime, using: str, first: int) -> None:
    application = settings.application(scheduled.application)
    for number, part in enumerate(audiences.split(scheduled.to), start=first):
        transaction_id = uuid4()
        call = call_of(scheduled, part, transaction_id, now)
        dispatch = Dispatch.objects.using(using).create(
            message=scheduled,
            number=number,
            transaction_id=transaction_id,
            method=call.method.name,
            arguments=dict(call.arguments),
        )
        outbox.enqueue(
            call, key=outbox.message_key(scheduled.pk), application=application, dispatch=dispatch, now=now, using=using
        )


def _stop_all(scheduled: ScheduledMessage, using: str) -> None:
    stoppable = (Dispatch.Status.QUEUED, Dispatch.Status.SENT, Dispatch.Status.LIMITED)
    for dispatch in scheduled.dispatches.using(using).filter(status__in=stoppable).select_for_update():
        _stop(dispatch, scheduled.application, using)


def _stop(dispatch: Dispatch, application: str, using: str) -> None:
    now = timezone.now()
    dispatches = Dispatch.objects.using(using).filter(pk=dispatch.pk)
    if dispatch.is_known_upstream:
        stop(dispatch, application, now=now)
    elif dispatch.status == Dispatch.Status.QUEUED:
        if outbox.cancel(_creating(dispatch, using).filter(doubtful_since=None), now=now):
            dispatches.update(status=Dispatch.Status.CANCELLED, settled_at=now)
        else:
            # It is on its way, or may have arrived: once it has a code, it is cancelled by that.
            dispatches.update(is_unwanted=True)


def _is_untouched(dispatch: Dispatch, using: str) -> bool:
    """Whether nothing of a dispatch can have left."""
    queued = _creating(dispatch, using).filter(status=OutboxEntry.Status.QUEUED, doubtful_since=None)
    return dispatch.status == Dispatch.Status.QUEUED and queued.select_for_update().first() is not None


def _creating(dispatch: Dispatch, using: str) -> QuerySet[OutboxEntry]:
    return dispatch.entries.using(using).exclude(method__in=ENDING)


def _send_date(scheduled: ScheduledMessage, now: datetime) -> tuple[str, str | None]:
    """`send_date` and `timezone` as the wire has them: minutes, on the clock of a zone."""
    if scheduled.send_at is None:
        return "now", None
    try:
        zone = ZoneInfo(scheduled.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidMessage(
            Problem("time_zone", f"{scheduled.time_zone!r} is no time zone; write for example Europe/Oslo")
        ) from None
    at = scheduled.send_at.astimezone(UTC)
    if at.second or at.microsecond:
        at = at.replace(second=0, microsecond=0) + timedelta(minutes=1)
    if at <= now and not scheduled.in_device_time:
        raise InvalidMessage(
            Problem("send_at", f"{at:%Y-%m-%d %H:%M} UTC is in the past; send now, or choose a later time")
        )
    local = at.astimezone(zone)
    if scheduled.in_device_time:
        return f"{local:%Y-%m-%d %H:%M}", None
    # A clock that is set back shows an hour twice; only UTC says which one is meant.
    if local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset():
        return f"{at:%Y-%m-%d %H:%M}", "UTC"
    return f"{local:%Y-%m-%d %H:%M}", scheduled.time_zone


# Devices and users


def register_device(device: Device, *, tags: Mapping[str, Any] | None = None) -> OutboxEntry:
    """Queue registerDevice with what the row says, and with tags if any are given."""
    call = Call.of(
        "registerDevice",
        device.application,
        hwid=device.hwid,
        device_type=device.platform,
        push_token=device.push_token or None,
        language=device.language or None,
        timezone=device.utc_offset_seconds,
        device_model=device.device_model or None,
        os_version=device.os_version or None,
        app_version=device.app_version or None,
        tags=tag_rules.clean_tags(tags) if tags else None,
    )
    return queue_unmirrored(call, using=device._state.db)


def unregister_device(device: Device) -> OutboxEntry:
    """Queue unregisterDevice: Pushwoosh forgets the push token and keeps the device."""
    call = Call.of("unregisterDevice", device.application, hwid=device.hwid)
    return queue_unmirrored(call, using=device._state.db)


def set_tags(
    device: Device | None = None,
    tags: Mapping[str, Any] | None = None,
    *,
    hwid: str | None = None,
    user: AbstractBaseUser | None = None,
    user_id: str | None = None,
    application: str = DEFAULT_ALIAS,
) -> OutboxEntry:
    """Queue setTags for a device, a hwid, or all devices of a user; the mirror changes at once.

    Values may be `Increment`, `Append` or `Remove`. Raises `InvalidTag`.
    """
    code = device.application if device is not None else settings.application(application).code
    hwid = device.hwid if device is not None else hwid
    user_id = settings.user_id(user) if user is not None else user_id
    if bool(hwid) == bool(user_id):
        raise InvalidMessage(Problem("", "name one of device, hwid, user and user_id"))
    call = Call.of("setTags", code, hwid=hwid, userId=user_id, tags=tag_rules.clean_tags(tags or {}))
    return queue_call(call, using=device._state.db if device is not None else None)


def post_event(
    event: str,
    attributes: Mapping[str, Any] | None = None,
    *,
    device: Device | None = None,
    user: AbstractBaseUser | None = None,
    hwid: str | None = None,
    user_id: str | None = None,
    application: str = DEFAULT_ALIAS,
) -> OutboxEntry:
    """Queue postEvent. Name the device, the user or both: without a hwid a user enters no customer journey."""
    code = device.application if device is not None else settings.application(application).code
    now = timezone.now()
    call = Call.of(
        "postEvent",
        code,
        event=event,
        attributes=dict(attributes or {}),
        hwid=device.hwid if device is not None else hwid,
        userId=settings.user_id(user) if user is not None else user_id,
        timestampUTC=int(now.timestamp()),
    )
    return queue_call(call)


def set_badge(device: Device, badge: int) -> OutboxEntry:
    """Queue setBadge: the number from which `+n` and `-n` count."""
    return queue_call(Call.of("setBadge", device.application, hwid=device.hwid, badge=badge), using=device._state.db)


def link_user(device: Device, user: AbstractBaseUser | None = None, *, user_id: str | None = None) -> UserLink | None:
    """Make a device speak for a user and queue registerUser; the earlier link is closed and kept."""
    named = settings.user_id(user) if user is not None else (user_id or "")
    using = device._state.db or router.db_for_write(UserLink)
    with transaction.atomic(using=using):
        link = mirror.link(device, named, now=timezone.now(), django_user=user, using=using)
        register_user(device, named)
    return link


def unlink_user(device: Device) -> None:
    """Make a device anonymous again: its user id is its hwid."""
    link_user(device)


def register_user(device: Device, user_id: str = "") -> OutboxEntry:
    """Queue registerUser; without a user id the device is anonymous."""
    call = Call.of(
        "registerUser", device.application, hwid=device.hwid, userId=user_id or device.hwid, device_type=device.platform
    )
    return queue_unmirrored(call, using=device._state.db)


def delete_user(user_id: str, *, application: str = DEFAULT_ALIAS) -> OutboxEntry:
    """Queue deleteUser: the user and all the user's devices in the application go, here and there."""
    return queue_call(Call.of("deleteUser", settings.application(application).code, user_id=user_id))


def queue_call(call: Call, using: str | None = None) -> OutboxEntry:
    """Queue a device call and bring the mirror up to it, in one transaction. Order is kept per device."""
    using = using or router.db_for_write(OutboxEntry)
    with transaction.atomic(using=using):
        mirror.note(call, now=timezone.now(), using=using)
        return queue_unmirrored(call, using=using)


def queue_unmirrored(call: Call, using: str | None = None) -> OutboxEntry:
    """Queue a device call of which the mirror knows already, or which it cannot digest."""
    return outbox.enqueue(
        call,
        key=key_of(call),
        application=settings.application(call.application),
        now=timezone.now(),
        using=using,
    )


def key_of(call: Call) -> str:
    """What a device call is ordered by: the device, else the address, else the user."""
    hwid = mirror.hwid_of(call)
    if hwid:
        return outbox.device_key(call.application, hwid)
    named = call.arguments.get("email") or call.arguments.get("userId") or call.arguments.get("user_id") or ""
    return outbox.user_key(call.application, str(named))


def is_behind(call: Call) -> bool:
    """Whether earlier calls of the same device still wait, so that this one has to queue behind them."""
    return outbox.has_unsettled(key_of(call))


def relay(call: Call, *, authorization: str | None) -> tuple[int, Mapping[str, str], bytes]:
    """Pass an SDK's call on at once and return status, headers and bytes. Raises `ConnectionFailed`, `NoAnswer`."""
    return connection.relay(call, settings.application(call.application), authorization=authorization)


def mirror_call(call: Call) -> Device | None:
    """Bring the mirror up to a call that was relayed with success."""
    return mirror.note(call, now=timezone.now())


# Bulk jobs


def bulk_register_devices(
    devices: Iterable[Mapping[str, Any]], *, application: str = DEFAULT_ALIAS, is_started: bool = True
) -> BulkJob:
    """A job that registers many devices: objects with hwid, push_token, platform and perhaps tags (seeds 004)."""
    return _new_job(BulkJob.Kind.REGISTER, devices, application, is_started)


def bulk_set_tags(
    devices: Iterable[Mapping[str, Any]],
    *,
    application: str = DEFAULT_ALIAS,
    create_missing_tags: bool = False,
    is_started: bool = True,
) -> BulkJob:
    """A job that tags many devices: objects with hwid, user_id or push_token, and tags (seeds 004)."""
    return _new_job(BulkJob.Kind.TAGS, devices, application, is_started, create_missing_tags)


def start(job: BulkJob) -> bool:
    """Queue the chunks of a job that is new or was paused."""
    using = job._state.db or router.db_for_write(BulkJob)
    application = settings.application(job.application)
    now = timezone.now()
    startable = (BulkJob.Status.NEW, BulkJob.Status.PAUSED)
    with transaction.atomic(using=using):
        jobs = BulkJob.objects.using(using).filter(pk=job.pk, status__in=startable)
        if not jobs.update(status=BulkJob.Status.RUNNING):
            return False
        for chunk in job.chunks.using(using).filter(status=BulkJobChunk.Status.WAITING).iterator(chunk_size=10):
            more = {"create_missing_tags": job.create_missing_tags} if job.kind == BulkJob.Kind.TAGS else {}
            call = Call.of(job.kind, application.code, devices=chunk.devices, **more)
            outbox.enqueue(
                call, key=outbox.chunk_key(chunk.pk), application=application, chunk=chunk, now=now, using=using
            )
            BulkJobChunk.objects.using(using).filter(pk=chunk.pk).update(status=BulkJobChunk.Status.QUEUED)
        progress(job, lambda: None, now=now)
        job.refresh_from_db(using=using)
    return True


resume = start


def pause(job: BulkJob) -> bool:
    """Take the chunks that have not left out of the queue; `resume` puts them back."""
    return _halt(job, BulkJob.Status.PAUSED, BulkJobChunk.Status.WAITING)


def abort(job: BulkJob) -> bool:
    """End a job; chunks that have not left never will."""
    return _halt(job, BulkJob.Status.ABORTED, BulkJobChunk.Status.CANCELLED)


def _new_job(
    kind: BulkJob.Kind,
    devices: Iterable[Mapping[str, Any]],
    application: str,
    is_started: bool,
    create_missing_tags: bool = False,
) -> BulkJob:
    using = router.db_for_write(BulkJob)
    code = settings.application(application).code
    with transaction.atomic(using=using):
        job = BulkJob.objects.using(using).create(application=code, kind=kind, create_missing_tags=create_missing_tags)
        number = 0
        for number, chunk in enumerate(_chunked(devices), start=1):
            rows = Call.of(kind, code, devices=chunk).arguments["devices"]
            BulkJobChunk.objects.using(using).create(job=job, number=number, devices=rows)
        if not number:
            raise InvalidMessage(Problem("devices", "the job has no devices"))
        if is_started:
            start(job)
    return job


def _chunked(devices: Iterable[Mapping[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for device in devices:
        row = dict(device)
        if isinstance(row.get("tags"), Mapping):
            row["tags"] = tag_rules.clean_tags(row["tags"])
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _halt(job: BulkJob, status: BulkJob.Status, of_chunks: BulkJobChunk.Status) -> bool:
    using = job._state.db or router.db_for_write(BulkJob)
    now = timezone.now()
    running = (BulkJob.Status.NEW, BulkJob.Status.RUNNING, BulkJob.Status.PAUSED)
    with transaction.atomic(using=using):
        ended_at = now if status == BulkJob.Status.ABORTED else None
        jobs = BulkJob.objects.using(using).filter(pk=job.pk, status__in=running)
        if not jobs.update(status=status, ended_at=ended_at):
            return False
        queued = OutboxEntry.objects.using(using).filter(chunk__job=job, status=OutboxEntry.Status.QUEUED)
        # What may have arrived is not taken back: its report, or a person, tells.
        stopped = outbox.cancel(queued.filter(doubtful_since=None), now=now)
        chunks = BulkJobChunk.objects.using(using).filter(job=job)
        chunks.filter(pk__in=[entry.chunk_id for entry in stopped]).update(status=of_chunks)
        chunks.filter(status=BulkJobChunk.Status.WAITING).update(status=of_chunks)
        job.refresh_from_db(using=using)
    return True


# What waits


def retry(entry: OutboxEntry) -> bool:
    """Queue a failed, left or uncertain entry once more; a cancelled one too, unless it is a message's or a job's."""
    using = entry._state.db
    with transaction.atomic(using=using):
        message = entry.dispatch.message if entry.dispatch is not None else None
        if message is not None:
            message = ScheduledMessage.objects.using(using).select_for_update().get(pk=message.pk)
        if not outbox.retry(entry, now=timezone.now()):
            return False
        if message is not None and entry.method not in ENDING:
            dispatches = Dispatch.objects.using(using).filter(entries=entry)
            dispatches.update(status=Dispatch.Status.QUEUED, settled_at=None, told="", is_unwanted=False)
            message.settle()
        if entry.chunk_id:
            BulkJobChunk.objects.using(using).filter(entries=entry).update(status=BulkJobChunk.Status.QUEUED)
            BulkJob.objects.using(using).filter(chunks__entries=entry, status=BulkJob.Status.ENDED).update(
                status=BulkJob.Status.RUNNING, ended_at=None
            )
    return True


def cancel_entries(entries: QuerySet[OutboxEntry]) -> int:
    """Take queued device calls out of the outbox; how many were. Messages and bulk jobs have their own ways."""
    return len(outbox.cancel(entries.filter(dispatch=None, chunk=None), now=timezone.now()))


def unpause(pauses: Sequence[Pause]) -> None:
    """Let the entries of paused applications go on."""
    for paused in pauses:
        outbox.renew_patience(paused.application, paused._state.db)
        paused.delete()
    outbox.wake()
