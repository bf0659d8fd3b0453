"""Pushwoosh's real web SDK, in a browser, on a page of another origin than the gateway.

What is out of reach without the network is the push service of the browser's maker: nobody is asked for permission, and
the push token is registered by hand.
"""

from __future__ import annotations

import http.server
import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from example_project import web_sdk
from tests.demo import Demo
from tests.processes import until

APPLICATION = "DEMO0-00001"
PAGE = b'<!doctype html><title>A shop</title><script src="/sdk.js"></script>'

START = """async ({site, token, user}) => {
    window.pw = new Pushwoosh();
    // The last thing that it does at its start. What it cannot do it tells the console.
    const updated = new Promise((resolve, reject) => {
        pw.addEventHandler("update-inbox-messages", resolve);
        console.error = (...words) => reject(new Error(words.join(" ")));
        setTimeout(() => reject(new Error("the SDK did not start")), 30000);
    });
    pw.push(["init", {
        applicationCode: "DEMO0-00001", pushwooshUrl: site + "/json/1.3/", userId: user, autoSubscribe: false,
        tags: {City: "Rome"}, ...(token ? {apiToken: token} : {}),
    }]);
    await updated;
    return await pw.getHWID();
}"""


@pytest.fixture(scope="module")
def files() -> dict[str, tuple[str, bytes]]:
    """What the shop's site has: a page, and the two files of the SDK."""
    try:
        folder = web_sdk.install()
    except web_sdk.NotFetched as error:
        pytest.skip(str(error))
    script = "text/javascript"
    return {
        "/": ("text/html", PAGE),
        "/sdk.js": (script, (folder / web_sdk.SDK).read_bytes()),
        "/pushwoosh-service-worker.js": (script, (folder / web_sdk.SERVICE_WORKER).read_bytes()),
    }


