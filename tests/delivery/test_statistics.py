"""Opens and deliveries: each counted once, joined to messages by the hash, added up before they go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_pushwoosh import push
from django_pushwoosh.delivery import mirror, retention, statistics
from django_pushwoosh.delivery.poller import poll
from django_pushwoosh.delivery.retention import purge
from django_pushwoosh.models import Device, Dispatch, OutboxEntry, ScheduledMessage, Statistic
from django_pushwoosh.protocol import hashes
from django_pushwoosh.protocol.answers import CODE_NOT_AVAILABLE
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.push import Statistics
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock

pytestmark = pytest.mark.django_db

APPLICATION = "TEST0-00001"
CODE = "1A2B-0000FF00-12345678"
HASH = hashes.encode(7, 8, CODE)


def report(clock: Clock, method: str, hwid: str = "phone", **arguments: Any) -> Device | None:
    said = {"hwid": hwid, "device_type": 3, "hash": HASH, **arguments}
    return mirror.note(Call(METHODS[method], APPLICATION, said), now=clock.now)


def sent_message(*codes: str, application: str = APPLICATION) -> ScheduledMessage:
    message = ScheduledMessage.objects.bulk_create([ScheduledMessage(application=application, status="sent")])[0]
    for number, code in enumerate(codes, 1):
        Dispatch.objects.create(
            message=message, number=number, method="createMessage", arguments={}, status="sent", message_code=code
        )
    return message


def test_opens_and_deliveries_of_a_real_push_are_joined_to_its_message(sandbox: Sandbox, clock: Clock) -> None:
    for hwid in ("one", "two"):
        push.register_device(Device(application=APPLICATION, hwid=hwid, platform=3, push_token=f"token-{hwid}"))
    run_outbox()
    message = push.send("Hello", to=push.EVERYONE)
    run_outbox()

    for hwid in ("one", "two"):
        shown = sandbox.phone(hwid).shows
        report(clock, "messageDeliveryEvent", hwid, hash=shown.payload["p"])
    report(clock, "pushStat", "two", hash=sandbox.phone("two").shows.payload["p"])

    assert push.statistics_of(message) == Statistics(deliveries=2, opens=1)


@pytest.mark.parametrize("method", ["messageDeliveryEvent", "pushStat"])
def test_the_same_report_counts_once_however_often_it_comes(method: str, clock: Clock) -> None:
    for _ in range(3):
        report(clock, method)
        clock.advance(days=1)
    mirror.note(
        Call(METHODS[method], APPLICATION, {"hwid": "phone", "device_type": 3, "hash": HASH}, is_replay=True),
        now=clock.now,
    )

    assert Statistic.objects.count() == 1


def test_another_device_hash_method_or_application_is_another_report(clock: Clock) -> None:
    report(clock, "pushStat")
    report(clock, "messageDeliveryEvent")
    report(clock, "pushStat", hwid="tablet")
    report(clock, "pushStat", hash=hashes.encode(7, 8, CODE, prefix="t"))
    said = {"hwid": "phone", "device_type": 3, "hash": HASH}
    mirror.note(Call(METHODS["pushStat"], "OTHER-00001", said), now=clock.now)

    assert push.statistics_of(CODE) == Statistics(deliveries=1, opens=3)
    assert Statistic.objects.count() == 5


def test_a_broadcasts_devices_are_all_counted(clock: Clock) -> None:
    for number in range(300):
        report(clock, "messageDeliveryEvent", f"phone{number}")

    assert push.statistics_of(CODE) == Statistics(deliveries=300)


def test_what_belongs_to_the_hwid_does_not_pass_for_the_hash() -> None:
    """A hwid that ends as a hash begins makes no two reports the same."""
    from django.utils import timezone

    from django_pushwoosh.delivery.statistics import told

    keys = set()
    for hwid, text in (("phone", "1_2_3_AA"), ("phone1", "_2_3_AA"), ("phon", "e1_2_3_AA")):
        row = told(Call(METHODS["pushStat"], APPLICATION, {"hwid": hwid, "hash": text}), hwid, timezone.now())
        keys.add(row.key if row else None)
    assert len(keys) == 3


def test_of_a_message_in_parts_all_are_added_and_no_other(clock: Clock) -> None:
    message = sent_message(CODE, "AAAA-00000001", CODE_NOT_AVAILABLE, "")
    other = sent_message(CODE, application="OTHER-00001")
    report(clock, "pushStat")
    report(clock, "pushStat", hash=hashes.encode(1, 1, "AAAA-00000001"))
    report(clock, "pushStat", hash=hashes.encode(1, 1, "BBBB-00000001"))

    assert push.statistics_of_many([message, other]) == {message.pk: Statistics(opens=2), other.pk: Statistics()}
    assert push.statistics_of("BBBB-00000001") == Statistics(opens=1), "created elsewhere, and counted all the same"


def test_counting_a_page_of_messages_takes_two_statements(clock: Clock) -> None:
    messages = [sent_message(f"AAAA-{number:08X}", f"BBBB-{number:08X}") for number in range(20)]
    with CaptureQueriesContext(connection) as asked:
        push.statistics_of_many(messages)

    assert len(asked) == 2


@pytest.mark.parametrize(
    "text",
    [
        "", "dGVzdGhhc2g=", "s_1_2_" + "A" * 500, "s_1_2_\x00", "s_1_2_\ud83d", "_" * 4096, "s_1_2_" + "zz-" * 2000, 7,
        None, [], {"a": 1}, "s_1_2_" + CODE_NOT_AVAILABLE,
    ],
)  # fmt: skip
def test_a_hash_that_names_no_message_is_not_kept(text: Any, clock: Clock) -> None:
    report(clock, "pushStat", hash=text)

    assert {row.message_code for row in Statistic.objects.all()} <= {"CODE"}
    assert Device.objects.get().hwid == "phone"


def test_a_report_without_a_device_is_not_counted(clock: Clock) -> None:
    report(clock, "pushStat", hwid="")

    assert not Statistic.objects.exists()


def test_a_report_says_nothing_else_of_a_device(clock: Clock) -> None:
    report(clock, "registerDevice", push_token="token", v="6.10.0", userId="ada", language="nb")
    before = Device.objects.values().get()
    clock.advance(hours=1)
    report(clock, "pushStat", v="5.0", userId="grace", language="fr", metaData={"uid": "1"})

    assert Device.objects.values().get() == before


def test_a_report_of_a_known_device_costs_one_statement_more_at_most(
    sandbox: Sandbox, clock: Clock, django_assert_max_num_queries: Any
) -> None:
    report(clock, "registerDevice", push_token="token")
    said = {"hwid": "phone", "device_type": 3, "hash": HASH}
    with CaptureQueriesContext(connection) as asked:
        push.queue_call(Call(METHODS["messageDeliveryEvent"], APPLICATION, said, b"{}"))
    statements = [each["sql"] for each in asked if "pushwoosh" in each["sql"]]

    # On PostgreSQL all is said in the statement that queues the call; elsewhere the device is looked for first.
    assert len(statements) == (1 if connection.vendor == "postgresql" else 3)
    assert not any("FOR UPDATE" in each for each in statements), "a stampede waits for no row"
    assert push.statistics_of(CODE) == Statistics(deliveries=1)


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("is_replay", [True, False])
@pytest.mark.parametrize("method", ["pushStat", "inboxStatus", "setPurchase"])
def test_queueing_leaves_what_noting_does(
    method: str, is_known: bool, is_replay: bool, sandbox: Sandbox, clock: Clock
) -> None:
    """On PostgreSQL the one is a single statement; elsewhere both go the long way."""
    left = []
    for way in ("queued", "noted"):
        Device.objects.all().delete()
        Statistic.objects.all().delete()
        OutboxEntry.objects.all().delete()
        if is_known:
            report(clock, "registerDevice", push_token="token")
        said = {"hwid": "phone", "device_type": 3, "hash": HASH, "v": "1.0"}
        call = Call(METHODS[method], APPLICATION, said, b"{}", is_replay=is_replay)
        push.queue_call(call) if way == "queued" else mirror.note(call, now=clock.now)
        fields = ("hwid", "platform", "push_token", "sdk_version", "extra", "opened_at", "updated_at")
        rows = Statistic.objects.values_list("application", "message_code", "kind", "key", "at")
        left.append((list(Device.objects.values_list(*fields)), list(rows)))
        assert OutboxEntry.objects.count() == (way == "queued")

    assert left[0] == left[1]
    assert len(left[0][0]) == (is_known or not is_replay)
    assert len(left[0][1]) == (method == "pushStat")


def test_what_was_reported_a_while_ago_is_added_up_and_counts_once(clock: Clock, monkeypatch: Any) -> None:
    monkeypatch.setattr(statistics, "ADDED_UP_AT_ONCE", 3)
    message, other = sent_message(CODE, "AAAA-00000001"), sent_message(CODE, application="OTHER-00001")
    added_up = message.dispatches.order_by("pk").values_list("deliveries_added_up", "opens_added_up")
    for number in range(10):
        report(clock, "messageDeliveryEvent", f"phone{number}")
        report(clock, "pushStat", f"phone{number}", hash=hashes.encode(1, 1, "AAAA-00000001"))
        clock.advance(minutes=1)
        poll(now=clock.now)
        assert push.statistics_of(message) == Statistics(deliveries=number + 1, opens=number + 1)
    assert list(added_up.all()) == [
        (5, 0),
        (0, 5),
    ]

    report(clock, "messageDeliveryEvent", "phone0")
    clock.advance(hours=1)
    for _ in range(3):
        poll(now=clock.now)
    assert list(added_up.all()) == [
        (10, 0),
        (0, 10),
    ]
    assert push.statistics_of_many([message, other]) == {message.pk: Statistics(10, 10), other.pk: Statistics()}
    assert push.statistics_of(CODE) == Statistics(deliveries=10)


def test_where_nobody_polls_all_is_counted_and_nothing_goes_uncounted(clock: Clock) -> None:
    message = sent_message(CODE)
    report(clock, "pushStat")
    clock.advance(days=20)

    assert push.statistics_of(message) == Statistics(opens=1)


def test_what_goes_for_its_age_is_added_up_first(clock: Clock, settings: Any) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "RETENTION": {"MESSAGES": None}}
    message = sent_message(CODE, "AAAA-00000001")
    for hwid in ("one", "two", "three"):
        report(clock, "messageDeliveryEvent", hwid)
    report(clock, "pushStat", "two")
    report(clock, "pushStat", "two", hash=hashes.encode(1, 1, "BBBB-00000001"))
    clock.advance(days=29)
    report(clock, "pushStat", "three")
    before = push.statistics_of(message)
    clock.advance(days=2)
    purged = purge(now=clock.now, batch=2)

    assert purged.rows["Statistic"] == 5
    assert push.statistics_of(message) == before == Statistics(deliveries=3, opens=2)
    assert push.statistics_of(CODE) == Statistics(opens=1), "by a code alone, what is left"
    assert push.statistics_of("BBBB-00000001") == Statistics()
    assert purge(now=clock.now).total == 0


def test_the_setting_says_how_long_single_reports_are_kept(clock: Clock, settings: Any) -> None:
    report(clock, "pushStat")
    clock.advance(days=400)
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "RETENTION": {"STATISTICS": None}}
    assert purge(now=clock.now).total == 0
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "RETENTION": {"STATISTICS": timedelta(days=401)}}
    assert purge(now=clock.now).total == 0
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "RETENTION": {"STATISTICS": timedelta(days=399)}}
    assert purge(now=clock.now).rows == {"Statistic": 1}


def test_strangers_who_invent_messages_fill_no_more_than_the_bound(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_STATISTICS", 10)
    message = sent_message(CODE)
    report(clock, "pushStat")
    for number in range(50):
        report(clock, "pushStat", hash=hashes.encode(1, 1, f"{number:04X}-00000001"))
    purge(now=clock.now)
    assert Statistic.objects.count() == 51, "not before it is added up"
    clock.advance(hours=1)
    purge(now=clock.now)

    assert Statistic.objects.count() == 10
    assert push.statistics_of(message) == Statistics(opens=1)
