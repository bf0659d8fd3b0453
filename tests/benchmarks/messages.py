"""Building, validating and encoding one message, beside the official Python client's unvalidated rendering of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pypushwoosh.command import CreateMessageForApplicationCommand
from pypushwoosh.notification import Notification

from django_pushwoosh.protocol.audience import Devices
from django_pushwoosh.protocol.messages import Message
from tests.benchmarks.harness import Benchmark

DEVICES = [f"device{number}" for number in range(10)]
TRANSACTION = "6e22a9af-84e4-46e6-af16-e457a4a6e7e5"


def ours() -> bytes:
    message = Message(
        "Hello",
        ios_badges=5,
        ios_sound="bell.wav",
        ios_ttl=3600,
        ios_title="Title",
        ios_subtitle="Subtitle",
        android_header="Title",
        android_sound="bell",
        android_badges=5,
        android_gcm_ttl=3600,
        android_priority=1,
    )
    return message.call("AAAAA-00001", Devices(DEVICES), transaction_id=TRANSACTION).encode("token")


def peer() -> bytes:
    """As its own client makes a request: a notification in a command, which renders itself."""
    notification = Notification()
    notification.content = "Hello"
    notification.send_date = "now"
    notification.devices = DEVICES
    notification.ios_badges = 5
    notification.ios_sound = "bell.wav"
    notification.ios_ttl = 3600
    notification.ios_title = "Title"
    notification.ios_subtitle = "Subtitle"
    notification.android_header = "Title"
    notification.android_sound = "bell"
    notification.android_badges = 5
    notification.android_gcm_ttl = 3600
    notification.android_priority = 1
    command = CreateMessageForApplicationCommand(notification, "AAAAA-00001")
    command.auth = "token"
    rendered: str = command.render()
    return rendered.encode()


def floor() -> bytes:
    notification = {
        "content": "Hello", "send_date": "now", "ignore_user_timezone": True, "transactionId": TRANSACTION,
        "devices": DEVICES, "ios_badges": 5, "ios_sound": "bell.wav", "ios_ttl": 3600, "ios_title": "Title",
        "ios_subtitle": "Subtitle", "android_header": "Title", "android_sound": "bell", "android_badges": 5,
        "android_gcm_ttl": 3600, "android_priority": 1,
    }  # fmt: skip
    request = {"application": "AAAAA-00001", "auth": "token", "notifications": [notification]}
    return json.dumps({"request": request}).encode()


def benchmarks() -> Iterator[Benchmark]:
    yield Benchmark("build, validate and encode a message", ours, peer, floor, "peer", 0.67)
