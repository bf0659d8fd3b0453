"""Messages that wait share a request, and each has a fate of its own; the sandbox's record is the judge."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_pushwoosh import push
from django_pushwoosh.conf import settings as ours
from django_pushwoosh.delivery import batching
from django_pushwoosh.delivery.batching import batches
from django_pushwoosh.models import Attempt, Device, Dispatch, OutboxEntry, Pause, ScheduledMessage
from django_pushwoosh.protocol.audience import EVERYONE, Devices, SavedFilter
from django_pushwoosh.protocol.envelope import reply
from django_pushwoosh.sandbox import faults
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox, use_sandbox
from tests.conftest import Clock

pytestmark = pytest.mark.django_db
Status = Dispatch.Status
BAD = SavedFilter("Nobody saved it")
"""What only Pushwoosh can know to be wrong."""


def send(*contents: str, to: Any = EVERYONE) -> list[ScheduledMessage]:
    return [push.send(content, to=to) for content in contents]


def requests(sandbox: Sandbox) -> list[list[str]]:
    """What each createMessage said, in its order."""
    made = [request for request in sandbox.requests if request.method == "createMessage"]
    return [[each["content"] for each in request.arguments["notifications"]] for request in made]


def accepted(sandbox: Sandbox) -> Counter[str]:
    """How often each message was created."""
    return Counter(message.parameters["content"] for message in sandbox.messages)


def statuses(messages: Iterable[ScheduledMessage]) -> list[str]:
    return [Dispatch.objects.get(message=message).status for message in messages]


def codes_are_their_own(sandbox: Sandbox) -> bool:
    """Whether each dispatch that has a code has the code of its own message."""
    contents = {message.code: message.parameters["content"] for message in sandbox.messages}
    with_code = Dispatch.objects.filter(status=Status.SENT).select_related("message")
    return all(contents[each.message_code] == each.message.parameters["content"] for each in with_code)


def test_many_messages_share_one_request_and_one_slot_of_the_cap(sandbox: Sandbox, phone: Device) -> None:
    messages = send(*(f"Number {number}" for number in range(30)))
    run_outbox()

    assert requests(sandbox) == [[f"Number {number}" for number in range(30)]]
    assert len(sandbox.capped_at) == 1
    ids = {message.parameters["transactionId"] for message in sandbox.messages}
    assert ids == {str(dispatch.transaction_id) for dispatch in Dispatch.objects.all()}
    assert len(ids) == 30
    assert statuses(messages) == [Status.SENT] * 30
    assert codes_are_their_own(sandbox)
    assert set(ScheduledMessage.objects.values_list("status", flat=True)) == {ScheduledMessage.Status.SENT}


def test_a_request_holds_no_more_messages_than_it_may(
    sandbox: Sandbox, phone: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "MOST_NOTIFICATIONS", 4)
    send(*"ABCDEFGHIJ")
    run_outbox()

    assert requests(sandbox) == [list("ABCD"), list("EFGH"), list("IJ")]
    assert len(sandbox.capped_at) == 3
    assert codes_are_their_own(sandbox)


def test_a_request_is_no_longer_than_it_may_be(
    sandbox: Sandbox, phone: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "MOST_BYTES", 2000)
    send("A" * 700, "B" * 700, "C" * 5000, "D" * 10)
    run_outbox()

    assert [[text[0] for text in request] for request in requests(sandbox)] == [["A", "B"], ["C"], ["D"]]


@given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=12), st.integers(1, 5), st.integers(60, 200))
@hypothesis_settings(deadline=None, derandomize=True, max_examples=200)
def test_whatever_their_lengths_all_leave_in_order_within_the_bounds(
    messages: list[tuple[int, bool]], most: int, most_bytes: int
) -> None:
    entries = [
        OutboxEntry(
            pk=number,
            application="TEST0-00001",
            method="createMessage",
            arguments={"notifications": [{"content": "é" * length}]},
            key=f"message:{number}",
            is_capped=is_capped,
        )
        for number, (length, is_capped) in enumerate(messages)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "MOST_NOTIFICATIONS", most)
        patch.setattr(batching, "MOST_BYTES", most_bytes)
        made, left = batches(entries, {}, ours.application())

    assert left == []
    for batch in made:
        texts = [each["content"] for each in batch.call.arguments["notifications"]]
        assert texts == [entry.arguments["notifications"][0]["content"] for entry in batch.entries]
        assert len(batch.entries) <= most
        said = sum(len(json.dumps(each)) for each in batch.call.arguments["notifications"])
        assert said <= most_bytes or len(batch.entries) == 1
        assert len({entry.is_capped for entry in batch.entries}) == 1
    for kind in (True, False):
        sent = [entry.pk for batch in made for entry in batch.entries if entry.is_capped is kind]
        assert sent == [entry.pk for entry in entries if entry.is_capped is kind]


def test_small_pushes_share_requests_of_their_own_beside_the_cap(sandbox: Sandbox, phone: Device) -> None:
    send("All 1", "All 2")
    send("One 1", "One 2", "One 3", to=phone)
    send("All 3")
    run_outbox()

    assert sorted(requests(sandbox)) == [["All 1", "All 2", "All 3"], ["One 1", "One 2", "One 3"]]
    assert len(sandbox.capped_at) == 1


def test_each_message_learns_of_its_own_unknown_recipients(sandbox: Sandbox, phone: Device) -> None:
    known = send("Known", to=Devices(["phone"]))
    unknown = send("Unknown", to=Devices(["phone", "nobody"]))
    run_outbox()

    assert len(requests(sandbox)) == 1
    assert Dispatch.objects.get(message=known[0]).told == ""
    assert Dispatch.objects.get(message=unknown[0]).told == "Pushwoosh does not know 1 of the devices."


def test_a_bad_message_fails_alone(sandbox: Sandbox, phone: Device) -> None:
    """Pushwoosh stops at it, with the codes of those before it."""
    before = send("A", "B")
    [bad] = send("bad", to=BAD)
    after = send("C", "D")
    run_outbox()

    assert requests(sandbox) == [["A", "B", "bad", "C", "D"], ["C", "D"]]
    assert accepted(sandbox) == {"A": 1, "B": 1, "C": 1, "D": 1}
    assert statuses([*before, *after]) == [Status.SENT] * 4
    assert codes_are_their_own(sandbox)
    dispatch = bad.dispatches.get()
    assert dispatch.status == Status.FAILED
    assert "Filter not found" in dispatch.told
    assert OutboxEntry.objects.get(dispatch=dispatch).attempts_made == 1
    assert list(Attempt.objects.filter(entry__dispatch=dispatch).values_list("outcome", flat=True)) == ["BadArgument"]
    # Those behind it were not looked at, and have tried nothing.
    assert set(OutboxEntry.objects.filter(dispatch__message__in=after).values_list("attempts_made", flat=True)) == {1}


@pytest.mark.parametrize("count", [1, 2])
def test_the_ones_before_a_bad_one_have_the_answer_of_a_success(sandbox: Sandbox, phone: Device, count: int) -> None:
    before = send(*"AB"[:count], to=Devices([*(f"stranger {number}" for number in range(20)), "phone"]))
    send("bad", to=BAD)
    run_outbox()

    for message in before:
        dispatch = message.dispatches.get()
        assert dispatch.answer["status_code"] == 200
        assert dispatch.told == "Pushwoosh does not know 20 of the devices."


def test_a_bad_one_at_the_head_or_the_end_holds_nobody_up(sandbox: Sandbox, phone: Device) -> None:
    bad = send("first", to=BAD)
    good = send("A", "B")
    bad += send("last", to=BAD)
    run_outbox()

    assert statuses(bad) == [Status.FAILED] * 2
    assert statuses(good) == [Status.SENT] * 2
    assert accepted(sandbox) == {"A": 1, "B": 1}


def test_a_refusal_of_the_whole_request_is_cleared_up_one_by_one(sandbox: Sandbox, phone: Device) -> None:
    """Nothing tells which of them is to blame, and nothing of it was done."""
    sandbox.faults.fail_next("createMessage", times=2, with_=faults.refusal("Something in here is wrong"))
    messages = send("A", "B", "C")
    run_outbox()

    assert sorted(map(len, requests(sandbox))) == [1, 1, 1, 3]
    assert sorted(statuses(messages)) == [Status.FAILED, Status.SENT, Status.SENT]
    sent = [message for message in messages if message.dispatches.get().status == Status.SENT]
    assert accepted(sandbox) == {str(message): 1 for message in sent}
    assert not Pause.objects.exists()


def test_a_refusal_that_condemns_the_account_fails_nothing(sandbox: Sandbox, phone: Device) -> None:
    sandbox.faults.fail_next("createMessage", with_=faults.suspended_account())
    messages = send("A", "B", "C")
    run_outbox()

    assert "suspended" in Pause.objects.get().reason
    assert statuses(messages) == [Status.QUEUED] * 3
    assert accepted(sandbox) == {}

    push.unpause(list(Pause.objects.all()))
    run_outbox()
    assert accepted(sandbox) == {"A": 1, "B": 1, "C": 1}
    assert requests(sandbox)[-1] == ["A", "B", "C"]


def test_what_was_taken_before_the_account_was_condemned_is_sent(sandbox: Sandbox, phone: Device, clock: Clock) -> None:
    said = reply(210, "Account has been suspended", {"Messages": ["AAAAA-11111111-22222222"]})
    sandbox.faults.fail_next("createMessage", with_=faults.answer(200, said))
    first, second, third = send("A", "B", "C")
    run_outbox()

    assert Pause.objects.exists()
    assert statuses([first, second, third]) == [Status.SENT, Status.QUEUED, Status.QUEUED]
    assert first.dispatches.get().message_code == "AAAAA-11111111-22222222"
    clock.advance(days=2)
    push.unpause(list(Pause.objects.all()))
    for message in (second, third):
        ScheduledMessage.objects.filter(pk=message.pk).update(expires_at=None)
    OutboxEntry.objects.update(expires_at=None)
    run_outbox()
    assert accepted(sandbox) == {"B": 1, "C": 1}


@pytest.mark.parametrize("place", ["status_message", "warnings"])
def test_a_warning_of_a_shared_request_is_told_to_each(sandbox: Sandbox, phone: Device, place: str) -> None:
    codes = ["AAAAA-11111111-22222222", "AAAAA-11111111-33333333"]
    in_response = {"warnings": [faults.SUBSCRIBER_LIMIT]} if place == "warnings" else {}
    text = faults.SUBSCRIBER_LIMIT if place == "status_message" else "OK"
    said = reply(200, text, {"Messages": codes, **in_response})
    sandbox.faults.fail_next("createMessage", with_=faults.answer(200, said))
    messages = send("A", "B")
    run_outbox()

    assert statuses(messages) == [Status.LIMITED] * 2
    assert [message.dispatches.get().message_code for message in messages] == codes


def test_codes_that_fit_nobody_are_nobodys(sandbox: Sandbox, phone: Device) -> None:
    said = reply(200, "OK", {"Messages": ["AAAAA-11111111-22222222"]})
    sandbox.faults.fail_next("createMessage", with_=faults.answer(200, said))
    messages = send("A", "B")
    run_outbox()

    assert statuses(messages) == [Status.SENT] * 2
    assert not any(message.dispatches.get().is_known_upstream for message in messages)


@pytest.mark.parametrize("fault", [faults.lost_answer, faults.lost_request, faults.server_error, faults.not_json])
@pytest.mark.parametrize("minutes", [1, 4, 5, 30])
def test_a_shared_request_without_an_answer_goes_again_within_its_window_only(
    sandbox: Sandbox, phone: Device, clock: Clock, fault: Any, minutes: int
) -> None:
    sandbox.faults.fail_next("createMessage", with_=fault())
    messages = send("A", "B", "C")
    run_outbox()
    assert statuses(messages) == [Status.QUEUED] * 3

    clock.advance(minutes=minutes)
    run_outbox()

    if minutes < 5:
        assert statuses(messages) == [Status.SENT] * 3
        assert accepted(sandbox) == {"A": 1, "B": 1, "C": 1}
        assert codes_are_their_own(sandbox)
    else:
        assert statuses(messages) == [Status.UNCERTAIN] * 3
        assert max(accepted(sandbox).values(), default=0) <= 1
        assert len(requests(sandbox)) == 1


FAULTS = {
    "none": None,
    "lost answer": faults.lost_answer,
    "lost request": faults.lost_request,
    "no connection": faults.no_connection,
    "server error": faults.server_error,
    "bad gateway": faults.bad_gateway,
    "gateway timeout": faults.gateway_timeout,
    "not JSON": faults.not_json,
    "empty body": faults.empty_body,
    "refusal": lambda: faults.refusal("Something in here is wrong"),
}


@given(
    st.lists(st.sampled_from(["good", "bad", "small"]), min_size=1, max_size=7),
    st.lists(st.tuples(st.sampled_from(sorted(FAULTS)), st.sampled_from([1, 2, 7])), max_size=4),
)
# The answer is lost after the good one was taken, and a bad one stands behind it.
@example(["good", "bad", "good"], [("lost answer", 1)])
@example(["good", "bad", "good"], [("lost answer", 1), ("lost answer", 7)])
@hypothesis_settings(
    deadline=None,
    derandomize=True,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_happens_no_label_is_wrong(
    settings: Any, clock: Clock, kinds: list[str], troubles: list[tuple[str, int]]
) -> None:
    """*Sent* took effect once, *failed* never did, and what is uncertain is no more than what was lost."""
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": 1000}}}
    OutboxEntry.objects.all().delete()
    ScheduledMessage.objects.all().delete()
    audiences = {"good": EVERYONE, "bad": BAD, "small": Devices(["phone"])}
    with use_sandbox() as sandbox:
        for number, kind in enumerate(kinds):
            push.send(f"{number} {kind}", to=audiences[kind])
        for name, minutes in [*troubles, ("none", 2), ("none", 7)]:
            if (fault := FAULTS[name]) is not None:
                sandbox.faults.fail_next("createMessage", with_=fault())
            run_outbox()
            clock.advance(minutes=minutes)

        created = accepted(sandbox)
        for dispatch in Dispatch.objects.select_related("message"):
            content = dispatch.message.parameters["content"]
            assert created[content] <= 1
            assert dispatch.status in (Status.SENT, Status.FAILED, Status.UNCERTAIN)
            if dispatch.status == Status.SENT:
                assert created[content] == 1
            if dispatch.status == Status.FAILED:
                assert created[content] == 0
                assert "bad" in content or any(name == "refusal" for name, _ in troubles)
        if not any(name not in ("no connection", "refusal") for name, _ in troubles):
            assert not Dispatch.objects.filter(status=Status.UNCERTAIN).exists()
