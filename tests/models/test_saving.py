"""What saving and deleting says upstream, and what it does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import serializers
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from django_pushwoosh import push
from django_pushwoosh.delivery import batching
from django_pushwoosh.models import (
    BulkJob,
    Device,
    Dispatch,
    OutboxEntry,
    ScheduledMessage,
    TagDefinition,
    UserLink,
)
from django_pushwoosh.protocol.audience import EVERYONE, Devices
from django_pushwoosh.protocol.errors import InvalidMessage
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock
from tests.faults import Faults

pytestmark = pytest.mark.django_db
APPLICATION = "TEST0-00001"


def device(**attributes: Any) -> Device:
    hwid = attributes.pop("hwid", "phone")
    values: dict[str, Any] = {"application": APPLICATION, "platform": 3, "push_token": f"token of {hwid}"}
    return Device.objects.create(hwid=hwid, **{**values, **attributes})


def said() -> list[str]:
    """The methods queued since last asked."""
    methods = list(OutboxEntry.objects.order_by("pk").values_list("method", flat=True))
    OutboxEntry.objects.all().delete()
    return methods


def test_a_new_device_is_registered_with_its_tags(sandbox: Sandbox) -> None:
    device(language="no", utc_offset_seconds=3600, tags={"City": "Oslo"}, app_version="1.2")
    run_outbox()

    known = sandbox.phone("phone").device
    assert known.push_token == "token of phone"
    assert known.language == "no"
    assert known.tags["City"] == "Oslo"
    assert OutboxEntry.objects.count() == 1


def test_a_changed_attribute_registers_again_and_unchanged_ones_say_nothing() -> None:
    phone = device()
    said()

    phone.save()
    assert said() == []

    phone.language = "de"
    phone.save()
    assert said() == ["registerDevice"]


def test_changed_tags_travel_as_their_difference(sandbox: Sandbox) -> None:
    phone = device(tags={"City": "Oslo", "Age": 30, "Old": 1})
    run_outbox()

    phone.tags = {"City": "Oslo", "Age": 31}
    phone.save()

    entry = OutboxEntry.objects.latest("pk")
    assert entry.arguments["tags"] == {"Age": 31, "Old": None}
    run_outbox()
    assert sandbox.phone("phone").device.tags["Age"] == 31
    assert "Old" not in sandbox.phone("phone").device.tags


def test_unsubscribing_and_deleting_unregister_the_device(sandbox: Sandbox, clock: Clock) -> None:
    phone = device()
    phone.unsubscribed_at = clock.now
    phone.save()
    assert said() == ["registerDevice", "unregisterDevice"]

    phone.delete()
    assert said() == ["unregisterDevice"]


def test_who_has_unsubscribed_stays_so_whatever_else_changes(sandbox: Sandbox, clock: Clock) -> None:
    phone = device()
    phone.unsubscribed_at = clock.now
    phone.save()
    said()

    phone.language = "de"
    phone.save()
    assert said() == []

    phone.unsubscribed_at = None
    phone.save()
    assert said() == ["registerDevice"]

    device(hwid="tablet", unsubscribed_at=clock.now)
    assert said() == []


def test_only_what_is_saved_is_said(sandbox: Sandbox) -> None:
    phone = device(tags={"City": "Oslo"})
    said()
    phone.tags = {"City": "Rome"}
    phone.language = "de"
    phone.save(update_fields=["language"])

    assert said() == ["registerDevice"]
    phone.refresh_from_db()
    assert phone.tags == {"City": "Oslo"}


def test_a_device_of_an_application_that_is_gone_can_be_deleted(settings: Any) -> None:
    phone = device()
    other = {"CODE": "OTHER-00001", "API_TOKEN": "x", "DEVICE_TOKEN": "y"}
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "APPLICATIONS": {"default": other}}
    phone.delete()

    assert not Device.objects.exists()


def test_ids_keep_their_case(sandbox: Sandbox, clock: Clock) -> None:
    lower, upper = device(hwid="phone"), device(hwid="PHONE")
    push.link_user(lower, user_id="ada")
    push.link_user(upper, user_id="ADA")
    push.delete_user("ada")

    assert list(Device.objects.values_list("hwid", flat=True)) == ["PHONE"]


def test_fixtures_and_querysets_say_nothing() -> None:
    phone = device()
    fixture = serializers.serialize("json", [phone])
    phone.delete()
    said()

    for loaded in serializers.deserialize("json", fixture):
        loaded.save()
    Device.objects.update(language="de")
    Device.objects.bulk_create([Device(application=APPLICATION, hwid="tablet", platform=3)])

    assert said() == []


def test_a_rolled_back_save_says_nothing() -> None:
    with transaction.atomic():
        device()
        transaction.set_rollback(True)

    assert said() == []


def test_a_whatsapp_number_is_not_the_sms_device_of_that_number() -> None:
    device(hwid="+15551234567", platform=18)
    device(hwid="+15551234567", platform=21)

    assert set(Device.objects.values_list("hwid", flat=True)) == {"+15551234567", "whatsapp:+15551234567"}


def test_one_hwid_is_one_device_of_an_application() -> None:
    device()

    with pytest.raises(IntegrityError), transaction.atomic():
        device()


def test_the_next_user_of_a_phone_takes_it_over_and_the_history_stays(sandbox: Sandbox, clock: Clock) -> None:
    first = get_user_model().objects.create_user("first")
    second = get_user_model().objects.create_user("second")
    phone = device()
    push.link_user(phone, first)
    clock.advance(hours=1)
    push.link_user(phone, second)
    run_outbox()

    assert sandbox.phone("phone").device.user_id == str(second.pk)
    links = list(UserLink.objects.order_by("pk"))
    assert [link.django_user for link in links] == [first, second]
    assert links[0].until == clock.now
    assert links[1].is_open


def test_a_device_has_one_open_link(clock: Clock) -> None:
    phone = device()
    UserLink.objects.create(device=phone, user_id="first")

    with pytest.raises(IntegrityError), transaction.atomic():
        UserLink.objects.create(device=phone, user_id="second")

    UserLink.objects.create(device=phone, user_id="earlier", until=clock.now)
    UserLink.objects.create(device=phone, user_id="earlier still", until=clock.now)


def test_saving_ending_and_deleting_a_link_tell_whose_the_device_is(sandbox: Sandbox, clock: Clock) -> None:
    phone = device()
    link = UserLink.objects.create(device=phone, user_id="ada")
    run_outbox()
    assert sandbox.phone("phone").device.user_id == "ada"

    link.until = clock.now
    link.save()
    run_outbox()
    assert sandbox.phone("phone").device.user_id == "phone"

    link = UserLink.objects.create(device=phone, user_id="grace")
    link.delete()
    run_outbox()
    assert sandbox.phone("phone").device.user_id == "phone"


def test_links_that_go_with_their_device_say_nothing_of_their_own() -> None:
    phone = device()
    UserLink.objects.create(device=phone, user_id="ada")
    said()

    phone.delete()

    assert said() == ["unregisterDevice"]


def test_a_deleted_django_user_leaves_the_link_of_the_device() -> None:
    user = get_user_model().objects.create_user("ada")
    push.link_user(device(), user)

    user.delete()

    assert UserLink.objects.get().django_user is None


def test_a_draft_says_nothing() -> None:
    ScheduledMessage.objects.create(application=APPLICATION, parameters={"content": "Hello"})

    assert said() == []


def test_a_changed_message_is_cancelled_and_made_anew(sandbox: Sandbox, clock: Clock) -> None:
    for number in range(12):
        device(hwid=f"phone{number}")
    scheduled = push.schedule("Hello", to=EVERYONE, at=clock.now + timedelta(hours=2))
    run_outbox()
    assert [message.status for message in sandbox.messages] == ["waiting"]

    scheduled.send_at = clock.now + timedelta(hours=3)
    scheduled.save()
    run_outbox()
    clock.advance(hours=4)
    sandbox.advance()

    assert [message.status for message in sandbox.messages] == ["canceled", "done"]
    assert len(sandbox.pushes) == 12


def test_a_message_that_pushwoosh_holds_is_changed_there_too(sandbox: Sandbox, clock: Clock) -> None:
    for number in range(12):
        device(hwid=f"phone{number}")
    push.schedule("Hello", to=EVERYONE, at=clock.now + timedelta(hours=2))
    run_outbox()

    scheduled = ScheduledMessage.objects.get()
    assert scheduled.status == ScheduledMessage.Status.SENT
    scheduled.parameters = {"content": "World"}
    scheduled.save()
    run_outbox()
    clock.advance(hours=3)
    sandbox.advance()

    assert {each.body for each in sandbox.pushes} == {"World"}
    assert len(sandbox.pushes) == 12


def test_an_instance_read_earlier_turns_nothing_back(sandbox: Sandbox) -> None:
    device()
    scheduled = push.send("Hello", to=EVERYONE)
    run_outbox()
    scheduled.save()
    assert ScheduledMessage.objects.get().status == ScheduledMessage.Status.SENT

    scheduled.parameters = {"content": "World"}
    scheduled.save()
    run_outbox()
    assert len(sandbox.messages) == 1


def test_a_message_of_which_a_part_has_left_is_not_made_anew(
    sandbox: Sandbox, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "MOST_NOTIFICATIONS", 1)
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": 1}}}
    scheduled = push.send("Hello", to=Devices([f"phone{number}" for number in range(1500)]))
    run_outbox()
    assert len(sandbox.messages) == 1

    scheduled.parameters = {"content": "World"}
    with pytest.raises(InvalidMessage, match="compose a new one"):
        scheduled.save()


def test_a_cancelled_message_is_not_taken_up_again_by_its_entry(sandbox: Sandbox, clock: Clock) -> None:
    device()
    scheduled = push.send("Hello", to=EVERYONE)
    scheduled.parameters = {"content": "World"}
    scheduled.save()
    old = OutboxEntry.objects.get(status=OutboxEntry.Status.CANCELLED)

    assert push.retry(old) is False
    run_outbox()
    assert [message.parameters["content"] for message in sandbox.messages] == ["World"]


def test_a_message_changed_before_it_left_leaves_once(sandbox: Sandbox, clock: Clock) -> None:
    device()
    scheduled = push.schedule("Hello", to=EVERYONE, at=clock.now + timedelta(hours=2))
    scheduled.parameters = {**scheduled.parameters, "content": "World"}
    scheduled.save()
    run_outbox()

    assert [message.parameters["content"] for message in sandbox.messages] == ["World"]
    assert set(scheduled.dispatches.values_list("status", flat=True)) == {
        Dispatch.Status.CANCELLED,
        Dispatch.Status.SENT,
    }


def test_a_deleted_message_is_cancelled_where_it_waits(sandbox: Sandbox, clock: Clock) -> None:
    device()
    scheduled = push.schedule("Hello", to=EVERYONE, at=clock.now + timedelta(hours=2))
    run_outbox()
    scheduled.delete()
    run_outbox()

    assert [message.status for message in sandbox.messages] == ["canceled"]


def test_a_deleted_message_that_never_left_never_leaves(sandbox: Sandbox) -> None:
    device()
    push.send("Hello", to=EVERYONE).delete()
    run_outbox()

    assert sandbox.messages == []


def test_a_cancelled_message_says_so(sandbox: Sandbox, clock: Clock) -> None:
    device()
    scheduled = push.schedule("Hello", to=EVERYONE, at=clock.now + timedelta(hours=2))
    run_outbox()
    push.cancel(scheduled)
    run_outbox()

    scheduled.refresh_from_db()
    assert scheduled.status == ScheduledMessage.Status.CANCELLED


def test_cancelling_twice_asks_once_and_a_refused_cancel_can_be_tried_again(
    sandbox: Sandbox, faults: Faults, clock: Clock
) -> None:
    device()
    scheduled = push.schedule("Hello", to=EVERYONE, at=clock.now + timedelta(hours=2))
    run_outbox()
    push.cancel(scheduled)
    push.cancel(scheduled)
    [cancelling] = OutboxEntry.objects.filter(method="cancelMessage")
    faults.next((200, {}, b'{"status_code": 210, "status_message": "Try later"}'))
    run_outbox()
    assert scheduled.dispatches.get().status == Dispatch.Status.SENT

    cancelling.refresh_from_db()
    push.retry(cancelling)
    assert scheduled.dispatches.get().status == Dispatch.Status.SENT
    run_outbox()
    assert scheduled.dispatches.get().status == Dispatch.Status.CANCELLED


def test_a_message_that_is_out_cannot_be_cancelled_and_says_so(sandbox: Sandbox, clock: Clock) -> None:
    for number in range(12):
        device(hwid=f"phone{number}")
    scheduled = push.send("Hello", to=EVERYONE)
    run_outbox()
    sandbox.advance()
    push.cancel(scheduled)
    run_outbox()

    scheduled.refresh_from_db()
    assert scheduled.status == ScheduledMessage.Status.SENT
    assert scheduled.dispatches.get().told


def test_a_large_audience_becomes_several_dispatches(sandbox: Sandbox) -> None:
    scheduled = push.send("Hello", to=Devices([f"phone{number}" for number in range(2500)]))

    assert [len(dispatch.arguments["notifications"][0]["devices"]) for dispatch in scheduled.dispatches.all()] == [
        1000,
        1000,
        500,
    ]
    assert len(set(scheduled.dispatches.values_list("transaction_id", flat=True))) == 3


def test_types_of_tags_are_learned(sandbox: Sandbox) -> None:
    push.set_tags(device(), {"Age": 30, "City": "Oslo", "Likes": ["a"], "Paid": True})

    types = {definition.name: definition.get_type_display() for definition in TagDefinition.objects.all()}
    assert types == {"Age": "integer", "City": "string", "Likes": "list", "Paid": "boolean"}


def test_a_bulk_job_runs_to_its_report(sandbox: Sandbox, clock: Clock) -> None:
    job = push.bulk_register_devices(
        {"hwid": f"user{number}@example.com", "push_token": f"user{number}@example.com", "platform": 14}
        for number in range(1200)
    )
    assert job.chunks.count() == 2
    run_outbox()
    job.refresh_from_db()
    assert job.status == BulkJob.Status.RUNNING
    with pytest.raises(ProtectedError):
        job.delete()
    read_before = BulkJob.objects.get()
    read_before.status = BulkJob.Status.NEW
    with pytest.raises(ProtectedError):
        read_before.delete()

    clock.advance(minutes=1)
    run_outbox()

    job.refresh_from_db()
    assert job.status == BulkJob.Status.ENDED
    assert sum(job.chunks.values_list("succeeded", flat=True)) == 1200
    assert len(sandbox.devices) == 1200
    job.delete()


def test_a_bulk_jobs_report_names_what_went_wrong(sandbox: Sandbox, clock: Clock) -> None:
    device()
    run_outbox()
    job = push.bulk_set_tags(
        [{"hwid": "phone", "tags": {"Age": 30}}, {"hwid": "nobody", "tags": {"Age": 30}}], create_missing_tags=True
    )
    run_outbox()
    clock.advance(minutes=1)
    run_outbox()

    chunk = job.chunks.get()
    assert (chunk.succeeded, chunk.not_found) == (1, 1)
    assert [missed["id"] for missed in chunk.report] == ["nobody"]
    assert sandbox.phone("phone").device.tags["Age"] == 30


def test_a_paused_bulk_job_waits_and_an_aborted_one_is_over(sandbox: Sandbox, clock: Clock) -> None:
    job = push.bulk_set_tags([{"hwid": "phone", "tags": {"Age": 30}}])
    assert push.pause(job)
    assert run_outbox() == 0

    assert push.resume(job)
    assert push.abort(job)
    assert run_outbox() == 0
    job.refresh_from_db()
    assert job.is_over
    assert sandbox.jobs == {}


def test_save_in_autocommit_is_one_transaction(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """`post_save` fires after the commit in autocommit; a failing entry must take the row with it."""

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("no entry")

    monkeypatch.setattr("django_pushwoosh.delivery.outbox.enqueue_all", fail)
    with pytest.raises(RuntimeError):
        device()

    assert not Device.objects.exists()


@pytest.mark.parametrize("nobody", [None, [], (), {}, "", "everyone", 0, iter([]), [None], ["phone"]])
def test_nobody_is_never_everyone(nobody: Any, sandbox: Sandbox) -> None:
    with pytest.raises(InvalidMessage):
        push.send("Hello", to=nobody)

    assert not ScheduledMessage.objects.exists()


def test_a_draft_is_submitted_once(sandbox: Sandbox, on_commit: Callable[..., Any]) -> None:
    device()
    draft = ScheduledMessage.objects.create(
        application=APPLICATION, parameters={"content": "Hello"}, audience=EVERYONE.to_json()
    )
    assert [push.submit(draft) for _ in range(3)] == [True, False, False]
    run_outbox()

    assert len(sandbox.messages) == 1
