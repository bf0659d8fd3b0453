"""What goes over the wire to Pushwoosh: kept, then passed on to the scripted faults and the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.faults import transport as faults


@dataclass(frozen=True)
class Sent:
    method: str
    headers: Mapping[str, str]
    body: bytes
    url: str
    timeout: tuple[float, float]

    @property
    def authorization(self) -> str | None:
        return self.headers.get("Authorization")


class Wire:
    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.watch: Callable[[], None] = lambda: None

    def send(
        self, verb: str, url: str, headers: Mapping[str, str], body: bytes, timeout: tuple[float, float]
    ) -> tuple[int, Mapping[str, str], bytes]:
        self.sent.append(Sent(url.rpartition("/")[2], dict(headers), body, url, timeout))
        self.watch()
        return faults.send(verb, url, headers, body, timeout)


transport = Wire()
