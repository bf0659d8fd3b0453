"""What is said about devices and users: queued with its trace in the mirror, or relayed at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import uuid4

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import DatabaseError, IntegrityError, OperationalError, connections, router, transaction
from django.utils import timezone

from django_pushwoosh.conf import DEFAULT_ALIAS, settings
from django_pushwoosh.delivery import connection, device_statement, entry_points, mirror, outbox, standing, tag_mirror
from django_pushwoosh.delivery.deadlocks import begun_anew, has_lost
from django_pushwoosh.delivery.standing import Standing
from django_pushwoosh.models import Device, OutboxEntry, UserLink, home_of, is_storable
from django_pushwoosh.protocol import tags as tag_rules
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.errors import InvalidMessage, Problem
from django_pushwoosh.protocol.methods import Upstream

MANY = 1000
"""Devices that are written at a time."""


def register_device(device: Device, *, tags: Mapping[str, Any] | None = None, using: str | None = None) -> OutboxEntry:
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
    return queue_unmirrored(call, using=using or home_of(device))


def unregister_device(device: Device, *, using: str | None = None) -> OutboxEntry:
    """Queue unregisterDevice: Pushwoosh forgets the push token and keeps the device."""
    call = Call.of("unregisterDevice", device.application, hwid=device.hwid)
    return queue_unmirrored(call, using=using or home_of(device))


def set_tags(
    device: Device | None = None,
    tags: Mapping[str, Any] | None = None,
    *,
    hwid: str | None = None,
    user: AbstractBaseUser | None = None,
    user_id: str | None = None,
    application: str = DEFAULT_ALIAS,
    using: str | None = None,
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
    return queue_call(call, using=using or (home_of(device) if device is not None else None))


def set_tags_of_many(
    changes: Iterable[tuple[Device | str, Mapping[str, Any]]],
    *,
    application: str = DEFAULT_ALIAS,
    using: str | None = None,
) -> int:
    """Queue setTags for many devices, rows or hwids, each with its own tags; how many. The mirror changes at once.

    They leave after what is urgent, together where that can be said in bulk. Takes any number, also from a generator,
    in one transaction of one database: all are queued, or none. Raises `InvalidTag`, and `InvalidMessage` for a row of
    another application or database.
    """
    app = settings.application(application)
    using = using or router.db_for_write(OutboxEntry)
    queued = 0
    with transaction.atomic(using=using):
        for some in _batches(changes):
            now = timezone.now()
            said: list[tuple[str, dict[str, Any]]] = []
            for device, tags in some:
                said.append((_hwid_in(app.code, using, device), tag_rules.clean_tags(tags)))
            tag_mirror.note_many(app.code, said, now=now, using=using)
            entries = [
                outbox.entry_of(
                    Call.of("setTags", app.code, hwid=hwid, tags=tags),
                    key=outbox.device_key(app.code, hwid),
                    application=app,
                    lane=OutboxEntry.Lane.BULK,
                    now=now,
                )
                for hwid, tags in said
            ]
            outbox.enqueue_all(entries, using=using)
            queued += len(entries)
    return queued


def _hwid_in(application: str, using: str, device: Device | str) -> str:
    """A row's hwid, or the one that was given. Raises `InvalidMessage` for a row of another application or database."""
    if not isinstance(device, Device):
        return device
    if device.application != application:
        raise InvalidMessage(Problem("", f"{device} belongs to {device.application}, not to {application}"))
    home = home_of(device)
    if home != using:
        raise InvalidMessage(Problem("", f"{device} is in the database {home}, not in {using}; name it by `using`"))
    return device.hwid


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
    return queue_call(call, using=home_of(device) if device is not None else None)


def set_badge(device: Device, badge: int) -> OutboxEntry:
    """Queue setBadge: the number from which `+n` and `-n` count."""
    return queue_call(Call.of("setBadge", device.application, hwid=device.hwid, badge=badge), using=home_of(device))


