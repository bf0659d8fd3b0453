"""Recipients that Pushwoosh does not know: unreachable from then on, until they register again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from django_pushwoosh import push
from django_pushwoosh.delivery import mirror, unknown_devices
from django_pushwoosh.models import Device, Dispatch, OutboxEntry, ScheduledMessage
from django_pushwoosh.protocol.audience import EVERYONE, Devices, FilterExpression
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.filters import Tag
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.sandbox.transport import in_process
from django_pushwoosh.signals import devices_unknown
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock
from tests.faults import Faults, transport

pytestmark = pytest.mark.django_db
APPLICATION = "TEST0-00001"
APPLE_TOKEN = "0123456789abcdef" * 4


@pytest.fixture
def heard() -> Iterator[list[dict[str, Any]]]:
    """What `devices_unknown` told."""
    told: list[dict[str, Any]] = []

    def hear(sender: Any, signal: Any, **words: Any) -> None:
        told.append(words)

    devices_unknown.connect(hear)
    yield told
    devices_unknown.disconnect(hear)


def mirrored(clock: Clock, *hwids: str, days: int = 30, **attributes: Any) -> None:
    """Devices that the mirror holds since days ago, and Pushwoosh does not know."""
    before = clock.now - timedelta(days=days)
    attributes = {"application": APPLICATION, "platform": 3, "created_at": before, **attributes}
    Device.objects.bulk_create(
        [Device(hwid=hwid, **{"push_token": f"token of {hwid}", **attributes}) for hwid in hwids]
    )
    Device.objects.filter(hwid__in=hwids).update(updated_at=before)


def device(hwid: str) -> Device:
    return Device.objects.get(hwid=hwid)


def answered(listed: Any, codes: Any = ("CODE_NOT_AVAILABLE",), code: int = 200) -> tuple[int, dict[str, str], bytes]:
    response = {"Messages": list(codes), "UnknownDevices": listed}
    document = {"status_code": code, "status_message": "OK", "response": response}
    return 200, {}, json.dumps(document).encode()


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object], clock: Clock) -> None:
    """Let something happen while the next call is under way, a second after it began."""
    send = in_process.send

    def sent(*given: Any) -> Any:
        monkeypatch.undo()
        clock.advance(seconds=1)
        happens()
        return send(*given)

    monkeypatch.setattr(type(in_process), "send", lambda _self, *given: sent(*given))


def test_a_device_that_pushwoosh_does_not_know_is_unreachable(sandbox: Sandbox, clock: Clock) -> None:
    mirrored(clock, "gone")
    scheduled = push.send("Hello", to=device("gone"))
    run_outbox()

    gone = device("gone")
    assert not gone.is_subscribed
    assert (gone.unsubscribed_at, gone.unsubscribed_reason) == (clock.now, unknown_devices.REASON)
    assert not Device.objects.subscribed().exists()
    # What was known stays for whoever looks for it.
    assert gone.push_token == "token of gone"
    scheduled.refresh_from_db()
    assert scheduled.status == ScheduledMessage.Status.SENT


def test_nothing_is_said_upstream_about_it(sandbox: Sandbox, clock: Clock) -> None:
    mirrored(clock, "gone")
    push.send("Hello", to=device("gone"))
    run_outbox()

    assert list(OutboxEntry.objects.values_list("method", flat=True)) == ["createMessage"]


def test_who_is_known_stays(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    mirrored(clock, "gone")
    clock.advance(days=1)
    push.send("Hello", to=Devices(["phone", "gone"]))
    run_outbox()

    assert device("phone").is_subscribed
    assert not device("gone").is_subscribed


def test_a_push_token_names_a_device_too(sandbox: Sandbox, clock: Clock) -> None:
    mirrored(clock, "one", "two", push_token="shared-token")
    mirrored(clock, "apple", platform=1, push_token=APPLE_TOKEN.upper())
    mirrored(clock, "other", push_token="SHARED-TOKEN")
    push.send("Hello", to=Devices(["shared-token", APPLE_TOKEN]))
    run_outbox()

    assert {each.hwid for each in Device.objects.subscribed()} == {"other"}


def test_only_the_messages_own_application_is_looked_at(sandbox: Sandbox, clock: Clock) -> None:
    mirrored(clock, "gone")
    mirrored(clock, "gone too", application="OTHER-00001")
    Device.objects.filter(hwid="gone too").update(hwid="gone")
    push.send("Hello", to=Devices(["gone"]))
    run_outbox()

    assert [each.application for each in Device.objects.subscribed()] == ["OTHER-00001"]


def test_an_answer_reaches_no_further_than_its_request(sandbox: Sandbox, faults: Faults, clock: Clock) -> None:
    mirrored(clock, "gone", "bystander")
    push.send("Hello", to=Devices(["gone"]))
    faults.next(answered({"": ["gone", "bystander"], "X": ["bystander"]}))
    run_outbox()

    assert [each.hwid for each in Device.objects.subscribed()] == ["bystander"]


def test_a_push_to_everyone_marks_nobody(sandbox: Sandbox, faults: Faults, clock: Clock) -> None:
    mirrored(clock, "phone")
    push.send("Hello", to=EVERYONE)
    faults.next(answered({"": ["phone"]}))
    run_outbox()

    assert device("phone").is_subscribed


@pytest.mark.parametrize(
    "answer",
    [
        answered({"": ["gone"]}, code=210),
        answered({"": ["gone"]}, code=400),
        answered({"": ["gone"]}, code=404),
        answered({"": ["gone"]}, code=500),
        (400, {}, answered({"": ["gone"]})[2]),
        (404, {}, answered({"": ["gone"]})[2]),
        (500, {}, answered({"": ["gone"]})[2]),
        (502, {}, b"<html>Bad Gateway</html>"),
        (200, {}, b'{"status_code": 210, "status_message": "Invalid token: gone"}'),
        "lose answer",
        "unreachable",
    ],
)
def test_a_refusal_a_fault_or_silence_says_nothing_about_devices(
    sandbox: Sandbox, faults: Faults, clock: Clock, answer: Any, heard: list[Any], on_commit: Any
) -> None:
    mirrored(clock, "gone")
    push.send("Hello", to=device("gone"))
    faults.next(answer)
    with on_commit(execute=True):
        run_outbox()

    assert device("gone").is_subscribed
    assert heard == []


def test_a_device_that_registers_while_the_message_leaves_is_not_marked(
    sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing new, and Pushwoosh knows it from now on."""
    mirrored(clock, "phone")
    register = Call(
        METHODS["registerDevice"], APPLICATION, {"hwid": "phone", "device_type": 3, "push_token": "token of phone"}
    )
    push.send("Hello", to=device("phone"))
    meanwhile(monkeypatch, lambda: mirror.note(register, now=clock.now), clock)
    run_outbox()

    assert Dispatch.objects.get().told == "Pushwoosh does not know 1 of the devices."
    assert device("phone").is_subscribed


