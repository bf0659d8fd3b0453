"""What is saved with `using=` stays there, and nothing is ever written to a replica."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import InternalError, connections
from django.test import Client
from django.urls import reverse

from django_pushwoosh import push
from django_pushwoosh.models import BulkJob, Device, OutboxEntry, Pause, ScheduledMessage, UserLink
from django_pushwoosh.protocol.audience import EVERYONE, Devices
from django_pushwoosh.protocol.errors import InvalidMessage
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock
from tests.elsewhere import ALIAS, REPLICA

APPLICATION = "TEST0-00001"
THIRD = "default"
"""A database that the router does not lead to."""

two_databases = pytest.mark.django_db(transaction=True, databases=[ALIAS, THIRD])
with_replica = pytest.mark.django_db(transaction=True, databases=[ALIAS, REPLICA])


def device(using: str, hwid: str = "phone") -> Device:
    made = Device(application=APPLICATION, hwid=hwid, platform=3, push_token="token", tags={"City": "Oslo"})
    made.save(using=using)
    return made


def queued(using: str) -> list[str]:
    return list(OutboxEntry.objects.using(using).order_by("pk").values_list("method", flat=True))


@two_databases
def test_what_is_saved_in_a_database_is_queued_and_delivered_there(sandbox: Sandbox) -> None:
    phone = device(THIRD)
    phone.tags = {"City": "Bergen"}
    phone.save(using=THIRD)
    push.set_badge(phone, 3)
    push.post_event("Bought", device=phone)
    push.link_user(phone, user_id="ada")
    message = ScheduledMessage(
        application=APPLICATION, parameters={"content": "Hello"}, audience=Devices(["phone"]).to_json()
    )
    message.save(using=THIRD)
    assert push.submit(message)

    assert queued(ALIAS) == []
    assert queued(THIRD) == [
        "registerDevice", "setTags", "setBadge", "postEvent", "registerUser", "createMessage",
    ]  # fmt: skip
    run_outbox()
    assert sandbox.devices == {}
    call_command("pushwoosh_worker", "--once", "--database", THIRD)
    phone_there = sandbox.phone("phone").device
    assert (phone_there.tags["City"], phone_there.user_id) == ("Bergen", "ada")
    assert [each.body for each in sandbox.pushes] == ["Hello"]
    assert set(OutboxEntry.objects.using(THIRD).values_list("status", flat=True)) == {"sent"}


@two_databases
def test_what_is_deleted_there_goes_upstream_from_there(sandbox: Sandbox) -> None:
    phone = device(THIRD)
    link = UserLink(device=phone, user_id="ada")
    link.save(using=THIRD)
    OutboxEntry.objects.using(THIRD).all().delete()

    link.delete(using=THIRD)
    phone.delete(using=THIRD)

    assert (queued(THIRD), queued(ALIAS)) == (["registerUser", "unregisterDevice"], [])


@two_databases
@pytest.mark.parametrize("router", ["Elsewhere", "AlwaysElsewhere"])
def test_a_link_speaks_for_the_device_of_its_own_database(settings: Any, router: str) -> None:
    settings.DATABASE_ROUTERS = [f"tests.elsewhere.routers.{router}"]
    phone = device(THIRD)
    Device(pk=phone.pk, application=APPLICATION, hwid="somebody else's", platform=3).save(using=ALIAS)
    OutboxEntry.objects.using(THIRD).all().delete()

    UserLink(device_id=phone.pk, user_id="ada").save(using=THIRD)
    UserLink.objects.using(THIRD).get().delete(using=THIRD)
    UserLink(device_id=phone.pk, user_id="ada").save(using=THIRD)
    UserLink.objects.using(THIRD).all().delete()

    said = OutboxEntry.objects.using(THIRD).order_by("pk").values_list("arguments__hwid", "arguments__userId")
    assert list(said) == [("phone", "ada"), ("phone", "phone")] * 2


@two_databases
def test_many_devices_are_of_one_database(sandbox: Sandbox) -> None:
    phone = device(THIRD)
    with pytest.raises(InvalidMessage, match="is in the database default, not in elsewhere"):
        push.set_tags_of_many([(phone, {"Age": 3})])
    assert push.set_tags_of_many([(phone, {"Age": 3})], using=THIRD) == 1
    assert queued(THIRD) == ["registerDevice", "setTags"]
    assert Device.objects.using(THIRD).get().tags == {"City": "Oslo", "Age": 3}


@two_databases
def test_all_databases_share_one_cap(sandbox: Sandbox, settings: Any) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": 2, "TRACING": True}}}
    for using in (ALIAS, THIRD):
        for number in range(2):
            message = ScheduledMessage(
                application=APPLICATION, parameters={"content": f"{using} {number}"}, audience=EVERYONE.to_json()
            )
            message.save(using=using)
            push.submit(message)
            run_outbox() if using == ALIAS else call_command("pushwoosh_worker", "--once", "--database", using)

    assert len(sandbox.capped_at) == 2
    assert OutboxEntry.objects.using(THIRD).filter(status=OutboxEntry.Status.QUEUED).count() == 2


@pytest.fixture
def replica(transactional_db: None, settings: Any) -> Iterator[None]:
    """Reads go to a database that takes no changes; the primary is for what is written."""
    settings.DATABASE_ROUTERS = ["tests.elsewhere.routers.PrimaryAndReplica"]
    with connections[REPLICA].cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        yield
        cursor.execute("SET default_transaction_read_only = off")


@with_replica
def test_a_replica_takes_no_changes(replica: None) -> None:
    device(ALIAS)
    found = Device.objects.get()
    assert found._state.db == REPLICA
    with pytest.raises(InternalError, match="read-only"):
        found.save(using=REPLICA)


@with_replica
def test_devices_that_were_read_from_a_replica_are_changed_in_the_primary(replica: None, sandbox: Sandbox) -> None:
    device(ALIAS)
    user = get_user_model().objects.create_user("ada")

    push.set_tags(Device.objects.get(), {"Age": 30})
    push.set_badge(Device.objects.get(), 3)
    push.post_event("Bought", device=Device.objects.get())
    push.link_user(Device.objects.get(), user)
    phone = Device.objects.get()
    phone.language = "no"
    phone.save()
    run_outbox()

    known = sandbox.phone("phone").device
    assert (known.tags["Age"], known.badge, known.language) == (30, 3, "no")
    assert known.user_id == str(user.pk)
    UserLink.objects.get().delete()
    run_outbox()
    assert sandbox.phone("phone").device.user_id == "phone"
    push.register_device(Device.objects.get())
    push.unregister_device(Device.objects.get())
    Device.objects.get().delete()
    run_outbox()
    assert sandbox.phone("phone").device.push_token == ""


@with_replica
def test_messages_that_were_read_from_a_replica_are_cancelled_moved_and_deleted(
    replica: None, sandbox: Sandbox, clock: Clock
) -> None:
    device(ALIAS)
    for _ in range(3):
        push.schedule("Hello", to=Device.objects.get(), at=clock.now + timedelta(days=1))
    run_outbox()
    cancelled, moved, deleted = ScheduledMessage.objects.order_by("pk")

    push.cancel(cancelled)
    moved.send_at = clock.now + timedelta(days=2)
    moved.save()
    deleted.delete()
    run_outbox()
    clock.advance(days=3)
    run_outbox()

    assert len(sandbox.pushes) == 1
    draft = ScheduledMessage.objects.create(
        application=APPLICATION, parameters={"content": "Later"}, audience=Devices(["phone"]).to_json()
    )
    assert push.submit(ScheduledMessage.objects.get(pk=draft.pk))
    run_outbox()
    assert sandbox.pushes[-1].body == "Later"


@with_replica
def test_jobs_and_entries_that_were_read_from_a_replica_are_changed_in_the_primary(
    replica: None, sandbox: Sandbox
) -> None:
    device(ALIAS)
    run_outbox()
    push.bulk_set_tags([{"hwid": "phone", "tags": {"City": "Bergen"}}], is_started=False)
    assert push.start(BulkJob.objects.get())
    assert push.pause(BulkJob.objects.get())
    assert push.resume(BulkJob.objects.get())
    assert push.abort(BulkJob.objects.get())

    entry = push.set_badge(Device.objects.get(), 3)
    OutboxEntry.objects.filter(pk=entry.pk).update(status=OutboxEntry.Status.FAILED)
    assert push.retry(OutboxEntry.objects.get(pk=entry.pk))
    assert push.cancel_entries(OutboxEntry.objects.filter(pk=entry.pk)) == 1
    OutboxEntry.objects.filter(pk=entry.pk).update(status=OutboxEntry.Status.FAILED)
    assert push.discard(OutboxEntry.objects.filter(pk=entry.pk), by="ada") == 1
    Pause.objects.create(application=APPLICATION, reason="A look at things")
    push.unpause(list(Pause.objects.all()))
    assert not Pause.objects.exists()


@with_replica
def test_the_gateway_and_the_admin_write_to_the_primary(
    replica: None, sandbox: Sandbox, client: Client, settings: Any
) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_POLICIES": {"setTags": "queue"}}
    for method, said in (("registerDevice", {"push_token": "token"}), ("setTags", {"tags": {"City": "Oslo"}})):
        body = {"request": {"application": APPLICATION, "hwid": "phone", "device_type": 3, **said}}
        answer = client.post(f"/json/1.3/{method}", body, content_type="application/json")
        assert answer.json()["status_code"] == 200
    run_outbox()
    assert sandbox.phone("phone").device.tags["City"] == "Oslo"

    client.force_login(get_user_model().objects.create_superuser("admin"))
    link = {"device": Device.objects.get().pk, "user_id": "ada", "since_0": "2026-03-02", "since_1": "12:00:00"}
    for named in ("ada", "bob"):
        added = client.post(reverse("admin:django_pushwoosh_userlink_add"), {**link, "user_id": named})
        assert added.status_code == 302
    assert UserLink.objects.filter(is_open=True).get().user_id == "bob"
