"""600 message-creating requests in any 60 seconds, per account."""

from __future__ import annotations

from django_pushwoosh.sandbox import Application, Sandbox

from .conftest import API, APP, NOON, OTHER, Hand, applications


def test_the_six_hundred_and_first_request_is_refused(call, sandbox):
    for number in range(600):
        method = "createMessage" if number % 2 else "createTargetedMessage"
        given = {"notifications": [], "app": APP} if number % 2 else {"devices_filter": f'A("{APP}")', "app": None}
        assert call(method, send_date="now", content="x", **given).code == 200
    answer = call.message()
    assert (answer.http, answer.code, answer.headers["Retry-After"]) == (429, 429, "60")
    assert call.message(app=OTHER).http == 429, "two applications of one account share the cap"
    assert len(sandbox.capped_at) == 600
    assert call.message(devices=["one"]).code == 200, "few devices at once are exempt"
    assert call("registerDevice", hwid="x", device_type=3).code == 200


def test_the_window_rolls(clock):
    sandbox = Sandbox(applications(), clock, requests_per_minute=2)
    call = Hand(sandbox)
    call.message()
    clock.advance(seconds=40)
    call.message()
    clock.advance(seconds=19.5)
    refused = call.message()
    assert (refused.http, refused.headers["Retry-After"]) == (429, "1")
    clock.advance(seconds=0.5)
    assert call.message().http == 200
    assert call.message().http == 429
    assert [(at - NOON).total_seconds() for at in sandbox.capped_at] == [0, 40, 60]
    assert len(sandbox.messages) == 3


def test_what_is_exempt(call, sandbox):
    ten, eleven = [f"d{number}" for number in range(10)], [f"d{number}" for number in range(11)]
    call.message(devices=ten)
    assert sandbox.capped_at == []
    call.message(devices=eleven)
    call.message(devices=["d1"], send_date="2026-03-03 10:00")
    call.message(users=["Ann"])
    call.message(devices=["d1"], users=["Ann"])
    assert len(sandbox.capped_at) == 4
    sandbox.start_tracing()
    call.message(devices=["d1"])
    assert len(sandbox.capped_at) == 5


def test_accounts_have_caps_of_their_own(clock):
    two = [Application(APP, API, "d1"), Application(OTHER, "api-2", "d2", account="second")]
    call = Hand(Sandbox(two, clock, requests_per_minute=1))
    assert call.message().http == 200
    assert call.message().http == 429
    assert call("createMessage", app=OTHER, auth="api-2", notifications=[]).http == 200
    assert call("createMessage", app=OTHER, auth=API, notifications=[]).text == "Access denied or application not found"
