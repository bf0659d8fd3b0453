"""Who calls: the gateway's secret, and the host's authentication classes."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.views.debug import get_exception_reporter_filter
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from django_pushwoosh.conf import settings as pushwoosh
from django_pushwoosh.models import Device, OutboxEntry, UserLink
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.methods import AskedBy
from django_pushwoosh.testing import run_outbox
from tests.gateway import callers
from tests.gateway.conftest import HWID, PHONE, TOKEN, Sdk

pytestmark = pytest.mark.django_db
OURS = f"Token {TOKEN}"
SECRET = "a-secret-of-the-gateway"
OLD = "an-older-secret-of-it"
ADDRESS = {"request": {"application": "TEST0-00001", "email": "ada@example.org", "tags": {}}}
EVENT = {"request": {"application": "TEST0-00001", "userId": "ada", "event": "Bought"}}


@pytest.fixture
def rules(settings):
    """Sets who may speak."""

    def set_to(*classes, **rules):
        if classes:
            rules["GATEWAY_AUTHENTICATION"] = [f"tests.gateway.callers.{each}" for each in classes]
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "USER_ID": "username", **rules}

    return set_to


@pytest.fixture
def ada():
    return get_user_model().objects.create_user("ada")


class TestTheSecret:
    @pytest.mark.parametrize("secrets", [SECRET, [SECRET, OLD], (OLD, SECRET), ["", SECRET]])
    def test_who_has_it_is_lent_our_token(self, secrets, sdk, wire, rules):
        rules(GATEWAY_SECRET=secrets)
        given = {"X-Gateway-Secret": SECRET}
        assert sdk.post("setEmailTags", ADDRESS, authorization="Token null", **given)["status_code"] == 200
        assert sdk.post("postEvent", EVENT, **given)["status_code"] == 200
        run_outbox()
        assert [sent.authorization for sent in wire.sent] == [OURS, OURS]

    @pytest.mark.parametrize("given", ["guessed", SECRET[:-1], SECRET + "x", SECRET.upper(), "é", OLD, "null"])
    def test_a_wrong_one_opens_nothing(self, given, sdk, wire, rules):
        rules(GATEWAY_SECRET=SECRET)
        for method in ("setTags", "getTags", "setEmailTags"):
            envelope = sdk.call(method, tags={}, email="ada@example.org")
            assert envelope["status_code"] == 200
            envelope = sdk.post(method, {"request": PHONE}, **{"X-Gateway-Secret": given})
            assert envelope["status_code"] == 401
            assert given not in envelope["status_message"]
        assert [sent.method for sent in wire.sent] == ["getTags"]

    @pytest.mark.parametrize("secrets", ["", [], None, [""], ["", ""]])
    @pytest.mark.parametrize("given", ["", " ", "x"])
    def test_an_empty_one_opens_nothing(self, secrets, given, sdk, wire, rules):
        rules(GATEWAY_SECRET=secrets)
        assert sdk.post("postEvent", EVENT, **{"X-Gateway-Secret": given})["status_code"] == 401
        rules(GATEWAY_SECRET=secrets, GATEWAY_SECRET_REQUIRED=True)
        assert sdk.post("setTags", {"request": PHONE}, **{"X-Gateway-Secret": given})["status_code"] == 401
        assert wire.sent == []

    @pytest.mark.parametrize("method", sorted(name for name, row in METHODS.items() if row.asked_by is AskedBy.SDK))
    def test_where_it_is_required_no_call_goes_without(self, method, sdk, wire, rules):
        rules(GATEWAY_SECRET=SECRET, GATEWAY_SECRET_REQUIRED=True, GATEWAY_PERMISSION=lambda request, method: True)
        for authorization in (None, "Token null", OURS):
            envelope = sdk.call(method, authorization, tags={}, email="ada@example.org", event="Bought")
            assert envelope["status_code"] == 401
            assert "X-Gateway-Secret" in envelope["status_message"]
        assert not OutboxEntry.objects.exists()
        assert not Device.objects.exists()
        assert wire.sent == []

    def test_where_it_is_required_a_call_goes_with_it(self, sdk, wire, rules):
        rules(GATEWAY_SECRET=SECRET, GATEWAY_SECRET_REQUIRED=True, GATEWAY_SECRET_HEADER="X-Shop")
        assert sdk.post("getTags", {"request": PHONE}, **{"X-Shop": SECRET})["status_code"] == 200
        assert sdk.post("getTags", {"request": PHONE}, **{"X-Gateway-Secret": SECRET})["status_code"] == 401

    def test_a_preflight_needs_none(self, client, rules, sandbox):
        rules("Bearer", GATEWAY_SECRET=SECRET, GATEWAY_SECRET_REQUIRED=True, GATEWAY_AUTHENTICATION_REQUIRED=True)
        assert client.options("/json/1.3/getTags").status_code == 200

    def test_it_opens_no_server_method_and_nothing_beyond_the_policies(self, sdk, wire, rules):
        rules(GATEWAY_SECRET=SECRET)
        for name, row in METHODS.items():
            if row.asked_by is AskedBy.SERVER:
                assert sdk.post(name, {"request": PHONE}, **{"X-Gateway-Secret": SECRET})["status_code"] == 403
        body = {"application": "TEST0-00001", "user_id": "ada"}
        assert sdk.post("deleteUser", body, **{"X-Gateway-Secret": SECRET})["status_code"] == 403
        assert wire.sent == []

    def test_it_is_not_shown_stored_or_passed_on(self, sdk, wire, rules, caplog, monkeypatch):
        caplog.set_level("DEBUG")
        rules(GATEWAY_SECRET=[SECRET, OLD])
        assert SECRET not in repr(pushwoosh.speakers)
        sdk.post("setEmailTags", ADDRESS, **{"X-Gateway-Secret": SECRET})
        run_outbox()
        monkeypatch.setattr("django_pushwoosh.gateway.views.forward", lambda *_: 1 / 0)
        sdk.post("setEmailTags", ADDRESS, **{"X-Gateway-Secret": SECRET})
        assert sdk.answer.status_code == 500
        assert SECRET not in caplog.text
        assert SECRET not in str(sdk.answer.content)
        [sent] = wire.sent
        assert SECRET not in str(sent)
        # Django's error pages and mails leave it out too.
        shown = get_exception_reporter_filter(sdk.answer.wsgi_request)
        assert SECRET not in str(shown.get_safe_request_meta(sdk.answer.wsgi_request))
        assert SECRET not in str(shown.get_safe_settings())

    def test_in_a_body_it_is_refused(self, sdk, rules):
        rules(GATEWAY_SECRET=SECRET)
        assert sdk.call("setTags", tags={"N": SECRET})["status_code"] == 403
        assert not OutboxEntry.objects.exists()


class TestTheHostsClasses:
    @pytest.mark.parametrize("authorization", [None, "Token null", "Token (null)", "Token", OURS])
    @pytest.mark.parametrize(("by", "credentials"), [("Bearer", "Bearer ada"), ("Keyword", "Token ada")])
    def test_credentials_come_in_a_header_of_their_own(self, by, credentials, authorization, sdk, wire, rules, ada):
        rules(by)
        sdk.post(
            "registerUser",
            {"request": {**PHONE, "userId": "ada"}},
            authorization=authorization,
            **{"X-Authorization": credentials},
        )
        assert sdk.answer.status_code == 200
        assert UserLink.objects.get().django_user == ada
        run_outbox()
        assert [sent.authorization for sent in wire.sent] == [OURS]
        assert set(wire.sent[0].headers) == {"Content-Type", "Authorization"}

    @pytest.mark.parametrize("authorization", ["Token null", "Token (null)", "Token", "token null", OURS])
    def test_an_sdks_token_is_no_credential(self, authorization, sdk, wire, rules):
        rules("Keyword")
        assert sdk.call("getTags", authorization)["status_code"] == 200

    def test_a_users_key_is_no_device_token(self, sdk, wire, rules, ada):
        rules("Keyword")
        assert sdk.call("getTags", "Token ada")["status_code"] == 401
        assert wire.sent == []

    def test_other_schemes_are_seen_in_their_usual_place(self, sdk, wire, rules, ada):
        rules("Bearer")
        assert sdk.call("registerUser", "Bearer ada", userId="ada")["status_code"] == 200
        assert UserLink.objects.get().django_user == ada

    def test_the_header_may_have_another_name(self, sdk, wire, rules, ada):
        rules("Bearer", GATEWAY_CREDENTIALS_HEADER="X-Shop-User", GATEWAY_AUTHENTICATION_REQUIRED=True)
        assert sdk.post("getTags", {"request": PHONE}, **{"X-Shop-User": "Bearer ada"})["status_code"] == 200
        assert sdk.post("getTags", {"request": PHONE}, **{"X-Authorization": "Bearer ada"})["status_code"] == 401

    def test_who_is_known_is_lent_our_token(self, sdk, wire, rules, ada):
        rules("Bearer")
        assert sdk.post("postEvent", EVENT, **{"X-Authorization": "Bearer ada"})["status_code"] == 200
        assert sdk.post("setEmailTags", ADDRESS, **{"X-Authorization": "Bearer ada"})["status_code"] == 200
        run_outbox()
        assert [sent.authorization for sent in wire.sent] == [OURS, OURS]

    @pytest.mark.parametrize(("by", "credentials"), [("Bearer", "Bearer eve"), ("Keyword", "Token eve")])
    def test_wrong_credentials_are_401_and_say_how_to_do_it(self, by, credentials, sdk, wire, rules):
        rules(by)
        envelope = sdk.post("getTags", {"request": PHONE}, **{"X-Authorization": credentials})
        assert envelope["status_code"] == 401
        assert sdk.answer["WWW-Authenticate"].startswith(credentials.split()[0])
        assert callers.PRIVATE not in envelope["status_message"]
        assert wire.sent == []

    def test_no_browser_is_made_to_ask_for_a_password(self, sdk, wire, settings):
        basic = "rest_framework.authentication.BasicAuthentication"
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_AUTHENTICATION": [basic]}
        wrong = sdk.post("getTags", {"request": PHONE}, **{"X-Authorization": "Basic ZXZlOmV2ZQ=="})
        assert wrong["status_code"] == 401
        assert "WWW-Authenticate" not in sdk.answer

    def test_where_they_are_required_nobody_else_speaks(self, sdk, wire, rules, ada):
        rules("Bearer", GATEWAY_AUTHENTICATION_REQUIRED=True)
        for authorization in (None, "Token null", OURS):
            assert sdk.call("getTags", authorization)["status_code"] == 401
            assert sdk.answer["WWW-Authenticate"] == 'Bearer realm="shop"'
        assert sdk.post("getTags", {"request": PHONE}, **{"X-Authorization": "Bearer ada"})["status_code"] == 200

    def test_where_they_are_required_and_nothing_reads_them_nobody_speaks_at_all(self, sdk, wire, rules):
        rules(GATEWAY_AUTHENTICATION_REQUIRED=True)
        assert sdk.post("getTags", {"request": PHONE}, **{"X-Authorization": "Bearer ada"})["status_code"] == 401
        assert wire.sent == []

    def test_an_inactive_user_is_nobody(self, sdk, wire, rules, ada):
        rules("Bearer")
        get_user_model().objects.update(is_active=False)
        assert sdk.post("getTags", {"request": PHONE}, **{"X-Authorization": "Bearer ada"})["status_code"] == 401

    @pytest.mark.parametrize(
        ("by", "status"),
        [
            ("Failing", 500), ("Misspelled", 500), ("NotFound", 401), ("Denied", 403), ("Exhausted", 429),
            ("Away", 503), ("Unavailable", 503),
        ],
    )  # fmt: skip
    def test_a_class_that_fails_says_nothing_private(self, by, status, sdk, wire, rules, caplog):
        rules(by)
        envelope = sdk.call("getTags")
        assert envelope["status_code"] == status
        assert callers.PRIVATE not in str(envelope) + caplog.text
        assert ("Retry-After" in sdk.answer) is (status == 429)
        assert wire.sent == []

    def test_a_class_may_look_into_the_body(self, sdk, wire, rules, ada):
        rules("Signed")
        assert sdk.call("registerUser", userId="ada")["status_code"] == 200
        assert UserLink.objects.get().django_user == ada
        assert sdk.post("registerUser", b"{")["status_code"] == 401
        body = b'{"request":{"application":"TEST0-00001"}}'.ljust(300_000)
        assert sdk.post("registerUser", body)["status_code"] == 413

    def test_a_user_that_is_no_row_has_an_id_all_the_same(self, sdk, wire, rules):
        rules("Stateless", USER_ID="pk")
        assert sdk.call("registerUser", userId="claimed")["status_code"] == 200
        link = UserLink.objects.get()
        assert (link.user_id, link.django_user) == ("claimed", None)
        assert sdk.call("registerUser", userId="ada")["status_code"] == 403

    def test_the_permission_is_asked_about_the_user_that_they_found(self, sdk, wire, rules, ada):
        asked = []
        rules("Bearer", GATEWAY_PERMISSION=lambda request, method: asked.append(str(request.user)))
        sdk.post("deleteUser", {}, **{"X-Authorization": "Bearer ada"})
        sdk._client.force_login(ada)
        sdk.post("deleteUser", {})
        assert asked == ["ada", "AnonymousUser"]

    def test_a_request_is_left_as_it_was(self, sdk, wire, rules, ada):
        seen = []
        rules("Bearer", GATEWAY_PERMISSION=lambda request, method: seen.append(request.headers.get("Authorization")))
        sdk.post("deleteUser", {}, authorization=OURS, **{"X-Authorization": "Bearer ada"})
        sdk.post("deleteUser", {}, authorization=None, **{"X-Authorization": "Bearer ada"})
        assert seen == [OURS, None]


class TestASessionsCookie:
    @pytest.fixture
    def browser(self, ada):
        """An SDK in a page that a user has open, whose cookie any other page can make the browser send."""
        client = Client(enforce_csrf_checks=True)
        client.force_login(ada)
        client.raise_request_exception = False
        return Sdk(client)

    SESSIONS = ["OwnSession", "Lax", "SessionAuthentication"]

    @pytest.fixture(params=SESSIONS)
    def _sessions(self, request, settings, rules):
        rules()
        module = "rest_framework.authentication" if request.param == "SessionAuthentication" else callers.__name__
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_AUTHENTICATION": [f"{module}.{request.param}"]}

    @pytest.mark.usefixtures("_sessions")
    @pytest.mark.parametrize("origin", [{}, {"Origin": "https://evil.example"}, {"Origin": "http://testserver"}])
    def test_alone_it_is_refused(self, origin, browser, wire):
        envelope = browser.post("registerUser", {"request": {**PHONE, "userId": "ada"}}, **origin)
        assert envelope["status_code"] == 403
        assert "CSRF" in envelope["status_message"]
        assert not OutboxEntry.objects.exists()
        assert not UserLink.objects.exists()

    @pytest.mark.usefixtures("_sessions")
    def test_with_the_csrf_token_it_counts(self, browser, wire, ada):
        browser._client.cookies["csrftoken"] = "x" * 32
        given = {"X-CSRFToken": "x" * 32}
        assert browser.post("registerUser", {"request": {**PHONE, "userId": "ada"}}, **given)["status_code"] == 200
        assert UserLink.objects.get().django_user == ada

    @pytest.mark.usefixtures("_sessions")
    def test_who_is_not_logged_in_needs_none(self, sdk, wire):
        strict = Client(enforce_csrf_checks=True)
        assert Sdk(strict).call("getTags")["status_code"] == 200

    def test_other_credentials_need_no_csrf_token(self, browser, wire, rules, ada):
        rules("Bearer", "OwnSession")
        envelope = browser.post("getTags", {"request": PHONE}, **{"X-Authorization": "Bearer ada"})
        assert envelope["status_code"] == 200

    @pytest.fixture
    def _site_session(self, settings, rules):
        rules()
        site_session = "django_pushwoosh.gateway.sessions.SiteSession"
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_AUTHENTICATION": [site_session]}
        settings.CSRF_TRUSTED_ORIGINS = ["https://*.shop.example"]

    @pytest.mark.usefixtures("_site_session")
    @pytest.mark.parametrize("origin", ["http://testserver", "https://www.shop.example"])
    def test_of_the_sites_own_pages_counts_for_the_web_sdk(self, origin, browser, wire, ada):
        body = {"request": {**PHONE, "userId": "ada"}}
        assert browser.post("registerUser", body, Origin=origin)["status_code"] == 200
        assert UserLink.objects.get().django_user == ada

    @pytest.mark.usefixtures("_site_session")
    @pytest.mark.parametrize(
        "origin",
        ["https://evil.example", "https://testserver", "http://www.shop.example", "null", "", "http://testserver.evil"],
    )
    def test_of_another_page_does_not(self, origin, browser, wire):
        for headers in ({"Origin": origin}, {"Origin": origin, "Referer": "http://testserver/"}, {}):
            envelope = browser.post("registerUser", {"request": {**PHONE, "userId": "ada"}}, **headers)
            assert envelope["status_code"] == 403
        assert not UserLink.objects.exists()

    @pytest.mark.usefixtures("_site_session")
    def test_who_is_not_logged_in_may_come_from_anywhere(self, wire, sandbox):
        strict = Sdk(Client(enforce_csrf_checks=True))
        assert strict.post("getTags", {"request": PHONE}, Origin="https://elsewhere.example")["status_code"] == 200

    def test_without_classes_it_means_nothing(self, browser, wire):
        assert browser.call("registerUser", userId="ada")["status_code"] == 200
        assert UserLink.objects.get().django_user is None


@bounded(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    authorization=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=20) | st.none(),
    credentials=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=20) | st.none(),
    secret=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=20) | st.none(),
    by=st.lists(st.sampled_from(["Bearer", "Keyword"]), max_size=2),
)
def test_no_header_breaks_the_gateway(authorization, credentials, secret, by, sdk, wire, rules):
    rules(*by, GATEWAY_SECRET=SECRET, THROTTLE={"PER_HWID": None})
    given = {"X-Authorization": credentials, "X-Gateway-Secret": secret}
    given = {name: value for name, value in given.items() if value is not None}
    envelope = sdk.post("getTags", {"request": {**PHONE, "hwid": HWID}}, authorization=authorization, **given)
    assert envelope["status_code"] in (200, 401)
