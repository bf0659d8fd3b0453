"""The sandbox's control page in a browser: what is switched there is what calls meet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import waitress
from playwright.sync_api import Browser, Page, expect

from django_pushwoosh.protocol.tags import TagType
from django_pushwoosh.sandbox import Sandbox
from tests.sandbox.conftest import APP, Hand, applications


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(applications())


@pytest.fixture
def address(sandbox: Sandbox) -> Iterator[str]:
    server = waitress.create_server(sandbox.wsgi, host="127.0.0.1", port=0, threads=4)
    threading.Thread(target=server.run, daemon=True).start()
    yield f"http://127.0.0.1:{server.effective_port}"
    server.task_dispatcher.shutdown()


@pytest.fixture
def loud_page(browser: Browser) -> Iterator[Page]:
    """A page that may complain in its console: the browser does so of every refusal."""
    with browser.new_context() as context:
        yield context.new_page()


@pytest.fixture
def control(page: Page, address: str) -> Page:
    page.goto(f"{address}/")
    page.get_by_role("link", name="Control").click()
    expect(page.locator(".live")).to_have_text("live")
    return page


def test_a_fault_is_switched_on_and_its_hits_are_counted(control: Page, sandbox: Sandbox) -> None:
    control.get_by_label("What goes wrong").select_option("server_error")
    control.get_by_label("In calls of").select_option("setTags")
    control.get_by_label("How many").fill("2")
    control.get_by_role("button", name="Switch on").click()
    row = control.locator("#faults .row")
    expect(row).to_contain_text("the next 2 calls")
    call = Hand(sandbox)
    assert call("setTags", hwid="one", tags={"a": 1}).http == 500
    assert call("registerDevice", hwid="one", device_type=3).http == 200
    expect(row).to_contain_text("hit 1 call")
    first = control.locator("#requests tr").first
    expect(first).to_contain_text("registerDevice")
    control.get_by_text("Only what went wrong").click()
    expect(control.locator("#requests tr")).to_have_count(1)
    expect(control.locator("#requests tr")).to_contain_text("HTTP 500")
    control.get_by_role("button", name="Remove HTTP 500").click()
    expect(control.get_by_text("Nothing goes wrong at present.")).to_be_visible()
    assert sandbox.faults.rules == ()


def test_calls_are_slowed_down_and_met_by_chance(control: Page, sandbox: Sandbox) -> None:
    control.get_by_label("By seconds", exact=True).fill("0.5")
    control.get_by_role("button", name="Slow down").click()
    expect(control.locator("#faults")).to_contain_text("0.5 s slower")
    control.get_by_label("How often").select_option("chance")
    control.get_by_label("Percent").fill("25")
    control.get_by_role("button", name="Switch on").click()
    expect(control.locator("#faults .row")).to_have_count(2)
    assert sandbox.faults.rules[1].probability == 0.25
    control.get_by_role("button", name="Remove all").click()
    expect(control.locator("#faults .row")).to_have_count(0)


def test_the_clock_moves_and_what_is_due_arrives(control: Page, sandbox: Sandbox) -> None:
    call = Hand(sandbox)
    call.device("one")
    due = f"{sandbox.now + timedelta(hours=1):%Y-%m-%d %H:%M}"
    call.message(content="tonight", send_date=due)
    expect(control.locator("#messages")).to_contain_text("waiting")
    control.get_by_role("button", name="+1 day").click()
    expect(control.get_by_text("moved", exact=True)).to_be_visible()
    expect(control.get_by_text("None is waiting, pending or processing.")).to_be_visible()
    assert call.got() == [("one", "tonight")]
    control.get_by_role("button", name="Return to real time").click()
    expect(control.get_by_role("button", name="Return to real time")).to_be_disabled()
    assert not sandbox.is_clock_moved


def test_decisions_tracing_and_tag_types_are_switched(control: Page, sandbox: Sandbox) -> None:
    control.get_by_text("API messaging tracing").click()
    expect(control.get_by_label("API messaging tracing")).to_be_checked()
    control.get_by_label("A request over the cap").select_option("envelope")
    control.get_by_label("Cap on messages").fill("1")
    control.get_by_label("Cap on messages").press("Enter")
    control.get_by_text("Unknown methods are answered OK").click()
    control.get_by_label("Tag", exact=True).fill("Age")
    control.get_by_role("button", name="Declare").click()
    expect(control.locator("#tags")).to_contain_text("Age")
    expect(control.locator("#capped")).to_contain_text("of 1")
    call = Hand(sandbox)
    assert sandbox.is_tracing
    assert sandbox.options.tags == {"Age": TagType.INTEGER}
    assert call.message().code == 200
    assert (call.message().http, call.message().code) == (200, 210)
    assert call("makeCoffee").code == 200


def test_what_sdks_ask_for_is_set_and_taken_away(control: Page, sandbox: Sandbox) -> None:
    for kind, name, value, shown in (
        ("Geozone", "Oslo", "59.91, 10.75, 500", "59.91"),
        ("In-app message", "Finished", "61BC9-84DD0", "61BC9-84DD0"),
        ("Popup", "POPUP-1", '{"content": {"version": 1}, "delay": 3}', "delay"),
        ("Feature", "channels", '[{"code": "news"}]', "news"),
    ):
        control.get_by_label("Kind").select_option(kind)
        control.locator("#entry-name").fill(name)
        control.locator("#entry-value").fill(value)
        control.get_by_role("button", name="Set", exact=True).click()
        row = control.locator("#entries .row", has_text=name)
        expect(row).to_contain_text(kind)
        expect(row).to_contain_text(shown)
        # What was typed is cleared by the answer, and the row may have come before that.
        expect(control.locator("#entry-name")).to_have_value("")
    call = Hand(sandbox)
    assert call("getNearestZone", hwid="one", lat=59.91, lng=10.75).response["geozones"][0]["name"] == "Oslo"
    assert call("postEvent", hwid="one", event="Finished", attributes={}).response == {"code": "61BC9-84DD0"}
    assert call("getPopupForms").response["popup_forms"][0]["delay"] == 3
    assert call("getConfig").response["features"]["channels"] == [{"code": "news"}]
    control.get_by_role("button", name="Remove Feature events").click()
    expect(control.locator("#entries .row", has_text="PW_SiteOpened")).to_have_count(0)
    assert "events" not in call("getConfig").response["features"]


def test_the_inbox_and_test_devices_are_shown_on_the_phones(page: Page, address: str, sandbox: Sandbox) -> None:
    call = Hand(sandbox)
    call.device("one")
    call("createTestDevice", hwid="one", name="Pixel")
    call.message(content="<b>Fresh bread</b>", title="Bakery", inbox_days=3)
    page.goto(f"{address}/")
    card = page.locator("article.card")
    expect(card).to_contain_text("test device")
    card.get_by_text("1 in the inbox").click()
    expect(card.locator(".card-letters")).to_contain_text("unread Bakery · <b>Fresh bread</b>")
    [letter] = sandbox.phone("one").device.inbox.values()
    call("inboxStatus", hwid="one", inbox_code=str(letter.order), status=2)
    expect(card.locator(".card-letters")).to_contain_text("read Bakery")
    call("inboxStatus", hwid="one", inbox_code=str(letter.order), status=4)
    expect(card.locator(".card-letters")).to_be_hidden()


def test_what_the_sandbox_refuses_is_told(loud_page: Page, address: str, sandbox: Sandbox) -> None:
    control = loud_page
    control.goto(f"{address}/control")
    expect(control.locator(".live")).to_have_text("live")
    control.evaluate("document.querySelector('#slow-seconds').max = ''")
    control.get_by_label("By seconds", exact=True).fill("99999")
    control.get_by_role("button", name="Slow down").click()
    expect(control.get_by_role("alert")).to_contain_text("from 0 to 3600")
    assert sandbox.faults.rules == ()
    for name, value, told in (("P", "no json", "no JSON"), ("P", "{}", "makes no sense")):
        control.get_by_label("Kind").select_option("Popup")
        control.locator("#entry-name").fill(name)
        control.locator("#entry-value").fill(value)
        control.get_by_role("button", name="Set", exact=True).click()
        expect(control.get_by_role("alert")).to_contain_text(told)
    assert sandbox.options.popups == {}


def test_the_keyboard_is_enough(control: Page, sandbox: Sandbox) -> None:
    control.keyboard.press("Tab")
    expect(control.get_by_role("link", name="Skip to the controls")).to_be_focused()
    control.keyboard.press("Enter")
    control.keyboard.press("Tab")
    expect(control.get_by_label("What goes wrong")).to_be_focused()
    control.get_by_label("How many").focus()
    control.keyboard.press("Enter")
    expect(control.locator("#faults .row")).to_have_count(1)
    control.locator("#faults").get_by_role("button", name="Remove").focus()
    control.keyboard.press("Enter")
    expect(control.locator("#faults .row")).to_have_count(0)
    # Who removed the last one goes on where the list was.
    expect(control.get_by_label("What goes wrong")).to_be_focused()


def test_another_site_cannot_switch_anything(loud_page: Page, address: str, sandbox: Sandbox) -> None:
    sandbox.faults.fail_next("setTags")
    loud_page.goto(f"{address.replace('127.0.0.1', 'localhost')}/pages/phones.css")
    for kind in ("application/json", "text/plain"):
        failed = loud_page.evaluate(
            """async ([address, kind]) => {
                try {
                    await fetch(address + "/control/switch", {
                        method: "POST", mode: kind === "text/plain" ? "no-cors" : "cors",
                        headers: {"Content-Type": kind}, body: '{"do": "clear_faults"}',
                    });
                    return false;
                } catch { return true; }
            }""",
            [address, kind],
        )
        assert failed or kind == "text/plain"
    assert len(sandbox.faults.rules) == 1


def test_what_apps_send_is_shown_as_text(control: Page, sandbox: Sandbox) -> None:
    Hand(sandbox)("<img src=x onerror=alert(1)>")
    Hand(sandbox).device("<b>one</b>", app=APP)
    sandbox.set_tag_type("<i>tag</i>", TagType.LIST)
    expect(control.locator("#tags")).to_contain_text("<i>tag</i>")
    expect(control.locator("#requests tr").nth(1)).to_contain_text("<img src=x onerror=alert(1)>")
    assert control.locator("#requests img, #tags i").count() == 0
