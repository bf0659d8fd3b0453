"""What can be chosen where the documents leave it open, and what takes its time."""

from __future__ import annotations

import pytest

from django_pushwoosh.protocol.tags import TagType
from django_pushwoosh.sandbox import Application, Journal, Sandbox

from .conftest import API, APP, DEVICE, GROUP, OTHER, Hand, applications


@pytest.fixture
def make(clock):
    """A hand at a sandbox with options of its own."""
    return lambda **options: Hand(Sandbox(applications(), clock, **options))


def test_what_is_taken_lags_behind_its_answer(make, clock):
    call = make(lag_seconds=5)
    call.device("one", userId="Ann")
    assert not call.sandbox.devices
    clock.advance(seconds=4)
    call("setTags", userId="Ann", tags={"Age": 30})
    clock.advance(seconds=1)
    assert call("getTags", hwid="one").response["result"].get("Age") is None
    assert call.sandbox.phone("one").device.user_id == "Ann"
    clock.advance(seconds=4)
    assert call("getTags", hwid="one").response["result"]["Age"] == 30
    call("deleteUser", user_id="Ann")
    assert call.sandbox.devices
    clock.advance(seconds=5)
    call.sandbox.advance()
    assert not call.sandbox.devices
    assert not call.sandbox.users


def test_what_lags_is_refused_at_once_where_it_is_wrong(make):
    call = make(lag_seconds=5)
    assert call("registerDevice", hwid="one", device_type=99).text == "Invalid device type"
    assert call("setTags", hwid="one").code == 210


def test_a_message_reaches_those_who_are_known_when_it_is_sent(make, clock):
    call = make(lag_seconds=10)
    call.device("early")
    clock.advance(seconds=9)
    call.message(content="at once")
    call.message(content="later", send_date="2026-03-02 12:01")
    clock.advance(minutes=2)
    assert call.got() == [("early", "later")]


def test_a_lagging_world_outlives_a_restart(tmp_path, clock):
    first = Sandbox(applications(), clock, Journal(tmp_path / "state"), lag_seconds=5)
    Hand(first).device("one", userId="Ann")
    clock.advance(seconds=3)
    Hand(first)("setTags", userId="Ann", tags={"Age": 30})
    Hand(first)("setTags", userId="nobody", tags={"Age": 30})
    first.close()
    second = Sandbox(applications(), clock, Journal(tmp_path / "state"), lag_seconds=5)
    assert not second.devices
    clock.advance(seconds=5)
    assert second.phone("one").device.own_tags == {"Age": 30}
    second.close()
    # Without the lag the same calls lead to the same end.
    third = Sandbox(applications(), clock, Journal(tmp_path / "state"))
    assert third.phone("one").device.own_tags == {"Age": 30}


def statuses(call: Hand) -> list[str]:
    call.sandbox.advance()
    return [message.status for message in call.sandbox.messages]


def test_a_message_waits_is_pending_is_processed_and_is_done(make, clock):
    call = make(pending_seconds=30)
    for number in range(200):
        call.device(f"d{number}")
    (code,) = call.message(send_date="2026-03-02 12:01", send_rate=100).response["Messages"]
    told = []
    for seconds in (59, 1, 29, 1, 1, 1):
        told.append((statuses(call)[0], len(call.got())))
        clock.advance(seconds=seconds)
    told.append((statuses(call)[0], len(call.got())))
    assert told == [
        ("waiting", 0), ("waiting", 0), ("pending", 0), ("pending", 0), ("processing", 1), ("processing", 101),
        ("done", 200),
    ]  # fmt: skip
    assert call("getMessageDetails", app=None, message=code).response["message"]["status"] == "done"


def test_cancelling_stops_what_is_under_way_and_deleting_comes_too_late(make, clock):
    call = make(pending_seconds=5)
    for number in range(200):
        call.device(f"d{number}")
    (pending,) = call.message(send_rate=100).response["Messages"]
    (sending,) = call.message(send_rate=100).response["Messages"]
    assert statuses(call) == ["pending", "pending"]
    assert call("deleteMessage", app=None, message=pending).code == 200
    clock.advance(seconds=6)
    assert statuses(call) == ["deleted", "processing"]
    reached = len(call.got())
    assert 0 < reached < 200
    assert call("deleteMessage", app=None, message=sending).code == 210
    assert call("cancelMessage", app=None, message=sending).code == 200
    clock.advance(minutes=1)
    assert len(call.got()) == reached
    assert statuses(call) == ["deleted", "canceled"]
    assert call("cancelMessage", app=None, message=sending).code == 210


