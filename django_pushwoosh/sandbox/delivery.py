"""What time brings about: due messages reach the simulated phones, bulk jobs and what lags behind take effect.

There is no thread: whoever asks the sandbox anything first lets it catch up. A push carries the time it was due, and
things happen in the order of their times, so that it makes no difference how often the sandbox was asked in between.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from heapq import heappop

from django_pushwoosh.sandbox.audience import resolve
from django_pushwoosh.sandbox.inbox import keep
from django_pushwoosh.sandbox.rendering import render
from django_pushwoosh.sandbox.state import Device, Message, Push, State

LAST_ZONE = timedelta(hours=12)
"""The time zone where it is midnight last, west of Greenwich; and the first, 14 hours east."""
FIRST_ZONE = timedelta(hours=14)


def advance(state: State, now: datetime) -> None:
    """Bring the state to `now`."""
    while state.later and state.later[0][0] <= now:
        moment = state.later[0][0]
        _deliver(state, moment)
        _, _, effect = heappop(state.later)
        effect(moment)
    _deliver(state, now)


def _deliver(state: State, now: datetime) -> None:
    due: list[tuple[datetime, int, int, Message, Device]] = []
    for message in state.pending:
        found = _local(state, message, now) if message.follows_user_timezone else _paced(state, message, now)
        due += [(at, message.sequence, device.id, message, device) for at, device in found]
    for at, _, _, message, device in sorted(due, key=lambda each: each[:3]):
        _push(state, message, device, at)
    if any(not message.is_pending for message in state.pending):
        state.pending = [message for message in state.pending if message.is_pending]


def _paced(state: State, message: Message, now: datetime) -> list[tuple[datetime, Device]]:
    """The devices whose turn has come: all at once, or `send_rate` of them in a second."""
    if message.status == "waiting":
        if message.due_at > now:
            return []
        # Unverified against Pushwoosh: a time in the past is "now".
        message.begins_at = max(message.due_at, message.created_at)
        message.status = "pending"
    if message.status == "pending" and message.begins_at is not None:
        start = message.begins_at + timedelta(seconds=state.options.pending_seconds)
        if start > now:
            return []
        rate = message.parameters.get("send_rate")
        gap = timedelta(seconds=1 / rate) if isinstance(rate, int) and rate > 0 else timedelta()
        recipients = resolve(state, message, start)
        message.queue = deque((start + gap * turn, device) for turn, device in enumerate(recipients))
        message.status = "processing"
    found = []
    while message.queue and message.queue[0][0] <= now:
        found.append(message.queue.popleft())
    if not message.queue:
        message.status = "done"
    return found


def _local(state: State, message: Message, now: datetime) -> list[tuple[datetime, Device]]:
    """Devices for which the message's wall-clock time has come since it was last looked at.

    Where that time is past already when the message is created, it goes out at once.
    """
    if now < max(message.due_at - FIRST_ZONE, message.created_at):
        return []
    if message.looked_at_version == state.devices_version and message.next_due_at and now < message.next_due_at:
        return []
    found: list[tuple[datetime, Device]] = []
    coming: list[datetime] = []
    since = message.delivered_until
    for device in resolve(state, message, now):
        if device.id in message.reached:
            continue
        at = max(message.due_at - _offset(device), message.created_at)
        if at > now:
            coming.append(at)
        elif (since is None or at > since) and device.registered_at <= at:
            # A device that came later than its own time has missed the message.
            message.reached.add(device.id)
            found.append((at, device))
    message.delivered_until = now
    message.looked_at_version = state.devices_version
    message.next_due_at = min(coming, default=max(message.due_at + LAST_ZONE, now))
    message.status = "done" if now >= message.due_at + LAST_ZONE else "processing"
    return found


def _offset(device: Device) -> timedelta:
    return max(-LAST_ZONE, min(FIRST_ZONE, timedelta(seconds=device.timezone)))


def _push(state: State, message: Message, device: Device, at: datetime) -> None:
    if not device.is_subscribed or _is_capped(message, device, at):
        return
    rendered = render(message, device, at)
    if rendered is None:
        return
    if rendered.badge is not None and rendered.badge != device.badge:
        device.badge = rendered.badge
        state.changed(device)
    device.received_at.append(at)
    message.sent[device.application, device.platform] += 1
    state.push_count += 1
    push = Push(state.push_count, device, message, at, rendered.title, rendered.body, rendered.payload)
    state.pushes.append(push)
    keep(state, push)


def _is_capped(message: Message, device: Device, at: datetime) -> bool:
    """Whether the device has had as many pushes as the message's frequency cap allows."""
    days, count = message.parameters.get("capping_days"), message.parameters.get("capping_count")
    if not isinstance(days, int) or not isinstance(count, int):
        return False
    since = at - timedelta(days=max(0, min(days, 30)))
    return sum(1 for each in device.received_at if each > since) >= count
