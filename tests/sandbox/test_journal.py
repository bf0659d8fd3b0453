"""What a state file keeps over a restart, and what it does with files that are none."""

from __future__ import annotations

import json

import pytest

from django_pushwoosh.sandbox import BadJournal, Journal, Sandbox, SetClock
from django_pushwoosh.sandbox.options import ENTRIES

from .conftest import API, APP, DEVICE, NOON, OTHER, OTHER_DEVICE, Hand, applications

FILTERS = {"Adults": 'T("Age", GTE, 18)'}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sandbox.state"


def start(path, clock):
    return Sandbox(applications(), clock, journal=Journal(path), filters=FILTERS)


def snapshot(sandbox):
    sandbox.advance()
    return {
        "devices": {
            key: (device.id, device.push_token, device.user_id, device.badge, device.tags, device.position)
            for key, device in sandbox.devices.items()
        },
        "users": {key: user.hwids for key, user in sandbox.users.items()},
        "messages": [(each.id, each.code, each.status, each.is_recorded, dict(each.sent)) for each in sandbox.messages],
        "pushes": [(each.sequence, each.device.id, each.at, each.body, each.payload) for each in sandbox.pushes],
        "events": sandbox.events,
        "statistics": sandbox.statistics,
        "reports": sandbox.reports,
        "inboxes": {
            key: [(each.code, each.order, each.status, each.removed_at) for each in device.inbox.values()]
            for key, device in sandbox.devices.items()
        },
        "entries": [getattr(sandbox.options, table) for table in ENTRIES],
        "test_devices": {key: device.test_device for key, device in sandbox.devices.items()},
        "jobs": {key: (job.is_completed, job.report) for key, job in sandbox.jobs.items()},
        "capped": sandbox.capped_at,
    }


def live_a_little(call, clock, sandbox):
    call.device("one", userId="Ann", language="de", tags={"Age": 30}, timezone=3600)
    call.device("two", app=OTHER, device_type=1, push_token="ABC")
    call("setBadge", hwid="one", badge=4)
    sandbox.set_entry("zones", "Oslo", {"lat": 59.91, "lng": 10.75, "range": 500})
    sandbox.set_entry("features", "events", None)
    call("getNearestZone", hwid="one", lat=1, lng=2)
    call("createTestDevice", hwid="one", name="Pixel", description="")
    call("pageVisit", hwid="one", title="A", url="https://shop.example/")
    call.message(content={"de": "Hallo", "en": "Hello"}, android_badges="+1", transactionId="t-1")
    call.message(send_date="2026-03-02 14:30", ignore_user_timezone=False, filter="Adults")
    call.message(send_date="2026-03-02 13:00")
    clock.advance(minutes=1)
    call("createMessage", notifications=[{"send_date": "now", "content": "kept"}, {"send_date": "never"}])
    call("createTargetedMessage", app=None, devices_filter='T("Age", ANY)', send_date="now", content="all")
    call("bulkSetTags", create_missing_tags=True, devices=[{"hwid": "one", "tags": {"New": 1, "Age": "x"}}])
    call.message(content="kept", inbox_days=30, devices=["one"])
    letter = call("getInboxMessages", hwid="one").response["messages"][0]
    call("inboxStatus", hwid="one", inbox_code=letter["inbox_id"], status=2)
    call(
        "multiRegisterDevice", push_devices=[{"hwid": "web", "platform": 11}], tags={"n": {"operation": 3, "value": 1}}
    )
    call("mergeUser", oldUserId="web", newUserId="Cid", merge=True)
    call("pushStat", hwid="one", hash=sandbox.phone("one").shows.payload["p"])
    sandbox.start_tracing()
    call.message(devices=["one"])
    call("postEvent", hwid="one", event="Bought", attributes={"sum": 5})
    call("setTags", hwid="one", tags={"Age": {"operation": "increment", "value": 1}})
    clock.advance(minutes=40)
    # Time passes unseen in one run and is looked at in the other; it must come to the same.
    sandbox.advance()
    clock.advance(minutes=60)
    call("registerUser", hwid="two", app=OTHER, userId="Bob")
    call("getTags", hwid="one")
    call.message(app=OTHER, send_date="2026-03-03 10:00")


