"""The in-process seam: the client's transport, answered by a sandbox in the same process instead of the network.

Settings name `django_pushwoosh.sandbox.transport.in_process` as `TRANSPORT`; a test or a demonstration installs the
sandbox that answers. Tokens, codes and bodies are judged exactly as over HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django_pushwoosh.protocol.errors import PushwooshError

if TYPE_CHECKING:
    from django_pushwoosh.sandbox.app import Sandbox

_installed: Sandbox | None = None


class NoSandbox(PushwooshError):
    """The in-process transport was asked to send, and nobody is there to answer."""


def install(sandbox: Sandbox | None) -> Sandbox | None:
    """Let `sandbox` answer from now on (`None`: nobody). Returns the one before, to be put back."""
    global _installed
    earlier, _installed = _installed, sandbox
    return earlier


def current() -> Sandbox:
    """The sandbox that answers. Raises `NoSandbox`."""
    if _installed is None:
        raise NoSandbox(
            "No sandbox is installed in this process. Call django_pushwoosh.sandbox.transport.install(Sandbox(…)) "
            "first, or take TRANSPORT out of the settings to speak HTTP."
        )
    return _installed


def send(
    verb: str, url: str, headers: Mapping[str, str], body: bytes, timeout: tuple[float, float] = (0.0, 0.0)
) -> tuple[int, Mapping[str, str], bytes]:
    """One attempt: status, headers and body of the answer. A call that a fault delays beyond `timeout` is lost.

    Raises `NotConnected` and `ConnectionLost` where a fault has it so.
    """
    parts = urlsplit(url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return current().handle(verb, path, headers, body, patience=timeout[1], root=f"{parts.scheme}://{parts.netloc}")


class InProcess:
    """The transport as an object with `send`, as the client wants it."""

    def send(
        self, verb: str, url: str, headers: Mapping[str, str], body: bytes, timeout: tuple[float, float]
    ) -> tuple[int, Mapping[str, str], bytes]:
        return send(verb, url, headers, body, timeout)


in_process = InProcess()
