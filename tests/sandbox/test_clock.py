"""The sandbox's time: it can be moved forward and let go again, and a journal lives through it a second time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_pushwoosh.sandbox import BadJournal, Journal, Sandbox, SetClock

from .conftest import APP, NOON, Hand, applications


def snapshot(sandbox: Sandbox) -> object:
    sandbox.advance()
    return (
        sandbox.now,
        [(push.at, push.device.hwid, push.body) for push in sandbox.pushes],
        [(message.code, message.status, message.due_at) for message in sandbox.messages],
        [(key, device.tags, device.registered_at) for key, device in sandbox.devices.items()],
        [(job.request_id, job.report, job.is_completed) for job in sandbox.jobs.values()],
    )


def test_what_is_due_by_then_happens(call, sandbox):
    call.device("one")
    call.message(content="tomorrow", send_date="2026-03-03 09:00")
    assert sandbox.move_clock(hours=20) == NOON + timedelta(hours=20)
    assert call.got() == []
    assert sandbox.is_clock_moved
    sandbox.move_clock(hours=1)
    assert call.got() == [("one", "tomorrow")]
    assert sandbox.pushes[0].at == NOON + timedelta(hours=21)


def test_the_clock_runs_on_from_where_it_was_moved(sandbox, clock):
    sandbox.move_clock(days=1)
    clock.advance(minutes=5)
    assert sandbox.now == NOON + timedelta(days=1, minutes=5)


def test_it_returns_to_its_clock(call, sandbox, clock):
    call.device("one")
    sandbox.move_clock(days=1)
    call.message(content="in the future")
    call.message(content="later", send_date="2026-03-03 18:00")
    assert sandbox.return_to_clock() == NOON
    assert not sandbox.is_clock_moved
    call.message(content="today")
    assert [body for _, body in call.got()] == ["in the future", "today"]
    assert [push.at for push in sandbox.pushes] == [NOON + timedelta(days=1), NOON]
    clock.advance(hours=30)
    assert [body for _, body in call.got()] == ["in the future", "today", "later"]


def test_what_is_under_way_takes_as_long_as_it_would_have(clock):
    sandbox = Sandbox(applications(), clock, lag_seconds=5, pending_seconds=10)
    call = Hand(sandbox)
    call.device("one")
    clock.advance(seconds=5)
    sandbox.move_clock(days=1)
    call.device("two")
    call.message(content="pending")
    job = call("bulkSetTags", devices=[{"hwid": "one", "tags": {"City": "Oslo"}}]).json["request_id"]
    sandbox.return_to_clock()
    assert len(sandbox.devices) == 1
    clock.advance(seconds=5)
    sandbox.advance()
    assert len(sandbox.devices) == 2
    assert sandbox.jobs[job].is_completed
    assert call.got() == []
    clock.advance(seconds=5)
    assert call.reached() == {"one", "two"}


def test_the_cap_does_not_count_a_time_that_never_was(clock):
    call = Hand(Sandbox(applications(), clock, requests_per_minute=1))
    call.sandbox.move_clock(days=1)
    call.message()
    assert call.message().http == 429
    call.sandbox.return_to_clock()
    assert call.message().http == 200
    assert call.message().http == 429


@pytest.mark.parametrize(
    "duration",
    [{"days": 0}, {"seconds": -1}, {"days": 10**8}, {"days": 10**300}, {"days": 3_000_000}, {"seconds": float("nan")}],
)
def test_moves_that_make_no_sense_are_refused(sandbox, duration):
    with pytest.raises(ValueError, match=r"clock|integer"):
        sandbox.move_clock(**duration)
    assert sandbox.now == NOON


def test_a_journal_lives_through_it_again(tmp_path, clock):
    def start(clock: SetClock = clock) -> Sandbox:
        return Sandbox(applications(), clock, Journal(tmp_path / "state"), lag_seconds=2, pending_seconds=1)

    first = start()
    call = Hand(first)
    call.device("one")
    clock.advance(seconds=10)
    call.message(content="tomorrow {Last Application Open|regular|}", send_date="2026-03-03 09:00")
    first.move_clock(days=1)
    clock.advance(seconds=10)
    call("applicationOpen", hwid="one")
    call("bulkRegisterDevice", devices=[{"hwid": "bulk", "push_token": "t", "platform": 3}])
    call.device("two", userId="Ann")
    call.message(content="in the future", send_rate=100)
    # Time that passes unseen by any call before the clock goes back.
    clock.advance(seconds=1)
    first.return_to_clock()
    clock.advance(seconds=30)
    call.message(content="after")
    clock.advance(seconds=5)
    before = snapshot(first)
    assert [body for _, _, body in before[1]] == [
        "tomorrow {Last Application Open|regular|}",
        "in the future",
        "after",
        "after",
        "after",
    ]
    first.close()
    second = start()
    assert snapshot(second) == before
    second.move_clock(hours=1)
    moved = snapshot(second)
    second.close()
    third = start()
    assert third.is_clock_moved
    assert snapshot(third) == moved
    third.return_to_clock()
    Hand(third).message(content="home again")
    home = snapshot(third)
    third.close()
    assert snapshot(start(SetClock(clock()))) == home


def test_a_journal_of_an_impossible_clock_is_refused(tmp_path, clock):
    first = Sandbox(applications(), clock, Journal(tmp_path / "state"))
    first.move_clock(days=1)
    first.close()
    content = (tmp_path / "state").read_bytes()
    for bad in (b'"offset":"x"', b'"offset":1e400', b'"offset":null', b'"other":1'):
        (tmp_path / "state").write_bytes(content.replace(b'"offset":86400.0', bad))
        with pytest.raises(BadJournal):
            Sandbox(applications(), clock, Journal(tmp_path / "state"))


def test_operations_are_in_the_journal_and_no_call_can_fake_one(tmp_path, clock):
    sandbox = Sandbox(applications(), clock, Journal(tmp_path / "state"))
    sandbox.start_tracing()
    sandbox.move_clock(minutes=1)
    for name in ("setClock", "startTracing", "setOption"):
        assert Hand(sandbox)(name, offset=5).http == 404
    sandbox.close()
    text = (tmp_path / "state").read_text()
    assert text.count('"startTracing"') == text.count('"setClock"') == 1
    assert Sandbox(applications(), clock, Journal(tmp_path / "state")).is_tracing
    assert APP not in text