def test_a_repeated_transaction_tells_of_the_time_when_it_was_first_sent(
    sandbox: Sandbox, faults: Faults, clock: Clock
) -> None:
    mirrored(clock, "phone", "gone")
    push.send("Hello", to=Devices(["phone", "gone"]))
    faults.next("lose answer")
    run_outbox()
    clock.advance(seconds=30)
    mirror.note(
        Call(METHODS["registerDevice"], APPLICATION, {"hwid": "phone", "device_type": 3, "push_token": "t"}),
        now=clock.now,
    )
    clock.advance(minutes=2)
    run_outbox()

    assert OutboxEntry.objects.get().status == OutboxEntry.Status.SENT
    assert [each.hwid for each in Device.objects.subscribed()] == ["phone"]


def test_a_device_is_not_marked_while_its_registration_waits(sandbox: Sandbox, faults: Faults, clock: Clock) -> None:
    mirrored(clock, "phone")
    registration = push.register_device(device("phone"))
    OutboxEntry.objects.filter(pk=registration.pk).update(due_at=clock.now + timedelta(hours=1))
    push.send("Hello", to=device("phone"))
    run_outbox()

    assert Dispatch.objects.get().told
    assert device("phone").is_subscribed


@pytest.mark.parametrize(("minutes", "is_subscribed"), [(4, True), (6, False)])
def test_a_registration_takes_a_while_to_be_known(
    sandbox: Sandbox, faults: Faults, clock: Clock, minutes: int, is_subscribed: bool
) -> None:
    mirrored(clock, "phone")
    push.register_device(device("phone"))
    run_outbox()
    clock.advance(minutes=minutes)
    push.send("Hello", to=device("phone"))
    faults.next(answered({"": ["phone"]}))
    run_outbox()

    assert device("phone").is_subscribed is is_subscribed


