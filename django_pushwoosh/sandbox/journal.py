"""The state file: one JSON line per call that changed something, replayed when the sandbox starts again.

A line is `{"at", "method", "application", "arguments"}`, without any token. It is written before the answer leaves, so
whatever was answered is there even after a kill. A last line that was cut off is dropped: its call was never answered.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from django_pushwoosh.protocol.errors import PushwooshError
from django_pushwoosh.sandbox.clock import in_utc

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows has no such lock.
    fcntl = None

HEADER = b'{"journal":"django-pushwoosh sandbox","version":1}\n'


class BadJournal(PushwooshError):
    """The state file cannot be used; the text says why. It was left as it was."""


@dataclass(frozen=True, slots=True)
class Line:
    """One call as it happened."""

    at: datetime
    method: str
    application: str
    arguments: Mapping[str, Any]

    def encode(self) -> bytes:
        document = {
            "at": self.at.isoformat(),
            "method": self.method,
            "application": self.application,
            "arguments": {name: value for name, value in self.arguments.items() if name != "auth"},
        }
        return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Line:
        """Raises `ValueError` for what is no line of a journal."""
        document = json.loads(line)
        if not isinstance(document, dict):
            raise ValueError("no object")
        at, method, application, arguments = (document.get(key) for key in ("at", "method", "application", "arguments"))
        if not isinstance(at, str) or not isinstance(method, str) or not isinstance(application, str):
            raise ValueError("no call")
        if not isinstance(arguments, dict):
            raise ValueError("no arguments")
        return cls(in_utc(datetime.fromisoformat(at)), method, application, arguments)


class Journal:
    """The file, open and locked for as long as the object is. Raises `BadJournal`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        except OSError as error:
            raise BadJournal(f"The state file {self.path} cannot be opened: {error.strerror}.") from error
        try:
            self._lock()
            self._lines = self._read()
        except BaseException:
            os.close(self._file)
            raise

    def replay(self) -> Iterator[Line]:
        """The calls of earlier runs, oldest first; once."""
        lines, self._lines = self._lines, []
        yield from lines

    def append(self, line: Line) -> None:
        """Write a call down. Raises `OSError`, and then the file is as it was before."""
        start = os.lseek(self._file, 0, os.SEEK_END)
        encoded = line.encode()
        try:
            self._write(encoded)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, start)
            raise

    def close(self) -> None:
        """Give the file free for another process."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BadJournal(
                f"The state file {self.path} is in use by another sandbox; stop that one first."
            ) from error

    def _read(self) -> list[Line]:
        with open(self._file, "rb", closefd=False) as file:
            content = file.read()
        if len(content) < len(HEADER) and HEADER.startswith(content):
            # New, or cut off while it was made.
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            self._write(HEADER)
            return []
        if not content.startswith(HEADER):
            raise BadJournal(f"{self.path} is not a state file of the sandbox. Name another file; it was not touched.")
        whole = content.rfind(b"\n") + 1
        lines: list[Line] = []
        for number, line in enumerate(content[len(HEADER) : whole].splitlines(), start=2):
            try:
                lines.append(Line.decode(line))
            except (ValueError, RecursionError) as error:
                raise BadJournal(
                    f"Line {number} of the state file {self.path} cannot be read. Mend it or remove the file; "
                    "it was not touched."
                ) from error
        if whole < len(content):
            os.ftruncate(self._file, whole)
        return lines

    def _write(self, content: bytes) -> None:
        while content:
            content = content[os.write(self._file, content) :]
