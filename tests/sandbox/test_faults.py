"""Faults on demand: what a caller hears, what has happened all the same, and what it leaves behind."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from random import Random

import pytest
import waitress

from django_pushwoosh.client import Client
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.errors import BadArgument, ConnectionFailed, NoAnswer, RateLimited, ServerFailed
from django_pushwoosh.protocol.seam import ConnectionLost, NotConnected
from django_pushwoosh.sandbox import Sandbox, faults
from django_pushwoosh.sandbox.transport import in_process, install

from .conftest import API, APP, DEVICE, NOON, OTHER, Hand, applications


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    """Ours, in the sandbox's process."""
    earlier = install(sandbox)
    yield Client(APP, api_token=API, device_token=DEVICE, transport=in_process)
    install(earlier)


@pytest.fixture
def far_client() -> Iterator[tuple[Client, Sandbox]]:
    """Ours, and a sandbox behind a server, whose clock is the machine's."""
    sandbox = Sandbox(applications())
    server = waitress.create_server(sandbox.wsgi, host="127.0.0.1", port=0, threads=4)
    threading.Thread(target=server.run, daemon=True).start()
    address = f"http://127.0.0.1:{server.effective_port}"
    yield Client(APP, api_token=API, device_token=DEVICE, api_root=address, timeout=(2, 2)), sandbox
    server.task_dispatcher.shutdown()


def test_a_lost_answer_leaves_what_was_done(sandbox, client):
    sandbox.faults.lose_next_answer("registerDevice")
    with pytest.raises(NoAnswer):
        client.register_device("one", 3)
    assert (APP, "one") in sandbox.devices
    client.register_device("two", 3)
    assert sandbox.requests[0].fault == "lost answer"
    assert [each.is_accepted for each in sandbox.requests] == [True, True]


def test_a_lost_request_leaves_nothing(sandbox, client):
    sandbox.faults.lose_next_request()
    with pytest.raises(NoAnswer):
        client.register_device("one", 3)
    sandbox.faults.fail_next(with_=faults.no_connection())
    with pytest.raises(ConnectionFailed):
        client.register_device("one", 3)
    assert not sandbox.devices
    assert [each.fault for each in sandbox.requests] == ["lost request", "no connection"]
    assert not any(each.is_accepted for each in sandbox.requests)


@pytest.mark.parametrize(
    ("fault", "error", "is_done"),
    [
        (faults.server_error(), ServerFailed, False),
        (faults.server_error(takes_effect=True), ServerFailed, True),
        (faults.bad_gateway(), ServerFailed, False),
        (faults.gateway_timeout(), ServerFailed, True),
        (faults.empty_body(), ServerFailed, True),
        (faults.not_json(), ServerFailed, True),
        (faults.too_many_requests(7), RateLimited, False),
        (faults.suspended_account(), BadArgument, False),
        (faults.suspended_application(), BadArgument, False),
        (faults.refusal("No such luck"), BadArgument, False),
    ],
)
def test_every_other_answer_is_heard_as_it_is_given(sandbox, client, fault, error, is_done):
    sandbox.faults.fail_next("registerDevice", with_=fault)
    with pytest.raises(error):
        client.register_device("one", 3)
    assert ((APP, "one") in sandbox.devices) is is_done
    client.register_device("one", 3)


def test_answers_look_as_gateways_write_them(sandbox, call):
    sandbox.faults.fail_next(with_=faults.bad_gateway())
    status, headers, content = sandbox.handle("POST", "/json/1.3/getTags", {}, b"{}")
    assert (status, headers["Content-Type"]) == (502, "text/html")
    assert b"<h1>502 Bad Gateway</h1>" in content
    sandbox.faults.fail_next(with_=faults.too_many_requests(7))
    answer = call("getTags", hwid="one")
    assert (answer.http, answer.code, answer.headers["Retry-After"]) == (429, 429, "7")
    sandbox.faults.fail_next(with_=faults.redirect("https://other.example/"))
    status, headers, _ = sandbox.handle("POST", "/json/1.3/getTags", {}, b"{}")
    assert (status, headers["Location"]) == (302, "https://other.example/")


