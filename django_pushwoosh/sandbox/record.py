"""The record of a run: a JSON line per call with its verdict and the fault that it met, for whoever checks the caller.

Unlike the state file it has every call, also those that were refused or lost on their way, and it is never read here.
No token is in it.
"""

from __future__ import annotations

import json
import logging
import os

from django_pushwoosh.sandbox.state import Request

_log = logging.getLogger(__name__)


class Record:
    """A file that each call is appended to, before its answer leaves. Raises `OSError` where it cannot be opened."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)

    def __call__(self, request: Request) -> None:
        document = {
            "at": request.at.isoformat(),
            "method": request.method,
            "application": request.application,
            "arguments": dict(request.arguments),
            "http_status": request.http_status,
            "status_code": request.status_code,
            "verdict": request.verdict,
            "fault": request.fault,
        }
        try:
            os.write(self._file, json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n")
        except OSError:
            _log.exception("The sandbox's record cannot be written")

    def close(self) -> None:
        os.close(self._file)
