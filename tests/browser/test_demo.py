"""The whole path: composed in the admin, seen on the phones; said by an SDK, seen in the admin."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.demo import Demo


@pytest.fixture
def shop() -> Iterator[str]:
    """A page of a shop, on an origin of its own."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>A shop</title>")

        def log_message(self, *_args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()
        thread.join()


def compose(page: Page, demo: Demo, text: str) -> None:
    page.goto(f"{demo.site}/admin/django_pushwoosh/scheduledmessage/add/")
    page.locator("textarea[name=content]").first.fill(text)


def open_section(page: Page, title: str) -> None:
    page.locator("summary", has_text=title).first.click()


def pushes(demo: Demo, text: str) -> list[dict[str, Any]]:
    return [push for push in demo.phones()["pushes"] if push["body"] == text]


def test_a_push_composed_in_the_admin_reaches_exactly_the_phones_that_match(admin: Page, demo: Demo) -> None:
    phones = demo.phones()["devices"]
    matching = {phone["id"] for phone in phones if phone["subscribed"] and phone["tags"].get("City") == "Oslo"}
    assert 5 < len(matching) < len(phones) / 2
    seen = admin.context.new_page()
    seen.goto(demo.sandbox)
    seen.click("#with-pushes")

    compose(admin, demo, "Fresh bread in Oslo")
    admin.check("input[name=audience][value=conditions]")
    admin.locator("[name=conditions-tag]").first.fill("City")
    admin.locator("[name=conditions-operator]").first.select_option("EQ")
    admin.locator("[name=conditions-value]").first.fill("Oslo")
    open_section(admin, "iOS")
    admin.fill("[name=ios_badges]", "7")
    open_section(admin, "Android")
    admin.fill("[name=android_priority]", "2")
    open_section(admin, "Chrome")
    admin.fill("[name=chrome_button_text1]", "Order")
    admin.fill("[name=chrome_button_url1]", "https://shop.example/bread")
    started = time.monotonic()
    admin.click("[name=_send]")
    expect(admin.locator("#message-state[data-status=sent]")).to_be_visible()
    shown = seen.locator("li.push", has_text="Fresh bread in Oslo")
    expect(shown.first).to_be_visible()
    took = time.monotonic() - started

    received = pushes(demo, "Fresh bread in Oslo")
    assert {push["device"] for push in received} == matching
    assert len(received) == len(matching)
    platform = {phone["id"]: phone["platform"] for phone in phones}
    by_platform = {platform[push["device"]]: push["payload"] for push in received}
    assert by_platform[1]["badge"] == 7
    assert by_platform[3]["parameters"]["android_priority"] == 2
    assert by_platform[11]["buttons"] == [{"text": "Order", "url": "https://shop.example/bread"}]

    ios = seen.locator('[data-platform="1"] li.push', has_text="Fresh bread").first
    expect(ios.locator(".push-badge")).to_contain_text("7")
    chrome = seen.locator('[data-platform="11"] li.push', has_text="Fresh bread").first
    expect(chrome.locator(".push-button")).to_have_text("Order")
    android = seen.locator('[data-platform="3"] li.push', has_text="Fresh bread").first
    expect(android.locator(".push-priority")).to_contain_text("2")
    # Two seconds are promised; a busy machine may take longer, and a stuck one is told apart.
    assert took < 20
    seen.close()


def test_a_push_to_everyone_asks_first_and_names_the_number(admin: Page, demo: Demo) -> None:
    compose(admin, demo, "Good morning, all")
    admin.check("input[name=audience][value=everyone]")
    admin.click("[name=_send]")
    expect(admin.locator("[name=_confirm]")).to_be_visible()
    assert pushes(demo, "Good morning, all") == []
    subscribed = [phone for phone in demo.phones()["devices"] if phone["subscribed"]]
    expect(admin.locator("#content")).to_contain_text(str(len(subscribed)))

    admin.click("[name=_confirm]")
    expect(admin.locator("#message-state[data-status=sent]")).to_be_visible()
    # Windows shows `wns_content` alone.
    reached = {phone["id"] for phone in subscribed if phone["platform"] != 8}
    assert {push["device"] for push in pushes(demo, "Good morning, all")} == reached


def test_a_double_click_and_ten_forms_at_once_send_once(admin: Page, demo: Demo) -> None:
    compose(admin, demo, "Only once")
    admin.check("input[name=audience][value=users]")
    admin.fill("[name=users]", "ada")
    admin.evaluate(
        """async () => {
            const form = document.querySelector("#scheduledmessage_form");
            const body = new URLSearchParams(new FormData(form));
            body.append("_send", "1");
            const send = () => fetch(location, {method: "POST", body});
            await Promise.all(Array.from({length: 10}, send));
        }"""
    )
    admin.dblclick("[name=_send]")
    expect(admin.locator("#message-state[data-status=sent]")).to_be_visible()

    received = [push["device"] for push in pushes(demo, "Only once")]
    assert received
    assert len(received) == len(set(received))


def test_mistakes_are_told_on_the_page_and_nothing_typed_is_lost(admin: Page, demo: Demo) -> None:
    compose(admin, demo, "Wrong")
    admin.check("input[name=audience][value=filter_expression]")
    admin.fill("[name=devices_filter]", 'T("Age", BETWEEN, [1,5)')
    admin.click("[name=_send]")

    expect(admin.locator(".errorlist pre")).to_contain_text("^")
    expect(admin.locator("[name=devices_filter]")).to_have_value('T("Age", BETWEEN, [1,5)')
    expect(admin.locator("textarea[name=content]").first).to_have_value("Wrong")


def test_a_call_as_an_sdk_sends_it_is_a_device_in_the_admin_and_in_the_sandbox(admin: Page, demo: Demo) -> None:
    hwid = "5b0c2f0e-6d1f-4a4e-9a53-2f0f6a9d5a10"
    answer = demo.call(
        "registerDevice", hwid=hwid, v="6.10.0", device_type=3, userId="user-42", language="en", timezone=7200,
        device_model="Google Pixel 8", push_token="fEx4mple:APA91bExampleToken", tags={"Age": 25},
    )  # fmt: skip

    assert answer == {"status_code": 200, "status_message": "OK", "response": None}
    [phone] = [each for each in demo.phones()["devices"] if each["hwid"] == hwid]
    assert (phone["user_id"], phone["tags"]["Age"], phone["model"]) == ("user-42", 25, "Google Pixel 8")
    admin.goto(f"{demo.site}/admin/django_pushwoosh/device/?q={hwid}")
    row = admin.locator("#result_list tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Android")


def test_pages_on_localhost_may_call_the_gateway(page: Page, demo: Demo, shop: str) -> None:
    """The web SDK's ways: text/plain without a preflight, and with the token and credentials after one."""
    page.goto(shop)
    call = """async ([site, headers, credentials]) => {
        const body = JSON.stringify({request: {application: "DEMO0-00001", hwid: "web-phone", device_type: 11,
            push_token: "https://fcm.googleapis.com/fcm/send/x", tags: {City: "Rome"}}});
        const answer = await fetch(site + "/json/1.3/registerDevice", {method: "POST", body, credentials,
            headers: {"Content-Type": "text/plain;charset=UTF-8", ...headers}});
        return await answer.json();
    }"""
    plain = page.evaluate(call, [demo.site, {}, "same-origin"])
    with_token = page.evaluate(call, [demo.site, {"Authorization": "Token demo-device-token"}, "include"])

    assert plain["status_code"] == with_token["status_code"] == 200
    assert [each["tags"]["City"] for each in demo.phones()["devices"] if each["hwid"] == "web-phone"] == ["Rome"]


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_the_composer_fits_the_window(admin: Page, demo: Demo, width: int) -> None:
    admin.set_viewport_size({"width": width, "height": 900})
    compose(admin, demo, "Fits")
    admin.check("input[name=audience][value=conditions]")
    admin.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")

    beyond = admin.evaluate(
        """() => Array.from(document.querySelectorAll("#scheduledmessage_form :is(input, select, textarea, button)"))
            .filter((each) => each.offsetParent && each.getBoundingClientRect().right > innerWidth)
            .map((each) => each.name || each.textContent)"""
    )
    assert beyond == []
    assert admin.evaluate("document.documentElement.scrollWidth") <= width
