"""What the control page reads and switches, and who may."""

from __future__ import annotations

import json

import pytest

from django_pushwoosh.protocol.tags import TagType
from django_pushwoosh.sandbox import Sandbox
from django_pushwoosh.sandbox.faults import CATALOGUE

from .conftest import API, APP, DEVICE, OTHER, applications

OWN = {"host": "127.0.0.1:8600", "origin": "http://127.0.0.1:8600", "sec-fetch-site": "same-origin"}


def switch(sandbox, do, expect=200, headers=None, **given):
    asked = {"content-type": "application/json", **OWN, **(headers or {})}
    status, answered, content = sandbox.handle(
        "POST", "/control/switch", asked, json.dumps({"do": do, **given}).encode()
    )
    assert status == expect, content
    assert "Access-Control-Allow-Origin" not in answered
    return json.loads(content)


def shown(sandbox):
    status, answered, content = sandbox.handle("GET", "/control.json", OWN, b"")
    assert (status, answered["Cache-Control"]) == (200, "no-store")
    return json.loads(content)


def test_a_fault_is_switched_on_met_and_taken_away(call, sandbox):
    told = switch(sandbox, "add_fault", fault="bad_gateway", methods=["setTags"], times=2)
    (fault,) = told["faults"]
    assert (fault["methods"], fault["left"], fault["hits"]) == (["setTags"], 2, 0)
    assert sandbox.handle("POST", "/json/1.3/setTags", {}, b"{}")[0] == 502
    (fault,) = shown(sandbox)["faults"]
    assert (fault["left"], fault["hits"]) == (1, 1)
    assert switch(sandbox, "remove_fault", number=fault["number"])["faults"] == []
    assert call("setTags", hwid="one", tags={"a": 1}).code == 200


def test_every_fault_can_be_switched_on_for_an_application_or_by_chance(sandbox):
    for name in CATALOGUE:
        switch(sandbox, "add_fault", fault=name, applications=[OTHER], probability=0.5, seed=7)
    told = switch(sandbox, "slow", seconds=0.5, jitter=1)["faults"]
    assert [each["probability"] for each in told] == [0.5] * len(CATALOGUE) + [1.0]
    assert (told[-1]["seconds"], told[-1]["jitter"]) == (0.5, 1.0)
    assert switch(sandbox, "clear_faults")["faults"] == []


def test_the_clock_tracing_options_tags_and_messages_are_switched(call, sandbox):
    (code,) = call.message(send_date="2026-03-05 10:00").response["Messages"]
    told = switch(sandbox, "move_clock", seconds=3600)
    assert (told["now"], told["is_clock_moved"]) == ("2026-03-02T13:00:00+00:00", True)
    assert switch(sandbox, "return_to_clock")["now"] == "2026-03-02T12:00:00+00:00"
    assert switch(sandbox, "start_tracing")["is_tracing"]
    assert not switch(sandbox, "stop_tracing")["is_tracing"]
    assert switch(sandbox, "set_option", name="over_cap", value="envelope")["options"]["over_cap"] == "envelope"
    assert switch(sandbox, "set_tag_type", name="Age", type=1)["tags"] == {"Age": 1}
    assert sandbox.options.tags == {"Age": TagType.INTEGER}
    assert switch(sandbox, "set_tag_type", name="Age", type=None)["tags"] == {}
    assert shown(sandbox)["messages"][0]["status"] == "waiting"
    assert switch(sandbox, "fail_message", message=code)["messages"] == []


def test_requests_are_told_with_their_verdicts_and_without_tokens(call, sandbox):
    call.message()
    call.message(auth="wrong-token")
    call("createMessage", auth="wrong-token", notifications=[])
    told = shown(sandbox)
    assert [(each["method"], each["verdict"]) for each in told["requests"]] == [
        ("createMessage", "Account not found"),
        ("createMessage", "OK"),
        ("createMessage", "OK"),
    ]
    assert (told["applications"], told["capped"]) == ([APP, OTHER], 2)
    for token in (API, DEVICE, "wrong-token"):
        assert token not in json.dumps(told)


