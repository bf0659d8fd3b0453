"""How a call reaches a handler, and how the handler answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.envelope import ARGUMENT_ERROR, OK, encode, reply
from django_pushwoosh.protocol.errors import Invalid
from django_pushwoosh.sandbox.state import State

NO_RESPONSE: Any = object()
"""Stands for an answer whose envelope has no `response` at all."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call whose token was found good. `application` may be empty where a method needs none.

    `root` is the sandbox's own address (scheme and host) as the caller knows it.
    """

    state: State
    method: str
    application: str
    account: str
    arguments: Mapping[str, Any]
    now: datetime
    root: str = ""

    def text(self, name: str) -> str:
        """A text argument, or an empty text where it is missing or something else."""
        value = self.arguments.get(name)
        return value if isinstance(value, str) else ""

    def soon(self, effect: Callable[[Asked], Reply]) -> Reply:
        """Carry a call out after the lag with which Pushwoosh does; it is answered before.

        Unverified against Pushwoosh: how long the lag is; their documents only say that 200 means taken, not done.
        """
        lag = self.state.options.lag_seconds
        if not lag:
            return effect(self)
        self.state.at(self.now + timedelta(seconds=lag), lambda at: effect(replace(self, now=at)))
        return CHANGED


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `is_change` says whether the state is another one now, so that the call belongs in the journal.

    A `document` is a bare answer (the audience methods); else the rest makes an envelope.
    """

    response: Any = None
    status_code: int = OK
    status_message: str = "OK"
    http_status: int = 200
    document: Any = None
    is_change: bool = False


CHANGED = Reply(is_change=True)


class Refused(Exception):
    """The call is answered with `status_code` 210 and this text, and nothing has changed."""

    def __init__(self, text: str, response: Any = None, *, status_code: int = ARGUMENT_ERROR) -> None:
        super().__init__(text)
        self.reply = Reply(response, status_code, text)


_TEXTS = {
    "hwid": "No hwid given",
    "notifications": "No notifications",
    "message": "Message not found",
    "device_type": "Invalid device type",
    "send_date": "Cannot parse date",
}


def refusal(error: Invalid) -> Refused:
    """The refusal for arguments that table two does not let through, in Pushwoosh's words where they are known."""
    problem = error.problems[0]
    name = problem.path.split("[", 1)[0].split(".", 1)[0]
    return Refused(_TEXTS.get(name, str(problem)))


def as_bare(refused: Reply) -> Reply:
    """A refusal in the words of the audience methods, which have no envelope.

    Unverified against Pushwoosh: the HTTP status of `{"message": "invalid request"}`, and how a bad token is answered.
    """
    status = _BARE_STATUSES.get(refused.status_message)
    if status is not None:
        return replace(refused, http_status=status, document={"message": refused.status_message.lower()})
    return replace(refused, http_status=400, document=INVALID)


def encoded(answer: Reply, method: str, *, is_bare: bool) -> bytes:
    """The body of an answer: bare, or in an envelope, whose `response` is left out where the documents do."""
    if is_bare:
        return encode(answer.document if answer.document is not None else {"message": answer.status_message.lower()})
    row = METHODS.get(method)
    leaves_out = row is not None and row.response_absent and answer.status_code == OK
    if answer.response is NO_RESPONSE or leaves_out:
        return reply(answer.status_code, answer.status_message)
    return reply(answer.status_code, answer.status_message, answer.response)


INVALID = {"message": "invalid request"}
FORBIDDEN = "Token restrictions forbid this operation"
_BARE_STATUSES = {"Account not found": 401, "Access denied or application not found": 401, FORBIDDEN: 403}
