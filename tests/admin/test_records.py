"""Devices, links, jobs, the outbox and pauses, as people see and change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from django_pushwoosh import push
from django_pushwoosh.models import (
    BulkJob,
    BulkJobChunk,
    Device,
    OutboxEntry,
    Pause,
    TagDefinition,
    UserLink,
)
from django_pushwoosh.protocol.audience import Devices
from django_pushwoosh.protocol.calls import Call

from .conftest import APPLICATION

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]


def url(model: str, view: str = "changelist", *args: Any) -> str:
    return reverse(f"admin:django_pushwoosh_{model}_{view}", args=args)


def phone(hwid: str = "phone", **more: Any) -> Device:
    [device] = Device.objects.bulk_create(
        [Device(**{"application": APPLICATION, "hwid": hwid, "platform": 1, "push_token": "t"} | more)]
    )
    return device


def job(chunks: int = 1, **more: Any) -> BulkJob:
    made = push.bulk_register_devices([{"hwid": "A", "push_token": "t", "platform": 1}], is_started=False)
    BulkJobChunk.objects.bulk_create(
        BulkJobChunk(job=made, number=number, devices=[{"hwid": "A"}]) for number in range(2, chunks + 1)
    )
    BulkJob.objects.filter(pk=made.pk).update(**more)
    made.refresh_from_db()
    return made


@pytest.mark.parametrize(
    "model", ["device", "userlink", "tagdefinition", "bulkjob", "outboxentry", "pause", "scheduledmessage"]
)
def test_lists_ask_a_constant_number_of_queries(
    admin_client: Client, django_assert_max_num_queries: Callable[..., Any], django_user_model: Any, model: str
) -> None:
    for number in range(30):
        device = phone(f"phone-{number}", tags={"City": "Oslo", "Likes": ["a", "b"]})
        user = django_user_model.objects.create_user(f"user-{number}")
        UserLink.objects.bulk_create([UserLink(device=device, user_id=str(number), django_user=user)])
        TagDefinition.objects.create(application=APPLICATION, name=f"Tag {number}", type=1)
        Pause.objects.create(application=f"{number:05d}-00000", reason="for the test")
        push.set_badge(device, 1)
        push.send("Hello", to=Devices(["A"]))
        job(chunks=3)
    with django_assert_max_num_queries(9):
        assert admin_client.get(url(model)).status_code == 200


def test_a_device_is_found_and_its_tags_are_read_as_words(admin_client: Client) -> None:
    phone("ABC-1", tags={"City": "Oslo", "VIP": True, "Likes": ["a", "b"], "Age": 30})
    phone("ABC-2", platform=3, push_token="")
    page = admin_client.get(url("device"), {"q": "abc-1"}).content.decode()
    assert "Age: 30 · City: Oslo · Likes: a, b · VIP: yes" in page
    assert "ABC-2" not in page
    assert "ABC-2" in admin_client.get(url("device"), {"subscribed": "tokenless"}).content.decode()
    assert "ABC-2" not in admin_client.get(url("device"), {"subscribed": "yes"}).content.decode()
    assert "ABC-1" not in admin_client.get(url("device"), {"platform__exact": "3"}).content.decode()
    assert "ABC-1" in admin_client.get(url("device"), {"application": APPLICATION}).content.decode()


def test_phone_numbers_are_masked_for_who_may_not_change_devices(staff: Staff, admin_client: Client) -> None:
    device = phone("+14155554567", platform=18, extra={"hwid": "+14155554567"})
    UserLink.objects.bulk_create([UserLink(device=device, user_id="42")])
    push.set_badge(device, 1)
    entry = OutboxEntry.objects.get()
    OutboxEntry.objects.update(told="The device +14155554567 is unknown")
    link = device.links.get()
    looker = staff("view_device", "view_userlink", "view_outboxentry")
    whole = [
        url("device"), url("device", "change", device.pk), url("userlink"), url("outboxentry"),
        url("outboxentry", "change", entry.pk),
    ]  # fmt: skip
    short = [
        url("userlink", "change", link.pk), url("device", "history", device.pk), url("userlink", "history", link.pk),
    ]  # fmt: skip
    for page in (*whole, *short):
        shown = looker.get(page).content.decode()
        assert "14155554567" not in shown, page
        assert "+1•••4567" in shown, page
    for page in whole:
        assert "+14155554567" in admin_client.get(page).content.decode(), page
    device.refresh_from_db()
    assert device.hwid == "+14155554567"


def test_addresses_are_masked_as_numbers_are(staff: Staff, admin_client: Client) -> None:
    device = phone("ada.lovelace@example.org", platform=14, push_token="ada.lovelace@example.org")
    UserLink.objects.bulk_create([UserLink(device=device, user_id="42")])
    looker = staff("view_device", "view_userlink")
    for page in (url("device"), url("device", "change", device.pk), url("userlink")):
        shown = looker.get(page).content.decode()
        assert "lovelace" not in shown, page
        assert "a•••@example.org" in shown, page
    assert "lovelace" in admin_client.get(url("device")).content.decode()
    assert "example.org" not in looker.get(url("device"), {"q": "lovelace"}).content.decode()


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        ("device", "hwid__startswith=%2B1415"),
        ("device", "push_token__regex=1"),
        ("userlink", "device__hwid__startswith=%2B1415"),
        ("outboxentry", "key__contains=%2B1415"),
        ("outboxentry", "arguments__hwid__startswith=%2B1415"),
        ("scheduledmessage", "audience__ids__0__startswith=%2B1415"),
    ],
)
def test_a_number_cannot_be_guessed_digit_by_digit(staff: Staff, model: str, lookup: str) -> None:
    looker = staff(f"view_{model}")
    assert looker.get(f"{url(model)}?{lookup}").status_code == 400


def test_the_filters_that_lists_offer_work_for_who_may_only_look(staff: Staff) -> None:
    offered = {
        "device": ["application=TEST0-00001", "platform__exact=1", "subscribed=yes"],
        "userlink": ["is_open__exact=1"],
        "tagdefinition": ["type__exact=1", "source__exact=declared"],
        "outboxentry": ["status__exact=queued", "method=setTags"],
        "bulkjob": ["status__exact=new", "kind__exact=setBulkTags"],
        "scheduledmessage": ["status__exact=sent", "created_at__gte=2026-01-01%2000:00:00%2B00:00"],
    }
    looker = staff(*(f"view_{model}" for model in offered))
    for model, queries in offered.items():
        for query in queries:
            assert looker.get(f"{url(model)}?{query}").status_code == 200, query


def test_a_search_finds_phone_numbers_for_who_may_change_devices_only(staff: Staff, admin_client: Client) -> None:
    sms, other = phone("+14155554567", platform=18), phone("1415-tablet")
    UserLink.objects.bulk_create([UserLink(device=sms, user_id="42"), UserLink(device=other, user_id="43")])
    for device in (sms, other):
        push.set_badge(device, 1)
    looker = staff("view_device", "view_userlink", "view_outboxentry")

    def found(client: Client, model: str) -> int:
        return client.get(url(model), {"q": "1415"}).context["cl"].queryset.count()

    assert [found(admin_client, model) for model in ("device", "userlink", "outboxentry")] == [2, 2, 2]
    assert [found(looker, model) for model in ("device", "userlink", "outboxentry")] == [1, 0, 1]
    assert looker.get(url("userlink"), {"q": "42"}).context["cl"].queryset.count() == 1


def test_the_log_holds_no_phone_number(admin_client: Client) -> None:
    device = phone("+14155554567", platform=18)
    admin_client.post(url("device", "delete", device.pk), {"post": "yes"})
    assert LogEntry.objects.get().object_repr == "SMS +1•••4567"


def test_who_may_not_look_learns_nothing_from_a_history(staff: Staff) -> None:
    device, nobody = phone(), staff()
    for pk in (device.pk, 999_999):
        assert nobody.get(url("device", "history", pk)).status_code == 403


def test_changing_a_devices_tags_sends_the_difference(admin_client: Client) -> None:
    device = phone(tags={"City": "Oslo"})
    form = {
        "push_token": "t", "badge": "0", "tags": '{"City": "Bergen"}', "language": "", "utc_offset_seconds": "",
        "device_model": "", "os_version": "", "app_version": "", "sdk_version": "", "unsubscribed_at_0": "",
        "unsubscribed_at_1": "", "unsubscribed_reason": "",
    }  # fmt: skip
    page = url("device", "change", device.pk)
    assert admin_client.post(page, form).status_code == 302
    assert [(each.method, each.arguments["tags"]) for each in OutboxEntry.objects.all()] == [
        ("setTags", {"City": "Bergen"})
    ]
    for wrong in ("[1]", "{", '{"City": {"a": {}}}', '{"": 1}'):
        errors = admin_client.post(page, form | {"tags": wrong}).context["adminform"].form.errors
        assert list(errors) == ["tags"], wrong
    device.refresh_from_db()
    assert device.tags == {"City": "Bergen"}


def test_a_new_link_ends_the_one_before(admin_client: Client) -> None:
    device = phone()
    UserLink.objects.bulk_create([UserLink(device=device, user_id="old")])
    form = {"device": device.pk, "user_id": "new", "django_user": "", "since_0": "2026-01-01", "since_1": "10:00:00"}
    form |= {"until_0": "", "until_1": ""}
    assert admin_client.post(url("userlink", "add"), form).status_code == 302
    assert list(UserLink.objects.open().values_list("user_id", flat=True)) == ["new"]
    assert [each.arguments["userId"] for each in OutboxEntry.objects.all()] == ["new"]

    closed = UserLink.objects.get(user_id="old")
    answer = admin_client.post(url("userlink", "change", closed.pk), form | {"user_id": "old"})
    assert "speaks for somebody else" in answer.content.decode()


# Bulk jobs


def test_a_job_is_started_paused_resumed_and_aborted(admin_client: Client) -> None:
    made = job()
    expected = [
        ("start", BulkJob.Status.RUNNING),
        ("pause", BulkJob.Status.PAUSED),
        ("resume", BulkJob.Status.RUNNING),
        ("abort", BulkJob.Status.ABORTED),
        ("start", BulkJob.Status.ABORTED),
    ]
    for verb, status in expected:
        admin_client.post(url("bulkjob", verb, made.pk))
        made.refresh_from_db()
        assert made.status == status, verb


def test_the_page_of_a_job_offers_what_its_state_allows(admin_client: Client) -> None:
    running = job(status=BulkJob.Status.RUNNING)
    page = admin_client.get(url("bulkjob", "change", running.pk)).content.decode()
    assert url("bulkjob", "pause", running.pk) in page
    assert url("bulkjob", "start", running.pk) not in page


def test_a_job_of_many_chunks_shows_the_first_and_the_troubled(
    admin_client: Client, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    made = job(chunks=300)
    made.chunks.filter(number=250).update(status=BulkJobChunk.Status.FAILED, told="Refused")
    with django_assert_max_num_queries(12):
        page = admin_client.get(url("bulkjob", "change", made.pk))
    [inline] = page.context["inline_admin_formsets"]
    assert len(inline.formset.forms) == 101
    assert "299 waiting" in page.content.decode()


def test_a_running_job_cannot_be_deleted_and_says_why(admin_client: Client) -> None:
    running = job(status=BulkJob.Status.RUNNING)
    page = admin_client.get(url("bulkjob", "delete", running.pk)).content.decode()
    assert "abort it first" in page
    admin_client.post(url("bulkjob", "delete", running.pk), {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [running.pk], "post": "yes"}
    assert "abort it first" in admin_client.post(url("bulkjob"), chosen).content.decode()
    assert BulkJob.objects.exists()


def test_a_job_that_starts_while_it_is_deleted_stays(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made = job()
    deleted = BulkJob.delete

    def starts_meanwhile(self: BulkJob, *args: Any, **kwargs: Any) -> Any:
        BulkJob.objects.update(status=BulkJob.Status.RUNNING)
        return deleted(self, *args, **kwargs)

    monkeypatch.setattr(BulkJob, "delete", starts_meanwhile)
    answer = admin_client.post(url("bulkjob", "delete", made.pk), {"post": "yes"}, follow=True)
    assert "abort it first" in answer.content.decode()
    assert BulkJob.objects.exists()


def test_an_ended_job_is_deleted(admin_client: Client) -> None:
    admin_client.post(url("bulkjob", "delete", job(status=BulkJob.Status.ENDED).pk), {"post": "yes"})
    assert not BulkJob.objects.exists()


# The outbox


def test_the_outbox_is_read_and_never_shows_a_token(admin_client: Client, clock: Any) -> None:
    device = phone()
    push.set_badge(device, 3)
    body = b'{"request":{"application":"TEST0-00001","hwid":"phone","auth":"test-api-token","x":"test-device-token"}}'
    from django_pushwoosh.protocol.calls import METHODS

    push.queue_call(Call(METHODS["applicationOpen"], APPLICATION, {"hwid": "phone"}, body))
    for entry in OutboxEntry.objects.all():
        page = admin_client.get(url("outboxentry", "change", entry.pk))
        shown = page.content.decode()
        assert "phone" in shown
        assert "test-api-token" not in shown
        assert "test-device-token" not in shown
        assert 'name="_save"' not in shown
    assert admin_client.get(url("outboxentry", "add")).status_code == 403
    assert admin_client.post(url("outboxentry", "delete", entry.pk), {"post": "yes"}).status_code == 403


def act(client: Client, action: str, *entries: OutboxEntry, **more: Any) -> Any:
    chosen = {"action": action, "_selected_action": [each.pk for each in entries]} | more
    return client.post(url("outboxentry"), chosen, follow=True)


def test_failed_entries_are_tried_again(admin_client: Client) -> None:
    entry = push.set_badge(phone(), 3)
    OutboxEntry.objects.update(status=OutboxEntry.Status.FAILED)
    assert "1 entry was changed" in act(admin_client, "retry", entry).content.decode()
    entry.refresh_from_db()
    assert entry.status == OutboxEntry.Status.QUEUED
    assert "left as it is" in act(admin_client, "retry", entry).content.decode()


def test_what_is_tried_again_in_a_filtered_list_is_counted_right(admin_client: Client) -> None:
    entry = push.set_badge(phone(), 3)
    OutboxEntry.objects.update(status=OutboxEntry.Status.FAILED)
    chosen = {"action": "retry", "_selected_action": [entry.pk]}
    page = admin_client.post(f"{url('outboxentry')}?status__exact=failed", chosen, follow=True).content.decode()
    assert "1 entry was changed" in page
    assert "left as" not in page


def test_a_cancellation_that_failed_is_not_repeated_from_the_list(admin_client: Client) -> None:
    message = push.send("Hello", to=Devices(["A"]))
    call = Call.of("cancelMessage", APPLICATION, message="1A2B3-C4D5E")
    entry = push.queue_call(call)
    OutboxEntry.objects.filter(pk=entry.pk).update(status=OutboxEntry.Status.FAILED, dispatch=message.dispatches.get())
    assert "left as it is" in act(admin_client, "retry", entry).content.decode()


def test_what_may_have_arrived_is_repeated_only_after_a_question(admin_client: Client) -> None:
    entry = push.set_badge(phone(), 3)
    OutboxEntry.objects.update(status=OutboxEntry.Status.LEFT)
    asked = act(admin_client, "retry", entry)
    assert "Nobody knows whether these calls arrived" in asked.content.decode()
    entry.refresh_from_db()
    assert entry.status == OutboxEntry.Status.LEFT
    hidden = dict(asked.context["hidden"])
    assert hidden == {"action": "retry", "_selected_action": entry.pk}
    act(admin_client, "retry", entry, _confirm="1")
    entry.refresh_from_db()
    assert entry.status == OutboxEntry.Status.QUEUED


def test_a_device_call_is_cancelled_and_a_message_is_not(admin_client: Client) -> None:
    entry = push.set_badge(phone(), 3)
    push.send("Hello", to=Devices(["A"]))
    message = OutboxEntry.objects.get(method="createMessage")
    answer = act(admin_client, "cancel", entry, message).content.decode()
    assert "1 entry was changed" in answer
    assert "on their own pages" in answer
    statuses = dict(OutboxEntry.objects.values_list("method", "status"))
    assert statuses == {"setBadge": OutboxEntry.Status.CANCELLED, "createMessage": OutboxEntry.Status.QUEUED}


def test_who_may_only_look_is_offered_no_action(staff: Staff) -> None:
    entry = push.set_badge(phone(), 3)
    looker = staff("view_outboxentry")
    act(looker, "cancel", entry)
    entry.refresh_from_db()
    assert entry.status == OutboxEntry.Status.QUEUED


# Pauses and tags


def test_a_paused_application_is_resumed(
    admin_client: Client, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    pause = Pause.objects.create(application=APPLICATION, reason="suspended")
    with django_capture_on_commit_callbacks() as woken:
        admin_client.post(url("pause"), {"action": "resume", "_selected_action": [pause.pk]})
    assert not Pause.objects.exists()
    assert len(woken) == 1


def test_an_application_is_paused_and_a_tag_declared_by_hand(admin_client: Client) -> None:
    admin_client.post(url("pause", "add"), {"application": APPLICATION, "reason": "stop"})
    assert Pause.objects.get().reason == "stop"
    tag = {"application": APPLICATION, "name": "Zip", "type": "2", "source": "declared"}
    admin_client.post(url("tagdefinition", "add"), tag)
    assert admin_client.post(url("tagdefinition", "add"), tag).context["errors"]
    assert TagDefinition.objects.count() == 1


def test_numbers_in_the_tags_of_a_phone_number_are_masked_too(staff: Staff) -> None:
    device = phone("+14155554567", platform=18, tags={"Phone": "+14155554567", "Digits": 14155554567})
    looker = staff("view_device")
    for address in (url("device"), url("device", "change", device.pk)):
        page = looker.get(address).content.decode()
        assert "415555" not in page, address
        assert "4567" in page
