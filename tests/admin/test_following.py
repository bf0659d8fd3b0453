"""The message page tells what became of a message, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from django_pushwoosh import push
from django_pushwoosh.delivery import mirror
from django_pushwoosh.models import Device, Dispatch, OutboxEntry, Pause, ScheduledMessage
from django_pushwoosh.protocol import hashes
from django_pushwoosh.protocol.audience import Devices
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.messages import Message
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox
from tests.faults import Faults

from .conftest import APPLICATION, page_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def phone(sandbox: Sandbox, clock: Any) -> Device:
    device = Device.objects.create(application=APPLICATION, hwid="phone", platform=3, push_token="token")
    run_outbox()
    return device


def test_a_sent_message_tells_its_code_its_json_and_the_answer(editor: Client, phone: Device) -> None:
    message = push.send("Hello", to=phone)
    page = editor.get(page_of(message)).content.decode()
    assert 'data-status="scheduled"' in page
    assert 'data-moving="1"' in page
    run_outbox()

    page = editor.get(page_of(message)).content.decode()
    assert 'data-status="sent"' in page
    assert 'data-moving="0"' in page
    assert "Pushwoosh accepted it as" in page or "CODE_NOT_AVAILABLE" in page
    assert "•••" in page
    assert "test-api-token" not in page
    assert "&quot;transactionId&quot;" in page
    assert "&quot;status_code&quot;" in page
    assert "Attempts at createMessage" in page


def test_the_page_refreshes_its_state_from_json(editor: Client, phone: Device) -> None:
    message = push.send("Hello", to=phone)
    first = editor.get(page_of(message, "state")).json()
    assert (first["status"], first["label"], first["is_moving"]) == ("scheduled", "queued", True)
    run_outbox()
    second = editor.get(page_of(message, "state")).json()
    assert (second["status"], second["is_moving"]) == ("sent", False)
    assert second["version"] != first["version"]
    assert "Attempts at createMessage" in second["html"]


def test_an_untraceable_code_and_a_single_random_device_are_explained(editor: Client, phone: Device) -> None:
    message = push.send("Hello", to=phone)
    dispatches = Dispatch.objects.filter(message=message)
    dispatches.update(status=Dispatch.Status.SENT, message_code="CODE_NOT_AVAILABLE")
    assert "can be neither followed nor cancelled" in editor.get(page_of(message)).content.decode()
    dispatches.update(status=Dispatch.Status.LIMITED, told="Upgrade your plan.")
    page = editor.get(page_of(message)).content.decode()
    assert "one random device only. Upgrade your plan." in page


def test_a_refused_message_is_told_in_words_and_sent_again(
    editor: Client, phone: Device, faults: Faults, clock: Any
) -> None:
    message = push.send("Hello", to=phone)
    faults.next((200, {}, b'{"status_code": 210, "status_message": "Something <wrong>", "response": null}'))
    run_outbox()
    page = editor.get(page_of(message)).content.decode()
    assert 'data-status="failed"' in page
    assert "Something &lt;wrong&gt;" in page

    entry = OutboxEntry.objects.get(method="createMessage")
    url = page_of(message, "retry", entry.pk)
    assert url in page
    editor.get(url)
    assert OutboxEntry.objects.get(pk=entry.pk).status == OutboxEntry.Status.FAILED
    editor.post(url)
    editor.post(url)
    run_outbox()
    message.refresh_from_db()
    assert message.status == ScheduledMessage.Status.SENT


def test_an_uncertain_message_warns_that_it_may_arrive_twice(editor: Client, phone: Device) -> None:
    message = push.send("Hello", to=phone)
    Dispatch.objects.update(status=Dispatch.Status.UNCERTAIN)
    OutboxEntry.objects.filter(method="createMessage").update(status=OutboxEntry.Status.UNCERTAIN)
    entry = OutboxEntry.objects.get(method="createMessage")
    assert "may arrive twice" in editor.get(page_of(message)).content.decode()
    assert "arrive twice" in editor.get(page_of(message, "retry", entry.pk)).content.decode()
    editor.post(page_of(message, "retry", entry.pk))
    entry.refresh_from_db()
    assert entry.status == OutboxEntry.Status.QUEUED


def test_a_queued_message_is_cancelled_here(editor: Client, phone: Device) -> None:
    message = push.send("Hello", to=phone)
    url = page_of(message, "cancel")
    assert url in editor.get(page_of(message)).content.decode()
    editor.get(url)
    message.refresh_from_db()
    assert message.status == ScheduledMessage.Status.SCHEDULED

    assert "was cancelled" in editor.post(url, follow=True).content.decode()
    message.refresh_from_db()
    assert message.status == ScheduledMessage.Status.CANCELLED
    assert "nothing left to cancel" in editor.post(url, follow=True).content.decode()


def test_a_message_for_later_is_cancelled_at_pushwoosh(editor: Client, sandbox: Sandbox, clock: Any) -> None:
    to = Devices([f"phone-{number}" for number in range(20)])
    message = push.schedule("Hello", to=to, at=timezone.now() + timedelta(days=2))
    run_outbox()
    assert "keeps it until its time; so far it knows none" in editor.get(page_of(message)).content.decode()
    editor.post(page_of(message, "cancel"))
    run_outbox()
    message.refresh_from_db()
    assert message.status == ScheduledMessage.Status.CANCELLED


def test_what_was_sent_long_ago_cannot_be_cancelled(editor: Client, phone: Device, clock: Any) -> None:
    message = push.send("Hello", to=phone)
    run_outbox()
    clock.advance(days=2)
    assert page_of(message, "cancel") not in editor.get(page_of(message)).content.decode()


def test_pauses_are_told(editor: Client, phone: Device, settings: Any) -> None:
    message = push.send("Hello", to=phone)
    Pause.objects.create(application=APPLICATION, reason="Account <suspended>")
    settings.PUSHWOOSH = settings.PUSHWOOSH | {"PAUSED": True}
    page = editor.get(page_of(message)).content.decode()
    assert "Account &lt;suspended&gt;" in page
    assert "switched off" in page


def test_a_page_of_many_requests_asks_the_database_no_more(
    editor: Client, sandbox: Sandbox, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    message = push.send(Message("Hello"), to=Devices([f"phone-{number}" for number in range(25_000)]))
    assert message.dispatches.count() == 25
    with django_assert_max_num_queries(21):
        page = editor.get(page_of(message))
    assert len(page.context["report"].lines) == 20
    assert len(editor.get(page_of(message), {"page": "2"}).context["report"].lines) == 5


def test_the_list_asks_the_database_no_more_for_more_messages(
    editor: Client, phone: Device, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for number in range(30):
        push.send(f"Hello {number}", to=phone)
    url = "/admin/django_pushwoosh/scheduledmessage/"
    with django_assert_max_num_queries(8):
        page = editor.get(url)
    assert page.content.decode().count("Chosen devices") == 30
    assert "Hello 7<" in editor.get(url, {"q": "Hello 7"}).content.decode()


def test_deleting_a_queued_message_takes_it_out_of_the_queue(editor: Client, phone: Device) -> None:
    message = push.send("Hello", to=phone)
    editor.post(page_of(message, "delete"), {"post": "yes"})
    assert not ScheduledMessage.objects.exists()
    assert OutboxEntry.objects.get(method="createMessage").status == OutboxEntry.Status.CANCELLED


def test_a_row_with_a_zone_nobody_knows_is_shown_all_the_same(editor: Client) -> None:
    message = ScheduledMessage.objects.create(
        application="GONE0-00001", send_at=timezone.now(), time_zone="Nowhere/Else", status="sent"
    )
    assert "no application GONE0-00001 any more" in editor.get(page_of(message)).content.decode()
    assert editor.get("/admin/django_pushwoosh/scheduledmessage/").status_code == 200


def test_a_message_whose_devices_nobody_knows_does_not_look_sent(editor: Client, phone: Device) -> None:
    lost = push.send("Hello", to=Devices(["nobody-1", "nobody-2"]))
    partly = push.send("Hello", to=Devices(["nobody-1", phone.hwid]))
    run_outbox()
    page = editor.get(page_of(lost))
    shown = page.content.decode()
    assert "knows none of its devices: nobody gets it" in shown
    assert '<p class="pushwoosh-notice">Pushwoosh does not know 2 of the devices.</p>' in shown
    assert (page.context["report"].tone, page.context["report"].lines[0].tone) == ("doubtful", "doubtful")
    assert editor.get(page_of(lost, "state")).json()["tone"] == "doubtful"

    page = editor.get(page_of(partly))
    assert "does not know 1 of the devices" in page.content.decode()
    assert (page.context["report"].tone, page.context["report"].lines[0].tone) == ("", "")

    listed = editor.get("/admin/django_pushwoosh/scheduledmessage/").content.decode()
    assert listed.count(">sent to nobody<") == 1
    assert listed.count('data-status="sent">sent<') == 1


def test_a_message_that_is_being_sent_is_being_cancelled(editor: Client, phone: Device) -> None:
    message = push.send("Hello", to=phone)
    OutboxEntry.objects.filter(method="createMessage").update(status=OutboxEntry.Status.SENDING)
    answer = editor.post(page_of(message, "cancel"), follow=True).content.decode()
    assert "The message is being cancelled." in answer
    assert "cannot be stopped" not in answer
    page = editor.get(page_of(message)).content.decode()
    assert "It is being cancelled." in page
    assert "stopped as soon as Pushwoosh has given it a code" in page
    assert page_of(message, "cancel") not in page


def test_what_devices_report_stands_on_the_page_and_in_the_list(
    editor: Client, phone: Device, sandbox: Sandbox, clock: Any
) -> None:
    message = push.send("Hello", to=push.EVERYONE)
    push.send("Nobody opens it", to=push.EVERYONE)
    run_outbox()
    page, row = editor.get(page_of(message)).content.decode(), '<td class="field-reported_shown">'
    assert "Reported by devices" not in page

    code = message.dispatches.get().message_code
    for number in range(1200):
        report(code, "messageDeliveryEvent", f"phone{number}", clock)
    report(code, "pushStat", "phone", clock)

    page = editor.get(page_of(message)).content.decode()
    assert page.count("arrived on 1,200 devices, opened on 1") == 2, "the message's, and its one request's"
    assert "through the gateway" in page
    shown = editor.get("/admin/django_pushwoosh/scheduledmessage/").content.decode()
    assert f"{row}1,200 / 1</td>" in shown
    assert f"{row}—</td>" in shown


def report(code: str, method: str, hwid: str, clock: Any) -> None:
    said = {"hwid": hwid, "device_type": 3, "hash": hashes.encode(1, 1, code)}
    mirror.note(Call(METHODS[method], APPLICATION, said), now=clock.now)