@pytest.mark.parametrize("text", [faults.SUBSCRIBER_LIMIT, faults.DEVICE_LIMIT])
def test_a_warning_comes_with_a_success(sandbox, call, text):
    call.device("one")
    sandbox.faults.fail_next("createMessage", with_=faults.warning(text))
    answer = call.message()
    assert (answer.http, answer.code, answer.text) == (200, 200, text)
    assert answer.response["Messages"] == [sandbox.messages[0].code]
    sandbox.faults.fail_next("createMessage", with_=faults.warning(text))
    assert call("createMessage", notifications=None).text == "No notifications"


def test_an_answer_can_send_sdks_elsewhere(sandbox, call):
    sandbox.faults.fail_next(with_=faults.base_url("https://other.example/json/1.3/"))
    answer = call("registerDevice", hwid="one", device_type=3)
    assert answer.json == {
        "status_code": 200,
        "status_message": "OK",
        "response": None,
        "base_url": "https://other.example/json/1.3/",
    }


def test_faults_keep_to_methods_applications_and_numbers(sandbox, call):
    sandbox.faults.fail_next("setTags", times=2, applications=[APP])
    told = [
        call("registerDevice", hwid="one", device_type=3).http,
        call("setTags", app=OTHER, hwid="one", tags={"a": 1}).http,
        *(call("setTags", hwid="one", tags={"a": 1}).http for _ in range(3)),
    ]
    assert told == [200, 200, 500, 500, 200]
    assert [(rule.hits, rule.left) for rule in sandbox.faults.rules] == [(2, 0)]
    assert sandbox.faults.active == ()


def test_the_oldest_fault_comes_first_and_one_at_a_time(sandbox, call):
    sandbox.faults.fail_next(with_=faults.too_many_requests())
    sandbox.faults.always("getTags", with_=faults.bad_gateway())
    assert [call("getTags", hwid="x").http for _ in range(1)] == [429]
    rule = sandbox.faults.fail_next("getTags", with_=faults.gateway_timeout())
    assert sandbox.handle("POST", "/json/1.3/getTags", {}, b"{}")[0] == 502
    sandbox.faults.remove(sandbox.faults.rules[1])
    assert sandbox.handle("POST", "/json/1.3/getTags", {}, b"{}")[0] == 504
    assert rule.hits == 1
    sandbox.faults.clear()
    assert call("getTags", hwid="x").http == 200


def test_chance_is_handed_in_and_repeats_itself(clock):
    def told() -> list[int]:
        sandbox = Sandbox(applications(), clock)
        sandbox.faults.always("getTags", with_=faults.server_error(), probability=0.3, random=Random(7))
        return [Hand(sandbox)("getTags", hwid="x").http for _ in range(100)]

    first = told()
    assert told() == first
    assert 15 < first.count(500) < 45


def test_a_delay_moves_a_set_clock_and_takes_no_time(sandbox, call, clock):
    sandbox.faults.slow("registerDevice", seconds=90)
    start = time.monotonic()
    call.device("one")
    assert sandbox.phone("one").device.registered_at == NOON + timedelta(seconds=90)
    assert time.monotonic() - start < 5
    call("getTags", hwid="one")
    assert clock() == NOON + timedelta(seconds=90)


def test_jitter_lies_between_nothing_and_what_is_named(sandbox, clock):
    slept: list[float] = []
    sandbox = Sandbox(applications(), clock, sleep=slept.append)
    sandbox.faults.slow(seconds=1, jitter=0.5, random=Random(7))
    for _ in range(50):
        Hand(sandbox)("getTags", hwid="x")
    assert 1 <= min(slept) < 1.1
    assert 1.4 < max(slept) <= 1.5


