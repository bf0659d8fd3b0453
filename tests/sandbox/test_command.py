"""`python -m django_pushwoosh.sandbox`, as a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest

from .conftest import API, APP, DEVICE

COMMAND = [sys.executable, "-m", "django_pushwoosh.sandbox", "--port", "0"]
TOKENS = ["--application", APP, "--api-token", API, "--device-token", DEVICE]
HOST_ENVIRONMENT = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [*COMMAND, *TOKENS, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=HOST_ENVIRONMENT
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        root = next((word for word in line.split() if word.startswith("http://")), "")
        assert root, process.communicate(timeout=20)
        yield process, root
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


def ask(root: str, path: str, arguments: dict[str, object] | None = None) -> dict[str, object]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    body = None if arguments is None else json.dumps({"request": {"application": APP, **arguments}}).encode()
    headers = {"Content-Type": "application/json"} if body else {}
    with opener.open(urllib.request.Request(root + path, body, headers), timeout=20) as answer:
        return json.load(answer)


def test_a_killed_sandbox_forgets_nothing(tmp_path):
    state = str(tmp_path / "state")
    notification = {"send_date": "now", "content": "Hello"}
    with running("--state", state) as (process, root):
        ask(root, "/json/1.3/registerDevice", {"hwid": "one", "device_type": 3, "push_token": "t"})
        sent = ask(root, "/json/1.3/createMessage", {"auth": API, "notifications": [notification]})
        seen = ask(root, "/phones.json")
        assert len(seen["pushes"]) == 1
        rival = subprocess.run([*COMMAND, *TOKENS, "--state", state], capture_output=True, text=True, timeout=20)
        assert (rival.returncode, "in use" in rival.stderr) == (2, True)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=20)

    with running("--state", state) as (process, root):
        again = ask(root, "/phones.json")
        assert again["pushes"] == seen["pushes"]
        assert again["pushes"][0]["message"] == sent["response"]["Messages"][0]
        assert again["devices"] == seen["devices"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize("ending", ["stdin", "signal"])
def test_it_can_end_with_whoever_started_it(ending):
    command = [*COMMAND, *TOKENS, "--port", "0", "--until-stdin-ends"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert "listens" in process.stdout.readline()
        if ending == "stdin":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == ""


def test_decisions_tags_and_in_apps_are_taken_from_the_command_line():
    decisions = ["--option", "lag_seconds=0.5", "--option", "over_cap=envelope", "--option", "requests_per_minute=7"]
    entries = ["--zone", "Oslo=59.91,10.75,500", "--popup", 'P={"content": {}}', "--feature", "events=null"]
    with running(*decisions, *entries, "--tag", "Age=integer", "--in-app", "Finished=61BC9-84DD0") as (_, root):
        control = ask(root, "/control.json")
        assert control["tags"] == {"Age": 1}
        assert control["entries"]["in_apps"] == {"Finished": "61BC9-84DD0"}
        assert control["entries"]["zones"] == {"Oslo": {"lat": 59.91, "lng": 10.75, "range": 500}}
        assert control["entries"]["popups"] == {"P": {"content": {}}}
        assert control["entries"]["features"]["events"] is None
        options = control["options"]
        assert (options["lag_seconds"], options["over_cap"], options["requests_per_minute"]) == (0.5, "envelope", 7)


def test_a_lost_answer_leaves_no_noise():
    with running() as (process, root):
        asked = json.dumps({"do": "add_fault", "fault": "lost_answer", "times": 1}).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(urllib.request.Request(f"{root}/control/switch", asked, {"Content-Type": "application/json"}))
        with pytest.raises(http.client.IncompleteRead):
            ask(root, "/json/1.3/checkDevice", {"hwid": "one"})
        assert ask(root, "/control.json")["faults"][0]["hits"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_hundreds_of_connections_hold_up_no_call():
    with running() as (_, root), ExitStack() as stack:
        place = urlsplit(root)
        for _ in range(300):
            stack.enter_context(socket.create_connection((place.hostname, place.port), 20))
        assert ask(root, "/json/1.3/checkDevice", {"hwid": "one"})["status_code"] == 200


def test_the_record_has_each_call_with_its_verdict_and_its_fault(tmp_path):
    record = tmp_path / "record"
    notification = {"send_date": "now", "content": "Hello"}
    with running("--record", str(record), "--threads", "2") as (_, root):
        ask(root, "/json/1.3/registerDevice", {"hwid": "one", "device_type": 3, "push_token": "t"})
        asked = json.dumps({"do": "add_fault", "fault": "lost_answer", "times": 1}).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(urllib.request.Request(f"{root}/control/switch", asked, {"Content-Type": "application/json"}))
        with pytest.raises(http.client.IncompleteRead):
            ask(root, "/json/1.3/createMessage", {"auth": API, "notifications": [notification]})
        ask(root, "/json/1.3/createMessage", {"auth": API, "notifications": [{"send_date": "now"}]})
        lines = [json.loads(line) for line in record.read_text().splitlines()]

    assert [(each["method"], each["status_code"], each["fault"]) for each in lines] == [
        ("registerDevice", 200, ""),
        ("createMessage", 200, "lost answer"),
        ("createMessage", 210, ""),
    ]
    assert lines[1]["arguments"]["notifications"] == [notification]
    assert API not in record.read_text()


def test_ctrl_c_ends_it_cleanly():
    with running() as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--application", "BBBBB-00002"], "its own --api-token"),
        (["--group", "nothing"], "NAME=VALUE"),
        (["--group", "ZZZZZ-00000=GGGGG-00000"], "no --application"),
        (["--filter", "Adults=T("], "expected"),
        (["--requests-per-minute", "0"], "at least 1"),
        (["--state", "/"], "cannot be opened"),
        (["--port", "x"], "a port is"),
        (["--option", "nonsense=1"], "there are answers_unknown_methods"),
        (["--option", "lag_seconds=soon"], "lag_seconds must be"),
        (["--tag", "Age=number"], "the types are integer, string"),
        (["--in-app", "Finished"], "NAME=VALUE"),
        (["--zone", "Oslo=59.91,10.75"], "NAME=LATITUDE,LONGITUDE,METRES"),
        (["--zone", "Oslo=99,10.75,500"], "makes no sense"),
        (["--popup", "P=no json"], "no JSON"),
        (["--popup", "P={}"], "makes no sense"),
        (["--threads", "0"], "threads are a number from 1"),
        (["--host", "host.invalid"], ""),
    ],
)
def test_mistakes_are_named_without_a_token(arguments, text):
    done = subprocess.run(
        [*COMMAND, *TOKENS, *arguments], capture_output=True, text=True, timeout=30, env=HOST_ENVIRONMENT
    )
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert API not in done.stderr
    assert DEVICE not in done.stderr
