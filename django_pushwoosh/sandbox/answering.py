"""How a call reaches a handler, and how the handler answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django_pushwoosh.protocol.envelope import ARGUMENT_ERROR, OK
from django_pushwoosh.protocol.errors import Invalid
from django_pushwoosh.sandbox.state import State

NO_RESPONSE: Any = object()
"""Stands for an answer whose envelope has no `response` at all."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call whose token was found good. `application` may be empty where a method needs none."""

    state: State
    method: str
    application: str
    account: str
    arguments: Mapping[str, Any]
    now: datetime

    def text(self, name: str) -> str:
        """A text argument, or an empty text where it is missing or something else."""
        value = self.arguments.get(name)
        return value if isinstance(value, str) else ""


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
