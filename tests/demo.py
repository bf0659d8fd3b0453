"""The demo as a newcomer starts it: its processes, on ports and in a folder of their own."""

from __future__ import annotations

import contextlib
import json
import sqlite3
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
        self.record = folder / "sandbox.record"
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
        command = ["manage.py", "demo", "--port", str(self.port), "--record", str(self.record)]
        return running(command, self.log, environment)

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

    def phone(self, hwid: str) -> dict[str, Any]:
        """What the sandbox holds of a device."""
        [device] = [each for each in self.phones()["devices"] if each["hwid"] == hwid]
        return device

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """A call to the gateway, as the web SDK sends it."""
        body = json.dumps({"request": {"application": "DEMO0-00001", **arguments}}).encode()
        request = urllib.request.Request(f"{self.site}/json/1.3/{method}", body, {"Content-Type": "text/plain"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def heard(self, method: str, hwid: str) -> list[dict[str, Any]]:
        """The arguments of the calls of a method that Pushwoosh took, so its stand-in, from a device, oldest first."""
        lines = map(json.loads, self.record.read_text().splitlines())
        taken = (line["arguments"] for line in lines if line["method"] == method and line["status_code"] == 200)
        return [arguments for arguments in taken if arguments.get("hwid", "") == hwid]

    def mirrored(self, hwid: str) -> dict[str, Any]:
        """The row of the mirror, as the database has it; empty where there is none."""
        with contextlib.closing(sqlite3.connect(self.folder / "db.sqlite3", timeout=20)) as database:
            database.row_factory = sqlite3.Row
            row = database.execute("SELECT * FROM django_pushwoosh_device WHERE hwid = ?", [hwid]).fetchone()
        return {name: row[name] for name in row.keys()} if row else {}  # noqa: SIM118

    def speaks_for(self, hwid: str) -> str:
        """The user whom the mirror takes a device to be of at present."""
        query = """
            SELECT link.user_id FROM django_pushwoosh_userlink link
            JOIN django_pushwoosh_device device ON device.id = link.device_id
            WHERE device.hwid = ? AND link.is_open
        """
        with contextlib.closing(sqlite3.connect(self.folder / "db.sqlite3", timeout=20)) as database:
            found = database.execute(query, [hwid]).fetchone()
        return found[0] if found else ""

    def send(self, **parameters: Any) -> None:
        """A message, straight to Pushwoosh's stand-in."""
        notification = {"send_date": "now", **parameters}
        request = {"application": "DEMO0-00001", "auth": "demo-api-token", "notifications": [notification]}
        body = json.dumps({"request": request}).encode()
        address = f"{self.sandbox}/json/1.3/createMessage"
        with urllib.request.urlopen(urllib.request.Request(address, body, {"Content-Type": "text/plain"})) as answer:
            assert json.load(answer)["status_code"] == 200

    def is_gone(self) -> bool:
        return not answers(self.site) and not answers(self.sandbox)