@pytest.fixture(scope="module")
def shop(files: dict[str, tuple[str, bytes]]) -> Iterator[str]:
    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, content = files.get(self.path.partition("?")[0], ("text/plain", b""))
            self.send_response(200 if content else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


class Visitor:
    """Someone who opens the shop for the first time, and what the browser asks for on the way."""

    def __init__(self, context: BrowserContext, shop: str, site: str) -> None:
        self.shop = shop
        self.site = site
        self.page = context.new_page()
        self.page.goto(f"{shop}/")
        self.preflights: list[str] = []
        self.asked: list[Request] = []
        network = context.new_cdp_session(self.page)
        network.on("Network.requestWillBeSent", self._note)
        network.send("Network.enable")
        self.page.on("request", lambda request: self.asked.append(request))

    def _note(self, event: dict[str, Any]) -> None:
        if event["request"]["method"] == "OPTIONS":
            self.preflights.append(event["request"]["url"].rpartition("/")[2])

    def start(self, **given: str) -> str:
        """Start the SDK; the device's hwid."""
        hwid: str = self.page.evaluate(START, {"site": self.site, "token": "", **given})
        return hwid

    def posts(self) -> list[Request]:
        """What the SDK said, wherever it said it."""
        return [request for request in self.asked if request.method == "POST"]

    def say(self, script: str, *given: Any) -> Any:
        """Something said by the SDK, with what the caller hears."""
        return self.page.evaluate(f"async (given) => {{ {script} }}", list(given))


@pytest.fixture
def visitor(browser: Browser, shop: str, demo: Demo) -> Iterator[Visitor]:
    with browser.new_context() as context:
        yield Visitor(context, shop, demo.site)


both_ways = pytest.mark.parametrize("token", ["", "demo-device-token"], ids=["without a token", "with a token"])


@both_ways
def test_it_starts_and_all_that_it_says_arrives(visitor: Visitor, demo: Demo, token: str) -> None:
    # The gateway refuses bodies that carry one of its tokens.
    name = "careful" if token else "simple"
    user = f"{name} visitor"
    hwid = visitor.start(token=token, user=user)

    # It has asked for its configuration, told its tags and its user, and found out that it cannot be pushed to.
    for method in ("getConfig", "applicationOpen", "registerUser", "setTags", "checkDevice", "getInboxMessages"):
        until(lambda method=method: demo.heard(method, hwid), 20, f"{method} to arrive")
    assert demo.heard("getConfig", hwid)[0]["features"]
    assert demo.heard("applicationOpen", hwid)[0]["v"] == web_sdk.VERSION
    assert demo.heard("registerUser", hwid)[0]["userId"] == user
    assert demo.heard("setTags", hwid)[0]["tags"] == {"City": "Rome"}
    row = demo.mirrored(hwid)
    assert (row["application"], row["platform"], row["sdk_version"]) == (APPLICATION, 11, web_sdk.VERSION)
    assert (row["language"], row["push_token"]) == ("en-US", "")
    assert json.loads(row["tags"]) == {"City": "Rome"}
    assert demo.speaks_for(hwid) == user

    # Tags, an event and another user.
    visitor.say("await pw.api.setTags({Age: 31, Interests: ['a', 'b'], City: null});")
    until(lambda: len(demo.heard("setTags", hwid)) == 2, 20, "setTags to arrive")
    told = visitor.say("return await pw.api.getTags();")["result"]
    assert (told["Age"], told["Interests"], "City" in told) == (31, ["a", "b"], False)
    assert json.loads(demo.mirrored(hwid)["tags"]) == {"Age": 31, "Interests": ["a", "b"]}
    visitor.say("await pw.api.postEvent('Bought', {price: 9.99, vip: true});")
    until(lambda: demo.heard("postEvent", hwid)[-1]["event"] == "Bought", 20, "postEvent to arrive")
    assert demo.heard("postEvent", hwid)[-1]["attributes"] == {"price": 9.99, "vip": True}
    visitor.say("await pw.api.registerUser(given[0]);", f"next {user}")
    until(lambda: demo.heard("registerUser", hwid)[-1]["userId"] == f"next {user}", 20, "registerUser to arrive")
    assert demo.speaks_for(hwid) == f"next {user}"

    # An address is a device of its own; the call names no other.
    address = f"{name}@shop.example"
    visitor.say("await pw.api.registerEmail(given[0]);", address)
    until(lambda: address in [each["email"] for each in demo.heard("registerEmail", "")], 20, "registerEmail to arrive")
    assert (demo.phone(address)["platform"], demo.phone(address)["user_id"]) == (14, f"next {user}")
    assert (demo.mirrored(address)["platform"], demo.speaks_for(address)) == (14, f"next {user}")
    assert demo.mirrored(hwid)["platform"] == 11

    # Nothing goes past the gateway, though Pushwoosh wants page visits at an address of its own.
    until(lambda: demo.heard("pageVisit", hwid), 20, "pageVisit to arrive")
    assert [each["title"] for each in demo.heard("pageVisit", hwid)] == ["A shop"]
    assert f"{demo.site}/json/1.3/pageVisit" in {request.url for request in visitor.posts()}
    assert [request.url for request in visitor.posts() if not request.url.startswith(demo.site)] == []

    headers = [request.headers for request in visitor.posts()]
    assert {each["content-type"] for each in headers} == {"text/plain;charset=UTF-8"}
    assert {each.get("authorization", "") for each in headers} == {f"Token {token}" if token else ""}


@both_ways
def test_its_inbox_is_read_and_what_becomes_of_it_is_told(visitor: Visitor, demo: Demo, token: str) -> None:
    hwid = visitor.start(token=token, user="reader")
    until(lambda: demo.heard("unregisterDevice", hwid), 20, "the SDK to say that it has no permission")
    # What the browser would get from its push service.
    demo.call("registerDevice", hwid=hwid, device_type=11, push_token=f"https://push.example/{hwid}")
    until(lambda: demo.phone(hwid)["subscribed"], 20, "the registration to arrive")
    demo.send(content="Fresh bread", title="Bakery", devices=[hwid], inbox_days=3, link="https://shop.example/bread")

    visitor.say("await pw.pwinbox.syncMessages();")
    [letter] = visitor.say("return await pw.pwinbox.loadMessages();")
    assert (letter["title"], letter["message"]) == ("Bakery", "Fresh bread")
    assert letter["link"] == "https://shop.example/bread"
    assert visitor.say("return await pw.pwinbox.unreadMessagesCount();") == 1
    visitor.say("await pw.pwinbox.readMessagesWithCodes([given[0]]);", letter["code"])
    until(lambda: demo.heard("inboxStatus", hwid), 20, "inboxStatus to arrive")
    [told] = demo.heard("inboxStatus", hwid)
    [known] = demo.call("getInboxMessages", hwid=hwid, device_type=11)["response"]["messages"]
    # 18 digits, more than a number of JavaScript's holds: as they came, and to the last.
    assert (told["inbox_code"], told["status"]) == (known["order"], 2)
    assert len(known["order"]) == 18
    assert known["status"] == 2

    visitor.say("await pw.pwinbox.deleteMessagesWithCodes([given[0]]);", letter["code"])
    until(lambda: len(demo.heard("inboxStatus", hwid)) == 2, 20, "the deletion to arrive")
    answer = demo.call("getInboxMessages", hwid=hwid, device_type=11)["response"]
    assert (answer["messages"], answer["deleted"]) == ([], [letter["code"]])
    assert visitor.say("await pw.pwinbox.syncMessages(); return await pw.pwinbox.loadMessages();") == []


def test_without_a_token_the_browser_asks_no_permission_first(visitor: Visitor) -> None:
    visitor.start(user="simple")
    assert visitor.preflights == []


def test_with_a_token_it_asks_once_for_each_method_and_remembers(visitor: Visitor) -> None:
    visitor.start(token="demo-device-token", user="careful")
    visitor.say("for (const City of ['Oslo', 'Paris', 'Rome']) await pw.api.setTags({City});")
    assert {"getConfig", "setTags", "registerUser"} <= set(visitor.preflights)
    # That is what Access-Control-Max-Age is for.
    assert len(visitor.preflights) == len(set(visitor.preflights))


def test_a_wrong_token_is_an_error_that_the_sdk_can_read(visitor: Visitor, demo: Demo) -> None:
    hwid = visitor.start(user="mistaken")
    visitor.say("await pw.data.setApiToken('wrong');")
    told = visitor.say("try { await pw.api.setTags({City: 'Oslo'}); } catch (error) { return error.message; }")
    assert "status: 401" in told
    assert "status_code: 401" in told
    assert all(each["tags"] != {"City": "Oslo"} for each in demo.heard("setTags", hwid))


def test_the_demos_shop_speaks_by_it(page: Page, demo: Demo, files: dict[str, tuple[str, bytes]]) -> None:
    page.goto(f"{demo.site}/shop/")
    said = page.locator("#said")
    expect(said).to_contain_text("ready: this browser is DEMO0-00001_")
    hwid = said.inner_text().split("ready: this browser is ")[1].split()[0]
    for button in ("I live in Oslo", "I am Ada", "I buy bread"):
        page.get_by_role("button", name=button).click()
        expect(said).to_contain_text(f"{button} → OK")
    until(lambda: hwid in demo.hwids(), 20, "the first call to arrive")
    until(lambda: demo.phone(hwid)["tags"].get("City") == "Oslo", 20, "the tag to arrive")
    until(lambda: demo.phone(hwid)["user_id"] == "ada", 20, "the user to arrive")
    until(lambda: demo.heard("postEvent", hwid)[-1]["event"] == "Bought", 20, "the event to arrive")
    assert demo.speaks_for(hwid) == "ada"

    demo.call("registerDevice", hwid=hwid, device_type=11, push_token=f"https://push.example/{hwid}")
    until(lambda: demo.phone(hwid)["subscribed"], 20, "the registration to arrive")
    demo.send(content="Fresh bread", title="Bakery", devices=[hwid], inbox_days=3)
    page.reload()
    expect(page.locator("#inbox")).to_contain_text("Bakery: Fresh bread")


@pytest.mark.parametrize("credentials", ["omit", "include"])
@pytest.mark.parametrize(
    ("method", "hwid", "token", "times", "status"),
    [
        ("setTags", "refused", "wrong", 1, 401),
        ("createMessage", "refused", "demo-device-token", 1, 403),
        ("makeCoffee", "refused", "demo-device-token", 1, 404),
        ("makeCoffee", "noisy", "demo-device-token", 300, 429),
    ],
)
def test_every_refusal_can_be_read_across_origins(
    visitor: Visitor, credentials: str, method: str, hwid: str, token: str, times: int, status: int
) -> None:
    """Without its CORS headers an answer is "Failed to fetch" to a page, whatever it says."""
    told = visitor.say(
        """
        const [address, application, hwid, token, credentials, times] = given;
        const body = JSON.stringify({request: {application, hwid, device_type: 11, tags: {City: "Rome"}}});
        const headers = {"Content-Type": "text/plain;charset=UTF-8", Authorization: `Token ${token}`};
        const one = async () => {
            const answer = await fetch(address, {method: "POST", body, credentials, headers});
            return [answer.status, (await answer.json()).status_code];
        };
        const all = [];
        for (let left = times; left > 0; left -= 10) {
            all.push(...await Promise.all(Array.from({length: Math.min(left, 10)}, one)));
        }
        return all;
        """,
        f"{visitor.site}/json/1.3/{method}", APPLICATION, f"{hwid} {credentials}", token, credentials, times,
    )  # fmt: skip
    assert [status, status] in told
    assert all(http_status == status_code for http_status, status_code in told)


def preflight(demo: Demo, method: str, origin: str) -> tuple[int, dict[str, str]]:
    """What a browser asks before a call with a token: without a token itself, and without a body."""
    asked = urllib.request.Request(
        f"{demo.site}/json/1.3/{method}",
        method="OPTIONS",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    with urllib.request.urlopen(asked) as answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}


@pytest.mark.parametrize("method", ["registerDevice", "makeCoffee"])
def test_a_preflight_is_answered_without_a_token(demo: Demo, method: str) -> None:
    status, headers = preflight(demo, method, "http://localhost:4321")
    assert status == 200
    assert headers["access-control-allow-origin"] == "http://localhost:4321"
    assert headers["access-control-allow-credentials"] == "true"
    assert "authorization" in headers["access-control-allow-headers"].split(", ")
    assert headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert headers["access-control-max-age"] == "86400"
    assert "origin" in headers["vary"].lower()


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "http://localhost.elsewhere.example", "null"])
def test_other_sites_are_not_let_in(demo: Demo, origin: str) -> None:
    _, headers = preflight(demo, "registerDevice", origin)
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PATH": ""}, "npm is not here"),
        ({"npm_config_registry": "http://127.0.0.1:9/", "npm_config_fetch_retries": "0"}, "npm could not fetch"),
    ],
)
def test_where_it_cannot_be_fetched_that_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    monkeypatch.setattr(web_sdk, "FOLDER", tmp_path / "sdk")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(web_sdk.NotFetched, match=said):
        web_sdk.install()
    assert not list(tmp_path.glob("sdk/*"))
    assert web_sdk.installed() is None