@pytest.mark.parametrize(("minutes", "is_subscribed"), [(4, True), (6, False)])
def test_so_does_one_that_was_relayed_and_said_nothing_new(
    sandbox: Sandbox, faults: Faults, clock: Clock, minutes: int, is_subscribed: bool
) -> None:
    mirrored(clock, "phone")
    said = {"hwid": "phone", "device_type": 3, "push_token": "token of phone"}
    push.mirror_call(Call(METHODS["registerDevice"], APPLICATION, said))
    clock.advance(minutes=minutes)
    push.send("Hello", to=device("phone"))
    faults.next(answered({"": ["phone"]}))
    run_outbox()

    assert device("phone").is_subscribed is is_subscribed


def test_a_device_that_is_marked_while_its_registration_is_relayed_is_reachable_after(clock: Clock) -> None:
    """What Pushwoosh said of it before it took the registration is no longer so."""
    mirrored(clock, "phone")
    said = {"hwid": "phone", "device_type": 3, "push_token": "token of phone"}
    register = Call(METHODS["registerDevice"], APPLICATION, said)
    standing = push.standing_of(register)
    now = clock.advance(seconds=1)
    Device.objects.update(unsubscribed_at=now, unsubscribed_reason=unknown_devices.REASON, updated_at=now)
    # As where a database does not note it with the look, or somebody held the row.
    push.mirror_call(register, replace(standing, noted_at=None))

    assert device("phone").is_subscribed


def test_a_refused_registration_protects_nobody(sandbox: Sandbox, faults: Faults, clock: Clock) -> None:
    mirrored(clock, "phone")
    push.register_device(device("phone"))
    faults.next((200, {}, b'{"status_code": 210, "status_message": "Invalid device type"}'))
    run_outbox()
    push.send("Hello", to=device("phone"))
    run_outbox()

    assert not device("phone").is_subscribed


@pytest.mark.parametrize(("days", "is_subscribed"), [(0, True), (1, False)])
def test_a_push_of_welcome_does_not_unsubscribe_the_newcomer(
    sandbox: Sandbox, clock: Clock, days: int, is_subscribed: bool
) -> None:
    mirrored(clock, "phone", days=days)
    clock.advance(seconds=10)
    push.send("Welcome", to=device("phone"))
    run_outbox()

    assert device("phone").is_subscribed is is_subscribed


def test_new_tags_keep_nobody_reachable(sandbox: Sandbox, faults: Faults, clock: Clock) -> None:
    """A nightly job that tags every device, just before the push."""
    mirrored(clock, "gone")
    push.set_tags(device("gone"), {"City": "Oslo"})
    run_outbox()
    clock.advance(seconds=1)
    push.send("Hello", to=device("gone"))
    faults.next(answered({"": ["gone"]}))
    run_outbox()

    assert not device("gone").is_subscribed


def test_an_earlier_reason_stays(sandbox: Sandbox, clock: Clock, heard: list[Any], on_commit: Any) -> None:
    mirrored(clock, "phone", unsubscribed_at=clock.now - timedelta(days=3), unsubscribed_reason="unregisterDevice")
    with on_commit(execute=True):
        push.send("Hello", to=device("phone"))
        run_outbox()

    assert device("phone").unsubscribed_reason == "unregisterDevice"
    assert device("phone").unsubscribed_at == clock.now - timedelta(days=3)
    assert heard == []


def test_registering_through_the_gateway_makes_it_reachable_again(sandbox: Sandbox, clock: Clock) -> None:
    mirrored(clock, "phone")
    push.send("Hello", to=device("phone"))
    run_outbox()
    clock.advance(days=1)
    arguments = {"hwid": "phone", "device_type": 3, "push_token": "token of phone"}
    push.queue_call(Call(METHODS["registerDevice"], APPLICATION, arguments))
    run_outbox()

    assert device("phone").is_subscribed
    assert device("phone").unsubscribed_reason == ""
    clock.advance(days=1)
    push.send("Hello again", to=device("phone"))
    run_outbox()
    assert device("phone").is_subscribed
    assert [each.body for each in sandbox.phone("phone").pushes] == ["Hello again"]


