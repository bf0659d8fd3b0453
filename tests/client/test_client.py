"""The client: a typed answer, or an error that says what became of the call."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from django_pushwoosh.client import Client
from django_pushwoosh.client.transport import ConnectionLost, NotConnected
from django_pushwoosh.protocol import answers
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.errors import (
    BadArgument,
    BadToken,
    CallError,
    ConnectionFailed,
    Invalid,
    NoAnswer,
    NotFound,
    RateLimited,
    Rejected,
    ServerFailed,
)

API_TOKEN, DEVICE_TOKEN = "secret-api-token", "secret-device-token"


class Scripted:
    """A transport that gives one answer, and keeps what it was given."""

    def __init__(self, status: int = 200, document: Any = None, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.headers = headers or {}
        self.sent: list[tuple[str, str, dict[str, str], bytes]] = []

    def send(
        self, verb: str, url: str, headers: Mapping[str, str], body: bytes, timeout: tuple[float, float]
    ) -> tuple[int, Mapping[str, str], bytes]:
        self.sent.append((verb, url, dict(headers), body))
        assert all(seconds > 0 for seconds in timeout)
        if isinstance(self.body, Exception):
            raise self.body
        return self.status, self.headers, self.body


def client(transport: Any) -> Client:
    return Client(
        "AAAAA-00001",
        api_token=API_TOKEN,
        device_token=DEVICE_TOKEN,
        api_root="https://api.example",
        transport=transport,
    )


def envelope(code: int, message: str = "OK", response: Any = None) -> dict[str, Any]:
    return {"status_code": code, "status_message": message, "response": response}


@pytest.mark.parametrize(
    ("status", "document", "error"),
    [
        (200, envelope(210, "Application not found"), BadArgument),
        (200, envelope(403, "Token restrictions forbid this operation."), BadToken),
        (200, envelope(404, "Resource not found"), NotFound),
        (200, envelope(429, "Too many"), RateLimited),
        (200, envelope(500, "Internal error"), ServerFailed),
        (400, b"", BadArgument),
        (401, b"", BadToken),
        (403, envelope(403), BadToken),
        (404, b"", NotFound),
        (408, b"", ServerFailed),
        (429, b"", RateLimited),
        (500, envelope(500), ServerFailed),
        (502, b"<html>Bad Gateway</html>", ServerFailed),
        (504, b"", ServerFailed),
        (200, b"<html>It works</html>", ServerFailed),
        (200, b"", ServerFailed),
        (200, b"[]", ServerFailed),
        (200, b"null", ServerFailed),
        (200, b"\xff\xfe", ServerFailed),
        (200, b"[" * 100_000, ServerFailed),
        (200, {"status_code": True}, ServerFailed),
        (302, b"", Rejected),
    ],
)
def test_each_answer_has_one_meaning(status: int, document: Any, error: type[CallError]) -> None:
    with pytest.raises(CallError) as raised:
        client(Scripted(status, document)).application_open("phone")

    assert type(raised.value) is error
    assert "applicationOpen" in str(raised.value)


def test_a_status_code_as_text_is_read_as_the_sdks_read_it() -> None:
    assert client(Scripted(200, {"status_code": "200", "status_message": "OK"})).application_open("phone")


@pytest.mark.parametrize(("raised", "error"), [(NotConnected("x"), ConnectionFailed), (ConnectionLost("x"), NoAnswer)])
def test_what_the_network_did_is_told_by_its_fate(raised: Exception, error: type[CallError]) -> None:
    transport = Scripted()
    transport.body = raised  # type: ignore[assignment]

    with pytest.raises(error):
        client(transport).application_open("phone")


def test_a_warning_in_a_success_is_kept() -> None:
    warning = "Warnings: You have reached the subscriber limit. Push Message will be sent to 1 random device only"
    document = envelope(200, warning, {"Messages": ["AAAA-00000001-00000002"]})

    created = client(Scripted(200, document)).create_message([{"content": "Hello"}])

    assert created.warning == warning


def test_a_warning_in_the_response_is_kept_too() -> None:
    document = envelope(200, response={"messageCode": "X", "warnings": ["First", "Second"]})

    created = client(Scripted(200, document)).create_targeted_message('A("AAAAA-00001")')

    assert created.warning == "First; Second"


def test_a_wait_that_they_name_is_kept() -> None:
    with pytest.raises(RateLimited) as raised:
        client(Scripted(429, b"", {"retry-after": "17"})).application_open("phone")

    assert raised.value.retry_after == 17


@pytest.mark.parametrize("value", ["", "soon", "-1", "99999999999999", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_wait_that_cannot_be_read_is_none(value: str) -> None:
    with pytest.raises(RateLimited) as raised:
        client(Scripted(429, b"", {"Retry-After": value})).application_open("phone")

    assert raised.value.retry_after is None


def test_errors_say_what_to_change() -> None:
    with pytest.raises(BadArgument, match=r"APPLICATIONS\[…\]\['CODE'\]"):
        client(Scripted(200, envelope(210, "Application not found"))).application_open("phone")


def test_advice_stands_alone_too() -> None:
    with pytest.raises(BadArgument) as raised:
        client(Scripted(200, envelope(210, "Application not found"))).application_open("phone")

    assert raised.value.advice.startswith("check APPLICATIONS[…]['CODE']")
    assert str(raised.value) == (f"applicationOpen for AAAAA-00001: 210 Application not found — {raised.value.advice}")
    assert pickle.loads(pickle.dumps(BadArgument("no", advice="do"))).advice == "do"


def test_a_bulk_method_that_is_refused_in_a_200_started_no_job() -> None:
    with pytest.raises(BadArgument, match="invalid request"):
        client(Scripted(200, {"message": "invalid request"})).bulk_set_tags([{"hwid": "phone", "tags": {"Age": 3}}])


def test_the_reasons_of_a_filter_that_does_not_compile_are_told() -> None:
    document = envelope(
        210,
        "Errors occurred while compiling filter",
        {"errors": [{"message": 'Invalid tag set specification. ")" expected.', "type": "syntax"}]},
    )
    with pytest.raises(BadArgument, match='"\\)" expected'):
        client(Scripted(200, document)).create_targeted_message("T(")


def test_no_error_and_no_repr_carries_a_token() -> None:
    for status, document in ((401, b""), (200, envelope(210, "Account not found")), (502, b"<html>")):
        with pytest.raises(CallError) as raised:
            client(Scripted(status, document)).create_message([{"content": "Hello"}])
        told = f"{raised.value!r} {raised.value} {raised.value.call!r} {raised.value.answer!r} {vars(raised.value)}"
        assert API_TOKEN not in told
        assert DEVICE_TOKEN not in told
    assert API_TOKEN not in repr(client(Scripted()))


def test_a_token_that_the_far_side_repeats_goes_no_further() -> None:
    document = envelope(210, f"Bad token {API_TOKEN}", {"sent": f"Token {DEVICE_TOKEN}"})
    with pytest.raises(BadArgument) as raised:
        client(Scripted(200, document)).application_open("phone")

    assert "secret" not in f"{raised.value} {raised.value.answer!r}"


def test_errors_survive_the_way_to_another_process() -> None:
    error = BadArgument("no", retry_after=1.0)

    assert str(pickle.loads(pickle.dumps(error))) == "no"


def test_each_token_stands_in_its_own_place_only() -> None:
    transport = Scripted(200, envelope(200, response={"Messages": ["X"], "result": {}}))
    client(transport).create_message([{"content": "Hello"}])
    client(transport).get_tags(hwid="phone")

    (_, _, message_headers, message_body), (_, _, tags_headers, tags_body) = transport.sent
    assert json.loads(message_body)["request"]["auth"] == API_TOKEN
    assert "Authorization" not in message_headers
    assert DEVICE_TOKEN.encode() not in message_body
    assert tags_headers["Authorization"] == f"Token {DEVICE_TOKEN}"
    assert API_TOKEN.encode() not in tags_body


def test_missing_and_wrong_arguments_are_refused_before_anything_is_said() -> None:
    transport = Scripted()
    for wrong in (
        lambda: client(transport).register_device("", 3),
        lambda: client(transport).set_tags({"a": 1}),
        lambda: client(transport).get_push_history(limit_messages=9),
        lambda: client(transport).create_message([]),
        lambda: client(transport).set_badge("phone", -1),
    ):
        with pytest.raises(Invalid):
            wrong()
    assert transport.sent == []


def test_flat_methods_travel_without_an_envelope() -> None:
    transport = Scripted(200, {"request_id": "abc", "status": "Pending"})

    started = client(transport).bulk_set_tags([{"hwid": "phone", "tags": {"Age": 3}}])

    assert started == answers.JobStarted("abc", "Pending")
    verb, url, _headers, body = transport.sent[0]
    assert (verb, url) == ("POST", "https://api.example/api/v2/audience/bulkSetTags")
    assert json.loads(body)["application"] == "AAAAA-00001"
    assert "request" not in json.loads(body)


def test_a_jobs_status_is_asked_for_by_its_address_alone() -> None:
    transport = Scripted(200, {"request_id": "a/b", "status": "Completed", "progress": 100, "devices_success": 4})

    status = client(transport).bulk_register_device_status("a/b", detailed=True)

    verb, url, headers, body = transport.sent[0]
    assert (verb, body) == ("GET", b"")
    assert url == "https://api.example/api/v2/audience/bulkRegisterDevice/a%2Fb?detailed=true"
    assert headers == {}
    assert status.is_ended
    assert status.succeeded == 4


def test_a_detailed_report_is_counted_anew() -> None:
    """The documents' own example says 4 and lists 3."""
    devices = [{"hwid": f"user{n}@example.com", "status": "done"} for n in (1, 2, 3)]
    devices.append({"hwid": "invalid_email@example.com", "status": "failed"})
    document = {"request_id": "a", "status": "Completed", "progress": 100, "devices_success": 4, "devices": devices}

    status = client(Scripted(200, document)).bulk_register_device_status("a", detailed=True)

    assert (status.succeeded, status.failed) == (3, 1)