def test_a_restart_changes_nothing(path, clock):
    first = start(path, clock)
    live_a_little(Hand(first), clock, first)
    before = snapshot(first)
    first.close()

    second = start(path, clock)
    assert snapshot(second) == before
    assert [body for _, _, _, body, _ in before["pushes"]] == [
        "Hallo", "kept", "all", "kept", "Hello", "Hello", "Hello"
    ]  # fmt: skip

    clock.advance(days=1)
    Hand(second).message(content="after")
    third = snapshot(second)
    second.close()
    assert snapshot(start(path, clock)) == third


def test_transactions_and_the_cap_outlive_a_restart(path, clock):
    first = start(path, clock)
    answer = Hand(first).message(transactionId="t-1")
    first.close()
    second = start(path, clock)
    assert Hand(second).message(transactionId="t-1").json == answer.json
    assert len(second.messages) == 1


def test_no_token_is_in_the_file_and_questions_are_not_either(path, clock):
    sandbox = start(path, clock)
    call = Hand(sandbox)
    live_a_little(call, clock, sandbox)
    lines = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert {"getTags", "getMessageDetails"}.isdisjoint(line["method"] for line in lines)
    assert all(set(line) == {"at", "method", "application", "arguments"} for line in lines)
    for token in (API, DEVICE, OTHER_DEVICE, '"auth"'):
        assert token not in path.read_text()


def test_what_was_refused_is_not_in_the_file(path, clock):
    call = Hand(start(path, clock))
    size = path.stat().st_size
    call("createMessage", notifications=[{"send_date": "never"}])
    call("registerDevice", hwid="one", device_type=3, authorization="Token wrong")
    call("setTags", userId="nobody", tags={"a": 1})
    assert path.stat().st_size == size


def test_a_torn_last_line_is_cut_off(path, clock):
    first = start(path, clock)
    Hand(first).device("one")
    Hand(first).device("two")
    first.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])

    second = start(path, clock)
    assert set(second.devices) == {(APP, "one")}
    Hand(second).device("three")
    second.close()
    assert set(start(path, clock).devices) == {(APP, "one"), (APP, "three")}


@pytest.mark.parametrize("content", [b"precious\n", b'{"a": 1}\n', b"\x00" * 100, b"{"])
def test_other_files_are_left_alone(path, content):
    path.write_bytes(content)
    if content == b"{":
        Journal(path).close()  # The start of our own header: it was cut off while the file was made.
        return
    with pytest.raises(BadJournal, match="not a state file"):
        Journal(path)
    assert path.read_bytes() == content


def test_a_damaged_line_is_named_and_nothing_is_overwritten(path, clock):
    first = start(path, clock)
    Hand(first).device("one")
    first.close()
    damaged = path.read_bytes() + b"{}\n"
    path.write_bytes(damaged)
    with pytest.raises(BadJournal, match="Line 3"):
        Journal(path)
    assert path.read_bytes() == damaged


def test_one_process_at_a_time(path):
    journal = Journal(path)
    with pytest.raises(BadJournal, match="in use"):
        Journal(path)
    journal.close()
    Journal(path).close()


def test_a_directory_or_a_missing_one_is_explained(tmp_path):
    for place in (tmp_path, tmp_path / "missing" / "file"):
        with pytest.raises(BadJournal, match="cannot be opened"):
            Journal(place)


def test_a_journal_of_other_filters_is_explained(path, clock):
    first = start(path, clock)
    Hand(first).message(filter="Adults")
    first.close()
    with pytest.raises(BadJournal, match="Filter not found"):
        Sandbox(applications(), clock, journal=Journal(path))


def test_a_file_that_cannot_be_written_is_no_success(path, clock, monkeypatch):
    sandbox = start(path, clock)
    call = Hand(sandbox)
    call.device("one")
    size = path.stat().st_size

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("django_pushwoosh.sandbox.journal.os.write", full)
        assert call("setTags", hwid="one", tags={"a": 1}).http == 500
    assert path.stat().st_size == size
    assert call("setTags", hwid="one", tags={"a": 1}).http == 200


def test_an_older_clock_continues_where_the_journal_ended(path, clock):
    first = start(path, clock)
    clock.advance(days=2)
    Hand(first).device("one")
    first.close()
    second = start(path, SetClock(NOON))
    Hand(second).message()
    assert (second.pushes[0].at - NOON).days == 2
