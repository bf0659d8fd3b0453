"""Who may speak, and to whom our device token is lent."""

from __future__ import annotations

import pytest

from django_pushwoosh.models import Device, OutboxEntry
from django_pushwoosh.testing import run_outbox
from tests.gateway.conftest import PHONE, TOKEN

pytestmark = pytest.mark.django_db
OURS = f"Token {TOKEN}"

MISSING = [None, "", "Token", "Token ", "Token null", "Token (null)", "token null", "Basic dXNlcjpwYXNz"]


@pytest.mark.parametrize("authorization", MISSING)
def test_a_device_without_a_token_borrows_ours(authorization, sdk, wire, sandbox):
    assert sdk.call("postEvent", authorization, event="Bought")["status_code"] == 200
    sdk.call("registerUser", authorization, userId="ada")
    run_outbox()
    assert [sent.authorization for sent in wire.sent] == [OURS, OURS]
    assert sandbox.phone(PHONE["hwid"]).device.user_id == "ada"


@pytest.mark.parametrize("authorization", [OURS, f"token   {TOKEN}"])
def test_our_token_is_good(authorization, sdk, wire):
    assert sdk.call("getTags", authorization)["status_code"] == 200
    assert wire.sent[0].authorization == OURS


@pytest.mark.parametrize("token", ["foreign", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "test-api-token", "é", "\x01"])
@pytest.mark.parametrize("method", ["registerDevice", "getTags", "setTags", "registerUser"])
def test_a_foreign_token_opens_nothing(token, method, sdk, wire, sandbox):
    envelope = sdk.call(method, f"Token {token}", tags={"Name": "Ada"}, userId="ada")
    assert envelope["status_code"] == 401
    assert "TEST0-00001" in envelope["status_message"]
    assert token not in envelope["status_message"]
    assert not OutboxEntry.objects.exists()
    assert not Device.objects.exists()
    assert wire.sent == []


@pytest.mark.parametrize("authorization", [None, "Token null"])
def test_who_names_no_device_and_holds_no_token_borrows_none(authorization, sdk, wire):
    body = {"request": {"application": "TEST0-00001", "userId": "ada", "event": "Bought"}}
    envelope = sdk.post("postEvent", body, authorization=authorization)
    assert envelope["status_code"] == 401
    assert "hwid" in envelope["status_message"]
    assert wire.sent == []
    assert not OutboxEntry.objects.exists()


def test_an_event_of_a_user_is_taken_from_who_holds_the_token(sdk, wire, sandbox):
    body = {"request": {"application": "TEST0-00001", "userId": "ada", "event": "Bought"}}
    assert sdk.post("postEvent", body, authorization=OURS)["status_code"] == 200
    assert [(event.user_id, event.hwid) for event in sandbox.events] == [("ada", "")]


@pytest.mark.parametrize("method", ["registerEmail", "registerDevice"])
def test_an_address_speaks_for_itself_where_no_token_is_asked_for(method, sdk, sandbox):
    body = {"request": {"application": "TEST0-00001", "email": "ada@example.org", "device_type": 14}}
    assert sdk.post(method, body)["status_code"] == 200
    run_outbox()
    assert sandbox.devices["TEST0-00001", "ada@example.org"].is_subscribed


class TestWithoutATokenOfOurs:
    @pytest.fixture(autouse=True)
    def _no_token(self, settings, wire):
        application = {"CODE": "TEST0-00001", "API_TOKEN": "test-api-token"}
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "APPLICATIONS": {"default": application}}

    @pytest.mark.parametrize("method", ["setTags", "registerUser", "getTags", "registerDevice"])
    def test_the_callers_goes_upstream_at_once(self, method, wire, sdk):
        assert sdk.call(method, OURS, tags={"Name": "Ada"}, userId="ada")["status_code"] == 200
        assert [sent.authorization for sent in wire.sent] == [OURS]
        assert Device.objects.exists()
        assert not OutboxEntry.objects.exists()

    def test_a_wrong_one_is_refused_by_pushwoosh(self, wire, sdk):
        assert sdk.call("setTags", "Token foreign", tags={"Name": "Ada"})["status_code"] == 401
        assert wire.sent[0].authorization == "Token foreign"
        assert not Device.objects.exists()

    @pytest.mark.parametrize("fault", ["unreachable", "lose request", (500, {}, b"")])
    @pytest.mark.parametrize("method", ["setTags", "registerDevice"])
    def test_a_call_with_a_token_cannot_wait(self, method, fault, wire, sdk, faults):
        faults.next(fault)
        assert sdk.call(method, OURS, tags={"Name": "Ada"})["status_code"] == 503
        assert not OutboxEntry.objects.exists()
        assert not Device.objects.exists()

    def test_nothing_is_made_up_for_who_has_none(self, wire, sdk):
        sdk.call("registerUser", userId="ada")
        assert sdk.answer.status_code == 401, "Pushwoosh asks for a token here, and the caller hears it"
        assert sdk.call("setTags", tags={"Name": "Ada"})["status_code"] == 200
        run_outbox()
        assert [sent.authorization for sent in wire.sent] == [None, None]

    @pytest.mark.parametrize("token", ["é", "two words", "\x7f", "x" * 600])
    def test_what_cannot_be_a_token_is_not_passed_on(self, token, wire, sdk):
        assert sdk.call("getTags", f"Token {token}")["status_code"] == 401
        assert wire.sent == []


def test_no_token_is_ever_stored_or_logged(sdk, wire, caplog, faults, settings):
    caplog.set_level("DEBUG")
    faults.next("unreachable")
    sdk.call("registerDevice", OURS, push_token="t")
    sdk.call("getTags", "Token foreign-token")
    entry = OutboxEntry.objects.get()
    assert TOKEN.encode() not in bytes(entry.raw)
    assert TOKEN not in str(entry.arguments)
    assert TOKEN not in caplog.text
    assert "foreign-token" not in caplog.text


def test_a_body_that_carries_the_servers_token_is_refused_and_not_stored(sdk):
    answer = sdk.call("setTags", hwid="x", auth="test-api-token", tags={"Name": "Ada"})

    assert answer["status_code"] == 403
    assert "test-api-token" not in answer["status_message"]
    assert not OutboxEntry.objects.exists()