def test_a_device_that_goes_while_a_message_is_sent_is_not_reached(call, clock):
    for number in range(150):
        call.device(f"d{number}")
    call.message(send_rate=100)
    call("unregisterDevice", hwid="d149")
    call("deleteUser", user_id="d148")
    clock.advance(seconds=2)
    assert len(call.got()) == 148


def test_a_message_can_fail(call, sandbox, clock):
    call.device("one")
    (code,) = call.message(send_date="2026-03-02 13:00").response["Messages"]
    sandbox.fail_message(code)
    assert call("getMessageDetails", app=None, message=code).response["message"]["status"] == "failed"
    assert call("cancelMessage", app=None, message=code).code == 210
    clock.advance(days=1)
    assert call.got() == []
    with pytest.raises(ValueError, match="No message"):
        sandbox.fail_message(code)


def test_a_request_over_the_cap_can_be_answered_in_the_envelope(make):
    call = make(requests_per_minute=1, over_cap="envelope")
    call.message()
    answer = call.message()
    assert (answer.http, answer.code, answer.text) == (200, 210, "Too many requests")
    assert "Retry-After" not in answer.headers
    assert len(call.sandbox.messages) == 1


def test_tracing_can_be_stopped(call, sandbox):
    call.device("one")
    sandbox.start_tracing()
    assert sandbox.is_tracing
    sandbox.stop_tracing()
    assert not sandbox.is_tracing
    assert call.message(devices=["one"]).response["Messages"] == ["CODE_NOT_AVAILABLE"]


@pytest.mark.parametrize(
    ("option", "status", "said"),
    [
        ("take", 200, {"request_id", "status"}),
        ("warn", 200, {"request_id", "status", "warning"}),
        ("refuse", 400, {"message"}),
    ],
)
def test_fewer_than_fifty_devices_in_bulk(make, option, status, said):
    call = make(small_bulk=option)
    few = call("bulkSetTags", devices=[{"hwid": "x", "tags": {"a": 1}}] * 49)
    assert (few.http, set(few.json)) == (status, said)
    assert len(call.sandbox.jobs) == (status == 200)
    enough = call("bulkSetTags", devices=[{"hwid": "x", "tags": {"a": 1}}] * 50)
    assert (enough.http, set(enough.json)) == (200, {"request_id", "status"})
    device = {"hwid": "x", "push_token": "t", "platform": 3}
    assert set(call("bulkRegisterDevice", devices=[device]).json) == {"request_id", "status"}


def test_a_job_of_failures_has_failed(call, clock):
    job = call("bulkRegisterDevice", devices=[{"hwid": ""}, {"hwid": "x"}]).json["request_id"]
    progress = []
    for _ in range(4):
        told = call.raw("GET", f"/api/v2/audience/bulkRegisterDevice/{job}").json
        progress.append((told["status"], told["progress"]))
        clock.advance(seconds=0.75)
    assert progress == [("Pending", 0), ("Pending", 37), ("Pending", 75), ("Failed", 100)]


def test_a_device_token_can_be_asked_for_everywhere(make):
    call = make(requires_device_token=True)
    body = f'{{"request": {{"application": "{APP}", "hwid": "one", "device_type": 3}}}}'.encode()
    for method in ("registerDevice", "setTags", "checkDevice"):
        assert call.raw("POST", f"/json/1.3/{method}", body).http == 401
    assert call.raw("POST", "/json/1.3/registerDevice", body, Authorization=f"Token {DEVICE}").code == 200


def test_a_message_without_content_can_pass(make):
    assert make().message(content=None).code == 210
    assert make(requires_content=False).message(content=None).code == 200