def link_user(device: Device, user: AbstractBaseUser | None = None, *, user_id: str | None = None) -> UserLink | None:
    """Make a device speak for a user and queue registerUser; the earlier link is closed and kept."""
    named = settings.user_id(user) if user is not None else (user_id or "")
    using = home_of(device)
    with transaction.atomic(using=using):
        link = mirror.link(device, named, now=timezone.now(), django_user=user, using=using)
        register_user(device, named, using=using)
    return link


def unlink_user(device: Device) -> None:
    """Make a device anonymous again: its user id is its hwid."""
    link_user(device)


def register_user(device: Device, user_id: str = "", *, using: str | None = None) -> OutboxEntry:
    """Queue registerUser; without a user id the device is anonymous."""
    call = Call.of(
        "registerUser", device.application, hwid=device.hwid, userId=user_id or device.hwid, device_type=device.platform
    )
    return queue_unmirrored(call, using=using or home_of(device))


def delete_user(user_id: str, *, application: str = DEFAULT_ALIAS) -> OutboxEntry:
    """Queue deleteUser: the user and all the user's devices in the application go, here and there."""
    return queue_call(Call.of("deleteUser", settings.application(application).code, user_id=user_id))


def queue_call(
    call: Call, using: str | None = None, *, django_user: AbstractBaseUser | None = None, is_tokenless: bool = False
) -> OutboxEntry:
    """Queue a device call and bring the mirror up to it, in one transaction. Order is kept per device.

    `django_user` is who makes it, where that is known. One that `is_tokenless` is sent without our device token.
    """
    using = using or router.db_for_write(OutboxEntry)
    now = timezone.now()
    with transaction.atomic(using=using, savepoint=False):
        clause = mirror.clause(call, now=now, using=using)
        entry = _entry_of(call, now, is_tokenless=is_tokenless)
        if clause is not None and outbox.enqueue_along(entry, clause, using):
            tag_mirror.learn_types(call.application, clause.tags, using=using)
            return entry
        mirror.note(call, now=now, using=using, django_user=django_user)
        if clause is None:
            outbox.enqueue_all([entry], using=using)
    return entry


def queue_incoming(
    call: Call, *, django_user: AbstractBaseUser | None = None, is_tokenless: bool = False
) -> Exception | None:
    """Queue an SDK's call with its trace in the mirror, or else without it: then, what the mirror failed of.

    Raises what keeps the call itself from being stored.
    """
    using = router.db_for_write(OutboxEntry)
    if django_user is None and _is_taken_at_once(call, using, is_tokenless=is_tokenless):
        return None

    def mirrored() -> Exception | None:
        try:
            queue_call(call, using, django_user=django_user, is_tokenless=is_tokenless)
        except Exception as error:
            if has_lost(error):
                raise
            transaction.set_rollback(True, using=using)
            return error
        return None

    try:
        failure = begun_anew(mirrored, using)
    except OperationalError as error:
        if not has_lost(error):
            # It was the beginning or the commit that failed, not the mirror.
            raise
        failure = error
    except IntegrityError as error:
        # Whoever made it was deleted meanwhile; some databases look at that when they commit.
        failure = error
    if failure is not None:
        queue_unmirrored(call, using, is_tokenless=is_tokenless)
    return failure


def _is_taken_at_once(call: Call, using: str, *, is_tokenless: bool) -> bool:
    """Queue a registration with its trace in the mirror by one statement; false, and nothing done, if none can."""
    application = settings.application(call.application)
    try:
        return device_statement.queue(
            call, application, key_of(call), now=timezone.now(), using=using, is_tokenless=is_tokenless
        )
    except DatabaseError:
        # The long way says what is wrong, or does without the mirror.
        return False


