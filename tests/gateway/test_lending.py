"""Our tokens are lent for calls about the device that speaks, and for nothing else, whatever is tried."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from django_pushwoosh.models import Device, OutboxEntry, Pause
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.envelope import reply
from django_pushwoosh.protocol.methods import AskedBy, Body, Policy
from django_pushwoosh.testing import run_outbox, use_sandbox
from tests.gateway import wire as recorded
from tests.gateway.conftest import HWID, NUMBER, PHONE

pytestmark = pytest.mark.django_db

APPLICATIONS = {
    "default": {"CODE": "TEST0-00001", "API_TOKEN": "first-api-token", "DEVICE_TOKEN": "first-device-token"},
    "other": {"CODE": "TEST0-00002", "API_TOKEN": "other-api-token", "DEVICE_TOKEN": "other-device-token"},
}
DEVICE_TOKENS = {row["CODE"]: row["DEVICE_TOKEN"] for row in APPLICATIONS.values()}
API_TOKENS = [row["API_TOKEN"].encode() for row in APPLICATIONS.values()]

ABOUT_A_DEVICE = {
    "registerDevice", "unregisterDevice", "setTags", "getTags", "setBadge", "applicationOpen", "pushStat",
    "messageDeliveryEvent", "registerUser", "postEvent", "deleteDevice", "checkDevice", "getConfig",
    "getInboxMessages", "inboxStatus", "getInApps", "triggerInAppAction", "richMediaAction", "createTestDevice",
    "getNearestZone", "setActivityToken", "setActivityPushToStartToken", "getPopupForms", "recordPopupFormEvent",
    "pageVisit", "setPurchase", "setMADID",
}  # fmt: skip
"""Written down a second time: a method that comes into the table is not lent to before somebody has thought of it."""

ASKED = {
    "tags": {"Name": "Ada"}, "event": "Bought", "badge": 1, "hash": "1_2_3_1-1", "inbox_code": "1", "status": 2,
    "code": "ABCDE", "message": "ABCD-1234", "request_id": "1", "email": "ada@example.org",
    "notifications": [{"content": "Hello", "send_date": "now"}], "devices_filter": 'A("TEST0-00001")',
    "devices": [{"hwid": "foreign"}], "user_id": "foreign", "oldUserId": "foreign", "newUserId": "foreign",
    "campaign": "C", "title": "T", "name": "N",
}  # fmt: skip
"""What methods ask for: each hostile call is otherwise complete."""

SERVED = {"application": "TEST0-00001"}
SCOPES: list[dict[str, Any]] = [
    {**SERVED, "hwid": HWID, "device_type": 3},
    {**SERVED, "hwid": HWID, "userId": "foreign"},
    {**SERVED, "hwid": "foreign"},
    {**SERVED, "userId": "foreign"},
    {**SERVED, "user_id": "foreign"},
    {**SERVED, "hwid": HWID, "user_id": "foreign"},
    {**SERVED, "hwid": HWID, "oldUserId": "foreign", "newUserId": HWID},
    {**SERVED, "hwid": HWID, "email": "foreign@example.org"},
    {**SERVED, "email": "foreign@example.org"},
    {**SERVED, "hwid": "foreign@example.org", "device_type": 14},
    {**SERVED, "hwid": NUMBER, "device_type": 18},
    {**SERVED, "hwid": NUMBER.lstrip("+"), "device_type": "21"},
    {**SERVED, "hwid": f"whatsapp:{NUMBER}"},
    {**SERVED, "hwid": HWID, "hwids": ["foreign"], "devices": ["foreign"], "users": ["foreign"]},
    {**SERVED, "hwid": HWID, "Devices": ["foreign"], "USERS": ["foreign"]},
    {**SERVED, "hwid": HWID, "push_devices": [{"hwid": "foreign", "platform": 11, "push_token": "t"}]},
    {**SERVED, "hwid": HWID, "sms_phone_number": NUMBER, "whatsapp_phone_number": NUMBER},
    {**SERVED, "hwid": HWID, "filter": 'A("TEST0-00001")', "to": "all", "conditions": []},
    {**SERVED, "hwid": HWID, "auth": "guessed"},
    {**SERVED, "hwid": HWID, "applications_group": "GROUP-00001"},
    {**SERVED, "hwid": ["foreign", HWID]},
    {**SERVED, "hwid": {"in": ["foreign"]}},
    {**SERVED, "hwid": ""},
    {"application": "TEST0-00002", "hwid": HWID},
    {"application": "NONE0-00003", "hwid": HWID},
    {"application": "test0-00001", "hwid": HWID},
    {"application": ["TEST0-00001"], "hwid": HWID},
    {"hwid": HWID},
]
ODD_BODIES = [
    b'{"request":{"application":"TEST0-00001","hwid":"%s","hwid":"foreign","tags":{}}}' % HWID.encode(),
    b'{"request":{"application":"TEST0-00001","hwid":"%s","\\u0068wid":"foreign","tags":{}}}' % HWID.encode(),
    b'{"request":{"application":"TEST0-00001","hwid":"%s","HWID":"foreign","tags":{}}}' % HWID.encode(),
    b'{"request":{"application":"TEST0-00001","hwid":"%s","tags":{}},"hwid":"foreign"}' % HWID.encode(),
    b'{"hwid":"foreign","request":{"application":"TEST0-00001","hwid":"%s","tags":{}}}' % HWID.encode(),
    b'{"request":{"request":{"hwid":"foreign"},"application":"TEST0-00001","hwid":"%s","tags":{}}}' % HWID.encode(),
    b'{"request":{"application":"TEST0-00001","hwid":"%s"},"Request":{"userId":"foreign"}}' % HWID.encode(),
    b'{"request":{"application":"TEST0-00001","hwid":"%s","application":"TEST0-00002","tags":{}}}' % HWID.encode(),
]


def spelled(name: str) -> list[str]:
    """Paths that some server on the way might take for a method's."""
    other = name[0].swapcase() + name[1:]
    escaped = f"%{ord(name[0]):02x}{name[1:]}"
    return [
        f"/json/1.3/{name}",
        f"/json/1.3/{name}/",
        f"/json/1.3//{name}",
        f"/json/1.3/{other}",
        f"/json/1.3/{name.lower()}",
        f"/json/1.3/{name.upper()}",
        f"/json/1.3/{escaped}",
        f"/json/1.3/%25{escaped[1:]}",
        f"/json/1.3/setTags/../{name}",
        f"/json/1.3/setTags/%2e%2e/{name}",
        f"/json/1.3/setTags%2f..%2f{name}",
        f"/json/1.3/{name}/../setTags",
        f"/json/1.3/{name}/..",
        f"/json/1.3/{name}.",
        f"/json/1.3/{name}%20",
        f"/json/1.3/{name}%00",
        f"/json/1.3/{name};setTags",
        f"/json/1.3/setTags;{name}",
        f"/json/1.3/{name}?method=setTags",
        f"/json/1.3/setTags%3f/{name}",
        f"/json/1.3/{name}%E2%80%8B",
        f"/json/1.3/{name.replace('e', '%D0%B5')}",
        f"/json/1.3/%EF%BD%83{name[1:]}",
        f"/json/1.3/setTags%5c..%5c{name}",
        f"/api/v2/device-api/{name}",
        f"/api/v2/device-api/../audience/{name}",
    ]


