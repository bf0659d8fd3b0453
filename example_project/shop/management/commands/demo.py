"""Everything in one command: sandbox, Celery worker and beat, and the web server, on loopback only."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import waitress
from celery import Celery
from celery.beat import EmbeddedService
from celery.worker import WorkController
from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.wsgi import get_wsgi_application

from django_pushwoosh.conf import settings as pushwoosh
from example_project.celery import app
from example_project.shop.seeds import seed

HOST = "127.0.0.1"
START_SECONDS = 30.0
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Command(BaseCommand):
    help = "Run the demo: admin, gateway and phones, with nothing else to install. Ctrl-C ends it."
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--record", default="", help="a file that the sandbox appends each call to")

    def handle(self, *args: Any, port: int, record: str, **options: Any) -> None:
        folder = settings.DEMO_FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in ENDINGS:
            # SIGINT too: a shell without job control starts its background commands with it ignored.
            signal.signal(number, _interrupt)
        application = pushwoosh.application()
        sandbox_port = urlsplit(application.api_root).port or 80
        for wanted in (port, sandbox_port):
            if _answers(wanted):
                raise CommandError(f"Port {wanted} is in use; choose others: make demo PORT=… SANDBOX_PORT=…")
        sandbox = subprocess.Popen(
            [
                sys.executable, "-m", "django_pushwoosh.sandbox",
                "--host", HOST, "--port", str(sandbox_port), "--state", str(folder / "sandbox.journal"),
                "--until-stdin-ends",
                "--application", application.code,
                "--api-token", application.api_token, "--device-token", application.device_token,
                *(["--record", record] if record else []),
            ],
            # It ends with this process, however that ends.
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # Ctrl-C reaches the whole process group; the sandbox shall end after those that speak to it.
            start_new_session=True,
        )  # fmt: skip
        worker: WorkController | None = None
        beat: Any = None
        try:
            call_command("migrate", verbosity=0)
            seed()
            _wait_for(sandbox_port, sandbox)
            worker, beat = _start_celery(app)
            server = waitress.create_server(StaticFilesHandler(get_wsgi_application()), host=HOST, port=port, threads=8)
            self.stdout.write(
                f"\n  Admin    http://{HOST}:{port}/admin/    (login admin / admin)"
                f"\n  Gateway  http://{HOST}:{port}/json/1.3/<method>"
                f"\n  Phones   http://{HOST}:{sandbox_port}/"
                f"\n  Shop     http://{HOST}:{port}/shop/     (a page with the web SDK)"
                "\n\n  Ctrl-C ends the demo.\n"
            )
            self.stdout.flush()
            server.run()
        except (KeyboardInterrupt, SystemExit):
            pass
        finally:
            for number in ENDINGS:
                signal.signal(number, signal.SIG_IGN)
            if beat is not None:
                beat.stop()
            if worker is not None:
                worker.stop(in_sighandler=True)
            sandbox.terminate()
            sandbox.wait(timeout=10)


def _start_celery(app: Celery) -> tuple[WorkController, Any]:
    """Worker and beat as threads of this process: a broker in memory reaches no other."""
    worker = WorkController(
        app=app, pool_cls="threads", concurrency=1, loglevel="WARNING", without_gossip=True, without_mingle=True,
        without_heartbeat=True,
    )  # fmt: skip
    threading.Thread(target=worker.start, name="celery-worker", daemon=True).start()
    beat = EmbeddedService(app, thread=True, scheduler_cls="celery.beat:Scheduler")
    beat.daemon = True
    beat.start()
    return worker, beat


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise CommandError("The sandbox did not start.")
        time.sleep(0.05)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
