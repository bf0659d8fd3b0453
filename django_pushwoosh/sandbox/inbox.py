"""The inbox of a device: messages that stay in the app until their day of removal, and what becomes of them there.

Source: seed 001 (inbox_date, inbox_image: "The message is saved when at least one of these parameters is used"), and
the SDKs' own code for the calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django_pushwoosh.protocol.platforms import AMAZON, ANDROID, HUAWEI, IOS
from django_pushwoosh.sandbox.answering import CHANGED, Asked, Refused, Reply
from django_pushwoosh.sandbox.device_calls import device_type_of, hwid_of
from django_pushwoosh.sandbox.state import Device, Letter, Message, Push, State

DELIVERED, READ, OPENED, DELETED = range(1, 5)
MOST_LETTERS = 500
"""In one inbox; the oldest make room. Unverified against Pushwoosh: theirs is not documented."""

REMOVAL = time(0, 0, 1, tzinfo=UTC)
"""When a day's letters are removed: "at 00:00:01 UTC of the date specified"."""

LINK, RICH_MEDIA = 1, 2
_NATIVE = {platform.number for platform in (IOS, ANDROID, HUAWEI, AMAZON)}


def is_kept(parameters: Mapping[str, Any]) -> bool:
    """Whether a message goes to the inbox."""
    return any(parameters.get(name) for name in ("inbox_date", "inbox_days", "inbox_image"))


def order_of(message: Message) -> int:
    """Where a message stands in any inbox: 18 digits that grow. SDKs send it back as `inbox_code`."""
    return message.id * 100_000 + message.sequence % 100_000


def removed_at(parameters: Mapping[str, Any], sent_at: datetime) -> datetime:
    """When a message leaves the inbox; by default on "the next day after the send date".

    Unverified against Pushwoosh: whether `inbox_days` counts hours or calendar days; here it is days.
    """
    named, days = parameters.get("inbox_date"), parameters.get("inbox_days")
    if isinstance(named, str):
        return datetime.combine(date.fromisoformat(named), REMOVAL)
    day = sent_at.astimezone(UTC).date() + timedelta(days=days if isinstance(days, int) else 1)
    return datetime.combine(day, REMOVAL)


def keep(state: State, push: Push) -> None:
    """Put a push that has reached its device into the device's inbox, if it belongs there.

    Unverified against Pushwoosh: a device without a push token gets no letter, though it is said to be reached.
    """
    given = push.message.parameters
    if not is_kept(given):
        return
    inbox = push.device.inbox
    order, shown = order_of(push.message), push.payload
    link, image, rich_media = (shown.get(name) for name in ("l", "inbox_image", "rich_media"))
    inbox[order] = Letter(
        code=push.message.code,
        order=order,
        hash=shown["p"],
        title=push.title,
        text=push.body,
        image=image if isinstance(image, str) else "",
        link=link if isinstance(link, str) else "",
        rich_media=rich_media if isinstance(rich_media, str) else "",
        sent_at=push.at,
        removed_at=removed_at(given, push.at),
    )
    while len(inbox) > MOST_LETTERS:
        del inbox[min(inbox)]
    state.changed(push.device)


def letters(devices: Iterable[Device], now: datetime) -> list[Letter]:
    """What lies in these inboxes, oldest first; what several of them have is told once, as far as it has come."""
    found: dict[int, Letter] = {}
    for device in devices:
        for letter in device.inbox.values():
            known = found.get(letter.order)
            if letter.removed_at > now and (known is None or known.status < letter.status):
                found[letter.order] = letter
    return [found[order] for order in sorted(found)]


def get_inbox_messages(asked: Asked) -> Reply:
    """Lists the inbox of a device, or of a user; the hwid prevails.

    Unverified against Pushwoosh: what `last_code` and `count` leave out (the web SDK alone sends them): here they page
    forward through the messages, and `deleted` names all that were. `order` is a number for phones, and text for
    browsers, whose numbers have 16 digits at most.
    """
    device = asked.state.device(asked.application, hwid_of(asked))
    devices = [device] if device else []
    if not asked.text("hwid"):
        devices = asked.state.devices_of_user(asked.application, asked.text("userId"))
    everything = letters(devices, asked.now)
    present = [each for each in everything if each.status != DELETED]
    after = _number(asked.arguments.get("last_code"))
    told = [each for each in present if after is None or each.order > after]
    count = asked.arguments.get("count")
    if isinstance(count, int) and not isinstance(count, bool) and count > 0:
        told = told[:count]
    is_native = device_type_of(asked) in _NATIVE
    return Reply(
        {
            "messages": [_told(each, is_native=is_native) for each in told],
            "next": str(told[-1].order) if told else str(after or ""),
            "deleted": [each.code for each in everything if each.status == DELETED],
            "new_inbox": sum(each.status == DELIVERED for each in present),
        }
    )


def inbox_status(asked: Asked) -> Reply:
    """Tells what became of a letter: it is read, opened or deleted. What was deleted stays deleted.

    Unverified against Pushwoosh: a status or a code that makes no sense is refused, or has no effect.
    """
    status = asked.arguments["status"]
    if not DELIVERED <= status <= DELETED:
        raise Refused("Invalid status")
    device = asked.state.device(asked.application, hwid_of(asked))
    code = asked.arguments["inbox_code"]
    if device is None:
        return Reply()
    order = _number(code)
    letter = device.inbox.get(order) if order is not None else None
    letter = letter or next((each for each in device.inbox.values() if each.code == code), None)
    if letter is None or letter.status in (status, DELETED):
        return Reply()
    letter.status = status
    asked.state.changed(device)
    return CHANGED


def _number(code: Any) -> int | None:
    """An order as it came back: a number, or its digits."""
    if isinstance(code, str) and len(code) <= 20 and code.isascii() and code.isdigit():
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _told(letter: Letter, *, is_native: bool) -> dict[str, Any]:
    address = f"https://richmedia.pushwoosh.com/{letter.rich_media}.zip"
    action = {"rm": address} if letter.rich_media else {"l": letter.link or None}
    return {
        "inbox_id": letter.code,
        "order": letter.order if is_native else str(letter.order),
        "title": letter.title,
        "text": letter.text,
        "image": letter.image,
        "action_type": RICH_MEDIA if letter.rich_media else LINK,
        "action_params": json.dumps(action),
        "status": letter.status,
        "hash": letter.hash,
        "send_date": str(int(letter.sent_at.timestamp())),
        "rt": str(int(letter.removed_at.timestamp())),
    }
