"""One push through a real broker: `python -m tests.broker_run BROKER_URL FOLDER`.

Run as a process of its own by `test_brokers`, for a broker is chosen when Celery's application is made.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from pathlib import Path

from tests.processes import running, until
from tests.servers import answers, free_port


def main(broker: str, folder: Path) -> None:
    port = free_port()
    environment = {
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "CELERY_BROKER_URL": broker,
        "PUSHWOOSH_API_ROOT": f"http://127.0.0.1:{port}",
    }
    os.environ.update(environment)
    import django

    django.setup()
    from django.core.management import call_command

    from django_pushwoosh import push
    from django_pushwoosh.models import Device
    from example_project.celery import app

    call_command("migrate", verbosity=0)
    # What an earlier run left behind must not wake this one's worker.
    queue = f"test-{port}"
    app.conf.task_default_queue = queue
    sandbox = [
        "-m", "django_pushwoosh.sandbox", "--port", str(port), "--application", "DEMO0-00001",
        "--api-token", "demo-api-token", "--device-token", "demo-device-token",
    ]  # fmt: skip
    worker = ["-m", "celery", "-A", "example_project", "worker", "--queues", queue, "--concurrency", "2", "-l", "INFO"]
    log = folder / "worker.log"
    with running(sandbox, folder / "sandbox.log", environment), running(worker, log, environment):
        until(lambda: answers(f"http://127.0.0.1:{port}"), 30, "the sandbox's start")
        until(lambda: b"ready." in log.read_bytes(), 60, "the worker's start")
        Device.objects.create(application="DEMO0-00001", hwid="phone", platform=3, push_token="token")
        started = time.monotonic()
        push.send("Hello", to=push.EVERYONE)
        # No sweep runs: only the wake-up at the commit can bring it there.
        until(lambda: _bodies(port) == ["Hello"], 10, "the arrival")
        print(f"{time.monotonic() - started:.2f} s")
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(queue)
    print("arrived")


def _bodies(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/phones.json?since=0") as answer:
        return [push["body"] for push in json.load(answer)["pushes"]]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
