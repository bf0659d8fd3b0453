"""What Pushwoosh would silently ignore is told before a push leaves, and afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from django_pushwoosh import push
from django_pushwoosh.models import ScheduledMessage
from django_pushwoosh.protocol.audience import Devices
from django_pushwoosh.protocol.errors import InvalidMessage
from django_pushwoosh.protocol.messages import Message

from .conftest import ADD, APPLICATION, page_of

pytestmark = pytest.mark.django_db
Fill = Callable[..., dict[str, Any]]


def test_the_preview_names_what_has_no_effect(editor: Client, filled: Fill) -> None:
    form = filled(android_sound="bell.wav", platforms=["1"])
    del form["_send"]
    page = editor.post(ADD, {**form, "_preview": "1"})
    assert page.context["warnings"] == [
        "Android: Sound: has no effect: Android is not among the platforms",
        "Android: Sound: is named without its file extension",
    ]
    assert "Pushwoosh takes this, but:" in page.content.decode()
    assert not ScheduledMessage.objects.exists()


def test_a_preview_without_doubts_shows_none(editor: Client, filled: Fill) -> None:
    form = filled()
    del form["_send"]
    page = editor.post(ADD, {**form, "_preview": "1"}).content.decode()
    assert "What would be sent" in page
    assert "Pushwoosh takes this, but:" not in page


def test_who_confirms_a_push_to_everyone_sees_what_has_no_effect(editor: Client, filled: Fill) -> None:
    editor.post(ADD, filled(audience="everyone", conditions=None, ios_interruption_level="critical"))
    page = editor.get(page_of(ScheduledMessage.objects.get(), "confirm")).content.decode()
    assert "iOS: Interruption level: critical has its full effect only together with ios_critical" in page


def test_a_sent_message_still_tells(editor: Client) -> None:
    message = push.send(Message("Hello", platforms=[1]), to=Devices(["phone"]))
    page = editor.get(page_of(message)).content.decode()
    assert "is ignored by Pushwoosh for lists of fewer than 10 devices" in page


def test_a_programme_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    message = push.send(Message("Hello", android_sound="bell.wav"), to=Devices(["phone"]))
    assert f"Message {message.pk} is queued, but: android_sound: is named without its file extension" in caplog.text


def test_what_cannot_be_sent_has_no_warnings_but_an_error() -> None:
    draft = ScheduledMessage(application=APPLICATION, parameters={}, audience=Devices(["phone"]).to_json())
    with pytest.raises(InvalidMessage, match="content: is missing"):
        push.warnings(draft)


def test_a_push_that_leaves_the_inbox_before_it_comes_is_refused(clock: Any) -> None:
    with pytest.raises(InvalidMessage, match="after the day of sending, 2026-03-02"):
        push.send(Message("Hello", inbox_date="2026-03-02"), to=Devices(["phone"]))
    assert not ScheduledMessage.objects.exists()
    push.send(Message("Hello", inbox_date="2026-03-03"), to=Devices(["phone"]))
