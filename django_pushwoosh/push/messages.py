"""Messages: to whom, when, and how they are stopped again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import router, transaction
from django.db.models import QuerySet
from django.utils import timezone

from django_pushwoosh.conf import DEFAULT_ALIAS, settings
from django_pushwoosh.delivery import outbox
from django_pushwoosh.delivery.results import ENDING, say_it_is_beyond_reach, stop
from django_pushwoosh.models import (
    Device,
    Dispatch,
    OutboxEntry,
    ScheduledMessage,
    TagDefinition,
    home_of,
)
from django_pushwoosh.protocol import audience as audiences
from django_pushwoosh.protocol import filters
from django_pushwoosh.protocol.addresses import masked
from django_pushwoosh.protocol.audience import Audience
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.errors import InvalidFilter, InvalidMessage, Problem
from django_pushwoosh.protocol.filter_types import misfits
from django_pushwoosh.protocol.messages import Message

logger = logging.getLogger("django_pushwoosh")

MOST_PROMOTED = 100
"""Recipients of one message whose waiting changes leave before it."""

FIRST_ZONE = timedelta(hours=14)
"""How far ahead of UTC the first clocks on earth run."""

EVERYONE = audiences.EVERYONE
"""Every subscriber of the application: the one way to say so."""

Target = Audience | filters.Expression | Device | AbstractBaseUser | Iterable[Device | AbstractBaseUser]


def send(
    message: Message | str,
    *,
    to: Target,
    expires_at: datetime | None = None,
    application: str = DEFAULT_ALIAS,
    created_by: Any = None,
) -> ScheduledMessage:
    """Queue a push. `to` is `EVERYONE`, a filter (`Tag("City").eq("Oslo")`), devices, Django users or an audience.

    Raises `InvalidMessage` or `InvalidFilter` for what Pushwoosh would misread; an empty `to` is an error, never
    everyone. What has not left by `expires_at` (aware; a day from now, if none is given) never will; what Pushwoosh has
    accepted by then is out of its reach.
    """
    return schedule(message, to=to, at=None, expires_at=expires_at, application=application, created_by=created_by)


def schedule(
    message: Message | str,
    *,
    to: Target,
    at: datetime | None,
    time_zone: str = "UTC",
    in_device_time: bool = False,
    expires_at: datetime | None = None,
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
            expires_at=expires_at,
            created_by=created_by,
        )
        scheduled.save(using=using)
        submit(scheduled)
    return scheduled


def submit(scheduled: ScheduledMessage) -> bool:
    """Queue a draft. Once: of ten callers at the same moment one gets true, and one push goes out."""
    return submit_by(scheduled, outbox.enqueue_all)


def submit_by(
    scheduled: ScheduledMessage,
    enqueue: Callable[[Sequence[OutboxEntry], str], None],
    transaction_id: UUID | None = None,
) -> bool:
    """`submit`, with a way of its own into the outbox; `transaction_id` is the first dispatch's."""
    using = home_of(scheduled)
    now = timezone.now()
    with transaction.atomic(using=using):
        drafts = ScheduledMessage.objects.using(using).filter(pk=scheduled.pk, status=ScheduledMessage.Status.DRAFT)
        if not drafts.update(status=ScheduledMessage.Status.SCHEDULED, queued_at=now):
            return False
        # What is sent is what the row holds now, not what somebody once read from it.
        scheduled.refresh_from_db(using=using)
        _dispatch(scheduled, now, using, first=1, enqueue=enqueue, transaction_id=transaction_id)
        for problem in warnings(scheduled, now):
            logger.warning("Message %s is queued, but: %s", scheduled.pk, masked(str(problem)))
    return True


def cancel(scheduled: ScheduledMessage) -> None:
    """Stop a message: what is still queued never leaves, what Pushwoosh holds is cancelled there.

    What is being sent at this moment is cancelled as soon as it has a code; its status tells whether that was in time.
    What was sent without a code (at once, to fewer than 10 devices) is beyond reach, and its dispatch says so.
    """
    using = home_of(scheduled)
    with transaction.atomic(using=using):
        message = ScheduledMessage.objects.using(using).select_for_update().get(pk=scheduled.pk)
        if message.status == ScheduledMessage.Status.DRAFT:
            message.status = ScheduledMessage.Status.CANCELLED
            ScheduledMessage.objects.using(using).filter(pk=message.pk).update(status=message.status)
        else:
            _stop_all(message, using)
            message.settle()
        scheduled.status = message.status


def reschedule(scheduled: ScheduledMessage, before: ScheduledMessage, *, using: str | None = None) -> None:
    """Put a message's row, as it is now, in the place of what was queued: cancel and create anew.

    Raises `InvalidMessage` where a part of it is out already, or may be: nobody is to get it twice.
    """
    using = using or home_of(scheduled)
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


def withdraw(scheduled: ScheduledMessage, *, using: str | None = None) -> None:
    """The row is about to be deleted: take out what is queued, cancel what Pushwoosh knows."""
    using = using or home_of(scheduled)
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
    """The call that a message makes for (a part of) its audience. Raises `InvalidMessage` and `InvalidFilter`."""
    _check_types(scheduled, audience)
    _check_expiry(scheduled, now)
    return scheduled.message.call(
        scheduled.application, audience, transaction_id=str(transaction_id), now=now, **_timing(scheduled, now)
    )


