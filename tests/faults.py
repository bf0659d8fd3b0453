"""A transport that loses, refuses and answers as a test scripts it, and passes the rest on to the sandbox."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from django_pushwoosh.client.transport import ConnectionLost, NotConnected
from django_pushwoosh.sandbox.transport import in_process

Answered = tuple[int, Mapping[str, str], bytes]


class Faults:
    """Each call takes the next fault, if there is one: "unreachable", "lose request", "lose answer", or an answer.

    Addresses that begin with `down` are unreachable throughout.
    """

    def __init__(self) -> None:
        self.waiting: deque[str | Answered] = deque()
        self.down = ""

    def next(self, *faults: str | Answered) -> None:
        self.waiting.extend(faults)

    def send(
        self, verb: str, url: str, headers: Mapping[str, str], body: bytes, timeout: tuple[float, float]
    ) -> Answered:
        if self.down and url.startswith(self.down):
            raise NotConnected("scripted")
        fault = self.waiting.popleft() if self.waiting else ""
        if fault == "unreachable":
            raise NotConnected("scripted")
        if fault == "lose request":
            raise ConnectionLost("scripted")
        if isinstance(fault, tuple):
            return fault
        answer = in_process.send(verb, url, headers, body, timeout)
        if fault == "lose answer":
            raise ConnectionLost("scripted")
        return answer


transport = Faults()
