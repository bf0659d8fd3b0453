"""Brokers of a test's own, which it may stop and start as it likes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.processes import until
from tests.servers import answers, free_port

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Not the wrapper in the path: as root that would run as somebody else, with the machine's own settings."""


class Broker:
    """A server process with a port and a folder; `url` is where Celery finds it."""

    def __init__(self, url: str, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.url = url
        self._command = command
        self._folder = folder
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(lambda: answers(self.url), 60, f"the start of {self._command[0]}")

    def stop(self) -> None:
        """Kill it, with its children."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.stop()


class _Rabbit(Broker):
    def close(self) -> None:
        self.stop()
        # The names' daemon is a child of nobody. It has a port of its own, and goes once it has seen the node go.
        if shutil.which("epmd"):
            until(self._is_nameless, 20, "the end of epmd")

    def _is_nameless(self) -> bool:
        subprocess.run(["epmd", "-kill"], env=self._environment, capture_output=True, check=False)
        return not answers(f"epmd://127.0.0.1:{self._environment['ERL_EPMD_PORT']}")


def redis_server(folder: Path) -> Broker | None:
    """A Redis that keeps nothing over a restart; `None` where it is not installed."""
    server = shutil.which("redis-server")
    if server is None:
        return None
    folder.mkdir()
    port = free_port()
    command = [server, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    return Broker(f"redis://127.0.0.1:{port}/0", command, folder, {})


def rabbitmq(folder: Path) -> Broker | None:
    """A RabbitMQ node that knows of no other; `None` where it is not installed."""
    if not RABBITMQ.exists():
        return None
    folder.mkdir()
    port, distribution, names = free_port(), free_port(), free_port()
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n")
    (folder / "plugins").write_text("[].\n")
    environment = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"ordeal-{port}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    return _Rabbit(f"amqp://guest:guest@127.0.0.1:{port}//", [str(RABBITMQ)], folder, environment)
