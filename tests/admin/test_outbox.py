"""The outbox as people see it: lanes, expiry, attempts, bulk requests; and dead letters, which a person gives up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from django_pushwoosh import push
from django_pushwoosh.models import Attempt, BulkRequest, Dispatch, OutboxEntry, ScheduledMessage
from django_pushwoosh.protocol.audience import Devices
from django_pushwoosh.testing import run_outbox
from tests.faults import Faults

from .conftest import APPLICATION, page_of
from .test_records import act, phone, url

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
Status = OutboxEntry.Status


def found(client: Client, **filters: str) -> set[str]:
    entries = client.get(url("outboxentry"), filters).context["cl"].queryset
    return {entry.method for entry in entries}


def test_the_list_shows_lanes_and_expiry_and_filters_by_them(admin_client: Client, clock: Any) -> None:
    push.set_badge(phone(), 3)
    push.send("Hello", to=Devices(["A"]), expires_at=timezone.now() + timedelta(minutes=30))
    page = admin_client.get(url("outboxentry")).content.decode()
    assert "transactional" in page
    assert "2026-03-02 12:30" in page
    assert found(admin_client, lane__exact="0") == {"createMessage"}
    assert found(admin_client, expiry="never") == {"setBadge"}
    for filters, expected in (("past", set()), ("hour", {"createMessage"}), ("day", {"createMessage"})):
        assert found(admin_client, expiry=filters) == expected, filters
    clock.advance(hours=1)
    assert found(admin_client, expiry="past") == {"createMessage"}


def test_an_expired_entry_and_its_message_say_so(admin_client: Client, sandbox: Any, clock: Any) -> None:
    message = push.send("Hello", to=Devices(["A"]), expires_at=timezone.now() + timedelta(minutes=30))
    clock.advance(hours=1)
    run_outbox()
    assert 'data-status="expired"' in admin_client.get(url("outboxentry")).content.decode()
    page = admin_client.get(page_of(message)).content.decode()
    assert "waited too long" in page
    assert "It was cancelled" not in page


@pytest.mark.parametrize("status", [Status.FAILED, Status.LEFT, Status.UNCERTAIN])
def test_a_dead_letter_is_discarded_after_a_question(admin_client: Client, status: str) -> None:
    entry = push.set_badge(phone(), 3)
    OutboxEntry.objects.update(status=status, told="No answer.")
    asked = act(admin_client, "discard", entry)
    assert "given up for good" in asked.content.decode()
    assert OutboxEntry.objects.get().status == status
    assert dict(asked.context["hidden"]) == {"action": "discard", "_selected_action": entry.pk}

    assert "1 entry was changed" in act(admin_client, "discard", entry, _confirm="1").content.decode()
    entry.refresh_from_db()
    assert (entry.status, entry.told) == (Status.CANCELLED, "Discarded by admin. No answer.")


def test_what_waits_or_was_sent_is_no_dead_letter(admin_client: Client) -> None:
    entry = push.set_badge(phone(), 3)
    for status in (Status.QUEUED, Status.SENDING, Status.SENT, Status.CANCELLED, Status.EXPIRED):
        OutboxEntry.objects.update(status=status)
        page = act(admin_client, "discard", entry, _confirm="1").content.decode()
        assert "1 entry was left as it is" in page, status
        assert OutboxEntry.objects.get().status == status


def test_a_discarded_message_is_not_offered_again_and_stays_uncertain(admin_client: Client) -> None:
    message = push.send("Hello", to=Devices(["A"]))
    Dispatch.objects.update(status=Dispatch.Status.UNCERTAIN)
    OutboxEntry.objects.update(status=Status.UNCERTAIN)
    entry = OutboxEntry.objects.get()
    act(admin_client, "discard", entry, _confirm="1")

    assert page_of(message, "retry", entry.pk) not in admin_client.get(page_of(message)).content.decode()
    assert push.retry(OutboxEntry.objects.get()) is False
    assert Dispatch.objects.get().status == Dispatch.Status.UNCERTAIN, "nobody knows what became of it"


def test_who_may_not_change_entries_discards_nothing(staff: Staff) -> None:
    entry = push.set_badge(phone(), 3)
    OutboxEntry.objects.update(status=Status.FAILED)
    looker = staff("view_outboxentry")
    act(looker, "discard", entry, _confirm="1")
    assert OutboxEntry.objects.get().status == Status.FAILED
    changer = staff("view_outboxentry", "change_outboxentry", enforce_csrf_checks=True)
    assert act(changer, "discard", entry, _confirm="1").status_code == 403
    assert OutboxEntry.objects.get().status == Status.FAILED


def attempt(**more: Any) -> Attempt:
    return Attempt.objects.create(**{
        "number": 1, "started_at": timezone.now(), "took_seconds": 0.1234, "outcome": "ok",
        "sent": '{"hwid": "+14155554567", "auth": "test-api-token"}',
        "answered": '{"UnknownDevices": ["+14155554567"], "echo": "test-device-token"}',
    } | more)  # fmt: skip


def test_attempts_show_what_was_said_and_answered_without_tokens_and_numbers(
    staff: Staff, admin_client: Client
) -> None:
    entry = push.set_badge(phone(), 3)
    bulk = BulkRequest.objects.create(application=APPLICATION, api_root="x", method="bulkSetTags", request_id="r-1")
    attempt(entry=entry)
    attempt(bulk_request=bulk)
    looker = staff("view_outboxentry", "view_bulkrequest")
    for address in (url("outboxentry", "change", entry.pk), url("bulkrequest", "change", bulk.pk)):
        page = admin_client.get(address).content.decode()
        assert "0.123 s" in page
        assert "+14155554567" in page
        assert "UnknownDevices" in page
        assert "test-api-token" not in page
        assert "test-device-token" not in page
        page = looker.get(address).content.decode()
        assert "4155554567" not in page
        assert "+1•••4567" in page


def test_a_day_of_trouble_does_not_make_a_page_of_a_thousand_attempts(
    admin_client: Client, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    entry = push.set_badge(phone(), 3)
    for number in range(60):
        attempt(entry=entry, number=number)
    with django_assert_max_num_queries(12):
        page = admin_client.get(url("outboxentry", "change", entry.pk))
    [inline] = page.context["inline_admin_formsets"]
    assert [form.instance.number for form in inline.formset.forms] == list(range(10, 60))


def test_bulk_requests_are_read_and_lead_to_their_entries(
    admin_client: Client, staff: Staff, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for number in range(30):
        bulk = BulkRequest.objects.create(
            application=APPLICATION, api_root="x", method="bulkSetTags", request_id=f"r-{number}",
            settled_at=timezone.now() if number % 2 else None,
        )  # fmt: skip
    entry = push.set_badge(phone(), 3)
    other = push.set_badge(phone("other"), 3)
    OutboxEntry.objects.filter(pk=entry.pk).update(bulk_request=bulk, status=Status.SENDING)
    with django_assert_max_num_queries(8):
        page = admin_client.get(url("bulkrequest"))
    link = f"{url('outboxentry')}?bulk_request={bulk.pk}"
    assert f'<a href="{link}">1</a>' in page.content.decode()
    assert list(admin_client.get(link).context["cl"].queryset) == [entry]
    assert other not in admin_client.get(link).context["cl"].queryset
    assert admin_client.get(f"{url('outboxentry')}?bulk_request=x").context["cl"].queryset.count() == 0
    assert admin_client.get(url("bulkrequest"), {"awaited": "yes"}).context["cl"].queryset.count() == 15
    assert admin_client.get(url("bulkrequest", "add")).status_code == 403
    assert admin_client.post(url("bulkrequest", "delete", bulk.pk), {"post": "yes"}).status_code == 403
    assert 'name="_save"' not in admin_client.get(url("bulkrequest", "change", bulk.pk)).content.decode()
    assert staff("view_outboxentry").get(url("bulkrequest")).status_code == 403
    assert staff("view_outboxentry").get(link).status_code == 200


def test_strangers_are_named_at_the_top_of_the_list_and_on_their_messages(admin_client: Client, settings: Any) -> None:
    message = push.send("Hello", to=Devices(["A"]))
    assert "written for the application" not in admin_client.get(url("outboxentry")).content.decode()
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "API_ROOT": "http://staging.test"}
    words = f"1 entry was written for the application {APPLICATION} at http://sandbox.test"
    for address in (url("outboxentry"), page_of(message)):
        assert words in admin_client.get(address).content.decode(), address


def test_a_message_behind_others_shows_when_it_is_expected_to_go(
    admin_client: Client, sandbox: Any, settings: Any
) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": 2}}}
    for _ in range(5):
        push.send("Before", to=push.EVERYONE)
    OutboxEntry.objects.update(is_alone=True, bulk_method="")
    message = push.send("Hello", to=push.EVERYONE)
    run_outbox()
    page = admin_client.get(page_of(message)).content.decode()
    assert "an estimate; 3 requests are before it under the account" in page
    assert admin_client.get(page_of(message, "state")).json()["html"].count("an estimate") == 1


def test_what_need_not_wait_or_is_paused_is_not_foretold(
    admin_client: Client, sandbox: Any, settings: Any, faults: Faults
) -> None:
    small = push.send("Hello", to=Devices(["A"]))
    alone = push.send("Hello", to=push.EVERYONE)
    for message in (small, alone):
        assert "an estimate" not in admin_client.get(page_of(message)).content.decode()
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": 1}}, "PAUSED": True}
    behind = push.send("Hello", to=push.EVERYONE)
    assert push.forecast(behind) is None
    run_outbox()
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "PAUSED": False, "APPLICATIONS": {}}
    assert admin_client.get(page_of(behind)).status_code == 200
    assert ScheduledMessage.objects.get(pk=behind.pk).status == "scheduled"
