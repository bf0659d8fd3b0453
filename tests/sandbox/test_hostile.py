"""Whatever is thrown at it, the sandbox answers and stays in one piece."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.methods import Body
from django_pushwoosh.protocol.parameters import PARAMETERS
from django_pushwoosh.sandbox import Journal, Sandbox, SetClock
from django_pushwoosh.sandbox.routing import MOST_BYTES

from .conftest import API, APP, DEVICE, NOON, Hand, applications

WORDS = st.sampled_from(
    [
        "now",
        "one",
        "2026-03-02 12:30",
        "Age",
        "EQ",
        "BETWEEN",
        "+1",
        "",
        "\x00",
        "\ud83d",
        APP,
        "{Age|comma|x}",
        "{Age|regular}",
        "{{ Age | times: 3 }}",
        "{% for i in (1..9) %}",
        "en",
        "null",
    ]
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | WORDS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
ARGUMENTS = sorted(
    {argument.name for method in METHODS.values() for argument in method.arguments}
    | {"auth", "tz_offset", "transactionId", "content"}
)
BODIES = st.dictionaries(st.sampled_from(ARGUMENTS), VALUES, max_size=6)
NOTIFICATIONS = st.dictionaries(st.sampled_from([row.name for row in PARAMETERS]), VALUES, max_size=6)
calm = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def sandbox_with_people() -> Hand:
    hand = Hand(Sandbox(applications(), SetClock(NOON), job_seconds=0, lag_seconds=1, pending_seconds=1))
    hand.device("one", tags={"Age": 5}, userId="Ann")
    hand.sandbox.move_clock(seconds=1)
    hand.message(content="kept", inbox_days=9)
    hand.sandbox.set_entry("zones", "Oslo", {"lat": 59.9, "lng": 10.7, "range": 500})
    hand.sandbox.set_entry("popups", "one", {"content": {}})
    hand.sandbox.set_entry("in_apps", "one", "61BC9-84DD0")
    hand.sandbox.move_clock(seconds=1)
    return hand


def post(hand: Hand, path: str, document: object) -> int:
    body = json.dumps(document).encode()
    status, _, content = hand.sandbox.handle("POST", path, {"Authorization": f"Token {DEVICE}"}, body)
    json.loads(content)
    # What was taken happens now, and must not fail then either.
    hand.sandbox.move_clock(days=1)
    poll = hand.sandbox.handle("GET", "/phones.json", {}, b"")
    json.loads(poll[2])
    return status


@calm
@given(st.sampled_from(sorted(METHODS)), BODIES)
def test_any_arguments_get_an_answer(name, arguments):
    hand = sandbox_with_people()
    path = METHODS[name].path
    for document in ({"request": {"application": APP, "auth": API, **arguments}}, {"application": APP, **arguments}):
        assert post(hand, path, document) < 500


@calm
@given(st.sampled_from(sorted(METHODS)), BODIES, st.data())
def test_whatever_was_taken_is_taken_again_at_the_next_start(tmp_path_factory, name, arguments, data):
    path = tmp_path_factory.mktemp("state") / "journal"
    first = Hand(Sandbox(applications(), SetClock(NOON), Journal(path)))
    first.device("one")
    given = example_of(METHODS[name], data) | arguments
    if METHODS[name].body is not Body.URL:
        first(name, **given)
    devices, reports = dict(first.sandbox.devices), first.sandbox.reports
    first.sandbox.close()
    again = Sandbox(applications(), SetClock(NOON), Journal(path))
    assert again.devices.keys() == devices.keys()
    assert again.reports == reports
    again.close()


def example_of(method, data):
    """Something for each argument that the row requires, so that more than refusals are met."""
    return {
        argument.name: data.draw(st.sampled_from([1, 4, "one", "a@example.com", {"Age": 1}, [{"hwid": "one"}]]))
        for argument in method.arguments
        if argument.required
    }


@calm
@given(WORDS | st.sampled_from(["in_apps", "zones", "popups", "features"]), SCALARS, VALUES)
def test_any_entry_is_taken_or_refused_and_told(table, name, value):
    hand = sandbox_with_people()
    body = json.dumps({"do": "set_entry", "table": table, "name": name, "value": value}).encode()
    status, _, _ = hand.sandbox.handle("POST", "/control/switch", {"Content-Type": "application/json"}, body)
    assert status in (200, 400)
    for method in ("getConfig", "getInApps", "getPopupForms", "getNearestZone", "getPopupFormContent"):
        request = {"application": APP, "hwid": "one", "lat": 1, "lng": 2, "code": name}
        assert post(hand, f"/json/1.3/{method}", {"request": request}) == 200


@calm
@given(st.lists(NOTIFICATIONS | VALUES, max_size=3))
def test_any_notification_gets_an_answer(notifications):
    hand = sandbox_with_people()
    for each in notifications:
        if isinstance(each, dict):
            each.setdefault("send_date", "now")
            each.setdefault("content", "x")
    assert (
        post(
            hand,
            "/json/1.3/createMessage",
            {"request": {"application": APP, "auth": API, "notifications": notifications}},
        )
        < 500
    )


@calm
@given(VALUES)
def test_any_device_of_a_bulk_job_gets_a_report(device):
    hand = sandbox_with_people()
    for method in ("bulkRegisterDevice", "bulkSetTags"):
        for odd in (device, {"hwid": "one", "push_token": "x", "platform": 3, "tags": device}):
            document = {"application": APP, "auth": API, "devices": [odd, {"hwid": "one", "tags": {"Age": device}}]}
            assert post(hand, f"/api/v2/audience/{method}", document) < 500


@calm
@given(st.text())
def test_any_filter_expression_gets_an_answer(text):
    hand = sandbox_with_people()
    request = {"auth": API, "devices_filter": text, "send_date": "now", "content": "x"}
    assert post(hand, "/json/1.3/createTargetedMessage", {"request": request}) < 500


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b"null",
        b'{"request": []}',
        b'{"request": {"a": NaN}}',
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"request":' * 50 + b"{}" + b"}" * 50 + b"}" * 20,
        b"[" * 200_000,
        b'{"request":{"tags":' + b"[" * 500 + b"]" * 500 + b"}}",
        b'{"request":{"badge":' + b"9" * 6000 + b"}}",
    ],
)
def test_malformed_bodies_are_bad_requests(call, body):
    for name, method in METHODS.items():
        if method.verb == "POST" and not (body == b'{"request": []}' and method.body.name == "FLAT"):
            answer = call.raw("POST", method.path, body, Authorization=f"Token {DEVICE}")
            assert answer.http == 400, name


def test_too_large_a_body_is_not_read(call):
    answer = call.raw("POST", "/json/1.3/createMessage", b" " * (MOST_BYTES + 1))
    assert answer.http == 413


@pytest.mark.parametrize("verb", ["PUT", "DELETE", "PATCH", "HEAD", "TRACE", "x y"])
def test_other_verbs_are_not_allowed(call, verb):
    assert call.raw(verb, "/json/1.3/createMessage").http == 405


def test_the_wsgi_side_reads_no_more_than_it_must(sandbox):

    answered = []

    def start_response(status, headers):
        answered.append((status, dict(headers)))

    for length in ("", "-5", "x", "3", str(10**12)):
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/json/1.3/setTags",
            "CONTENT_LENGTH": length,
            "CONTENT_TYPE": "application/json",
            "HTTP_HOST": "any.example",
            "wsgi.input": io.BytesIO(b"{}{"),
        }
        (content,) = sandbox.wsgi(environ, start_response)
        assert answered[-1][0] == "400 Bad Request"
        assert answered[-1][1]["Content-Length"] == str(len(content))


def test_many_callers_at_once_lose_nothing(sandbox):

    hand = Hand(sandbox)
    hand.device("one", tags={"Visits": 0})
    change = {"Visits": {"operation": "increment", "value": 1}}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: hand("setTags", hwid="one", tags=change).code, range(400)))
    assert set(answers) == {200}
    assert hand("getTags", hwid="one").response["result"]["Visits"] == 400
