"""Changes of many devices travel together, and are delivered when the report says so; the sandbox is the judge."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Q

from django_pushwoosh.conf import settings as ours
from django_pushwoosh.delivery import bulk, connection, outbox
from django_pushwoosh.models import Attempt, BulkRequest, OutboxEntry, Pause
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.coalescing import BULK_METHODS
from django_pushwoosh.protocol.tags import TagType
from django_pushwoosh.sandbox import faults
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox, use_sandbox
from tests.conftest import Clock

pytestmark = pytest.mark.django_db
Status = OutboxEntry.Status
APPLICATION = "TEST0-00001"
PENDING = b'{"request_id": "x", "status": "Pending", "progress": 10}'


def phones(count: int) -> list[str]:
    return [f"phone{number}" for number in range(count)]


def registering(hwid: str, **more: Any) -> Call:
    return Call.of("registerDevice", APPLICATION, hwid=hwid, device_type=3, push_token=f"token of {hwid}", **more)


def tagging(hwid: str, **tags: Any) -> Call:
    return Call.of("setTags", APPLICATION, hwid=hwid, tags=tags)


def increment(value: int) -> dict[str, Any]:
    return {"operation": "increment", "value": value}


def queue(clock: Clock, calls: Iterable[Call], **options: Any) -> list[OutboxEntry]:
    entries = [
        outbox.entry_of(
            call,
            key=outbox.device_key(APPLICATION, call.hwid),
            application=ours.application(),
            now=clock.now,
            **options,
        )
        for call in calls
    ]
    outbox.enqueue_all(entries)
    return list(OutboxEntry.objects.order_by("-pk")[: len(entries)])[::-1]


def know(hwids: Iterable[str]) -> None:
    """Make devices known to Pushwoosh, whatever our outbox holds."""
    for hwid in hwids:
        connection.ask(registering(hwid), ours.application())


def asked(sandbox: Sandbox) -> Counter[str]:
    return Counter(request.method for request in sandbox.requests)


def statuses() -> Counter[str]:
    return Counter(OutboxEntry.objects.values_list("status", flat=True))


def tags_of(sandbox: Sandbox, name: str, hwids: Iterable[str]) -> list[Any]:
    sandbox.advance()
    return [sandbox.devices[APPLICATION, hwid].own_tags.get(name) for hwid in hwids]


def reported(clock: Clock) -> None:
    """Let the report come."""
    clock.advance(seconds=3)
    run_outbox()


def settle_all(clock: Clock) -> None:
    for _ in range(30):
        run_outbox()
        if not OutboxEntry.objects.unsettled().exists():
            return
        clock.advance(minutes=1)
    raise AssertionError(f"{statuses()} after half an hour")


@pytest.mark.parametrize(("count", "bulk_requests", "single_calls"), [(49, 0, 49), (50, 1, 0), (120, 1, 0)])
def test_fifty_devices_travel_together_and_fewer_one_by_one(
    sandbox: Sandbox, clock: Clock, count: int, bulk_requests: int, single_calls: int
) -> None:
    know(phones(count))
    sandbox.requests.clear()
    queue(clock, (tagging(hwid, Age=number) for number, hwid in enumerate(phones(count))))
    run_outbox()
    reported(clock)

    assert (asked(sandbox)["bulkSetTags"], asked(sandbox)["setTags"]) == (bulk_requests, single_calls)
    assert statuses() == {Status.SENT: count}
    assert tags_of(sandbox, "Age", phones(count)) == list(range(count))


def test_registrations_travel_together_too(sandbox: Sandbox, clock: Clock) -> None:
    queue(clock, (registering(hwid, tags={"City": "Oslo"}) for hwid in phones(60)))
    run_outbox()
    reported(clock)

    assert asked(sandbox)["registerDevice"] == 0
    assert asked(sandbox)["bulkRegisterDevice"] == 1
    assert statuses() == {Status.SENT: 60}
    assert sandbox.phone("phone7").device.push_token == "token of phone7"
    assert tags_of(sandbox, "City", phones(60)) == ["Oslo"] * 60


def test_what_was_taken_in_is_not_yet_delivered(sandbox: Sandbox, clock: Clock) -> None:
    know(phones(50))
    queue(clock, (tagging(hwid, City="Oslo") for hwid in phones(50)))
    run_outbox()
    [later] = queue(clock, [Call.of("setBadge", APPLICATION, hwid="phone7", badge=3)])
    run_outbox()

    assert statuses() == {Status.SENDING: 50, Status.QUEUED: 1}
    assert tags_of(sandbox, "City", ["phone7"]) == [None]
    assert sandbox.phone("phone7").device.badge == 0
    # No lease ends the waiting.
    assert outbox.expired(100, now=clock.now + timedelta(hours=1)) == []

    reported(clock)
    assert tags_of(sandbox, "City", ["phone7"]) == ["Oslo"]
    later.refresh_from_db()
    assert later.status == Status.SENT
    assert sandbox.phone("phone7").device.badge == 3
    assert statuses() == {Status.SENT: 51}
    [request] = BulkRequest.objects.all()
    assert request.settled_at == clock.now
    assert [attempt.bulk_request for attempt in Attempt.objects.filter(bulk_request__isnull=False)] == [request]


def test_an_unregistering_never_overtakes_a_registration(sandbox: Sandbox, clock: Clock) -> None:
    queue(clock, (registering(hwid) for hwid in phones(50)))
    queue(clock, (Call.of("unregisterDevice", APPLICATION, hwid=hwid) for hwid in phones(50)))
    run_outbox()
    assert asked(sandbox)["unregisterDevice"] == 0
    reported(clock)

    assert asked(sandbox)["unregisterDevice"] == 50
    assert not any(device.is_subscribed for device in sandbox.devices.values())
    assert statuses() == {Status.SENT: 100}


def test_several_changes_of_one_device_are_one_row(sandbox: Sandbox, clock: Clock) -> None:
    know(phones(50))
    for tags in ({"City": "Oslo"}, {"City": "Rome", "Age": 3}, {"Age": 4}):
        queue(clock, (tagging(hwid, **tags) for hwid in phones(50)))
    run_outbox()
    [job] = sandbox.jobs.values()
    assert [row["tags"] for row in job.devices] == [{"City": "Rome", "Age": 4}] * 50

    reported(clock)
    assert statuses() == {Status.SENT: 150}
    assert tags_of(sandbox, "City", phones(50)) == ["Rome"] * 50


def test_a_row_ends_before_what_no_row_can_say(sandbox: Sandbox, clock: Clock) -> None:
    know(phones(50))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(50)))
    queue(clock, (tagging(hwid, Visits=increment(2)) for hwid in phones(50)))
    queue(clock, (tagging(hwid, Age=5) for hwid in phones(50)))
    run_outbox()
    [job] = sandbox.jobs.values()
    assert [row["tags"] for row in job.devices] == [{"Age": 1}] * 50

    settle_all(clock)
    assert all("operation" not in json.dumps(job.devices) for job in sandbox.jobs.values())
    assert tags_of(sandbox, "Visits", phones(50)) == [2] * 50
    assert tags_of(sandbox, "Age", phones(50)) == [5] * 50


@pytest.mark.parametrize("fault", [faults.lost_answer, faults.lost_request, faults.bad_gateway, faults.empty_body])
def test_a_request_whose_answer_was_lost_goes_again(sandbox: Sandbox, clock: Clock, fault: Any) -> None:
    know(phones(50))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(50)))
    sandbox.faults.fail_next("bulkSetTags", with_=fault())
    run_outbox()
    assert statuses() == {Status.QUEUED: 50}
    queue(clock, (tagging(hwid, Visits=increment(1)) for hwid in phones(50)))

    settle_all(clock)
    assert asked(sandbox)["bulkSetTags"] == 2
    assert tags_of(sandbox, "Age", phones(50)) == [1] * 50
    assert tags_of(sandbox, "Visits", phones(50)) == [1] * 50
    assert statuses() == {Status.SENT: 100}


def test_a_bulk_request_that_was_refused_is_cleared_up_one_by_one(sandbox: Sandbox, clock: Clock) -> None:
    know(phones(50))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(50)))
    refused = faults.answer(400, b'{"message": "no"}')
    sandbox.faults.fail_next("bulkSetTags", with_=refused)
    settle_all(clock)

    assert (asked(sandbox)["bulkSetTags"], asked(sandbox)["setTags"]) == (1, 50)
    assert statuses() == {Status.SENT: 50}


@pytest.mark.parametrize("application", ["", APPLICATION])
def test_a_pause_holds_what_travels_in_bulk_too(sandbox: Sandbox, clock: Clock, application: str) -> None:
    know(phones(50))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(50)))
    pause = Pause.objects.create(application=application, reason="A holiday")
    run_outbox()
    assert statuses() == {Status.QUEUED: 50}

    pause.delete()
    run_outbox()
    assert statuses() == {Status.SENDING: 50}


def test_a_bulk_request_with_a_wrong_token_stops_the_application(sandbox: Sandbox, clock: Clock) -> None:
    know(phones(50))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(50)))
    sandbox.faults.fail_next("bulkSetTags", with_=faults.answer(401, b'{"message": "Unauthorized"}'))
    run_outbox()

    assert Pause.objects.get().application == APPLICATION
    assert statuses() == {Status.QUEUED: 50}
    assert asked(sandbox)["setTags"] == 0


def test_the_report_tells_of_each_device(clock: Clock) -> None:
    with use_sandbox(tags={"Age": TagType.INTEGER, "City": TagType.STRING}) as sandbox:
        hwids = phones(60)
        know(hwids[:-1])
        wrong = [tagging("phone0", Age="many"), tagging("phone1", Age="many", City="Oslo")]
        queue(clock, [*wrong, *(tagging(hwid, Age=1) for hwid in hwids[2:])])
        run_outbox()
        reported(clock)

        entries = {entry.call.hwid: entry for entry in OutboxEntry.objects.all()}
        assert (entries["phone0"].status, entries["phone0"].told) == (
            Status.FAILED,
            "Age: wrong value. expect :integer",
        )
        # A part of it was done, and the rest is told.
        assert (entries["phone1"].status, entries["phone1"].told) == (Status.SENT, "Age: wrong value. expect :integer")
        # A single call adds a device that Pushwoosh does not know; a bulk request does not.
        assert entries["phone59"].attempts_made == 2
        assert tags_of(sandbox, "Age", ["phone59"]) == [1]
        assert statuses() == {Status.SENT: 59, Status.FAILED: 1}
        assert {entries[hwid].told for hwid in hwids[2:59]} == {""}
        assert tags_of(sandbox, "City", ["phone1"]) == ["Oslo"]


def test_a_registration_that_failed_is_told(sandbox: Sandbox, clock: Clock) -> None:
    strange = Call.of("registerDevice", APPLICATION, hwid="strange", device_type=77, push_token="x")
    queue(clock, [strange, *map(registering, phones(50))])
    run_outbox()
    reported(clock)

    [failed] = OutboxEntry.objects.filter(status=Status.FAILED)
    assert failed.call.hwid == "strange"
    assert failed.told == "Pushwoosh says of the device: failed."
    assert statuses() == {Status.SENT: 50, Status.FAILED: 1}


def test_devices_that_the_report_leaves_out_go_by_themselves(sandbox: Sandbox, clock: Clock) -> None:
    know(phones(60))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(60)))
    run_outbox()
    listed = [{"hwid": hwid, "status": "done", "tags": {"Age": "ok"}} for hwid in phones(57)]
    body = json.dumps({"request_id": "x", "status": "Completed", "devices": listed}).encode()
    sandbox.faults.fail_next("bulkSetTagsStatus", with_=faults.answer(200, body))
    reported(clock)

    assert asked(sandbox)["setTags"] == 3
    assert statuses() == {Status.SENT: 60}
    assert set(OutboxEntry.objects.filter(is_alone=True).values_list("attempts_made", flat=True)) == {2}


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"status": "Completed"}', b'{"status": "Failed", "devices": [1, {"hwid": ["x"]}, null]}']
)
def test_a_report_that_says_nothing_settles_nothing(sandbox: Sandbox, clock: Clock, body: bytes) -> None:
    know(phones(50))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(50)))
    sandbox.faults.fail_next("bulkSetTagsStatus", with_=faults.answer(200, body))
    run_outbox()
    reported(clock)
    assert Status.FAILED not in statuses()

    settle_all(clock)
    assert statuses() == {Status.SENT: 50}
    assert tags_of(sandbox, "Age", phones(50)) == [1] * 50


def test_a_request_that_pushwoosh_no_longer_knows_goes_again(sandbox: Sandbox, clock: Clock) -> None:
    know(phones(50))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(50)))
    run_outbox()
    sandbox.faults.fail_next("bulkSetTagsStatus", with_=faults.answer(404, b'{"message": "not found"}'))
    reported(clock)

    assert statuses() == {Status.SENDING: 50}
    assert asked(sandbox)["bulkSetTags"] == 2
    reported(clock)
    assert statuses() == {Status.SENT: 50}


def test_a_report_is_asked_for_ever_more_seldom_and_not_for_ever(sandbox: Sandbox, clock: Clock) -> None:
    know(phones(50))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(50)))
    never = sandbox.faults.always("bulkSetTagsStatus", with_=faults.answer(200, PENDING))
    run_outbox()
    for _ in range(60):
        clock.advance(seconds=1)
        run_outbox()
    assert 3 < asked(sandbox)["bulkSetTagsStatus"] < 20
    assert statuses() == {Status.SENDING: 50}

    sandbox.faults.remove(never)
    clock.advance(hours=5)
    sandbox.faults.fail_next("bulkSetTagsStatus", with_=faults.answer(200, PENDING))
    run_outbox()
    assert asked(sandbox)["bulkSetTags"] == 1

    clock.advance(hours=1, minutes=1)
    sandbox.faults.fail_next("bulkSetTagsStatus", with_=faults.answer(200, PENDING))
    run_outbox()
    assert asked(sandbox)["bulkSetTags"] == 2
    assert BulkRequest.objects.order_by("pk")[0].told == "Its report never came."
    reported(clock)
    assert statuses() == {Status.SENT: 50}


def test_a_question_that_fails_is_asked_again(sandbox: Sandbox, clock: Clock) -> None:
    know(phones(50))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(50)))
    run_outbox()
    sandbox.faults.fail_next("bulkSetTagsStatus", with_=faults.bad_gateway())
    reported(clock)
    assert statuses() == {Status.SENDING: 50}

    clock.advance(minutes=1)
    run_outbox()
    assert asked(sandbox)["bulkSetTags"] == 1
    assert statuses() == {Status.SENT: 50}


def test_what_was_tried_too_long_is_left(sandbox: Sandbox, clock: Clock) -> None:
    know(phones(50))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(50)))
    sandbox.faults.always("bulkSetTagsStatus", with_=faults.answer(200, PENDING))
    for hours in range(0, 24, 7):
        run_outbox()
        assert statuses() == {Status.SENDING: 50}, hours
        clock.advance(hours=7)
    run_outbox()

    assert statuses() == {Status.LEFT: 50}
    assert asked(sandbox)["bulkSetTags"] == 4


def test_what_pushwoosh_does_not_take_in_for_a_day_is_left(sandbox: Sandbox, clock: Clock) -> None:
    know(phones(50))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(50)))
    sandbox.faults.always("bulkSetTags", with_=faults.lost_request())
    for _ in range(3):
        run_outbox()
        assert statuses() == {Status.QUEUED: 50}
        clock.advance(hours=9)
    run_outbox()

    assert statuses() == {Status.LEFT: 50}


def test_a_worker_that_dies_over_a_request_leaves_it_to_the_others(sandbox: Sandbox, clock: Clock) -> None:
    know(phones(50))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(50)))
    load = bulk.load(ours.application(), "bulkSetTags", Q(), now=clock.now, using="default")
    assert load is not None
    assert load.count == 50
    run_outbox()
    assert statuses() == {Status.SENDING: 50}
    assert asked(sandbox)["bulkSetTags"] == 0

    clock.advance(seconds=outbox.longest_lease().total_seconds() + 1)
    run_outbox()
    assert BulkRequest.objects.get(pk=load.request.pk).told == "The worker did not come back."
    settle_all(clock)
    assert asked(sandbox)["bulkSetTags"] == 1
    assert statuses() == {Status.SENT: 50}


def test_a_worker_that_comes_back_late_settles_nothing(sandbox: Sandbox, clock: Clock) -> None:
    """Its answer belongs to a request that was given up, and whose devices go again."""
    know(phones(50))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(50)))
    load = bulk.load(ours.application(), "bulkSetTags", Q(), now=clock.now, using="default")
    assert load is not None
    _, started = connection.ask(load.call, ours.application())
    clock.advance(minutes=5)
    run_outbox()
    run_outbox()
    bulk.taken_in(load.request, started.request_id, now=clock.now)
    given_up, again = BulkRequest.objects.order_by("pk")
    assert (given_up.request_id, given_up.ask_at) == ("", None)
    assert set(OutboxEntry.objects.values_list("bulk_request", flat=True)) == {again.pk}

    reported(clock)
    assert statuses() == {Status.SENT: 50}


@pytest.mark.parametrize("letter", ["a", "é", "\U0001f600"])
def test_a_request_is_no_longer_than_it_may_be(
    sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch, letter: str
) -> None:
    know(phones(130))
    sandbox.requests.clear()
    row = len(json.dumps({"hwid": "phone100", "list_operator": "set", "tags": {"City": letter * 40}}))
    monkeypatch.setattr(bulk, "MOST_BYTES", row * 60)
    queue(clock, (tagging(hwid, City=letter * 40) for hwid in phones(130)))
    settle_all(clock)

    sizes = [len(json.dumps(job.devices)) for job in sandbox.jobs.values()]
    assert len(sizes) == 2
    assert max(sizes) < row * 62
    assert asked(sandbox)["setTags"] == 130 - sum(len(job.devices) for job in sandbox.jobs.values())
    assert statuses() == {Status.SENT: 130}


def test_changes_too_long_to_travel_together_go_one_by_one(
    sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(phones(50))
    monkeypatch.setattr(bulk, "MOST_BYTES", 1000)
    queue(clock, (tagging(hwid, City="Oslo") for hwid in phones(50)))
    settle_all(clock)

    assert sandbox.jobs == {}
    assert statuses() == {Status.SENT: 50}


def test_a_request_holds_no_more_devices_than_it_may(
    sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(phones(130))
    monkeypatch.setattr(bulk, "MOST_IN_BULK", 60)
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(130)))
    settle_all(clock)

    assert [len(job.devices) for job in sandbox.jobs.values()] == [60, 60]
    assert asked(sandbox)["setTags"] == 10


def test_what_expires_does_not_travel_in_bulk(sandbox: Sandbox, clock: Clock) -> None:
    """Once taken in it could not be held back any more."""
    know(phones(50))
    queue(clock, (tagging(hwid, Age=1) for hwid in phones(50)), expires_at=clock.now + timedelta(hours=1))
    settle_all(clock)

    assert sandbox.jobs == {}
    assert statuses() == {Status.SENT: 50}


@pytest.mark.parametrize("seed", range(4))
def test_in_bulk_or_one_by_one_devices_end_up_the_same(clock: Clock, seed: int) -> None:
    """Random changes of eighty devices, some of the bulk requests lost, held against the same calls in their order."""
    chance = random.Random(seed)
    types = {"Age": TagType.INTEGER, "City": TagType.STRING, "Likes": TagType.LIST}

    def change(hwid: str) -> Call:
        if chance.random() < 0.85:
            return chance.choice([tagging(hwid, Age=chance.randrange(9)), tagging(hwid, City="Oslo", Likes=["a"])])
        return chance.choice(
            [
                lambda: tagging(hwid, Age=increment(chance.randrange(1, 5))),
                lambda: tagging(hwid, Likes={"operation": "append", "value": [chance.choice("abc")]}),
                lambda: tagging(hwid, City=None),
                lambda: registering(hwid, tags={"Age": chance.randrange(9)}),
                lambda: registering(hwid, language="de"),
                lambda: Call.of("unregisterDevice", APPLICATION, hwid=hwid),
                lambda: Call.of("registerUser", APPLICATION, hwid=hwid, userId=chance.choice(["ada", "grace"])),
            ]
        )()

    hwids = phones(80)
    rounds = [[change(hwid) for hwid in hwids if chance.random() < 0.95] for _ in range(4)]

    def outcome(sandbox: Sandbox) -> dict[str, Any]:
        sandbox.advance()
        return {
            hwid: (device.own_tags, device.push_token, device.language, device.user_id)
            for (_, hwid), device in sandbox.devices.items()
        }

    with use_sandbox(tags=types) as one_by_one:
        know(hwids)
        for call in (call for calls in rounds for call in calls):
            connection.ask(call, ours.application())
        expected = outcome(one_by_one)
    with use_sandbox(tags=types) as sandbox:
        know(hwids)
        for method in BULK_METHODS:
            sandbox.faults.always(method, with_=faults.lost_answer(), probability=0.3, random=random.Random(seed))
            sandbox.faults.always(method, with_=faults.lost_request(), probability=0.3, random=random.Random(seed))
        for calls in rounds:
            queue(clock, calls)
            if chance.random() < 0.5:
                run_outbox()
        settle_all(clock)

        assert set(statuses()) == {Status.SENT}
        assert outcome(sandbox) == expected
        assert len(sandbox.jobs) > 0