def test_who_hangs_up_first_loses_the_answer(sandbox, client, clock):
    sandbox.faults.slow(seconds=60)
    with pytest.raises(NoAnswer):
        client.register_device("one", 3)
    assert (APP, "one") in sandbox.devices
    assert clock() == NOON + timedelta(seconds=client.timeout[1])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda each: each.fail_next(times=0),
        lambda each: each.fail_next(times=True),
        lambda each: each.always("x", with_=faults.server_error(), probability=0.5),
        lambda each: each.always("x", with_=faults.server_error(), probability=2, random=Random(1)),
        lambda each: each.slow(seconds=-1),
        lambda each: each.slow(seconds=float("nan")),
        lambda each: each.slow(seconds=1, jitter=1),
    ],
)
def test_what_makes_no_sense_is_refused(sandbox, wrong):
    with pytest.raises(ValueError, match=r"number|Chance"):
        wrong(sandbox.faults)
    assert sandbox.faults.rules == ()


def test_what_a_fault_left_done_outlives_a_restart(tmp_path, clock):
    from django_pushwoosh.sandbox import Journal

    first = Sandbox(applications(), clock, Journal(tmp_path / "state"))
    first.faults.lose_next_answer("registerDevice")
    first.faults.lose_next_request("setTags")
    for name, given in (("registerDevice", {"device_type": 3}), ("setTags", {"tags": {"a": 1}})):
        with pytest.raises(ConnectionLost):
            Hand(first)(name, hwid="one", **given)
    first.close()
    second = Sandbox(applications(), clock, Journal(tmp_path / "state"))
    assert second.devices[APP, "one"].own_tags == {}
    assert second.faults.rules == ()


def test_every_fault_of_the_catalogue_is_met(sandbox, call):
    for name, (label, make) in faults.CATALOGUE.items():
        rule = sandbox.faults.fail_next(with_=make())
        try:
            sandbox.handle("POST", "/json/1.3/getTags", {}, b"{}")
        except (ConnectionLost, NotConnected):
            assert name in ("lost_answer", "lost_request")
        assert (rule.hits, bool(label)) == (1, True)


def test_over_http_the_connection_drops(far_client, caplog):
    client, sandbox = far_client
    caplog.set_level(logging.ERROR, logger="waitress")
    sandbox.faults.lose_next_answer("registerDevice")
    with pytest.raises(NoAnswer):
        client.register_device("one", 3)
    assert (APP, "one") in sandbox.devices
    sandbox.faults.lose_next_request("registerDevice")
    with pytest.raises(NoAnswer):
        client.register_device("two", 3)
    assert (APP, "two") not in sandbox.devices
    client.register_device("two", 3)


def test_over_http_other_answers_are_heard(far_client):
    client, sandbox = far_client
    call = Call.of("registerDevice", APP, hwid="one", device_type=3)
    for make, status in ((faults.bad_gateway, 502), (faults.empty_body, 200), (faults.redirect, 302)):
        sandbox.faults.fail_next(with_=make())
        answered, headers, body = client.send(call)
        expected = make().answer
        assert expected is not None
        assert (answered, body) == (status, expected[2])
        assert headers["Content-Type"].startswith("text/html" if status == 502 else "application/json")


def test_over_http_a_slow_call_holds_up_nobody_else(far_client):
    client, sandbox = far_client
    waits, goes_on = threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        waits.set()
        assert goes_on.wait(20)

    sandbox._sleep = sleep
    sandbox.faults.slow("registerDevice", seconds=1)
    slow = threading.Thread(target=client.register_device, args=("one", 3))
    slow.start()
    try:
        assert waits.wait(20)
        assert json.loads(sandbox.handle("GET", "/phones.json", {}, b"")[2])["devices"] == []
        client.set_badge("other", 3)
        assert set(sandbox.devices) == {(APP, "other")}
    finally:
        goes_on.set()
        slow.join(20)
    assert (APP, "one") in sandbox.devices
