"""Takes Pushwoosh at its word about recipients that it does not know: the mirror has them as unreachable from then on.

Only an accepted message says so (`UnknownDevices`); a refusal, a fault or silence says nothing about devices. Nothing
is said upstream, where they are unknown already. Registering makes a device reachable again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.db import connections, router, transaction
from django.db.models import Q

from django_pushwoosh.delivery import outbox
from django_pushwoosh.models import Device, Dispatch, OutboxEntry, is_storable
from django_pushwoosh.models.lookups import Among
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.signals import devices_unknown

REASON = "unknown to Pushwoosh"
"""What a device's `unsubscribed_reason` says; stored, so it is never translated."""

TAKING_IN = timedelta(minutes=5)
"""Pushwoosh takes registrations in behind its answer; a device that is this new may not have arrived there yet."""

BATCH = 1000

_APPLE_TOKEN = re.compile("[0-9A-Fa-f]{64}")
Status = OutboxEntry.Status


def note(entry: OutboxEntry, listed: Iterable[str], dispatch: Dispatch | None, *, now: datetime) -> None:
    """Mark the devices that the answer to a message lists, and tell `devices_unknown` after the commit.

    Of what the answer lists, only the message's own recipients count, so that no answer reaches further than its
    request. A device that was registered since the message left, or whose registration is on its way, stays as it is;
    so does one that somebody else is changing at this moment.
    """
    names = _recipients(entry.call).intersection(listed)
    if not names:
        return
    # A repeated transaction id is answered as it was the first time, however long ago.
    since = entry.doubtful_since or entry.begun_at or now
    marked: list[str] = []
    strangers: list[str] = []
    for batch in _batches(names):
        found = _found(entry, batch)
        marked += _mark(entry, {pk for pks in found.values() for pk in pks}, since, now)
        strangers += sorted(batch - found.keys())
    if marked or strangers:
        told = {"application": entry.application, "hwids": marked, "strangers": strangers, "dispatch": dispatch}
        transaction.on_commit(lambda: devices_unknown.send_robust(Device, **told), using=entry._state.db, robust=True)


def _recipients(call: Call) -> set[str]:
    """The hwids and push tokens that a message lists."""
    notifications = call.arguments.get("notifications")
    lists = [each.get("devices") for each in notifications or () if isinstance(each, dict)]
    named = {name for each in lists if isinstance(each, list) for name in each if isinstance(name, str)}
    return {name for name in named if name and is_storable(name)}


def _found(entry: OutboxEntry, names: set[str]) -> dict[str, list[int]]:
    """The keys of the application's devices by the name that the message had for them: a hwid, else a push token.

    Read without locks: no index helps with tokens, and a locking read would lock all that it looks at.
    """
    devices = Device.objects.using(entry._state.db).of(entry.application)
    found = {hwid: [pk] for hwid, pk in devices.filter(Among("hwid", names)).values_list("hwid", "pk")}
    tokens = {spelled: name for name in names - found.keys() for spelled in _spellings(name)}
    if tokens:
        for token, pk in devices.filter(Among("push_token", tokens)).values_list("push_token", "pk"):
            # MariaDB and MySQL find texts without regard to case.
            if token in tokens:
                found.setdefault(tokens[token], []).append(pk)
    return found


def _spellings(token: str) -> set[str]:
    """Apple's tokens travel in lower case; the mirror may hold one as its owner wrote it."""
    return {token, token.lower(), token.upper()} if _APPLE_TOKEN.fullmatch(token) else {token}


def _mark(entry: OutboxEntry, pks: set[int], since: datetime, now: datetime) -> list[str]:
    """Mark those of the devices that may be marked; their hwids.

    Whom somebody else has locked is about to change, and stays as it is: to wait for one device while holding another
    could cost whoever wants both a deadlock. The next message tells again.
    """
    using = entry._state.db or router.db_for_write(Device)
    skips = connections[using].features.has_select_for_update_skip_locked
    devices = Device.objects.using(using).filter(Among("pk", pks), unsubscribed_at=None)
    # Whatever changed since may have been a registration; whatever is new may not have arrived there.
    lately = since - TAKING_IN
    may_be = devices.filter(updated_at__lt=since, created_at__lt=lately).exclude(registered_at__gte=lately)
    candidates = list(may_be.only("hwid").order_by("pk").select_for_update(skip_locked=skips))
    registering = _registering(entry, candidates, since) if candidates else set()
    unknown = [device for device in candidates if outbox.device_key(entry.application, device.hwid) not in registering]
    if unknown:
        devices.filter(Among("pk", [device.pk for device in unknown])).update(
            unsubscribed_at=now, unsubscribed_reason=REASON, updated_at=now
        )
    return [device.hwid for device in unknown]


def _registering(entry: OutboxEntry, devices: list[Device], since: datetime) -> set[str]:
    """The keys of devices whose registration waits, or arrived too late for the message to find them."""
    keys = [outbox.device_key(entry.application, device.hwid) for device in devices]
    registrations = OutboxEntry.objects.using(entry._state.db).filter(
        key__in=keys, api_root=entry.api_root, method="registerDevice"
    )
    under_way = Q(status__in=OutboxEntry.UNSETTLED)
    lately = Q(status__in=(Status.SENT, Status.LEFT), settled_at__gte=since - TAKING_IN)
    return set(registrations.filter(under_way | lately).values_list("key", flat=True))


def _batches(names: set[str]) -> Iterator[set[str]]:
    """A message lists up to 1,000 devices; several messages may share a request."""
    ordered = sorted(names)
    for start in range(0, len(ordered), BATCH):
        yield set(ordered[start : start + BATCH])
