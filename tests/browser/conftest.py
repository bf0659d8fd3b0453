"""The demo as a newcomer starts it, and a real browser in front of it."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.processes import running, until
from tests.servers import answers, free_port

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
MILLISECONDS = 10_000


@dataclass
class Demo:
    site: str
    sandbox: str
    folder: Path

    def phones(self) -> dict[str, Any]:
        """What the sandbox's phones hold."""
        with urllib.request.urlopen(f"{self.sandbox}/phones.json?since=0&devices=-1") as answer:
            return json.load(answer)

    def post(self, path: str, body: bytes, content_type: str = "text/plain") -> dict[str, Any]:
        request = urllib.request.Request(self.site + path, body, {"Content-Type": content_type})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    port, sandbox_port = free_port(), free_port()
    environment = {
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "DEMO_FOLDER": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "CELERY_BROKER_URL": "memory://",
        "PUSHWOOSH_API_ROOT": f"http://127.0.0.1:{sandbox_port}",
    }
    demo = Demo(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}", folder)
    with running(["manage.py", "demo", "--port", str(port)], folder / "demo.log", environment) as process:
        until(lambda: process.poll() is not None or answers(demo.site), 60, "the demo's start")
        assert process.poll() is None, (folder / "demo.log").read_text()
        until(lambda: len(demo.phones()["devices"] or ()) >= 200, 60, "the registration of the seeded devices")
        yield demo


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("no Chromium is here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(MILLISECONDS)
    page = context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))

    def listen(message: ConsoleMessage) -> None:
        # Django's admin has no icon of its own, and the browser asks for one.
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            said.append(message.text)

    page.on("console", listen)
    yield page
    context.close()
    assert said == []


@pytest.fixture
def admin(page: Page, demo: Demo) -> Page:
    """Logged in as the demo's admin."""
    page.goto(f"{demo.site}/admin/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", "admin")
    page.click("input[type=submit]")
    page.wait_for_selector("#user-tools")
    return page
