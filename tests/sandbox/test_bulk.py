"""Bulk jobs: pending, under way, completed, and what their reports say."""

from __future__ import annotations

import pytest

from .conftest import APP


def status(call, method, request_id, detailed="true"):
    return call.raw("GET", f"/api/v2/audience/{method}/{request_id}?detailed={detailed}").json


def test_registering_in_bulk(call, clock, sandbox):
    call.device("old", tags={"Likes": ["a"]})
    started = call(
        "bulkRegisterDevice",
        devices=[
            {"hwid": "new", "push_token": "t1", "platform": 3, "tags": {"Age": 5, "language": "fr"}},
            {"hwid": "old", "push_token": "t2", "platform": 3, "list_operator": "append", "tags": {"Likes": ["b"]}},
            {"hwid": "", "push_token": "t3", "platform": 3},
            {"hwid": "strange", "push_token": "t4", "platform": "ios"},
        ],
    )
    assert (started.http, set(started.json), started.json["status"]) == (200, {"request_id", "status"}, "Pending")
    request_id = started.json["request_id"]
    clock.advance(seconds=1)
    assert status(call, "bulkRegisterDevice", request_id) == {
        "request_id": request_id,
        "status": "Pending",
        "progress": 50,
        "devices_success": 0,
        "devices": [],
    }
    assert (APP, "new") not in sandbox.devices

    clock.advance(seconds=1)
    assert status(call, "bulkRegisterDevice", request_id) == {
        "request_id": request_id,
        "status": "Completed",
        "progress": 100,
        "devices_success": 2,
        "devices": [
            {"hwid": "new", "status": "done"},
            {"hwid": "old", "status": "done"},
            {"hwid": "", "status": "failed"},
            {"hwid": "strange", "status": "failed"},
        ],
    }
    assert sandbox.devices[APP, "old"].own_tags["Likes"] == ["a", "b"]
    assert sandbox.devices[APP, "new"].language == "fr"
    assert "devices" not in status(call, "bulkRegisterDevice", request_id, "false")


@pytest.mark.parametrize(("create", "told"), [(False, "tag not found"), (True, "ok")])
def test_setting_tags_in_bulk(call, clock, sandbox, create, told):
    call.device("one", userId="Ann", tags={"City": "Oslo", "Age": 5, "Likes": ["a", "b"]})
    call.device("two", userId="Ann")
    started = call(
        "bulkSetTags",
        create_missing_tags=create,
        devices=[
            {"hwid": "one", "list_operator": "set", "tags": {"City": "Rome", "Age": "old", "New": 1}},
            {"push_token": "token-two", "list_operator": "append", "tags": {"Likes": ["c"]}},
            {"user_id": "Ann", "list_operator": "remove", "tags": {"Likes": ["a"]}},
            {"hwid": "nobody", "list_operator": "set", "tags": {"City": "Rome"}},
            {"hwid": "one", "user_id": "Ann", "tags": {"City": "Rome"}},
        ],
    )
    clock.advance(seconds=2)
    report = status(call, "bulkSetTags", started.json["request_id"])
    assert (report["devices_success"], report["devices_not_found"], report["devices_failed"]) == (3, 1, 1)
    assert [each["status"] for each in report["devices"]] == ["done", "done", "done", "not found", "failed"]
    assert report["devices"][0]["tags"] == {"City": "ok", "Age": "wrong value. expect :integer", "New": told}
    assert sandbox.devices[APP, "one"].own_tags["Likes"] == ["b"]
    assert sandbox.devices[APP, "two"].own_tags["Likes"] == ["c"]
    assert sandbox.devices[APP, "one"].own_tags["Age"] == 5


def test_bad_bulk_requests_are_bare(call):
    for devices in (None, [], "x", [5]):
        answer = call("bulkSetTags", devices=devices)
        assert (answer.http, answer.json) == (400, {"message": "invalid request"})
    answer = call("bulkSetTags", auth="wrong", devices=[{"hwid": "x", "tags": {"a": 1}}])
    assert (answer.http, set(answer.json)) == (401, {"message"})


def test_a_job_is_found_under_its_own_method_only(call):
    started = call("bulkSetTags", devices=[{"hwid": "one", "tags": {"a": 1}}])
    assert call.raw("GET", f"/api/v2/audience/bulkRegisterDevice/{started.json['request_id']}").http == 404
    assert call.raw("GET", "/api/v2/audience/bulkSetTags/nothing").http == 404
    assert call.raw("GET", "/api/v2/audience/bulkSetTags/").http == 404
