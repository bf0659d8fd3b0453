"""The client says what the documents say, and reads what they answer. The sandbox has no part in this."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from django_pushwoosh.client import Client
from django_pushwoosh.protocol import answers
from django_pushwoosh.protocol import audience as audiences
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.filters import parse
from django_pushwoosh.protocol.messages import Message
from tests.wire import API_TOKEN, APPLICATION, DEVICE_TOKEN, Case, cases

TRANSACTION = "0b1f5f0e-0000-4000-8000-000000000000"
ALWAYS_SENT = {"send_date": "now", "ignore_user_timezone": True, "transactionId": TRANSACTION}
"""The defaults that a message always says, and that the documents' examples may leave out."""
SCHEDULE = {"transactionId": "transaction_id", "send_date": "send_date", "timezone": "timezone"}
SCHEDULE |= {"ignore_user_timezone": "ignore_user_timezone"}

every_case = pytest.mark.parametrize("case", cases(), ids=str)


class Recorder:
    """A transport that keeps the request and gives the documented answer."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.sent: tuple[str, str, Mapping[str, str], bytes] | None = None

    def send(
        self, verb: str, url: str, headers: Mapping[str, str], body: bytes, timeout: tuple[float, float]
    ) -> tuple[int, Mapping[str, str], bytes]:
        self.sent = (verb, url, headers, body)
        answer = self.case.answer
        return answer["http_status"], {"Content-Type": "application/json"}, json.dumps(answer["body"]).encode()


def audience_in(given: dict[str, Any]) -> audiences.Audience:
    """Take the audience out of a documented message."""
    if "devices" in given:
        return audiences.Devices(given.pop("devices"))
    if "users" in given:
        return audiences.Users(given.pop("users"))
    if "filter" in given:
        return audiences.SavedFilter(given.pop("filter"))
    if "conditions" in given:
        return audiences.Conditions(given.pop("conditions"), given.pop("conditions_operator", "AND"))
    if "geozone" in given:
        return audiences.Geozone(**given.pop("geozone"))
    if "devices_filter" in given:
        return audiences.FilterExpression(given.pop("devices_filter"), account_wide=True)
    return audiences.EVERYONE


def call_of(case: Case) -> Call:
    """The call as a developer makes it."""
    arguments = {name: value for name, value in case.arguments.items() if name not in ("auth", "application")}
    if case.method not in ("createMessage", "createTargetedMessage"):
        if case.request["verb"] == "GET":
            arguments = {"request_id": case.answer["body"]["request_id"], "detailed": True}
        return Call.of(case.method, APPLICATION, **arguments)
    given = dict(arguments["notifications"][0]) if case.method == "createMessage" else arguments
    group = arguments.get("applications_group")
    to = audiences.ApplicationGroup(group) if group else audience_in(given)
    when = {ours: given.pop(name) for name, ours in SCHEDULE.items() if name in given}
    return Message(**given).call(APPLICATION, to, **{"transaction_id": TRANSACTION, **when})


def exchanged(case: Case) -> tuple[Any, Any]:
    transport = Recorder(case)
    client = Client(
        APPLICATION,
        api_token=API_TOKEN,
        device_token=DEVICE_TOKEN,
        api_root="https://api.pushwoosh.com",
        transport=transport,
    )
    call = call_of(case)
    answer = client.ask(call)
    return transport.sent, Client.read(call, answer)


@every_case
def test_the_request_leaves_as_it_is_documented(case: Case) -> None:
    (verb, url, headers, body), _ = exchanged(case)
    assert verb == case.request["verb"]
    assert url == f"https://api.pushwoosh.com{case.request['path']}"
    if "Authorization" in case.request["headers"]:
        assert headers["Authorization"] == case.request["headers"]["Authorization"]
    if case.request["body"] is None:
        assert body == b""
        return
    assert json.loads(body) == expected(case, json.loads(body))


def expected(case: Case, sent: dict[str, Any]) -> dict[str, Any]:
    """The documented body, and the defaults that we always send."""
    documented: dict[str, Any] = json.loads(json.dumps(case.request["body"]))
    request = documented.get("request", documented)
    if case.method == "createMessage":
        request["notifications"] = [ALWAYS_SENT | each for each in request["notifications"]]
    elif case.method == "createTargetedMessage":
        documented["request"] = request = ALWAYS_SENT | request
        # What is printed has every operation in parentheses; it means the same.
        assert parse(sent["request"]["devices_filter"]) == parse(request["devices_filter"])
        request["devices_filter"] = sent["request"]["devices_filter"]
    elif case.method == "getPushHistory":
        # null is how the documents leave the source out.
        request.pop("source")
    return documented


@every_case
def test_the_answer_is_read_as_it_is_documented(case: Case) -> None:
    _, result = exchanged(case)
    body = case.answer["body"]
    response = body.get("response") or {}
    match result:
        case answers.MessagesCreated():
            assert list(result.codes) == response["Messages"]
        case answers.TargetedMessageCreated():
            assert (result.message_code, result.tracking_code) == (response["messageCode"], response["trackingCode"])
        case answers.MessageDetails():
            assert (result.id, result.code, result.status) == (2068991743, "ABCD-92B4C3C5-A7F5EF70", "done")
        case answers.PushHistory():
            assert [(row.id, row.sent, row.opened) for row in result.rows] == [(10191611434, 1, 0), (10191609202, 3, 0)]
        case answers.TagValues():
            assert result.values == {"Language": "fr"}
        case answers.EventPosted():
            assert result.code == "61BC9-84DD0"
        case answers.JobStarted():
            assert (result.request_id, result.status) == (body["request_id"], "Pending")
        case answers.JobStatus():
            assert result.is_ended
            # The documents count 4 and list 3: the list counts.
            assert result.succeeded == [each["status"] for each in body["devices"]].count("done")
        case answers.Accepted():
            assert result.warning == ""
            assert response == {}
        case _:
            pytest.fail(f"{case.method} is read as {type(result).__name__}, which nobody looks at")


def test_every_method_of_the_documents_is_there_with_its_source_and_edits() -> None:
    found = cases()
    assert {case.method for case in found} == {name for name, method in METHODS.items() if method.is_documented}
    assert all(case.source.startswith("seed 00") and case.edits for case in found)
