"""The demo's processes: one command starts them, and its end, however it comes, is the end of all of them."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.processes import running, until
from tests.servers import answers, free_port


class Demo:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.sandbox_port = free_port(), free_port()
        self.site, self.sandbox = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.sandbox_port}"
        self.environment = {
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "DEMO_FOLDER": str(folder),
            "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
            "CELERY_BROKER_URL": "memory://",
            "PUSHWOOSH_API_ROOT": self.sandbox,
        }

    def run(self):
        return running(["manage.py", "demo", "--port", str(self.port)], self.folder / "demo.log", self.environment)

    def devices(self) -> set[str]:
        with urllib.request.urlopen(f"{self.sandbox}/phones.json?since=0&devices=-1") as answer:
            return {device["hwid"] for device in json.load(answer)["devices"] or ()}

    def register(self, hwid: str) -> None:
        call = {"application": "DEMO0-00001", "hwid": hwid, "device_type": 3, "push_token": "token"}
        request = urllib.request.Request(f"{self.site}/json/1.3/registerDevice", json.dumps({"request": call}).encode())
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["status_code"] == 200

    def is_gone(self) -> bool:
        return not answers(self.site) and not answers(self.sandbox)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_it_ends_as_a_whole_and_keeps_its_data(tmp_path: Path, ending: signal.Signals) -> None:
    demo = Demo(tmp_path)
    with demo.run() as process:
        until(lambda: process.poll() is not None or answers(demo.site), 60, "the start")
        demo.register("phone-of-the-first-run")
        os.kill(process.pid, ending)
        process.wait(30)
        until(demo.is_gone, 20, "the end of everything")
    told = (tmp_path / "demo.log").read_text()
    assert "rror" not in told, told
    if ending != signal.SIGKILL:
        assert process.returncode == 0, told

    if ending in (signal.SIGINT, signal.SIGKILL):
        with demo.run() as process:
            until(lambda: process.poll() is not None or answers(demo.site), 60, "the second start")
            assert "phone-of-the-first-run" in demo.devices()
            if ending == signal.SIGINT:
                # What a killed worker held waits for its lease to run out.
                until(lambda: len(demo.devices()) > 200, 60, "what the first run left in the outbox")


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    with demo.run() as process:
        until(lambda: process.poll() is not None or answers(demo.site), 60, "the start")
        other = Demo(tmp_path / "other")
        other.folder.mkdir()
        other.port = demo.port
        with other.run() as second:
            assert second.wait(30) != 0
        told = (other.folder / "demo.log").read_text()
        assert f"Port {demo.port} is in use" in told
        assert "Traceback" not in told
