"""The demo as a newcomer starts it: its processes, on ports and in a folder of their own."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.processes import running, until
from tests.servers import answers, free_port


class Demo:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "demo.log"
        self.port = free_port()
        self.sandbox = f"http://127.0.0.1:{free_port()}"

    @property
    def site(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        environment = {
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "DEMO_FOLDER": str(self.folder),
            "DATABASE_URL": f"sqlite:///{self.folder / 'db.sqlite3'}",
            "CELERY_BROKER_URL": "memory://",
            "PUSHWOOSH_API_ROOT": self.sandbox,
        }
        return running(["manage.py", "demo", "--port", str(self.port)], self.log, environment)

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Until it answers; it prints why if it does not."""
        until(lambda: process.poll() is not None or answers(self.site), 60, "the demo's start")
        assert process.poll() is None, self.log.read_text()

    def phones(self) -> dict[str, Any]:
        """What the sandbox's phones hold."""
        with urllib.request.urlopen(f"{self.sandbox}/phones.json?since=0&devices=-1") as answer:
            return json.load(answer)

    def hwids(self) -> set[str]:
        return {device["hwid"] for device in self.phones()["devices"] or ()}

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """A call to the gateway, as the web SDK sends it."""
        body = json.dumps({"request": {"application": "DEMO0-00001", **arguments}}).encode()
        request = urllib.request.Request(f"{self.site}/json/1.3/{method}", body, {"Content-Type": "text/plain"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def is_gone(self) -> bool:
        return not answers(self.site) and not answers(self.sandbox)