@pytest.mark.parametrize(
    "given",
    [
        {"do": "nothing"},
        {"do": None},
        {"do": ["clear_faults"]},
        {},
        {"do": "add_fault", "fault": "unheard"},
        {"do": "add_fault", "fault": ["500"]},
        {"do": "add_fault", "fault": "server_error", "times": 0},
        {"do": "add_fault", "fault": "server_error", "times": "many"},
        {"do": "add_fault", "fault": "server_error", "methods": "setTags"},
        {"do": "add_fault", "fault": "server_error", "methods": [1]},
        {"do": "add_fault", "fault": "server_error", "probability": 2},
        {"do": "add_fault", "fault": "server_error", "seed": "x"},
        {"do": "slow"},
        {"do": "slow", "seconds": -1},
        {"do": "slow", "seconds": 1, "jitter": "x"},
        {"do": "remove_fault", "number": "1"},
        {"do": "move_clock", "seconds": -1},
        {"do": "move_clock", "seconds": "x"},
        {"do": "move_clock", "seconds": 1e300},
        {"do": "move_clock", "seconds": 10**400},
        {"do": "set_option", "name": "filters", "value": {}},
        {"do": "set_option", "name": ["x"], "value": 1},
        {"do": "set_option", "name": "lag_seconds", "value": "1"},
        {"do": "set_option", "name": "over_cap", "value": []},
        {"do": "set_tag_type", "name": "", "type": 1},
        {"do": "set_tag_type", "name": "Age", "type": 99},
        {"do": "set_tag_type", "name": "Age", "type": True},
        {"do": "fail_message", "message": "unknown"},
        [1],
        "clear_faults",
        None,
    ],
)
def test_what_makes_no_sense_is_explained(sandbox, given):
    before = shown(sandbox)
    headers = {"content-type": "application/json", **OWN}
    status, _, content = sandbox.handle("POST", "/control/switch", headers, json.dumps(given).encode())
    assert status == 400
    assert json.loads(content)["error"]
    assert shown(sandbox) == before


@pytest.mark.parametrize("body", [b"", b"no json", b"\xff", b"[" * 100_000, b'{"do":"clear_faults"}' + b" " * 30_000])
def test_what_is_no_json_is_refused(sandbox, body):
    status, _, _ = sandbox.handle("POST", "/control/switch", {"content-type": "application/json", **OWN}, body)
    assert status == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://shop.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": ""},
        {"host": "evil.example:8600", "origin": "http://evil.example:8600"},
        {"host": "127.0.0.1.evil.example", "origin": "http://127.0.0.1.evil.example"},
        {"host": "[bad", "origin": "http://[bad"},
    ],
)
def test_a_website_in_the_same_browser_switches_nothing(sandbox, headers):
    sandbox.faults.fail_next()
    switch(sandbox, "clear_faults", expect=403, headers=headers)
    assert len(sandbox.faults.rules) == 1


@pytest.mark.parametrize("host", ["127.0.0.1:8600", "localhost:8600", "[::1]:8600", "box.localhost"])
def test_this_machine_goes_by_several_names(sandbox, host):
    assert switch(sandbox, "clear_faults", headers={"host": host, "origin": f"http://{host}"})


def test_other_machines_switch_nothing_unless_they_may(sandbox, clock):
    def asked(sandbox: Sandbox, verb: str, path: str) -> int:
        headers = {"content-type": "application/json", "host": "box.lan:8600", "origin": "http://box.lan:8600"}
        return sandbox.handle(verb, path, headers, b'{"do": "clear_faults"}', remote="192.168.0.7")[0]

    open_one = Sandbox(applications(), clock, control_from_anywhere=True)
    for verb, path in (("POST", "/control/switch"), ("GET", "/control.json")):
        assert asked(sandbox, verb, path) == 403
        assert asked(open_one, verb, path) == 200
    assert sandbox.handle("GET", "/control.json", {}, b"", remote="")[0] == 403
    for remote in ("127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"):
        assert sandbox.handle("GET", "/control.json", {}, b"", remote=remote)[0] == 200


def test_the_page_runs_its_own_script_only(sandbox):
    for path in ("/control", "/pages/control.html", "/pages/control.css", "/pages/control.js"):
        status, headers, content = sandbox.handle("GET", path, {}, b"")
        assert status == 200
        assert content
        assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert sandbox.handle("GET", "/control/switch", OWN, b"")[0] == 405
    assert sandbox.handle("POST", "/control.json", OWN, b"")[0] == 405
    assert sandbox.handle("POST", "/control", {}, b"")[0] == 405
    assert sandbox.handle("GET", "/pages/../app.py", {}, b"")[0] == 404


def test_a_state_file_that_cannot_be_written_is_told(tmp_path, clock, monkeypatch):
    from django_pushwoosh.sandbox import Journal

    sandbox = Sandbox(applications(), clock, Journal(tmp_path / "state"))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("django_pushwoosh.sandbox.journal.os.write", full)
    assert "cannot be written" in switch(sandbox, "start_tracing", expect=500)["error"]
