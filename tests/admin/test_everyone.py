"""A push to everyone is confirmed by a person who saw what goes out and to how many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from django_pushwoosh.models import Device, OutboxEntry, ScheduledMessage

from .conftest import ADD, APPLICATION, page_of

pytestmark = pytest.mark.django_db
Fill = Callable[..., dict[str, Any]]


def phones(number: int, **more: Any) -> None:
    start = Device.objects.count()
    fields = {"application": APPLICATION, "platform": 1, "push_token": "token"} | more
    Device.objects.bulk_create(Device(hwid=f"phone-{start + each}", **fields) for each in range(number))


@pytest.fixture
def draft(editor: Client, filled: Fill) -> ScheduledMessage:
    phones(40)
    response = editor.post(ADD, filled(audience="everyone"))
    message = ScheduledMessage.objects.get()
    assert response.headers["Location"] == page_of(message, "confirm")
    return message


def seen(client: Client, message: ScheduledMessage) -> Any:
    return client.get(page_of(message, "confirm")).context


def confirm(client: Client, message: ScheduledMessage, token: str) -> Any:
    return client.post(page_of(message, "confirm"), {"token": token, "_confirm": "1"}, follow=True)


def test_nothing_is_sent_before_it_is_confirmed_and_once_after(editor: Client, draft: ScheduledMessage) -> None:
    page = editor.get(page_of(draft, "confirm"))
    assert "known to the mirror" in page.content.decode()
    assert page.context["count"] == 40
    assert not OutboxEntry.objects.exists()

    confirm(editor, draft, page.context["token"])
    again = confirm(editor, draft, page.context["token"])
    assert OutboxEntry.objects.count() == 1
    assert "was already sent" in again.content.decode()
    [notification] = OutboxEntry.objects.get().arguments["notifications"]
    assert not notification.keys() & {"devices", "users", "conditions", "filter"}


def test_a_mirror_that_was_never_filled_says_unknown(editor: Client, filled: Fill) -> None:
    phones(3, application="OTHER-00002")
    editor.post(ADD, filled(audience="everyone"))
    message = ScheduledMessage.objects.get()
    page = editor.get(page_of(message, "confirm"))
    assert page.context["count"] is None
    assert "unknown" in page.content.decode()
    confirm(editor, message, page.context["token"])
    assert OutboxEntry.objects.count() == 1


def test_platforms_and_subscriptions_are_counted(editor: Client, filled: Fill, clock: Any) -> None:
    phones(4)
    phones(3, platform=3)
    phones(2, platform=3, push_token="")
    phones(1, platform=3, unsubscribed_at=clock.now)
    editor.post(ADD, filled(audience="everyone", platforms=["3"]))
    assert seen(editor, ScheduledMessage.objects.get())["count"] == 3


@pytest.mark.parametrize(("more", "is_sent"), [(10, True), (11, False)])
def test_a_count_that_drifted_far_is_shown_again(
    editor: Client, draft: ScheduledMessage, more: int, is_sent: bool
) -> None:
    token = seen(editor, draft)["token"]
    phones(more)
    answer = confirm(editor, draft, token)
    assert OutboxEntry.objects.exists() == is_sent
    if not is_sent:
        assert "has changed since you looked" in answer.content.decode()
        assert answer.context["count"] == 51
        confirm(editor, draft, answer.context["token"])
        assert OutboxEntry.objects.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"content": "Other"}},
        {"application": "OTHER-00002"},
        {"in_device_time": True},
    ],
)
def test_a_draft_that_was_changed_is_shown_again(
    editor: Client, draft: ScheduledMessage, change: dict[str, Any]
) -> None:
    token = seen(editor, draft)["token"]
    ScheduledMessage.objects.filter(pk=draft.pk).update(**change)
    assert "was changed after you looked" in confirm(editor, draft, token).content.decode()
    assert not OutboxEntry.objects.exists()


def test_an_audience_that_was_changed_is_sent_from_the_draft(editor: Client, draft: ScheduledMessage) -> None:
    token = seen(editor, draft)["token"]
    ScheduledMessage.objects.filter(pk=draft.pk).update(audience={"kind": "devices", "ids": ["A"]})
    assert "not meant for everyone any more" in confirm(editor, draft, token).content.decode()
    assert not OutboxEntry.objects.exists()


def test_a_stale_or_foreign_or_forged_confirmation_is_refused(
    editor: Client, staff: Callable[..., Client], draft: ScheduledMessage, clock: Any
) -> None:
    token = seen(editor, draft)["token"]
    other = staff("add_scheduledmessage", "view_scheduledmessage")
    for client, presented in ((editor, "forged"), (editor, ""), (other, token)):
        assert "not yours" in confirm(client, draft, presented).content.decode()
    clock.advance(minutes=61)
    assert "older than an hour" in confirm(editor, draft, token).content.decode()
    assert not OutboxEntry.objects.exists()


def test_a_time_that_passes_before_the_confirmation_is_told(editor: Client, filled: Fill, clock: Any) -> None:
    editor.post(ADD, filled(audience="everyone", when="at", send_at="2026-03-02T12:10", time_zone="UTC"))
    message = ScheduledMessage.objects.get()
    token = seen(editor, message)["token"]
    clock.advance(minutes=20)
    assert "in the past" in confirm(editor, message, token).content.decode()
    assert not OutboxEntry.objects.exists()
    message.refresh_from_db()
    assert message.status == ScheduledMessage.Status.DRAFT


@pytest.mark.parametrize(
    ("audience", "fields", "count", "words"),
    [
        ("application_group", {"applications_group": "GROUP-00001"}, None, "any application of the group"),
        ("filter_expression", {"devices_filter": 'T("A", EQ, 1)', "account_wide": "on"}, None, "every application of"),
        ("filter_expression", {"devices_filter": 'A("TEST0-00001")'}, 5, "No tag limits"),
        ("filter_expression", {"devices_filter": 'A("TEST0-00001", ["Android"])'}, 2, "No tag limits"),
        ("filter_expression", {"devices_filter": 'A("OTHER-00002")'}, None, "No tag limits"),
        ("filter_expression", {"devices_filter": r'A("TEST0-00001") \ T("A", EQ, 1)'}, None, "No tag limits"),
        ("geozone", {"geozone_lat": "0", "geozone_lng": "0", "geozone_range": "40000000"}, 5, "everyone"),
        ("filter_expression", {"devices_filter": 'G("GROUP-00001") * A("TEST0-00001")'}, None, "No tag limits"),
        ("filter_expression", {"devices_filter": 'A("TEST0-00001") + T("A", EQ, 1)'}, None, "No tag limits"),
    ],
)  # fmt: skip
def test_whatever_reaches_everyone_by_construction_is_confirmed(
    editor: Client, filled: Fill, audience: str, fields: dict[str, str], count: int | None, words: str
) -> None:
    phones(3)
    phones(2, platform=3)
    page = editor.post(ADD, filled(audience=audience, **fields), follow=True)
    message = ScheduledMessage.objects.get()
    assert page.redirect_chain == [(page_of(message, "confirm"), 302)]
    assert not OutboxEntry.objects.exists()
    shown = page.content.decode()
    assert words in shown
    assert page.context["count"] == count
    assert ("is unknown: the mirror can count" in shown) == (count is None)
    confirm(editor, message, page.context["token"])
    assert OutboxEntry.objects.count() == 1


@pytest.mark.parametrize(
    "expression", ['T("A", EQ, 1)', 'A("TEST0-00001") * T("A", EQ, 1)', 'AT("TEST0-00001", "A", ANY, "")']
)
def test_what_a_tag_limits_is_sent_at_once(editor: Client, filled: Fill, expression: str) -> None:
    editor.post(ADD, filled(audience="filter_expression", devices_filter=expression))
    assert OutboxEntry.objects.count() == 1


def test_windows_devices_that_will_show_nothing_are_told(editor: Client, filled: Fill) -> None:
    phones(3)
    phones(2, platform=8)
    for fields, blank in (({}, 2), ({"platforms": ["1"]}, 0), ({"wns_content": "PGE+", "wns_type": "Toast"}, 0)):
        page = editor.post(ADD, filled(audience="everyone", **fields), follow=True)
        assert page.context["blank"] == blank
        assert ("2 of them are Windows devices and will show nothing" in page.content.decode()) == bool(blank)