def queue_unmirrored(call: Call, using: str | None = None, *, is_tokenless: bool = False) -> OutboxEntry:
    """Queue a device call of which the mirror knows already, or which it cannot digest."""
    entry = _entry_of(call, timezone.now(), is_tokenless=is_tokenless)
    outbox.enqueue_all([entry], using=using)
    return entry


def _entry_of(call: Call, now: datetime, *, is_tokenless: bool = False) -> OutboxEntry:
    application = settings.application(call.application)
    return outbox.entry_of(call, key=key_of(call), application=application, now=now, is_tokenless=is_tokenless)


def key_of(call: Call) -> str:
    """What a device call is ordered by: the device, else the address, else the user.

    What goes to another host has an order of its own: its trouble is not to hold the device up. Who names nobody waits
    for nobody.
    """
    hwid = mirror.hwid_of(call) or _browser_of(call)
    named = call.arguments.get("email") or call.arguments.get("userId") or call.arguments.get("user_id")
    if call.method.upstream is not Upstream.API:
        return f"{call.method.upstream.name.lower()}:{call.application}:{hwid or named or uuid4().hex}"
    if hwid:
        return outbox.device_key(call.application, hwid)
    return outbox.user_key(call.application, str(named or uuid4().hex))


def _browser_of(call: Call) -> str:
    """The hwid of multiRegisterDevice, which speaks for a browser and its user at once."""
    listed = call.arguments.get("push_devices")
    hwids = [each.get("hwid") for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
    return next((hwid for hwid in hwids if isinstance(hwid, str) and is_storable(hwid)), "")


def standing_of(call: Call) -> Standing:
    """How the device of a call stands: whether the call has to wait, and what the mirror knows; one statement.

    Where that cannot be told, it has to wait: in the queue nothing is lost, and order is kept.
    """
    application = settings.application(call.application)
    using = router.db_for_write(OutboxEntry)
    alone = transaction.atomic(using=using) if connections[using].in_atomic_block else nullcontext()
    try:
        with alone:
            return standing.look(call, application, key_of(call), now=timezone.now(), using=using)
    except DatabaseError:
        return Standing(has_to_wait=True, is_known=False)


def relay(
    call: Call, *, authorization: str | None, more_headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """Pass an SDK's call on at once and return status, headers and bytes. Raises `ConnectionFailed`, `NoAnswer`.

    `authorization` is the header to send: `None` puts our device token in, an empty one sends none.
    """
    application = settings.application(call.application)
    if call.method.upstream is Upstream.ENTRY_POINT:
        call.address = entry_points.of(application)
    return connection.relay(call, application, authorization=authorization, more_headers=more_headers)


def note_entry_point(url: object, application: str) -> None:
    """Remember where Pushwoosh wants an application's page visits; an address that is not Pushwoosh's is left out."""
    entry_points.note(url, settings.application(application), now=timezone.now())


def mirror_call(call: Call, before: Standing | None = None, *, django_user: AbstractBaseUser | None = None) -> None:
    """Bring the mirror up to a call that was relayed with success: wholly, or not at all.

    `before` is how its device stood when it left; `django_user` is who made it, if that is known.
    """
    using, now = router.db_for_write(Device), timezone.now()
    before = before or standing_of(call)
    is_noted = before.is_known and mirror.says_nothing_new(call, before.device, before.user_id, now=now)
    # Whether a link has its Django user already is not seen from here.
    is_noted = is_noted and (django_user is None or call.method.name not in mirror.LINKING)
    if not (is_noted and standing.note_registered(before, now=now, using=using)):
        begun_anew(lambda: mirror.note(call, now=now, using=using, django_user=django_user), using)


def mirror_refusal(before: Standing) -> None:
    """Bring the mirror back to how it was before a relayed call that Pushwoosh did not take."""
    standing.take_back(before, using=router.db_for_write(Device))


def _batches(changes: Iterable[tuple[Device | str, Mapping[str, Any]]]) -> Iterator[Any]:
    waiting = iter(changes)
    while some := list(islice(waiting, MANY)):
        yield some