def test_unknown_methods_can_be_answered(make):
    assert make()("makeCoffee").http == 404
    call = make(answers_unknown_methods=True)
    assert call("makeCoffee").json == {"status_code": 200, "status_message": "OK", "response": None}
    assert call("making/Coffee").http == 404
    assert call.raw("GET", "/json/1.3/makeCoffee").http == 405
    assert call.raw("POST", "/json/1.3/makeCoffee", b"no json").http == 400


def test_a_token_can_be_too_narrow(clock):
    narrow = Application(APP, API, DEVICE, forbidden=("createMessage", "bulkSetTags", "setTags"))
    call = Hand(Sandbox([narrow], clock))
    refused = "Token restrictions forbid this operation"
    answer = call.message()
    assert (answer.http, answer.code, answer.text) == (200, 403, refused)
    assert call("setTags", hwid="one", tags={"a": 1}).code == 403
    bare = call("bulkSetTags", devices=[{"hwid": "x", "tags": {"a": 1}}])
    assert (bare.http, bare.json) == (403, {"message": refused.lower()})
    assert call("registerDevice", hwid="one", device_type=3).code == 200
    assert call.sandbox.messages == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('A("ZZZZZ-00000")', 'Application "ZZZZZ-00000" not found.'),
        ('AT("ZZZZZ-00000", "Age", EQ, 3)', 'Application "ZZZZZ-00000" not found.'),
        ('G("ZZZZZ-00000")', 'Group "ZZZZZ-00000" not found.'),
    ],
)
def test_a_filter_names_only_what_the_account_has(call, sandbox, text, message):
    given = {"app": None, "send_date": "now", "content": "x"}
    answer = call("createTargetedMessage", devices_filter=f'A("{APP}") + {text}', **given)
    assert (answer.code, answer.text) == (210, "Errors occurred while compiling filter")
    assert answer.response == {"errors": [{"message": message, "type": "semantic"}]}
    assert sandbox.messages == []
    assert call("createTargetedMessage", devices_filter=f'A("{OTHER}") * G("{GROUP}")', **given).code == 200


def test_decisions_can_be_changed_and_outlive_a_restart(tmp_path, clock):
    first = Sandbox(applications(), clock, Journal(tmp_path / "state"), requests_per_minute=100)
    call = Hand(first)
    call.device("one", tags={"City": "Oslo"})
    first.set_option("requests_per_minute", 1)
    first.set_option("over_cap", "envelope")
    first.set_option("case_sensitive", True)
    first.set_tag_type("Age", TagType.INTEGER)
    call("setTags", hwid="one", tags={"Age": "old"})
    assert call.message(conditions=[["City", "EQ", "oslo"]]).code == 200
    assert call.message().code == 210
    assert call.got() == []
    options = first.options
    first.close()
    second = Sandbox(applications(), clock, Journal(tmp_path / "state"), requests_per_minute=100)
    assert second.options == options
    assert second.options.tags == {"Age": TagType.INTEGER}
    assert second.phone("one").device.own_tags == {"City": "Oslo"}
    second.set_tag_type("Age", None)
    Hand(second)("setTags", hwid="one", tags={"Age": "old"})
    assert second.phone("one").device.own_tags == {"City": "Oslo", "Age": "old"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("requests_per_minute", 0),
        ("requests_per_minute", True),
        ("requests_per_minute", "5"),
        ("lag_seconds", -1),
        ("lag_seconds", float("nan")),
        ("over_cap", "shrug"),
        ("small_bulk", None),
        ("case_sensitive", 1),
        ("filters", {}),
        ("nothing", 1),
        (None, 1),
        (["lag_seconds"], 1),
    ],
)
def test_decisions_that_make_no_sense_are_refused(sandbox, name, value):
    before = sandbox.options
    with pytest.raises(ValueError, match=r"must|no such|valid|characters"):
        sandbox.set_option(name, value)
    assert sandbox.options == before


@pytest.mark.parametrize(("name", "kind"), [("", 1), ("x" * 256, 1), ("Age", 0), ("Age", 8)])
def test_tag_types_that_make_no_sense_are_refused(sandbox, name, kind):
    with pytest.raises(ValueError, match=r"must|no such|valid|characters"):
        sandbox.set_tag_type(name, kind)
    assert sandbox.options.tags == {}
