"""Messages leave by the clock: the sender's, or each user's own."""

from __future__ import annotations

from datetime import UTC, datetime


def test_nothing_leaves_before_its_time(call, clock, sandbox):
    call.device("one")
    call.message(send_date="2026-03-02 12:30")
    clock.advance(minutes=29, seconds=59)
    assert call.got() == []
    clock.advance(minutes=20)
    assert call.got() == [("one", "Hello")]
    assert sandbox.pushes[0].at == datetime(2026, 3, 2, 12, 30, tzinfo=UTC)


def test_seconds_and_time_zones_are_understood(call, sandbox):
    call.message(send_date="2026-07-01 10:00:30", timezone="America/New_York")
    assert sandbox.messages[0].due_at == datetime(2026, 7, 1, 14, 0, 30, tzinfo=UTC)


def test_the_audience_is_the_one_at_the_due_time(call, clock):
    call.device("leaving")
    call.message(send_date="2026-03-02 13:00")
    call("unregisterDevice", hwid="leaving")
    call.device("coming")
    clock.advance(hours=1)
    call.device("late")
    clock.advance(hours=1)
    assert call.reached() == {"coming"}


def test_a_time_in_the_past_is_now(call, sandbox):
    call.device("one")
    call.message(send_date="2020-01-01 00:00")
    assert call.got() == [("one", "Hello")]
    assert sandbox.pushes[0].at == datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def test_each_user_gets_it_at_their_own_time(call, clock, sandbox):
    call.device("oslo", timezone=3600)
    call.device("utc")
    call.device("lima", timezone="-18000")
    (code,) = call.message(send_date="2026-03-02 14:00", ignore_user_timezone=False).response["Messages"]

    def status():
        return call("getMessageDetails", app=None, message=code).response["message"]["status"]

    clock.advance(minutes=59)
    assert call.got() == []
    clock.advance(minutes=1)
    assert call.reached() == {"oslo"}
    assert status() == "processing"
    clock.advance(hours=1)
    assert call.reached() == {"oslo", "utc"}
    call("registerDevice", hwid="oslo", device_type=3, timezone=-3600 * 6)
    clock.advance(hours=30)
    assert [hwid for hwid, _ in call.got()] == ["oslo", "utc", "lima"]
    assert sandbox.pushes[-1].at == datetime(2026, 3, 2, 19, 0, tzinfo=UTC)
    assert status() == "done"


def test_where_their_time_is_past_it_leaves_at_once(call):
    call.device("tokyo", timezone=9 * 3600)
    call.message(send_date="2026-03-02 14:00", ignore_user_timezone=False)
    assert call.reached() == {"tokyo"}


def test_a_message_under_way_can_be_cancelled(call, clock):
    call.device("oslo", timezone=3600)
    call.device("lima", timezone=-18000)
    (code,) = call.message(send_date="2026-03-02 13:30", ignore_user_timezone=False).response["Messages"]
    clock.advance(hours=1)
    assert call("deleteMessage", app=None, message=code).code == 210
    assert call("cancelMessage", app=None, message=code).code == 200
    clock.advance(days=1)
    assert call.reached() == {"oslo"}


def test_dates_that_no_calendar_has_are_refused(call):
    for date in ("2026-02-30 10:00", "2026-03-02", "0001-01-01 00:00", "9999-12-31 23:59", 5, None, "tomorrow"):
        assert call.message(send_date=date, timezone="Etc/GMT-14").text == "Cannot parse date"


def test_a_clock_that_is_set_back_undoes_nothing(call, clock, sandbox):
    call.device("one")
    call.message()
    clock.advance(hours=-3)
    call.message()
    assert [push.at for push in sandbox.pushes] == [datetime(2026, 3, 2, 12, 0, tzinfo=UTC)] * 2
