"""A user id in a body: taken as it is, refused, or replaced by the one of who calls."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth import get_user_model
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from django_pushwoosh.gateway.splicing import with_text
from django_pushwoosh.models import Device, OutboxEntry, UserLink
from django_pushwoosh.testing import run_outbox
from tests.gateway.conftest import HWID, NUMBER, PHONE

pytestmark = pytest.mark.django_db
BEARER = "tests.gateway.callers.Bearer"
ADA = {"X-Authorization": "Bearer ada"}
BOB = {"X-Authorization": "Bearer bob"}
FOREIGN = [
    "eve", "ADA", "ada ", "ada\u200b", HWID.upper(), 5, True, ["ada"], {"id": "ada"}, "x" * 300, "a\x00", "\ud800",
]  # fmt: skip


@pytest.fixture
def policy(settings):
    def set_to(name=None, **more):
        more |= {"GATEWAY_USER_ID": name} if name else {}
        settings.PUSHWOOSH = {
            **settings.PUSHWOOSH,
            "USER_ID": "username",
            "GATEWAY_AUTHENTICATION": [BEARER],
            "THROTTLE": {"PER_HWID": None},
            **more,
        }

    return set_to


@pytest.fixture
def ada():
    return get_user_model().objects.create_user("ada")


@pytest.fixture
def bob():
    return get_user_model().objects.create_user("bob")


def said(method, **arguments):
    return {"request": {**PHONE, **arguments}}


class TestTakenAsItIs:
    def test_without_authentication_it_is_the_default(self, sdk, wire):
        assert sdk.call("registerUser", userId="whoever")["status_code"] == 200
        assert UserLink.objects.get().user_id == "whoever"

    def test_the_link_has_the_django_user_under_the_apps_own_id(self, sdk, wire, policy, ada):
        policy("take")
        sdk.post("registerUser", said("registerUser", userId="customer-1"), **ADA)
        link = UserLink.objects.get()
        assert (link.user_id, link.django_user) == ("customer-1", ada)


class TestRefused:
    """The default where authentication says who calls."""

    @pytest.mark.parametrize(
        "method", ["registerUser", "setTags", "postEvent", "registerDevice", "pushStat", "getTags"]
    )
    @pytest.mark.parametrize("user_id", FOREIGN)
    @pytest.mark.parametrize("headers", [{}, ADA])
    def test_nobody_speaks_in_anothers_name(self, headers, user_id, method, sdk, wire, policy, ada):
        policy()
        envelope = sdk.post(method, said(method, userId=user_id, tags={}, event="Bought"), **headers)
        assert envelope["status_code"] == 403
        assert "user id" in envelope["status_message"]
        assert not OutboxEntry.objects.exists()
        assert not Device.objects.exists()
        assert wire.sent == []

    @pytest.mark.parametrize("user_id", ["ada", HWID, "", None])
    def test_ones_own_name_is_good_and_so_is_none(self, user_id, sdk, wire, policy, ada):
        policy()
        body = json.dumps(said("setTags", userId=user_id, tags={"N": 1})).encode()
        assert sdk.post("setTags", body, **ADA)["status_code"] == 200
        assert bytes(OutboxEntry.objects.get().raw) == body

    def test_a_device_is_anonymous_without_credentials(self, sdk, wire, policy):
        policy()
        for method in ("registerUser", "applicationOpen", "registerDevice"):
            assert sdk.call(method, userId=HWID)["status_code"] == 200
        assert not UserLink.objects.exists()

    def test_the_background_may_go_on_in_the_name_that_was_proved(self, sdk, wire, policy, ada, bob):
        policy()
        assert sdk.call("pushStat", userId="ada", hash="h")["status_code"] == 403
        sdk.post("registerUser", said("registerUser", userId="ada"), **ADA)
        assert sdk.call("pushStat", userId="ada", hash="h")["status_code"] == 200
        assert sdk.call("pushStat", userId="bob", hash="h")["status_code"] == 403
        assert sdk.call("pushStat", userId="ada", hwid="another", hash="h")["status_code"] == 403
        assert sdk.post("pushStat", said("pushStat", userId="ada", hash="h"), **BOB)["status_code"] == 403
        get_user_model().objects.filter(pk=ada.pk).update(is_active=False)
        assert sdk.call("pushStat", userId="ada", hash="h")["status_code"] == 403

    def test_a_name_that_was_only_said_is_not_proved(self, sdk, wire, policy, ada):
        policy("take")
        sdk.call("registerUser", userId="ada")
        policy("refuse")
        assert sdk.call("pushStat", userId="ada", hash="h")["status_code"] == 403

    def test_an_address_is_registered_in_the_name_of_a_device(self, sdk, wire, policy):
        policy()
        address = {"application": "TEST0-00001", "email": "ada@example.org", "userId": HWID}
        number = {"application": "TEST0-00001", "hwid": NUMBER, "device_type": 18, "userId": HWID}
        for method, body in (("registerEmail", address), ("registerDevice", number)):
            assert sdk.post(method, {"request": body})["status_code"] == 403, "nobody knows the device"
        sdk.call("applicationOpen")
        for method, body in (("registerEmail", address), ("registerDevice", number)):
            assert sdk.post(method, {"request": body})["status_code"] == 200

    def test_all_names_of_a_user_are_looked_at(self, sdk, wire, policy, ada):
        policy()
        flat = {"application": "TEST0-00001"}
        many = {**flat, "push_devices": [{"hwid": HWID, "platform": 11, "push_token": "t"}], "tags": {}}
        assert sdk.post("multiRegisterDevice", {"request": {**many, "user_id": "eve"}}, **ADA)["status_code"] == 403
        assert sdk.post("multiRegisterDevice", {"request": {**many, "user_id": "ada"}}, **ADA)["status_code"] == 200
        assert sdk.post("multiRegisterDevice", {"request": {**many, "user_id": HWID}})["status_code"] == 200
        assert sdk.post("setTags", said("setTags", user_id="eve", tags={}), **ADA)["status_code"] == 403
        assert sdk.post("setTags", said("setTags", newUserId="eve", tags={}), **ADA)["status_code"] == 403

    def test_methods_of_tomorrow_name_nobody_else_either(self, sdk, wire, policy, ada):
        policy(GATEWAY_UNKNOWN_METHODS="relay")
        assert sdk.post("setMood", said("setMood", userId="eve"), **ADA)["status_code"] == 403
        assert wire.sent == []
        sdk.post("setMood", said("setMood", userId="ada"), **ADA)
        assert [sent.authorization for sent in wire.sent] == [None]

    def test_whom_the_host_permits_may_name_anybody(self, sdk, wire, policy):
        policy(GATEWAY_PERMISSION=lambda request, method: True)
        assert sdk.post("deleteUser", {"application": "TEST0-00001", "user_id": "eve"})["status_code"] == 200

    def test_who_has_no_id_is_anonymous(self, sdk, wire, policy, ada):
        policy(USER_ID=lambda user: None)
        assert sdk.post("registerUser", said("registerUser", userId="None"), **ADA)["status_code"] == 403
        assert sdk.post("registerUser", said("registerUser", userId=HWID), **ADA)["status_code"] == 200


class TestReplaced:
    RAW = (
        b'\xef\xbb\xbf{ "request" : {"userId":"eve" ,"application":"TEST0-00001","hwid":"%s",\n"tags":{"userId":"eve",'
        b'"n":12345678901234567.50,"big":99999999999999999999,"cut":"\\ud83d"},"unheard_of":[1e400, "\\u0041"]} }'
    ) % HWID.encode()

    @pytest.mark.parametrize(("headers", "stands_in"), [(ADA, b'"ada"'), ({}, b'"%s"' % HWID.encode())])
    def test_nothing_else_in_the_body_changes(self, headers, stands_in, sdk, wire, policy, ada):
        policy("replace")
        assert sdk.post("setTags", self.RAW, **headers)["status_code"] == 200
        run_outbox()
        assert wire.sent[0].body == self.RAW.replace(b'"userId":"eve" ,', b'"userId":%s ,' % stands_in)

    @pytest.mark.parametrize("user_id", FOREIGN)
    def test_what_the_mirror_sees_is_what_goes_out(self, user_id, sdk, wire, policy, ada):
        policy("replace")
        assert sdk.post("registerUser", said("registerUser", userId=user_id), **ADA)["status_code"] == 200
        link = UserLink.objects.get()
        assert (link.user_id, link.django_user) == ("ada", ada)
        run_outbox()
        assert json.loads(wire.sent[0].body)["request"]["userId"] == "ada"

    def test_the_anonymous_id_stays(self, sdk, wire, policy, ada):
        policy("replace")
        body = json.dumps(said("registerUser", userId=HWID)).encode()
        sdk.post("registerUser", body, **ADA)
        assert bytes(OutboxEntry.objects.get().raw) == body
        assert not UserLink.objects.exists()

    def test_it_is_written_under_every_name(self, sdk, wire, policy, ada):
        policy("replace")
        browser = {"hwid": HWID, "platform": 11, "push_token": "t"}
        body = {"application": "TEST0-00001", "user_id": "eve", "push_devices": [browser], "tags": {}}
        assert sdk.post("multiRegisterDevice", {"request": body}, **ADA)["status_code"] == 200
        assert json.loads(wire.sent[0].body)["request"]["user_id"] == "ada"

    def test_where_nobody_can_stand_in_it_is_refused(self, sdk, wire, policy):
        policy("replace")
        body = {"application": "TEST0-00001", "email": "ada@example.org", "userId": "eve"}
        assert sdk.post("registerEmail", {"request": body})["status_code"] == 403

    @pytest.mark.parametrize(
        ("method", "body"),
        [
            ("deleteUser", {"application": "TEST0-00001", "user_id": "eve"}),
            ("mergeUser", {"request": {"application": "TEST0-00001", "oldUserId": "eve", "newUserId": "ada"}}),
        ],
    )
    def test_nobody_is_deleted_in_anothers_place(self, method, body, sdk, wire, policy, ada, open_policies):
        policy("replace")
        open_policies(method)
        assert sdk.post(method, body, **ADA)["status_code"] == 403
        assert wire.sent == []
        assert not OutboxEntry.objects.exists()


@pytest.fixture
def open_policies(monkeypatch):
    """A method that the table refuses, opened by its policy."""
    from dataclasses import replace

    from django_pushwoosh.protocol.calls import METHODS
    from django_pushwoosh.protocol.methods import Policy

    return lambda name: monkeypatch.setitem(METHODS, name, replace(METHODS[name], policy=Policy.RELAY))


class TestTheSamePhone:
    def test_of_the_next_user_the_link_moves_and_the_history_stays(self, sdk, wire, policy, ada, bob, clock):
        policy()
        sdk.post("registerUser", said("registerUser", userId="ada"), **ADA)
        clock.advance(days=1)
        sdk.call("registerUser", userId=HWID)
        clock.advance(days=1)
        sdk.post("registerUser", said("registerUser", userId="bob"), **BOB)
        first, second = UserLink.objects.order_by("pk")
        assert (first.django_user, first.user_id, first.is_open) == (ada, "ada", None)
        assert (second.django_user, second.user_id, second.is_open) == (bob, "bob", True)
        assert first.until < second.since

    def test_of_one_name_and_two_people_has_two_links(self, sdk, wire, policy, ada, bob):
        policy("take")
        for headers in (ADA, BOB, {}):
            sdk.post("registerUser", said("registerUser", userId="family"), **headers)
        assert [(link.django_user, link.is_open) for link in UserLink.objects.order_by("pk")] == [
            (ada, None), (bob, True),
        ]  # fmt: skip

    def test_whose_user_becomes_known_keeps_its_link(self, sdk, wire, policy, ada):
        policy("take")
        sdk.call("registerUser", userId="ada")
        sdk.post("registerDevice", said("registerDevice", userId="ada", push_token="t"), **ADA)
        assert UserLink.objects.get().django_user == ada

    def test_of_a_deleted_user_keeps_the_link_without_one(self, sdk, wire, policy, ada):
        policy()
        sdk.post("registerUser", said("registerUser", userId="ada"), **ADA)
        ada.delete()
        assert UserLink.objects.get().django_user is None
        assert sdk.call("pushStat", userId="ada", hash="h")["status_code"] == 403
        assert sdk.post("pushStat", said("pushStat", userId="ada", hash="h"), **ADA)["status_code"] == 401


@pytest.mark.django_db(transaction=True)
def test_a_user_who_is_deleted_meanwhile_loses_no_call(sdk, wire, policy, ada, monkeypatch):
    policy()
    from django_pushwoosh.gateway import views

    found = views.identify

    def identify(request):
        caller = found(request)
        get_user_model().objects.filter(pk=ada.pk).delete()
        # What was found before still has its key.
        return caller

    monkeypatch.setattr("django_pushwoosh.gateway.views.identify", identify)
    assert sdk.post("registerUser", said("registerUser", userId="ada"), **ADA)["status_code"] == 200
    run_outbox()
    assert [sent.method for sent in wire.sent] == ["registerUser"]


def test_numbers_are_not_worked_out():
    raw = b'{"request":{"n":%s,"f":1e999999999,"userId":"eve","x":NaN}}' % (b"9" * 200_000)
    assert with_text(raw, ("request", "userId"), "ada") == raw.replace(b"eve", b"ada")


KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(["userId", "a", '"', "\\"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@bounded(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    before=st.dictionaries(KEYS, VALUES, max_size=3),
    after=st.dictionaries(KEYS, VALUES, max_size=3),
    old=VALUES,
    new=st.text(st.characters(), max_size=8),
    separators=st.sampled_from([(",", ":"), (", ", ": "), ("\n,\t", " :\r\n")]),
    is_ascii=st.booleans(),
    bom=st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_a_value_is_cut_out_of_its_bytes(before, after, old, new, separators, is_ascii, bom):
    before.pop("userId", None)
    after = {name: value for name, value in after.items() if name != "userId" and name not in before}

    def encoded(value):
        text = json.dumps(value, separators=separators, ensure_ascii=is_ascii)
        return text.encode("utf-8", "surrogatepass")

    def body(value):
        marked = encoded({"other": before, "request": {**before, "userId": "\x01here", **after}})
        return bom + marked.replace(encoded("\x01here"), value)

    raw = body(encoded(old))
    try:
        raw.decode()
    except UnicodeDecodeError:
        # Such bytes are no JSON, and refused before.
        return
    assert with_text(raw, ("request", "userId"), new) == body(json.dumps(new).encode())