def _check_expiry(scheduled: ScheduledMessage, now: datetime) -> None:
    """Refuse what could never leave: it is too late already, or will be before its time."""
    if scheduled.expires_at is None:
        return
    if scheduled.expires_at <= now:
        raise InvalidMessage(
            Problem("expires_at", f"{scheduled.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC is in the past")
        )
    if scheduled.send_at is not None:
        # On each device's own clock the first ones are ahead of UTC.
        first = scheduled.send_at - FIRST_ZONE if scheduled.in_device_time else scheduled.send_at
        if scheduled.expires_at <= first:
            raise InvalidMessage(Problem("expires_at", "it has to be later than the time at which it is sent"))


def _check_types(scheduled: ScheduledMessage, audience: Audience) -> None:
    """Refuse to ask of a tag what its declared type cannot answer; Pushwoosh would find nobody, or refuse later."""
    match audience:
        case audiences.Conditions(conditions=conditions):
            asked: dict[str, filters.Expression] = {
                f"conditions[{index}]": each for index, each in enumerate(conditions)
            }
        case audiences.FilterExpression(expression=expression):
            asked = {"expression": expression}
        case _:
            return
    types = TagDefinition.objects.db_manager(scheduled._state.db).types_of(scheduled.application)
    problems = [Problem(path, each.text) for path, node in asked.items() for each in misfits(node, types)]
    if problems:
        raise InvalidFilter(*problems)


def warnings(scheduled: ScheduledMessage, now: datetime | None = None) -> list[Problem]:
    """What Pushwoosh would take of a message and silently ignore, or read in another way than it looks.

    Raises `InvalidMessage` where it cannot be sent at all.
    """
    moment = now or timezone.now()
    return scheduled.message.warnings(scheduled.to, now=moment, **_timing(scheduled, moment))


def _dispatch(
    scheduled: ScheduledMessage,
    now: datetime,
    using: str,
    first: int,
    enqueue: Callable[[Sequence[OutboxEntry], str], None] = outbox.enqueue_all,
    transaction_id: UUID | None = None,
) -> None:
    application = settings.application(scheduled.application)
    dispatches, entries = [], []
    for number, part in enumerate(audiences.split(scheduled.to), start=first):
        own_id = transaction_id if transaction_id is not None and number == first else uuid4()
        call = call_of(scheduled, part, own_id, now)
        dispatch = Dispatch(
            message=scheduled,
            number=number,
            transaction_id=own_id,
            method=call.method.name,
            arguments=dict(call.arguments),
        )
        dispatches.append(dispatch)
        entries.append(
            outbox.entry_of(
                call,
                key=outbox.message_key(scheduled.pk),
                application=application,
                lane=_lane(scheduled, part),
                expires_at=_expiry(scheduled, now),
                now=now,
            )
        )
        if entries[-1].lane == OutboxEntry.Lane.TRANSACTIONAL:
            outbox.promote(_keys_of(scheduled.application, part, using), using)
    for dispatch, entry in zip(dispatches, entries, strict=True):
        dispatch.save(using=using, force_insert=True)
        entry.dispatch = dispatch
    enqueue(entries, using)


def _lane(scheduled: ScheduledMessage, part: Audience) -> OutboxEntry.Lane:
    """What goes now to named devices or users (an order, a code) leaves before what goes to many."""
    is_named = isinstance(part, audiences.Devices | audiences.Users)
    lanes = OutboxEntry.Lane
    return lanes.TRANSACTIONAL if is_named and scheduled.send_at is None else lanes.USER_VISIBLE


def _keys_of(application: str, part: Audience, using: str) -> list[str]:
    """The keys under which changes of a few named recipients wait."""
    hwids: Iterable[str] = ()
    if isinstance(part, audiences.Devices):
        hwids = part.ids[:MOST_PROMOTED]
    elif isinstance(part, audiences.Users):
        devices = Device.objects.using(using).of(application).filter(links__is_open=True)
        hwids = devices.filter(links__user_id__in=part.ids[:MOST_PROMOTED]).values_list("hwid", flat=True)
    return [outbox.device_key(application, hwid) for hwid in hwids]


def _expiry(scheduled: ScheduledMessage, now: datetime) -> datetime | None:
    """When it is too late to send: nobody wants a message after days of trouble."""
    if scheduled.expires_at is not None or settings.expire_after is None:
        return scheduled.expires_at
    return (scheduled.send_at or now) + settings.expire_after


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
    else:
        say_it_is_beyond_reach(dispatch)


def _is_untouched(dispatch: Dispatch, using: str) -> bool:
    """Whether nothing of a dispatch can have left."""
    queued = _creating(dispatch, using).filter(status=OutboxEntry.Status.QUEUED, doubtful_since=None)
    return dispatch.status == Dispatch.Status.QUEUED and queued.select_for_update().first() is not None


def _creating(dispatch: Dispatch, using: str) -> QuerySet[OutboxEntry]:
    return dispatch.entries.using(using).exclude(method__in=ENDING)


def _timing(scheduled: ScheduledMessage, now: datetime) -> dict[str, Any]:
    """When it is sent, as the wire has it."""
    send_date, zone = _send_date(scheduled, now)
    return {"send_date": send_date, "timezone": zone, "ignore_user_timezone": not scheduled.in_device_time}


def _send_date(scheduled: ScheduledMessage, now: datetime) -> tuple[str, str | None]:
    """`send_date` and `timezone`: minutes, on the clock of a zone."""
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