class Upstream:
    """What reached Pushwoosh: on the wire, and in the sandbox's own record."""

    def __init__(self, wire: recorded.Wire, sandbox: Any) -> None:
        self.wire = wire
        self.sandbox = sandbox

    def check(self) -> int:
        """Nothing privileged went out; how many calls went with a device token."""
        lent = 0
        for sent in self.wire.sent:
            assert not any(token in sent.body for token in API_TOKENS), sent
            assert set(sent.headers) <= {"Content-Type", "Authorization"}, sent
            row = METHODS.get(sent.method)
            if row is None:
                # Only where methods of tomorrow are relayed, and never what another reader could take for one of ours.
                assert sent.method == "nonsense", sent
                assert sent.authorization is None, sent
                continue
            assert row.asked_by is AskedBy.SDK, sent
            assert sent.url.endswith(row.path), sent
            if sent.authorization is not None:
                lent += 1
                self._check_scope(sent)
        for request in self.sandbox.requests:
            row = METHODS.get(request.method)
            assert row.asked_by is AskedBy.SDK if row is not None else request.method == "nonsense", request
        self.wire.sent.clear()
        self.sandbox.requests.clear()
        return lent

    @staticmethod
    def _check_scope(sent: recorded.Sent) -> None:
        document = json.loads(sent.body)
        arguments = document.get("request", document)
        assert sent.authorization == f"Token {DEVICE_TOKENS[arguments['application']]}", sent
        assert sent.method in ABOUT_A_DEVICE, sent
        assert arguments["hwid"] in (HWID, "foreign"), sent
        words = re.findall(r"foreign", json.dumps({**arguments, "hwid": "", "userId": ""}))
        assert not words, sent
        assert not {"auth", "filter", "applications_group", "email"} & set(arguments), sent


