"""The seam between a call and whatever carries it: the network, or a sandbox in the same process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class NotConnected(Exception):
    """No connection came about, so the far side has seen nothing."""


class ConnectionLost(Exception):
    """The request left, or may have left, and no whole answer came."""


class Transport(Protocol):
    """`send` returns status, headers and body, or raises `NotConnected` or `ConnectionLost`.

    `timeout` is in seconds: to connect, and to wait for a part of the answer.
    """

    def send(
        self, verb: str, url: str, headers: Mapping[str, str], body: bytes, timeout: tuple[float, float]
    ) -> tuple[int, Mapping[str, str], bytes]: ...
