"""“Not after” in the composer: what has not left by then never will."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from django_pushwoosh import push
from django_pushwoosh.models import OutboxEntry, ScheduledMessage
from django_pushwoosh.protocol.audience import Devices
from django_pushwoosh.protocol.errors import InvalidMessage
from django_pushwoosh.testing import run_outbox

from .conftest import ADD, page_of

pytestmark = pytest.mark.django_db
Fill = Callable[..., dict[str, Any]]


def at(hour: int, day: int = 2) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def test_a_push_for_now_is_not_sent_after_its_time(editor: Client, filled: Fill, sandbox: Any, clock: Any) -> None:
    assert editor.post(ADD, filled(expires_at="2026-03-02T13:00")).status_code == 302
    message = ScheduledMessage.objects.get()
    assert message.expires_at == OutboxEntry.objects.get().expires_at == at(13)
    page = editor.get(page_of(message)).content.decode()
    assert "Not after" in page
    assert "March 2, 2026, 1 p.m." in page

    clock.advance(hours=1)
    run_outbox()
    message.refresh_from_db()
    assert message.status == ScheduledMessage.Status.EXPIRED
    assert sandbox.messages == []


def test_it_is_read_on_the_clock_of_the_message(editor: Client, filled: Fill, clock: Any) -> None:
    schedule = {"when": "at", "send_at": "2026-03-02T20:00", "time_zone": "Europe/Oslo"}
    editor.post(ADD, filled(**schedule, expires_at="2026-03-02T21:30"))
    message = ScheduledMessage.objects.get()
    assert message.expires_at == at(20) + timedelta(minutes=30)
    assert (message.send_at, message.time_zone) == (at(19), "Europe/Oslo")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"expires_at": "2026-03-02T11:59"}, "is in the past"),
        ({"expires_at": "2026-03-02T12:00"}, "is in the past"),
        (
            {"when": "at", "send_at": "2026-03-02T20:00", "time_zone": "UTC", "expires_at": "2026-03-02T20:00"},
            "later than the time at which it is sent",
        ),
        ({"when": "device", "send_at": "2026-03-05T20:00", "expires_at": "2026-03-05T05:00"}, "later than the time"),
        ({"expires_at": "soon"}, "Write the time as"),
        (
            {"when": "at", "send_at": "2026-03-29T01:00", "time_zone": "Europe/Oslo", "expires_at": "2026-03-29T02:30"},
            "There is no such time as 2026-03-29 02:30 in Europe/Oslo",
        ),
    ],
)
def test_what_could_never_leave_is_refused_where_it_is_written(
    editor: Client, filled: Fill, clock: Any, fields: dict[str, str], words: str
) -> None:
    page = editor.post(ADD, filled(**fields))
    assert page.status_code == 200
    assert words in " ".join(page.context["form"].errors["expires_at"])
    assert not ScheduledMessage.objects.exists()


def test_a_draft_keeps_it_and_is_refused_when_it_is_sent_too_late(editor: Client, filled: Fill, clock: Any) -> None:
    form = filled(expires_at="2026-03-02T13:00", audience="everyone")
    editor.post(ADD, form | {"_draft": "1"} if form.pop("_send") else form)
    draft = ScheduledMessage.objects.get()
    page = editor.get(page_of(draft)).context["form"]
    assert page["expires_at"].value() == "2026-03-02T13:00"

    confirm = page_of(draft, "confirm")
    token = editor.get(confirm).context["token"]
    clock.advance(minutes=59, seconds=50)
    clock.advance(seconds=20)
    editor.post(confirm, {"token": token})
    draft.refresh_from_db()
    assert draft.status == ScheduledMessage.Status.DRAFT
    assert "is in the past" in editor.get(confirm).content.decode()


def test_a_confirmation_holds_for_the_time_that_was_seen(editor: Client, filled: Fill, clock: Any) -> None:
    editor.post(ADD, filled(audience="everyone", expires_at="2026-03-02T13:00"))
    draft = ScheduledMessage.objects.get()
    token = editor.get(page_of(draft, "confirm")).context["token"]
    ScheduledMessage.objects.update(expires_at=at(15))
    assert "was changed" in editor.post(page_of(draft, "confirm"), {"token": token}, follow=True).content.decode()


def test_code_is_refused_what_could_never_leave(clock: Any) -> None:
    with pytest.raises(InvalidMessage, match="in the past"):
        push.send("Hello", to=Devices(["A"]), expires_at=clock.now)
    with pytest.raises(InvalidMessage, match="later than"):
        push.schedule("Hello", to=Devices(["A"]), at=at(20), expires_at=at(19))
    assert not OutboxEntry.objects.exists()


def test_while_it_waits_the_time_can_be_changed(sandbox: Any, clock: Any) -> None:
    message = push.schedule("Hello", to=Devices(["A"]), at=at(20), expires_at=at(21))
    message.expires_at = at(22)
    message.save()
    assert list(OutboxEntry.objects.filter(status="queued").values_list("expires_at", flat=True)) == [at(22)]

    run_outbox()
    message.refresh_from_db()
    message.expires_at = at(23)
    message.save()
    assert not OutboxEntry.objects.unsettled().exists(), "what Pushwoosh has accepted does not expire here"
