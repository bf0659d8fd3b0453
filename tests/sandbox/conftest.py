"""A sandbox with two applications of one account, a clock that stands, and a hand that calls it as HTTP would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.methods import Body, Token
from django_pushwoosh.sandbox import Application, Sandbox, SetClock

APP = "AAAAA-00001"
OTHER = "BBBBB-00002"
GROUP = "GGGGG-00009"
API, DEVICE, OTHER_DEVICE = "kX7-server", "pQ2-phones", "rZ9-phones"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Answer:
    http: int
    headers: dict[str, str]
    json: Any

    @property
    def code(self) -> int:
        return self.json["status_code"]

    @property
    def text(self) -> str:
        return self.json["status_message"]

    @property
    def response(self) -> Any:
        return self.json["response"]


class Hand:
    """Calls methods with the right tokens, unless told otherwise."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def raw(self, verb: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        given = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        status, answered, content = self.sandbox.handle(verb, path, given, body)
        return Answer(status, answered, json.loads(content) if content else None)

    def __call__(
        self, name: str, /, *, app: str | None = APP, authorization: str | None = None, **given: Any
    ) -> Answer:
        row = METHODS.get(name)
        arguments = dict(given)
        if app is not None:
            arguments["application"] = app
        headers = {}
        if row is not None and row.token is Token.API:
            arguments.setdefault("auth", API)
        else:
            headers["Authorization"] = authorization or f"Token {OTHER_DEVICE if app == OTHER else DEVICE}"
        flat = row is not None and row.body is Body.FLAT
        body = json.dumps(arguments if flat else {"request": arguments}).encode()
        return self.raw("POST", row.path if row else f"/json/1.3/{name}", body, **headers)

    def message(self, app: str | None = APP, group: str | None = None, **parameters: Any) -> Answer:
        notification = {"send_date": "now", "content": "Hello"} | parameters
        if group:
            return self("createMessage", app=None, applications_group=group, notifications=[notification])
        return self("createMessage", app=app, notifications=[notification])

    def device(self, hwid: str, app: str = APP, **given: Any) -> None:
        answer = self(
            "registerDevice", app=app, **{"hwid": hwid, "device_type": 3, "push_token": f"token-{hwid}"} | given
        )
        assert answer.code == 200, answer

    def got(self) -> list[tuple[str, str]]:
        """(hwid, body) of everything that arrived."""
        self.sandbox.advance()
        return [(push.device.hwid, push.body) for push in self.sandbox.pushes]

    def reached(self) -> set[str]:
        return {hwid for hwid, _ in self.got()}


def applications() -> list[Application]:
    return [Application(APP, API, DEVICE, groups=(GROUP,)), Application(OTHER, API, OTHER_DEVICE, groups=(GROUP,))]


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOON)


@pytest.fixture
def sandbox(clock: SetClock) -> Sandbox:
    return Sandbox(applications(), clock, filters={"Adults": 'T("Age", GTE, 18)'}, in_apps={"Finished": "61BC9-84DD0"})


@pytest.fixture
def call(sandbox: Sandbox) -> Hand:
    return Hand(sandbox)