def test_so_does_saving_it_as_subscribed(sandbox: Sandbox, clock: Clock) -> None:
    mirrored(clock, "phone")
    push.send("Hello", to=device("phone"))
    run_outbox()
    clock.advance(days=1)
    phone = device("phone")
    phone.unsubscribed_at, phone.unsubscribed_reason = None, ""
    phone.save()
    run_outbox()

    assert device("phone").is_subscribed
    assert sandbox.phone("phone").device.push_token == "token of phone"


def test_whoever_listens_is_told_once(sandbox: Sandbox, clock: Clock, heard: list[Any], on_commit: Any) -> None:
    mirrored(clock, "one", "two")
    scheduled = push.send("Hello", to=Devices(["one", "two"]))
    with on_commit(execute=True):
        run_outbox()
    assert heard == [
        {"application": APPLICATION, "hwids": ["one", "two"], "strangers": [], "dispatch": scheduled.dispatches.get()}
    ]

    clock.advance(days=1)
    push.send("Hello again", to=Devices(["one", "two"]))
    with on_commit(execute=True):
        run_outbox()
    assert len(heard) == 1


def test_recipients_that_no_mirror_holds_are_told_too(sandbox: Sandbox, heard: list[Any], on_commit: Any) -> None:
    push.send("Hello", to=Devices(["nobody", "no one"]))
    with on_commit(execute=True):
        run_outbox()

    assert [(each["hwids"], each["strangers"]) for each in heard] == [([], ["no one", "nobody"])]


def test_nobody_is_told_before_the_commit(sandbox: Sandbox, clock: Clock, heard: list[Any]) -> None:
    mirrored(clock, "gone")
    push.send("Hello", to=device("gone"))
    run_outbox()

    assert heard == []


def test_a_listener_that_fails_undoes_nothing(
    sandbox: Sandbox, clock: Clock, on_commit: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_kwargs: Any) -> None:
        raise RuntimeError("not my day")

    mirrored(clock, "gone")
    devices_unknown.connect(fail)
    try:
        push.send("Hello", to=device("gone"))
        with on_commit(execute=True):
            run_outbox()
    finally:
        devices_unknown.disconnect(fail)

    assert not device("gone").is_subscribed
    assert "not my day" in caplog.text


def test_a_message_that_was_deleted_meanwhile_says_so_all_the_same(
    sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch, heard: list[Any], on_commit: Any
) -> None:
    mirrored(clock, "gone")
    scheduled = push.send("Hello", to=device("gone"))
    meanwhile(monkeypatch, lambda: ScheduledMessage.objects.get(pk=scheduled.pk).delete(), clock)
    with on_commit(execute=True):
        run_outbox()

    assert not device("gone").is_subscribed
    assert [(each["hwids"], each["dispatch"]) for each in heard] == [(["gone"], None)]


def test_a_thousand_devices_take_a_handful_of_queries(sandbox: Sandbox, clock: Clock) -> None:
    hwids = [f"phone {number}" for number in range(1000)]
    mirrored(clock, *hwids)

    def queries(recipients: list[str]) -> int:
        push.send("Hello", to=Devices(recipients))
        with CaptureQueriesContext(connection) as captured:
            run_outbox()
        return sum("pushwoosh_device" in query["sql"] for query in captured)

    assert queries(hwids[:1]) == queries(hwids[1:]) == 3
    assert not Device.objects.subscribed().exists()


HOSTILE_LISTS = [
    None, [], {}, "gone", 7, True, 1e300, ["gone"], [["gone"]], {"": None}, {"": "gone"}, {"": 3}, {"": {"0": "gone"}},
    {"": [None, True, 5, 2**200, 1.5, [], {}, ["gone"], {"a": "gone"}, "", "\x00", "\ud800", "x" * 100_000]},
    {"\x00": ["gone"], "\ud800": ["gone"], "x" * 100_000: ["gone"]},
    {"": ["gone"] * 100_000},
]  # fmt: skip


@pytest.mark.parametrize("listed", HOSTILE_LISTS, ids=range(len(HOSTILE_LISTS)))
def test_no_list_keeps_a_message_from_being_settled(
    sandbox: Sandbox, faults: Faults, clock: Clock, listed: Any
) -> None:
    mirrored(clock, "gone", "bystander")
    push.send("Hello", to=Devices(["gone"]))
    faults.next(answered(listed))
    run_outbox()

    assert Dispatch.objects.get().status == Dispatch.Status.SENT
    assert OutboxEntry.objects.get().status == OutboxEntry.Status.SENT
    assert device("bystander").is_subscribed