def test_recipients_they_do_not_know_are_listed() -> None:
    document = envelope(200, response={"Messages": ["X"], "UnknownDevices": {"X": ["a", "b"], "": ["b"]}})

    created = client(Scripted(200, document)).create_message([{"content": "Hello", "devices": ["a", "b"]}])

    assert created.unknown_devices == ("a", "b")
    assert created.unknown_by_code == {"X": ("a", "b"), "": ("b",)}


@pytest.mark.parametrize(
    ("listed", "known"),
    [
        (None, {}),
        ([], {}),
        (["a", "a", None], {"": ("a",)}),
        ({"X": {"0": "a", "2": "b"}, "Y": []}, {"X": ("a", "b")}),
        ({"": [None, True, 12, "", {"a": "b"}, ["c"], "d"]}, {"": ("12", "d")}),
        ("a", {}),
        (7, {}),
    ],
)
def test_a_list_of_unknown_recipients_is_read_however_it_is_shaped(listed: Any, known: dict[str, Any]) -> None:
    document = envelope(200, response={"Messages": ["X"], "UnknownDevices": listed})

    created = client(Scripted(200, document)).create_message([{"content": "Hello"}])

    assert created.unknown_by_code == known
    assert created.codes == ("X",)


@pytest.mark.parametrize("code", [None, "", 7, [], {}, "CODE_NOT_AVAILABLE"])
def test_what_is_no_code_is_none(code: Any) -> None:
    document = envelope(200, response={"Messages": [code, "X"]})

    assert client(Scripted(200, document)).create_message([{"content": "Hello"}]).codes == ("CODE_NOT_AVAILABLE", "X")


def test_history_counts_are_summed() -> None:
    rows = [{"id": 7, "code": "X", "sent": {"A": {"IOS": 1, "ANDROID": 2}, "B": {"IOS": 4}}, "open": ""}]

    history = client(Scripted(200, envelope(200, response={"rows": rows}))).get_push_history()

    assert [(row.id, row.sent, row.opened) for row in history.rows] == [(7, 7, 0)]


@pytest.mark.parametrize("name", sorted(name for name, method in METHODS.items() if method.is_documented))
def test_every_documented_method_has_its_method_here(name: str) -> None:
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)

    assert callable(getattr(Client, snake))


def test_the_api_token_is_not_part_of_a_call() -> None:
    call = Call.of("deleteMessage", "AAAAA-00001", message="AAAA-00000001-00000002")

    assert "•••" in call.shown()
    assert API_TOKEN not in call.shown()
