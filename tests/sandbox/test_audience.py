"""Who gets a message."""

from __future__ import annotations

import pytest

from django_pushwoosh.sandbox import Sandbox, SetClock

from .conftest import APP, NOON, OTHER, Hand, applications


@pytest.fixture
def people(call):
    call.device("ann", device_type=1, push_token="AA", userId="Ann", language="en-US", tags={"Age": 30, "City": "Oslo"})
    call.device("ann-web", device_type=11, userId="Ann", tags={"Age": 31})
    call.device("bob", userId="Bob", language="no", tags={"Age": 17, "City": "madrid", "Likes": ["a", "b"]})
    call.device("cid", tags={"Seen": "2026-02-20 10:00", "Muted": True, "Version": "1.10.0"})
    return call


@pytest.mark.parametrize(
    ("conditions", "reached"),
    [
        ([["Age", "EQ", 30]], {"ann"}),
        ([["Age", "NOTEQ", 30]], {"ann-web", "bob"}),
        ([["Age", "BETWEEN", [17, 30]]], {"ann", "bob"}),
        ([["Age", "IN", [17, 31]]], {"ann-web", "bob"}),
        ([["Age", "GTE", 18], ["City", "EQ", "oslo"]], {"ann"}),
        ([["City", "EQ", "Madrid"]], {"bob"}),
        ([["City", "NOTSET"]], {"ann-web", "cid"}),
        ([["City", "ANY", ""]], {"ann", "bob"}),
        ([["Likes", "IN", ["b", "c"]]], {"bob"}),
        ([["Likes", "NOTIN", ["b", "c"]]], set()),
        ([["Muted", "EQ", 1]], {"cid"}),
        ([["Muted", "EQ", "true"]], {"cid"}),
        ([["Language", "EQ", "en"]], {"ann"}),
        ([["Language", "EQ", "en-GB"]], {"ann"}),
        ([["Seen", "GTE", "10 days ago"]], {"cid"}),
        ([["Seen", "EQ", "10 days ago"]], {"cid"}),
        ([["Seen", "LTE", "11 days ago"]], set()),
        ([["Seen", "BETWEEN", ["2026-02-19 00:00", "2026-02-20 00:00"]]], {"cid"}),
        ([["Seen", "EQ", "2026-02-20 00:00"]], {"cid"}),
        ([["Seen", "GTE", 1771581600]], {"cid"}),
        ([["Version", "GTE", "1.9"]], {"cid"}),
        ([["Platform", "EQ", "iOS"]], {"ann"}),
    ],
)
def test_conditions(people, conditions, reached):
    answer = people.message(conditions=conditions)
    assert answer.code == 200, answer.text
    assert people.reached() == reached


def test_conditions_may_be_alternatives(people):
    people.message(conditions=[["Age", "EQ", 30], ["Muted", "EQ", True]], conditions_operator="OR")
    assert people.reached() == {"ann", "cid"}


@pytest.mark.parametrize(
    ("expression", "reached"),
    [
        (f'A("{APP}")', {"ann", "ann-web", "bob", "cid"}),
        (f'A("{APP}", ["ios", "Chrome"])', {"ann", "ann-web"}),
        ('T("Age", GTE, 18) + T("Muted", EQ, true)', {"ann", "ann-web", "cid"}),
        (f'A("{APP}") * T("Age", GTE, 18) \\ T("City", ANY, "")', {"ann-web"}),
        (f'AT("{APP}", "Age", EQ, 17)', {"bob"}),
        (f'AT("{OTHER}", "Age", EQ, 17)', set()),
        (f'G("GGGGG-00009") \\ A("{APP}", ["Android"])', {"ann", "ann-web"}),
    ],
)
def test_filter_expressions(people, expression, reached):
    answer = people("createTargetedMessage", app=None, devices_filter=expression, send_date="now", content="x")
    assert answer.code == 200, answer.json
    assert people.reached() == reached


def test_a_difference_knows_the_phone_behind_two_applications(call):
    call.device("both")
    call.device("both", app=OTHER)
    call.device("one")
    expression = f'A("{APP}") \\ A("{OTHER}")'
    call("createTargetedMessage", app=None, devices_filter=expression, send_date="now", content="x")
    assert call.reached() == {"one"}


def test_an_expression_may_be_very_deep(call):
    call.device("one", tags={"Age": 5})
    deep = '(T("Age",EQ,5)+' * 5000 + 'T("Age",EQ,5)' + ")" * 5000
    answer = call("createTargetedMessage", app=None, devices_filter=deep, send_date="now", content="x")
    assert answer.code == 200
    assert call.reached() == {"one"}


def test_users_prevail_over_devices_and_devices_over_conditions(people):
    people.message(users=["Ann"], devices=["bob"], conditions=[["Age", "EQ", 17]])
    assert people.reached() == {"ann", "ann-web"}
    people.message(content="second", devices=["bob"], conditions=[["Age", "EQ", 30]])
    assert ("bob", "second") in people.got()


def test_devices_are_hwids_or_tokens_and_ios_tokens_lower_case(people):
    answer = people.message(devices=["aa", "token-bob", "AA"], platforms=[1])
    assert people.reached() == {"ann", "bob"}, "platforms are ignored for fewer than ten devices"
    assert answer.response["UnknownDevices"] == {"": ["AA"]}


def test_platforms_narrow_everything_else(people):
    people.message(platforms=[3, 11])
    assert people.reached() == {"ann-web", "bob", "cid"}
    people.message(content="web", users=["Ann"], platforms=[11])
    assert ("ann", "web") not in people.got()


def test_saved_filters_are_known_by_name(people):
    people.message(filter="Adults")
    assert people.reached() == {"ann", "ann-web"}
    assert people.message(filter="Nobody made this").text == "Filter not found"
    assert people.message(filter="Adults", conditions=[["Age", "EQ", 1]]).code == 210


def test_a_geozone_reaches_whom_it_covers(people):
    people("getNearestZone", hwid="ann", lat=59.9139, lng=10.7522)
    people("getNearestZone", hwid="bob", lat=40.4, lng=-3.7)
    people.message(geozone={"lat": 59.914, "lng": 10.752, "range": 100})
    assert people.reached() == {"ann"}
    people("getNearestZone", hwid="ann", lat=None, lng=None)
    people.message(content="again", geozone={"lat": 59.914, "lng": 10.752, "range": 100})
    assert ("ann", "again") not in people.got()


def test_what_the_documents_leave_open_can_be_chosen():
    sandbox = Sandbox(applications(), SetClock(NOON), case_sensitive=True, unset_matches_negative=True)
    call = Hand(sandbox)
    call.device("one", tags={"City": "madrid"})
    call.device("two")
    call.message(conditions=[["City", "NOTEQ", "Madrid"]])
    assert call.reached() == {"one", "two"}
