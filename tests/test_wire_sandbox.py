"""The sandbox takes what the documents say, and answers as they do. The client has no part in this."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from django_pushwoosh.sandbox import Application, Sandbox, SetClock
from tests.wire import API_TOKEN, APPLICATION, DEVICE_TOKEN, Case, cases

OTHERS = ("00000-00000", "11111-11111", "12345-12345", "67890-67890", "7777D-322A7")
"""Applications that the documents' filters name."""
DEVICES = (
    ("HWID", "USER_ID", 3, "token-1"),
    ("+1234567890", "Alex", 18, "token-2"),
    ("device hwid", "user ID", 3, "token-4"),
    ("phone", "user_3078a", 1, "dec301908b9ba8df85e57a58e40f96f523f4c2068674f5fe2ba25cdc250a2a41"),
)
MESSAGE_CODE = re.compile(r"[0-9A-F]{4}-[0-9A-F]{8}-[0-9A-F]{8}|CODE_NOT_AVAILABLE")
TRACKING_CODE = re.compile(r"T-[0-9A-F]{4}-[0-9A-F]{8}-[0-9A-F]{8}")
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
APPLICATION_CODE = re.compile(r"[0-9A-Z]{5}-[0-9A-Z]{5}")
NOT_IN_THE_EXAMPLE = {".response.rows[]": {"title", "subtitle", "data", "errors"}}
"""Keys that the documents list with their types (seed 001, getPushHistory), but leave out of the example."""


@pytest.fixture
def clock() -> SetClock:
    return SetClock(datetime(2026, 3, 2, 12, tzinfo=UTC))


@pytest.fixture
def sandbox(clock: SetClock) -> Sandbox:
    """Everything that the documents' examples take for granted."""
    sandbox = Sandbox(
        [
            Application(APPLICATION, API_TOKEN, DEVICE_TOKEN, ("AB12C-34D5E",)),
            *(Application(code, API_TOKEN, DEVICE_TOKEN, ("11111-11111",)) for code in OTHERS),
        ],
        clock,
        filters={"FILTER_NAME": 'T("Language", EQ, "fr")'},
        in_apps={"activityCompleted": "61BC9-84DD0"},
    )
    for hwid, user, kind, token in DEVICES:
        device = {"hwid": hwid, "device_type": kind, "push_token": token, "userId": user, "language": "fr"}
        say(sandbox, "registerDevice", device)
    return sandbox


def say(sandbox: Sandbox, method: str, arguments: dict[str, Any], **auth: str) -> dict[str, Any]:
    body = json.dumps({"request": {"application": APPLICATION, **arguments, **auth}}).encode()
    status, _, content = sandbox.handle("POST", f"/json/1.3/{method}", {}, body)
    assert status == 200
    answer: dict[str, Any] = json.loads(content)
    assert answer["status_code"] == 200, answer
    return answer


def taken_for_granted(sandbox: Sandbox, clock: SetClock, case: Case) -> dict[str, str]:
    """What a case speaks of, made; its name in the documents and in the sandbox."""
    if case.method in ("cancelMessage", "deleteMessage", "getMessageDetails", "getPushHistory"):
        ahead = "now" if case.method.startswith("get") else "2026-03-03 12:00"
        note = {"content": {"en": "Hello!"}, "data": {"key": "value"}, "send_date": ahead, "platforms": [1]}
        [code] = say(sandbox, "createMessage", {"notifications": [note]}, auth=API_TOKEN)["response"]["Messages"]
        return {"C3F8-C3863ED4-334AD4F1": code}
    if not case.method.endswith("Status"):
        return {}
    method = case.method.removesuffix("Status")
    [example, *_] = [each for each in cases() if each.method == method]
    body = json.dumps(example.request["body"]).encode()
    _, _, content = sandbox.handle("POST", example.request["path"], {}, body)
    clock.advance(minutes=5)
    return {case.answer["body"]["request_id"]: json.loads(content)["request_id"]}


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_documented_request_is_answered_as_documented(case: Case, sandbox: Sandbox, clock: SetClock) -> None:
    names = taken_for_granted(sandbox, clock, case)
    path, body = case.request["path"], json.dumps(case.request["body"]) if case.request["body"] else ""
    for documented, made in names.items():
        path, body = path.replace(documented, made), body.replace(documented, made)
    status, headers, content = sandbox.handle(case.request["verb"], path, case.request["headers"], body.encode())
    assert (status, headers["Content-Type"]) == (case.answer["http_status"], "application/json"), content
    answered = json.loads(content)
    for name in ("status_code", "status_message", "status"):
        assert answered.get(name) == case.answer["body"].get(name)
    assert differences(case.answer["body"], answered) == []


def differences(documented: Any, answered: Any, path: str = "") -> list[str]:
    """Where the answer has another shape than the document: other keys, other types, another form of code or time."""
    if documented is None or answered is None:
        # null stands for a value of any type that is not there.
        return []
    if isinstance(documented, dict) and isinstance(answered, dict):
        if documented and all(APPLICATION_CODE.fullmatch(key) or key.isupper() for key in documented):
            # Counts by application and platform, whichever these are.
            inner = next(iter(documented.values()))
            return [found for key, value in answered.items() for found in differences(inner, value, f"{path}.{key}")]
        if path.endswith((".result", ".tags", ".content")):
            return [] if answered else [f"{path} is empty"]
        if documented.keys() != answered.keys() - NOT_IN_THE_EXAMPLE.get(path, set()):
            return [f"{path} has {sorted(answered)} for {sorted(documented)}"]
        return [found for key in documented for found in differences(documented[key], answered[key], f"{path}.{key}")]
    if isinstance(documented, list) and isinstance(answered, list):
        return [found for each in answered for found in differences(documented[0], each, f"{path}[]")]
    if type(documented) is not type(answered):
        return [f"{path} is {answered!r} for {documented!r}"]
    for form in (MESSAGE_CODE, TRACKING_CODE, TIME):
        if isinstance(documented, str) and form.fullmatch(documented) and not form.fullmatch(answered):
            return [f"{path} is {answered!r}, which has not the form of {documented!r}"]
    return []
