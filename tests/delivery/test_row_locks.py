"""Races that need a database with many writers; collected where the suite runs on one (see `conftest`)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connections, transaction
from django.db.models import Q
from django.test import Client
from django.utils import timezone

from django_pushwoosh import push
from django_pushwoosh.conf import Application, settings
from django_pushwoosh.delivery import bulk, connection, outbox, poller
from django_pushwoosh.delivery.retention import purge
from django_pushwoosh.delivery.worker import Worker
from django_pushwoosh.models import (
    BulkJob,
    BulkJobChunk,
    Device,
    Dispatch,
    OutboxEntry,
    ScheduledMessage,
    Statistic,
    TagDefinition,
    UserLink,
)
from django_pushwoosh.protocol.audience import Devices
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.errors import InvalidMessage
from django_pushwoosh.sandbox.app import Sandbox
from tests.conftest import Clock
from tests.processes import until

REST = "rest_framework"

pytestmark = pytest.mark.django_db(transaction=True)


def together(*works: Callable[[], object]) -> None:
    """Run them in threads of their own; what one raises, this raises."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            start.wait(10)
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []


def test_competing_workers_never_hold_the_same_entry() -> None:
    application = settings.application()
    now = timezone.now()
    for number in range(200):
        call = Call.of("applicationOpen", application.code, hwid=f"phone{number}")
        outbox.enqueue(call, key=f"device:{number}", application=application, now=now)
    held: list[int] = []

    def work() -> None:
        while entries := outbox.claim(7, now=now):
            held.extend(entry.pk for entry in entries)

    together(*[work] * 4)

    assert len(held) == len(set(held)) == 200


def test_chunks_that_end_at_the_same_moment_end_the_job(sandbox: Sandbox) -> None:
    for _ in range(5):
        job = push.bulk_set_tags([{"hwid": f"phone{number}", "tags": {"Age": 1}} for number in range(2000)])
        Worker().drain()
        first, second = BulkJobChunk.objects.filter(job=job).select_related("job")
        together(
            lambda chunk=first: poller._end(chunk, {"status": BulkJobChunk.Status.DONE}, timezone.now()),
            lambda chunk=second: poller._end(chunk, {"status": BulkJobChunk.Status.DONE}, timezone.now()),
        )
        job.refresh_from_db()
        assert job.status == BulkJob.Status.ENDED


@pytest.mark.parametrize("stop", ["cancel", "delete", "abort"])
def test_who_stops_and_who_settles_do_not_wait_for_each_other(sandbox: Sandbox, stop: str) -> None:
    for _ in range(10):
        if stop == "abort":
            job = push.bulk_set_tags([{"hwid": "phone", "tags": {"Age": 1}}])
            act = lambda job=job: push.abort(job)  # noqa: E731
        else:
            message = push.send("Hello", to=Devices(["phone"]))
            act = message.delete if stop == "delete" else lambda message=message: push.cancel(message)
        [entry] = outbox.claim(5, now=timezone.now())
        together(lambda entry=entry: Worker().deliver([entry]), act)
        assert not OutboxEntry.objects.filter(status=OutboxEntry.Status.SENDING).exists()


def test_a_message_is_replaced_or_sent_and_not_both(sandbox: Sandbox) -> None:
    Device.objects.create(application="TEST0-00001", hwid="phone", platform=3, push_token="token")
    Worker().drain()

    def change(message: ScheduledMessage) -> None:
        message.parameters = {"content": "New"}
        with suppress(InvalidMessage):
            message.save()

    for _ in range(10):
        seen = len(sandbox.pushes)
        message = push.send("Old", to=Devices(["phone"]))
        together(lambda: Worker().drain(), lambda message=message: change(message))
        Worker().drain()
        assert len(sandbox.pushes) == seen + 1


