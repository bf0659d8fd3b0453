"""What the phones page is served."""

from __future__ import annotations

import time

from .conftest import APP, OTHER


def poll(call, query=""):
    return call.raw("GET", f"/phones.json{query}").json


def test_a_page_sees_devices_once_and_pushes_as_they_come(call):
    call.device("one", userId="Ann", language="de", device_model="Pixel", tags={"Age": 5})
    call.device("two", app=OTHER)
    first = poll(call)
    assert first["now"] == "2026-03-02T12:00:00+00:00"
    assert first["applications"] == [{"code": APP, "devices": 1}, {"code": OTHER, "devices": 1}]
    assert first["devices"][0] == {
        "id": 1,
        "application": APP,
        "hwid": "one",
        "platform": 3,
        "platform_label": "Android",
        "user_id": "Ann",
        "language": "de",
        "subscribed": True,
        "badge": 0,
        "tags": {
            "Language": "de",
            "Device Model": "Pixel",
            "Platform": "Android",
            "First Install": "2026-03-02 12:00",
            "User ID": "Ann",
            "Age": 5,
        },
        "model": "Pixel",
        "test_device": False,
        "letters": [],
    }
    (code,) = call.message(title="Hi").response["Messages"]
    again = poll(call, f"?since={first['sequence']}&devices={first['devices_version']}")
    assert again["devices"] is None
    (push,) = again["pushes"]
    assert {key: push[key] for key in ("sequence", "device", "message", "title", "body")} == {
        "sequence": 1,
        "device": 1,
        "message": code,
        "title": "Hi",
        "body": "Hello",
    }
    assert push["payload"]["p"]
    assert poll(call, "?since=1")["pushes"] == []
    assert len(poll(call, "?since=99")["pushes"]) == 1, "the page outlived its sandbox"

    call("setBadge", hwid="one", badge=7)
    changed = poll(call, f"?devices={again['devices_version']}")
    assert [device["badge"] for device in changed["devices"]] == [7, 0]


def test_one_application_can_be_looked_at(call):
    call.device("one")
    call.device("two", app=OTHER)
    call.message()
    call.message(app=OTHER)
    seen = poll(call, f"?application={OTHER}")
    assert [device["hwid"] for device in seen["devices"]] == ["two"]
    assert [push["sequence"] for push in seen["pushes"]] == [2]


def test_the_latest_500_pushes_are_enough(call):
    for number in range(3):
        call.device(f"d{number}")
    for _ in range(200):
        call.message(devices=["d0", "d1", "d2"])
    pushes = poll(call)["pushes"]
    assert [pushes[0]["sequence"], pushes[-1]["sequence"], len(pushes)] == [101, 600, 500]
    assert [push["sequence"] for push in poll(call, "?limit=2")["pushes"]] == [599, 600]


def test_polling_delivers_what_is_due(call, clock):
    call.device("one")
    call.message(send_date="2026-03-02 12:30")
    assert poll(call)["pushes"] == []
    clock.advance(minutes=30)
    assert len(poll(call)["pushes"]) == 1


def test_polling_two_thousand_devices_is_cheap(call, sandbox):
    for number in range(2000):
        call.device(f"d{number}")
    version = poll(call)["devices_version"]
    started = time.perf_counter()
    for _ in range(20):
        sandbox.handle("GET", f"/phones.json?devices={version}", {}, b"")
    assert time.perf_counter() - started < 1.0


def test_only_the_page_itself_is_served(call, sandbox):
    status, headers, body = sandbox.handle("GET", "/", {}, b"")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert sandbox.handle("GET", "/pages/phones.html", {}, b"")[2] == body
    for path in ("/pages/../app.py", "/pages/%2e%2e/app.py", "/pages/", "/pages/app.py", "/etc/passwd", "/nothing"):
        assert sandbox.handle("GET", path, {}, b"")[0] == 404
    assert sandbox.handle("POST", "/", {}, b"")[0] == 405


def test_odd_questions_get_plain_answers(call):
    for query in (
        "?since=-1",
        "?since=x",
        "?devices=",
        "?limit=0",
        "?limit=99999",
        "?since=" + "9" * 400,
        "?&&&=" * 50,
    ):
        assert poll(call, query)["sequence"] == 0