@pytest.fixture
def options() -> dict[str, Any]:
    """How Pushwoosh behaves."""
    return {}


@pytest.fixture
def upstream(settings: Any, clock: Any, options: dict[str, Any]) -> Iterator[Upstream]:
    settings.PUSHWOOSH = {
        **settings.PUSHWOOSH,
        "APPLICATIONS": APPLICATIONS,
        "TRANSPORT": "tests.gateway.wire.transport",
        "THROTTLE": {"PER_HWID": None},
        "GATEWAY_UNKNOWN_METHODS": "relay",
    }
    recorded.transport.__init__()  # type: ignore[misc]
    with use_sandbox(sleep=lambda seconds: clock.advance(seconds=seconds), **options) as sandbox:
        yield Upstream(recorded.transport, sandbox)
    recorded.transport.__init__()  # type: ignore[misc]


def body_of(method: str, scope: dict[str, Any]) -> Any:
    row = METHODS.get(method)
    names = [argument.name for argument in row.arguments if argument.required] if row is not None else ["tags"]
    arguments = {**{name: ASKED.get(name, "x") for name in names if name != "hwid"}, **scope}
    return arguments if row is not None and row.body is Body.FLAT else {"request": arguments}


def drained() -> None:
    run_outbox()
    assert not OutboxEntry.objects.unsettled().exists()
    assert not Pause.objects.exists(), "no stranger's call stops the application"


WHOLE_TABLE = sorted(METHODS)
STRANGERS = [None, "Token null", "Token (null)", "Basic dXNlcjpwYXNz", "Token guessed"]


@pytest.fixture(params=[None, *Policy], ids=lambda policy: policy.name.lower() if policy else "as in the table")
def policies(request: Any, monkeypatch: Any) -> None:
    """The policy of each method that SDKs may call, as a host may set it."""
    if request.param is None:
        return
    for name, row in list(METHODS.items()):
        if row.asked_by is AskedBy.SDK:
            monkeypatch.setitem(METHODS, name, replace(row, policy=request.param))


@pytest.mark.usefixtures("policies")
def test_whoever_is_named_nothing_privileged_goes_out(sdk, upstream):
    strangers = cycle(STRANGERS[:-1])
    for method in [*WHOLE_TABLE, "nonsense"]:
        for scope in SCOPES:
            sdk.post(method, body_of(method, scope), authorization=next(strangers))
        for body in ODD_BODIES:
            assert sdk.post(method, body, authorization=next(strangers))["status_code"] in (400, 403, 404)
    drained()
    assert not any(b"\\u0068" in sent.body for sent in upstream.wire.sent)
    upstream.check()


@pytest.mark.usefixtures("policies")
def test_however_the_path_is_spelled_nothing_privileged_goes_out(sdk, upstream):
    scopes = cycle(SCOPES[:4])
    for method in [*WHOLE_TABLE, "nonsense"]:
        for path in spelled(method):
            sdk.post("", body_of(method, next(scopes)), path=path, authorization=STRANGERS[1])
        next(scopes)
    drained()
    upstream.check()


@pytest.mark.usefixtures("policies")
def test_who_guesses_a_token_reaches_nobody(sdk, upstream):
    for method in WHOLE_TABLE:
        for scope in SCOPES[:9]:
            assert sdk.post(method, body_of(method, scope), authorization=STRANGERS[-1])["status_code"] in (401, 403)
    drained()
    assert upstream.wire.sent == []


def test_the_list_of_what_is_about_a_device_is_no_longer_than_what_is_lent(sdk, upstream, monkeypatch):
    """The checks above would hold if nothing were lent at all."""
    for name in ABOUT_A_DEVICE:
        monkeypatch.setitem(METHODS, name, replace(METHODS[name], policy=Policy.RELAY))
        sdk.post(name, body_of(name, SCOPES[0]))
        [sent] = upstream.wire.sent
        assert sent.authorization == "Token first-device-token", name
        assert upstream.check() == 1


@pytest.mark.parametrize("options", [{"requires_device_token": True}])
def test_where_pushwoosh_asks_for_a_token_everywhere_it_takes_what_devices_say_alone(sdk, upstream):
    """By the sandbox's own word: whatever it took had come with a token."""
    for method in WHOLE_TABLE:
        for scope in SCOPES:
            sdk.post(method, body_of(method, scope))
    drained()
    taken = [request for request in upstream.sandbox.requests if request.http_status == 200]
    assert {request.method for request in taken} <= ABOUT_A_DEVICE
    assert {request.arguments["hwid"] for request in taken} == {HWID, "foreign"}
    refused = {request.method for request in upstream.sandbox.requests if request.http_status == 401}
    assert {"registerEmail", "setEmailTags", "multiRegisterDevice"} <= refused
    upstream.check()