def test_who_deletes_what_is_old_competes_without_harm_and_spares_what_is_taken_up() -> None:
    application, now = settings.application(), timezone.now()
    for number in range(300):
        call = Call.of("applicationOpen", application.code, hwid=f"phone{number}")
        outbox.enqueue(call, key=f"device:{number}", application=application, now=now)
    OutboxEntry.objects.update(status=OutboxEntry.Status.FAILED, settled_at=now - timedelta(days=100))
    kept = list(OutboxEntry.objects.order_by("-pk")[:20])
    retried: list[OutboxEntry] = []

    def retry() -> None:
        retried.extend(entry for entry in kept if push.retry(entry))

    def delete() -> None:
        while not purge(now=now, batch=7).is_done:
            pass

    together(delete, delete, retry)
    assert set(OutboxEntry.objects.all()) == set(retried)
    assert not OutboxEntry.objects.filter(status=OutboxEntry.Status.FAILED).exists()


def test_two_pollers_ask_about_a_message_once(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    at = timezone.now() + timedelta(minutes=5)
    for _ in range(30):
        push.schedule("Hello", to=Devices(["phone"]), at=at)
    Worker().drain()
    asked: list[str] = []
    send = connection.send

    def count(call: Call, application: Application) -> Answer:
        asked.append(call.arguments["message"])
        return send(call, application)

    monkeypatch.setattr(connection, "send", count)
    together(*[lambda: poller.poll(now=at + timedelta(minutes=2))] * 3)
    assert sorted(asked) == sorted(Dispatch.objects.values_list("message_code", flat=True))


def changes(clock: Clock, devices: int, times: int) -> None:
    """Changes of so many devices, each made several times; every third kind is one that no bulk request can say."""
    application = settings.application()
    entries = []
    for time in range(times):
        for number in range(devices):
            tags: dict[str, object] = {"Age": time}
            if (number + time) % 3 == 0:
                tags = {"Visits": {"operation": "increment", "value": 1}}
            call = Call.of("setTags", application.code, hwid=f"phone{number}", tags=tags)
            key = outbox.device_key(application.code, call.hwid)
            entries.append(outbox.entry_of(call, key=key, application=application, now=clock.now))
    outbox.enqueue_all(entries)


def test_who_loads_and_who_claims_never_take_the_same_device(
    sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST_IN_BULK", 60)
    changes(clock, devices=600, times=4)
    loads: list[bulk.Load] = []

    def load() -> None:
        # `None` may mean that somebody else is just about to take what there is.
        for _ in range(12):
            if loaded := bulk.load(settings.application(), "bulkSetTags", Q(), now=clock.now, using="default"):
                loads.append(loaded)

    def claim() -> None:
        for _ in range(10):
            outbox.claim_company(outbox.claim(15, now=clock.now), now=clock.now)

    together(load, load, load, claim, claim)

    assert len(loads) > 1
    assert sum(loaded.count for loaded in loads) == OutboxEntry.objects.filter(bulk_request__isnull=False).count()
    hwids = [row["hwid"] for loaded in loads for row in loaded.call.arguments["devices"]]
    assert len(hwids) == len(set(hwids))
    holders: dict[str, set[tuple[str, int | None]]] = {}
    for entry in OutboxEntry.objects.filter(status=OutboxEntry.Status.SENDING):
        holders.setdefault(entry.key, set()).add((entry.lease_owner, entry.bulk_request_id))
    assert {len(each) for each in holders.values()} == {1}
    # In each key the first are taken, without a gap.
    for key in holders:
        taken = list(OutboxEntry.objects.filter(key=key).order_by("pk").values_list("status", flat=True))
        assert taken == sorted(taken, reverse=True)


def test_several_workers_leave_what_one_would(sandbox: Sandbox, clock: Clock) -> None:
    hwids = [f"phone{number}" for number in range(90)]
    for hwid in hwids:
        register = Call.of("registerDevice", "TEST0-00001", hwid=hwid, device_type=3, push_token=f"token of {hwid}")
        connection.ask(register, settings.application())
    changes(clock, devices=90, times=6)
    for _ in range(40):
        together(*[lambda: Worker().drain()] * 4)
        clock.advance(seconds=3)
        if not OutboxEntry.objects.unsettled().exists():
            break

    assert set(OutboxEntry.objects.values_list("status", flat=True)) == {OutboxEntry.Status.SENT}
    for number, hwid in enumerate(hwids):
        kinds = [(number + time) % 3 == 0 for time in range(6)]
        last = max(time for time in range(6) if not kinds[time])
        assert sandbox.devices["TEST0-00001", hwid].own_tags == {"Age": last, "Visits": sum(kinds)}


@pytest.mark.parametrize("_attempt", range(3))
def test_one_worker_asks_for_a_report_and_one_settles_by_it(sandbox: Sandbox, clock: Clock, _attempt: int) -> None:
    changes(clock, devices=90, times=1)
    Worker().drain()
    clock.advance(seconds=3)
    questions: list[bulk.Report] = []
    ended: list[bool] = []

    def ask() -> None:
        questions.extend(bulk.due(10, applications=[settings.application()], now=clock.now, using="default"))

    together(ask, ask, ask)
    [question] = questions

    def end() -> None:
        ended.append(bulk.end(question.request, now=clock.now))

    together(end, end, end)
    assert sorted(ended) == [False, False, True]


def test_a_message_does_not_wait_for_whoever_takes_up_its_recipients_changes() -> None:
    """The one would hold what the other wants: a deadlock, and the caller's transaction is gone."""
    for hwid in ("one", "two"):
        push.set_tags(hwid=hwid, tags={"City": "Oslo"})
    taken = OutboxEntry.objects.order_by("pk").first()
    is_taken, is_sent, waited = threading.Event(), threading.Event(), []

    def take_up() -> None:
        with transaction.atomic():
            OutboxEntry.objects.select_for_update().get(pk=taken.pk)
            is_taken.set()
            waited.append(not is_sent.wait(5))

    def send() -> None:
        assert is_taken.wait(10)
        push.send("Hello", to=Devices(["one", "two"]))
        is_sent.set()

    together(take_up, send)

    assert waited == [False]
    lanes = OutboxEntry.objects.filter(method="setTags").order_by("pk").values_list("lane", flat=True)
    assert list(lanes) == [OutboxEntry.Lane.USER_VISIBLE, OutboxEntry.Lane.TRANSACTIONAL]


def test_whoever_changes_devices_loses_no_deadlock_to_the_answers_that_tell_of_them(
    sandbox: Sandbox, clock: Clock
) -> None:
    """Messages that shared a request name devices in any order, and what became of them is written down at once."""
    hwids = ["one", "two"]
    Device.objects.bulk_create(
        Device(application="TEST0-00001", hwid=hwid, platform=3, push_token=hwid, created_at=clock.now)
        for hwid in hwids
    )
    Device.objects.update(created_at=clock.now - timedelta(days=9), updated_at=clock.now - timedelta(days=9))
    for hwid in reversed(hwids):
        push.send("Hello", to=Devices([hwid]))
    worker_is_through = threading.Event()

    def change() -> None:
        with transaction.atomic():
            Device.objects.filter(hwid="one").update(language="nb")
            is_changing.set()
            assert worker_is_through.wait(10), "the worker waits for a device"
            Device.objects.filter(hwid="two").update(language="nb")

    def deliver() -> None:
        assert is_changing.wait(10)
        Worker().drain()
        worker_is_through.set()

    is_changing = threading.Event()
    together(change, deliver)

    assert {message.status for message in ScheduledMessage.objects.all()} == {ScheduledMessage.Status.SENT}
    reachable = {device.hwid: device.is_subscribed for device in Device.objects.all()}
    assert reachable == {"one": True, "two": False}
    assert [device.language for device in Device.objects.all()] == ["nb", "nb"]


def test_new_tags_that_are_said_in_any_order_cost_nobody_a_deadlock() -> None:
    """Both wait for a third, and so have begun, before either can go on."""
    names = ["first", "middle", "last"]
    for hwid in ("one", "two"):
        Device.objects.create(application="TEST0-00001", hwid=hwid, platform=3)
    is_held, both_wait = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            TagDefinition.objects.create(application="TEST0-00001", name="middle", type=1)
            is_held.set()
            assert both_wait.wait(20)

    def watch() -> None:
        until(lambda: waiting_for_locks() >= 2, 10, "that both wait")
        both_wait.set()

    def say(hwid: str, tags: dict[str, int]) -> None:
        assert is_held.wait(10)
        push.set_tags_of_many([(hwid, tags)])

    forwards = dict.fromkeys(names, 1)
    together(hold, watch, lambda: say("one", forwards), lambda: say("two", dict(reversed(forwards.items()))))

    assert {each.name for each in TagDefinition.objects.all()} == set(names)


def test_a_look_at_a_device_waits_for_nobody_who_changes_it(clock: Clock) -> None:
    """An SDK waits behind it; that it registered is noted once Pushwoosh has taken it."""
    told = {"hwid": "phone", "device_type": 3, "push_token": "token"}
    register = Call(METHODS["registerDevice"], "TEST0-00001", told)
    push.mirror_call(register)
    now = clock.advance(hours=1)
    looks: list[push.Standing] = []
    is_held, is_looked_at = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Device.objects.update(badge=3)
            is_held.set()
            assert is_looked_at.wait(10), "the look waits"

    def look() -> None:
        assert is_held.wait(10)
        looks.append(push.standing_of(register))
        is_looked_at.set()

    together(hold, look)
    push.mirror_call(register, looks[0])

    device = Device.objects.get()
    assert (device.badge, device.registered_at) == (3, now)


def waiting_for_locks() -> int:
    asked = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'",
        "mysql": "SELECT variable_value FROM information_schema.global_status"
        " WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'",
    }
    with connections["default"].cursor() as cursor:
        cursor.execute(asked[connections["default"].vendor])
        return int(cursor.fetchone()[0])


def noted(method: str, **arguments: object) -> Callable[[], object]:
    call = Call(METHODS[method], "TEST0-00001", {"hwid": "phone", "device_type": 3, **arguments})
    return lambda: push.mirror_call(call)


def test_calls_that_are_all_the_first_of_a_device_make_one() -> None:
    increment = {"Visits": {"operation": "increment", "value": 1}}
    for number in range(5):
        Device.objects.all().delete()
        together(
            noted("registerDevice", push_token="token", userId="ada", v="7.1.3"),
            noted("applicationOpen", app_version="4.2"),
            noted("registerUser", userId="ada"),
            *[noted("setTags", tags=increment)] * 4,
            *[noted("messageDeliveryEvent", hash=f"s_1_2_1-{number}")] * 3,
        )

        device = Device.objects.get()
        assert (device.push_token, device.app_version, device.tags) == ("token", "4.2", {"Visits": 4})
        assert UserLink.objects.open().get().user_id == "ada"
    assert Statistic.objects.count() == 5


def test_calls_about_the_same_devices_wait_for_each_other_and_not_crosswise() -> None:
    browsers = [{"hwid": f"browser{number}", "platform": 11, "push_token": "token"} for number in range(10)]
    more = {"hwid": None, "tags": {"Age": {"operation": 3, "value": "1"}}}
    for _ in range(5):
        together(
            *[noted("multiRegisterDevice", push_devices=browsers, **more)] * 3,
            *[noted("multiRegisterDevice", push_devices=browsers[::-1], **more)] * 3,
        )

    assert [device.tags for device in Device.objects.all()] == [{"Age": 30}] * 10


@pytest.mark.parametrize("headers", [{}, {"Prefer": "respond-async"}], ids=["relayed", "queued"])
def test_one_message_that_is_posted_twice_at_once_is_one(
    headers: dict[str, str], sandbox: Sandbox, settings: Any
) -> None:
    settings.ROOT_URLCONF = "tests.gateway.spectacular_urls"
    rules = {
        "AUTHENTICATION": [f"{REST}.authentication.BasicAuthentication"],
        "PERMISSIONS": [f"{REST}.permissions.IsAdminUser"],
    }
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "SERVER_GATEWAY": rules}
    get_user_model().objects.create_superuser("shop", password="secret")
    note = {"content": "Hello", "to_everyone": True, "transactionId": "order 7"}
    given = {"Authorization": "Basic c2hvcDpzZWNyZXQ=", **headers}
    answered: list[int] = []

    def post() -> None:
        body = {"request": {"notifications": [note]}}
        answer = Client().post("/server/json/1.3/createMessage", body, content_type="application/json", headers=given)
        answered.append(answer.json()["status_code"])

    together(*[post] * 6)
    assert set(answered) <= {200, 202}
    Worker().drain()
    assert len(sandbox.messages) == 1
    assert Dispatch.objects.count() == 1
