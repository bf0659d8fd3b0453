"""The demo as a newcomer starts it, and a real browser in front of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.demo import Demo
from tests.processes import until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
MILLISECONDS = 20_000
expect.set_options(timeout=MILLISECONDS)


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    demo = Demo(tmp_path_factory.mktemp("demo"))
    with demo.run() as process:
        demo.wait(process)
        until(lambda: len(demo.hwids()) >= 200, 60, "the registration of the seeded devices")
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