def test_a_million_unknown_devices_are_read_and_not_kept(sandbox: Sandbox, faults: Faults, clock: Clock) -> None:
    mirrored(clock, "gone")
    push.send("Hello", to=Devices(["gone"]))
    faults.next(answered({"": ["gone", *map(str, range(1_000_000))]}))
    run_outbox()

    assert not device("gone").is_subscribed
    dispatch = Dispatch.objects.get()
    assert dispatch.status == Dispatch.Status.SENT
    assert dispatch.answer["status_code"] == 200
    assert len(json.dumps(dispatch.answer)) < 1000


def test_an_answer_of_the_longest_tokens_is_kept(sandbox: Sandbox, faults: Faults) -> None:
    tokens = [f"{number:04}".ljust(4000, "x") for number in range(1000)]
    push.send("Hello", to=Devices(["gone"]))
    faults.next(answered({"": tokens}))
    run_outbox()

    assert Dispatch.objects.get().answer["response"]["UnknownDevices"] == {"": tokens}


@pytest.mark.parametrize("codes", [[], [None], [""], [7], ["CODE_NOT_AVAILABLE"], ["A" * 300], ["\x00"], [{}]])
def test_a_message_without_a_code_is_sent_and_beyond_reach(
    sandbox: Sandbox, faults: Faults, clock: Clock, codes: list[Any]
) -> None:
    first = push.schedule("Hello", to=EVERYONE, at=clock.now + timedelta(hours=1))
    second = push.schedule("Hello", to=EVERYONE, at=clock.now + timedelta(hours=1))
    faults.next(answered(None, codes=codes), answered(None, codes=codes))
    run_outbox()
    # Any number of messages have no code.
    for scheduled in (first, second):
        dispatch = scheduled.dispatches.get()
        assert dispatch.status == Dispatch.Status.SENT
        assert dispatch.message_code == "CODE_NOT_AVAILABLE"
        assert not dispatch.is_known_upstream
        assert str(dispatch) == str(dispatch.transaction_id)

    push.cancel(first)
    assert not OutboxEntry.objects.filter(method="cancelMessage").exists()


def test_a_targeted_message_may_be_without_a_code_too(sandbox: Sandbox, faults: Faults) -> None:
    scheduled = push.send("Hello", to=FilterExpression(Tag("City").eq("Oslo")))
    faults.next((200, {}, b'{"status_code": 200, "response": {"messageCode": "CODE_NOT_AVAILABLE"}}'))
    run_outbox()

    assert scheduled.dispatches.get().status == Dispatch.Status.SENT
    assert not scheduled.dispatches.get().is_known_upstream


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["gone", "\x00", "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


class TestHostileAnswers(TestCase):
    @hypothesis_settings(max_examples=80, deadline=None, derandomize=True)
    @given(
        listed=json_values,
        codes=json_values,
        warnings=json_values,
        message=st.one_of(st.just("OK"), json_values),
        more=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
    )
    def test_whatever_an_accepted_messages_answer_holds_it_is_settled(
        self, listed: Any, codes: Any, warnings: Any, message: Any, more: dict[str, Any]
    ) -> None:
        push.send("Hello", to=Devices(["gone"]))
        response = {**more, "Messages": codes, "UnknownDevices": listed, "warnings": warnings}
        document = {"status_code": 200, "status_message": message, "response": response}
        with self.settings(PUSHWOOSH={**settings.PUSHWOOSH, "TRANSPORT": "tests.faults.transport"}):
            transport.next((200, {}, json.dumps(document).encode()))
            now = timezone.now()
            run_outbox(lambda: now)
        entry = OutboxEntry.objects.get()
        # Without a list of codes nobody knows: it goes again under its transaction id.
        expected = OutboxEntry.Status.SENT if isinstance(codes, list) else OutboxEntry.Status.QUEUED
        assert entry.status == expected
        entry.dispatch.refresh_from_db()
        assert (entry.dispatch.status != Dispatch.Status.QUEUED) is isinstance(codes, list)
