"""The demo's processes: one command starts them, and its end, however it comes, is the end of all of them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.demo import Demo
from tests.processes import until


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_it_ends_as_a_whole_and_keeps_its_data(tmp_path: Path, ending: signal.Signals) -> None:
    demo = Demo(tmp_path)
    with demo.run() as process:
        demo.wait(process)
        phone = {"hwid": "phone-of-the-first-run", "device_type": 3, "push_token": "token"}
        assert demo.call("registerDevice", **phone)["status_code"] == 200
        os.kill(process.pid, ending)
        process.wait(30)
        until(demo.is_gone, 20, "the end of everything")
    told = demo.log.read_text()
    assert "rror" not in told, told
    if ending != signal.SIGKILL:
        assert process.returncode == 0, told

    if ending in (signal.SIGINT, signal.SIGKILL):
        with demo.run() as process:
            demo.wait(process)
            assert "phone-of-the-first-run" in demo.hwids()
            if ending == signal.SIGINT:
                # What a killed worker held waits for its lease to run out.
                until(lambda: len(demo.hwids()) > 200, 60, "what the first run left in the outbox")


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    with demo.run() as process:
        demo.wait(process)
        (tmp_path / "other").mkdir()
        other = Demo(tmp_path / "other")
        other.port = demo.port
        with other.run() as second:
            assert second.wait(30) != 0
        told = other.log.read_text()
        assert f"Port {demo.port} is in use" in told
        assert "Traceback" not in told