NAMES = st.sampled_from(
    sorted({argument.name for row in METHODS.values() for argument in row.arguments} | {"hwids", "users", "emails"})
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([HWID, "foreign", "foreign@example.org", NUMBER, ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(NAMES, VALUES, max_size=6)


@bounded(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(method=st.sampled_from(WHOLE_TABLE), arguments=ARGUMENTS, authorization=st.sampled_from(STRANGERS))
def test_no_combination_of_names_borrows_more(method, arguments, authorization, sdk, upstream):
    body = body_of(method, {"application": "TEST0-00001", **arguments})
    sdk.post(method, body, authorization=authorization)
    run_outbox()
    for sent in upstream.wire.sent:
        if sent.authorization is not None:
            said = json.loads(sent.body)
            said = said.get("request", said)
            assert sent.method in ABOUT_A_DEVICE
            assert said["hwid"] in (HWID, "foreign")
            assert not set(said) & {"devices", "users", "user_id", "email", "push_devices", "hwids", "filter"}
    upstream.wire.sent.clear()


class TestWithoutOurToken:
    """What is about an address is taken from everybody, and sent without our token by everybody who sends it."""

    ADDRESS = {"application": "TEST0-00001", "email": "ada@example.org"}

    @pytest.mark.parametrize("authorization", [None, "Token null", "Basic dXNlcjpwYXNz"])
    @pytest.mark.parametrize("hwid", [{}, {"hwid": HWID, "device_type": 3}])
    @pytest.mark.parametrize(
        ("method", "more"),
        [("registerEmail", {}), ("setEmailTags", {"tags": {"Name": "Ada"}}), ("registerEmailUser", {"userId": "ada"})],
    )
    def test_the_worker_has_no_token_for_it_either(self, method, more, hwid, authorization, sdk, upstream):
        body = {"request": {**self.ADDRESS, **hwid, **more}}
        assert sdk.post(method, body, authorization=authorization)["status_code"] == 200
        assert OutboxEntry.objects.get().is_tokenless
        run_outbox()
        assert [(sent.method, sent.authorization) for sent in upstream.wire.sent] == [(method, None)]

    def test_who_holds_the_token_has_it_sent_with(self, sdk, upstream):
        sdk.post("registerEmail", {"request": self.ADDRESS}, authorization="Token first-device-token")
        assert not OutboxEntry.objects.get().is_tokenless
        run_outbox()
        assert upstream.wire.sent[0].authorization == "Token first-device-token"

    def test_a_repeated_try_has_none_either(self, sdk, upstream, faults_on_wire, clock):
        sdk.post("registerEmail", {"request": self.ADDRESS})
        faults_on_wire.next("unreachable", (500, {}, b""), "lose answer", (429, {}, reply(429, "Too many")))
        for _ in range(6):
            run_outbox()
            clock.advance(minutes=10)
        assert OutboxEntry.objects.get().status == OutboxEntry.Status.SENT
        assert len(upstream.wire.sent) == 5
        assert {sent.authorization for sent in upstream.wire.sent} == {None}

    def test_what_could_not_be_relayed_waits_without_one(self, sdk, upstream, faults_on_wire, clock):
        faults_on_wire.next("unreachable")
        body = {"request": {**self.ADDRESS, "user_id": "ada", "push_devices": [], "tags": {}}}
        assert sdk.post("multiRegisterDevice", body)["status_code"] == 200
        assert OutboxEntry.objects.get().is_tokenless
        clock.advance(minutes=10)
        run_outbox()
        assert [sent.authorization for sent in upstream.wire.sent] == [None, None]

    def test_what_the_mirror_cannot_digest_waits_without_one(self, sdk, upstream, monkeypatch):
        def crash(*args, **kwargs):
            raise ValueError("indigestible")

        monkeypatch.setattr("django_pushwoosh.delivery.mirror.note", crash)
        sdk.post("registerEmail", {"request": self.ADDRESS})
        assert OutboxEntry.objects.get().is_tokenless

    @pytest.mark.parametrize(
        "refusal",
        [
            (401, {}, b""),
            (200, {}, reply(401, "Unauthorized", None)),
            (403, {}, reply(403, "Forbidden", None)),
            (200, {}, reply(403, "Token restrictions forbid this operation", None)),
            (200, {}, reply(210, "API token or application is not set", None)),
            (200, {}, reply(210, "Access denied or application not found", None)),
            (200, {}, reply(210, "Account not found", None)),
        ],
    )
    def test_its_refusal_is_its_own_and_stops_nobody(self, refusal, sdk, upstream, faults_on_wire):
        sdk.post("registerEmail", {"request": self.ADDRESS})
        sdk.call("setTags", tags={"Name": "Ada"})
        faults_on_wire.next(refusal)
        run_outbox()
        refused, taken = OutboxEntry.objects.order_by("pk")
        assert (refused.status, taken.status) == (OutboxEntry.Status.FAILED, OutboxEntry.Status.SENT)
        assert "without your device token" in refused.told
        assert "API_TOKEN" not in refused.told
        assert not Pause.objects.exists()

    @pytest.mark.parametrize(
        "refusal", [(302, {"Location": "/"}, b""), (200, {}, reply(210, "Application suspended", None))]
    )
    def test_what_no_token_would_help_against_stops_all(self, refusal, sdk, upstream, faults_on_wire):
        sdk.post("registerEmail", {"request": self.ADDRESS})
        faults_on_wire.next(refusal)
        run_outbox()
        assert OutboxEntry.objects.get().status == OutboxEntry.Status.QUEUED
        assert Pause.objects.get().application == "TEST0-00001"

    def test_a_person_who_tries_it_again_does_not_lend_it_one(self, sdk, upstream, faults_on_wire, admin_client):
        sdk.post("registerEmail", {"request": self.ADDRESS})
        faults_on_wire.next((401, {}, b""))
        run_outbox()
        entry = OutboxEntry.objects.get()
        changelist = "/admin/django_pushwoosh/outboxentry/"
        admin_client.post(changelist, {"action": "retry", "_selected_action": [entry.pk]})
        page = admin_client.get(f"{changelist}{entry.pk}/change/").content.decode()
        assert "speaks without our token" in page.lower()
        run_outbox()
        assert OutboxEntry.objects.get().status == OutboxEntry.Status.SENT
        assert [sent.authorization for sent in upstream.wire.sent] == [None, None]

    def test_it_never_joins_what_has_one(self, upstream):
        from django_pushwoosh import push
        from django_pushwoosh.delivery import outbox
        from django_pushwoosh.protocol.calls import Call

        mine = [
            push.queue_call(Call.of("setTags", "TEST0-00001", hwid=HWID, tags={"N": number}), is_tokenless=number == 1)
            for number in range(3)
        ]
        assert [entry.bulk_method for entry in mine] == ["bulkSetTags", "", "bulkSetTags"]
        assert [outbox.can_share(entry) for entry in mine] == [True, False, True]
        drained()
        assert [sent.authorization for sent in upstream.wire.sent] == [
            "Token first-device-token", None, "Token first-device-token",
        ]  # fmt: skip

    def test_an_address_for_a_hwid_is_known_to_everybody(self, sdk, upstream):
        for hwid, platform in (("ada@example.org", 14), (NUMBER, 18), (NUMBER, 21), (f"whatsapp:{NUMBER}", 21)):
            sdk.call("registerDevice", hwid=hwid, device_type=platform)
        assert [sent.authorization for sent in upstream.wire.sent] == [None] * 4
        assert Device.objects.count() == 3


@pytest.fixture
def faults_on_wire(upstream: Upstream) -> Iterator[Any]:
    from tests import faults

    yield faults.transport
    faults.transport.waiting.clear()


@pytest.mark.parametrize("name", ["first-api-token", "other-device-token", "first-device-token"])
@pytest.mark.parametrize("escape", [str, lambda name: "\\u0066\\u0069" + name[2:] if name[0] == "f" else name])
def test_a_body_that_holds_a_token_is_not_stored(name, escape, sdk, upstream):
    code = "TEST0-00002" if name.startswith("other") else "TEST0-00001"
    body = json.dumps({"request": {"application": code, "hwid": HWID, "tags": {"N": "…"}}}, ensure_ascii=False)
    assert sdk.post("setTags", body.replace("…", escape(name)).encode())["status_code"] == 403
    assert not OutboxEntry.objects.exists()
    assert not Device.objects.exists()


def test_a_phone_that_is_known_stays_so(sdk, upstream):
    sdk.call("registerDevice", push_token="t")
    assert upstream.wire.sent[0].authorization == "Token first-device-token"
    assert Device.objects.get(hwid=PHONE["hwid"]).push_token == "t"
