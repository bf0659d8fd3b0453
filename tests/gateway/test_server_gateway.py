"""Other services post messages through here: who may, what is refused, what the cap and a lost answer mean to them."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.urls import include, path
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.throttling import UserRateThrottle

from django_pushwoosh import push
from django_pushwoosh.conf import settings as pushwoosh
from django_pushwoosh.delivery import direct, outbox
from django_pushwoosh.delivery.governor import EPOCH, Governor
from django_pushwoosh.gateway.server import job_view, message_view, method_view
from django_pushwoosh.models import Attempt, Dispatch, OutboxEntry, Pause, RateSlot, ScheduledMessage
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.methods import AskedBy, Body
from django_pushwoosh.testing import faults as fault
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock
from tests.gateway.conftest import envelope_of

pytestmark = pytest.mark.django_db

NOTE = {"send_date": "now", "content": "Hello", "to_everyone": True}
BASIC = "rest_framework.authentication.BasicAuthentication"
SESSION = "rest_framework.authentication.SessionAuthentication"
KNOWN = "rest_framework.permissions.IsAuthenticated"


class Urls:
    urlpatterns = [
        path("server/", include("django_pushwoosh.gateway.server_urls")),
        path("", include("django_pushwoosh.gateway.urls")),
    ]


class KnocksTwice(BaseAuthentication):
    """A project's own way to know its services, which are no Django users."""

    def authenticate(self, request: Any) -> Any:
        return (None, "knock knock") if request.headers.get("X-Knock") == "2" else None


class FromTheBackOffice(BasePermission):
    def has_permission(self, request: Any, view: Any) -> bool:
        return request.headers.get("X-Office") == "back"


class Twice(UserRateThrottle):
    rate = "2/minute"


class Service:
    """Posts as a service of the company does."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.headers: dict[str, str] = {"Authorization": "Basic c2hvcDpzZWNyZXQ="}
        self.answer: Any = None

    def post(self, method: str, body: Any, *, root: str = "/server/json/1.3/", **headers: str) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answer = self.client.post(
            f"{root}{method}", content, content_type="application/json", headers={**self.headers, **headers}
        )
        return json.loads(self.answer.content)

    def send(self, *notes: Any, **headers: str) -> Any:
        self.post("createMessage", {"request": {"notifications": list(notes or [NOTE])}}, **headers)
        return envelope_of(self.answer)

    def get(self, address: str) -> Any:
        self.answer = self.client.get(address, headers=self.headers)
        return json.loads(self.answer.content)


@pytest.fixture(autouse=True)
def _server(settings: Any, sandbox: Any) -> None:
    settings.ROOT_URLCONF = Urls
    set_up(settings)


@pytest.fixture
def service(client: Client) -> Service:
    get_user_model().objects.create_user("shop", password="secret")
    client.raise_request_exception = False
    return Service(client)


def set_up(settings: Any, **rules: Any) -> None:
    rules = {"AUTHENTICATION": [BASIC], "PERMISSIONS": [KNOWN], **rules}
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "SERVER_GATEWAY": rules}


def use_up(seconds: float, free: int = 0) -> None:
    Governor().pause(pushwoosh.account(), seconds)
    RateSlot.objects.filter(account="default", number__lt=free).update(free_at=EPOCH)


# Who may


def test_a_service_sends_without_pushwooshs_token(service, sandbox):
    answer = service.send()
    assert answer["status_code"] == 200
    assert answer["response"]["Messages"] == [sandbox.messages[0].code]
    assert len(sandbox.messages) == 1


def test_nobody_else_may(service, sandbox):
    service.headers = {}
    assert service.send()["status_code"] == 401
    assert service.answer["WWW-Authenticate"].startswith("Basic")
    service.headers = {"Authorization": "Basic c2hvcDp3cm9uZw=="}
    assert service.send()["status_code"] == 401
    assert not sandbox.messages
    assert not ScheduledMessage.objects.exists()


@pytest.mark.parametrize(
    "rules",
    [
        {"PERMISSIONS": None},
        {"PERMISSIONS": []},
        {"PERMISSIONS": ["rest_framework.permissions.AllowAny"]},
        {"AUTHENTICATION": []},
        {"AUTHENTICATION": None, "PERMISSIONS": None},
    ],
)
def test_without_rules_it_is_shut_for_everybody(rules, service, sandbox, settings):
    set_up(settings, **rules)
    refused = service.send()
    assert refused["status_code"] == 403
    assert "closed" in refused["status_message"]
    assert service.get("/server/messages/00000000-0000-4000-8000-000000000000")["status_code"] == 403
    assert not sandbox.messages


def test_rest_frameworks_settings_are_taken_where_ours_say_nothing(service, sandbox, settings):
    set_up(settings, AUTHENTICATION=None, PERMISSIONS=None)
    settings.REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": ["tests.gateway.test_server_gateway.KnocksTwice"],
        "DEFAULT_PERMISSION_CLASSES": ["tests.gateway.test_server_gateway.FromTheBackOffice"],
    }
    service.headers = {"X-Knock": "2"}
    assert service.send()["status_code"] == 403
    service.headers = {"X-Office": "back"}
    assert service.send()["status_code"] == 200, "a permission of the project's own may know callers by other means"


def test_what_lets_anybody_read_lets_nobody_read_here(service, sandbox, settings):
    set_up(settings, PERMISSIONS=["rest_framework.permissions.IsAuthenticatedOrReadOnly"])
    service.headers = {}
    assert service.get("/server/messages/00000000-0000-4000-8000-000000000000")["status_code"] == 401


def test_a_browsers_session_needs_its_csrf_token(service, sandbox, settings, client):
    set_up(settings, AUTHENTICATION=[SESSION])
    service.client = Client(enforce_csrf_checks=True)
    service.client.login(username="shop", password="secret")
    service.headers = {}
    assert service.send()["status_code"] == 403
    assert not sandbox.messages


def test_the_projects_throttles_apply(service, sandbox, settings, clock):
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_CLASSES": ["tests.gateway.test_server_gateway.Twice"]}
    cache.clear()
    assert [service.send()["status_code"] for _ in range(3)] == [200, 200, 429]
    assert int(service.answer["Retry-After"]) > 0


def test_a_callers_own_token_is_neither_needed_nor_kept(service, wire):
    body = {"request": {"auth": "somebody-elses-token", "application": "TEST0-00001", "notifications": [NOTE]}}
    assert service.post("createMessage", body)["status_code"] == 200
    sent = json.loads(wire.sent[0].body)["request"]
    assert sent["auth"] == "test-api-token"
    kept = json.dumps(
        [*OutboxEntry.objects.values(), *Attempt.objects.values(), *Dispatch.objects.values()], default=str
    )
    assert "somebody" not in kept
    assert "test-api-token" not in kept
    assert "auth" not in kept


@pytest.mark.parametrize(
    "note", [{**NOTE, "content": "test-api-token"}, {**NOTE, "data": {"inner": ["xtest-api-tokenx"]}}]
)
def test_our_token_in_a_message_is_refused(note, service, sandbox):
    assert service.send(note)["status_code"] == 403
    assert not ScheduledMessage.objects.exists()


def test_who_asked_is_in_the_log(service, sandbox, caplog):
    caplog.set_level(logging.INFO)
    service.send()
    user = get_user_model().objects.get()
    assert f"createMessage for TEST0-00001 by user {user.pk}: {Dispatch.objects.get().transaction_id}" in caplog.text
    assert "Hello" not in caplog.text


# What is refused


@pytest.mark.parametrize(
    "note",
    [
        {"send_date": "now", "content": "Hello"},
        {"send_date": "now", "content": "Hello", "devices": []},
        {"send_date": "now", "content": "Hello", "devices": None},
        {"send_date": "now", "content": "Hello", "users": []},
        {"send_date": "now", "content": "Hello", "conditions": []},
        {"send_date": "now", "content": "Hello", "filter": ""},
        {"send_date": "now", "content": "Hello", "geozone": {}},
        {"send_date": "now", "content": "Hello", "conditions_operator": "AND"},
        {"send_date": "now", "content": "Hello", "Devices": ["a"]},
        {"send_date": "now", "content": "Hello", "to_everyone": 1},
        {"send_date": "now", "content": "Hello", "to_everyone": False},
        {"send_date": "now", "content": "Hello", "To_Everyone": True},
        {**NOTE, "devices": ["a"]},
        {"send_date": "now", "content": "Hello", "devices": ["a"], "users": ["b"]},
        {"send_date": "now", "content": "Hello", "devices_filter": 'A("TEST0-00001")'},
        {"send_date": "now", "content": "Hello", "applications_group": "AAAAA-11111"},
        {"content": "Hello", "application": "OTHER-00001", "to_everyone": True},
        {"content": "Hello", "extra": {"devices": ["a"]}},
    ],
)
def test_nothing_goes_to_everyone_by_accident(note, service, sandbox):
    for headers in ({}, {"Prefer": "respond-async"}):
        refused = service.send(note, **headers)
        assert refused["status_code"] == 210
        assert "notifications[0]" in refused["status_message"]
    assert not sandbox.messages
    assert not ScheduledMessage.objects.exists()
    assert not RateSlot.objects.filter(uses__gt=0).exists(), "no slot of the cap is lost over it"


@pytest.mark.parametrize(
    "name", ["Notifications", "APPLICATIONS_GROUP", "applications_group", "send_to", "Auth", "AUTH"]
)
def test_unknown_arguments_beside_the_messages_are_refused(name, service, sandbox):
    body = {"request": {"notifications": [NOTE], name: "AAAAA-11111"}}
    assert service.post("createMessage", body)["status_code"] in (210, 400)
    assert not sandbox.messages


@pytest.mark.parametrize("application", ["OTHER-00001", "TEST0-00001/../x", 7, ["TEST0-00001"], {}])
def test_other_applications_are_refused(application, service, wire):
    arguments = {"application": application, "notifications": [NOTE], "message": "AAAA-11111111-22222222"}
    for row in METHODS.values():
        if row.asked_by is AskedBy.SERVER:
            body = {"request": arguments} if row.body is Body.ENVELOPE else arguments
            refused = service.post(row.name, body)
            assert refused["status_code"] == (405 if row.verb == "GET" else 210), row.name
    assert wire.sent == []


def test_a_filter_is_bound_to_its_application(service, sandbox):
    request = {
        "devices_filter": 'T("City", EQ, "Oslo") + T("Town", EQ, "Oslo")',
        "send_date": "now",
        "content": "Hello",
    }
    answer = service.post("createTargetedMessage", {"request": request})
    assert answer["status_code"] == 200
    assert answer["response"]["messageCode"] == sandbox.messages[0].code
    sent = Dispatch.objects.get().arguments["devices_filter"]
    assert sent.startswith('(A("TEST0-00001") * (')


@pytest.mark.parametrize("name", ["devices", "to_everyone", "conditions", "Devices_Filter"])
def test_a_filter_stands_alone(name, service, sandbox):
    request = {"devices_filter": 'T("City", EQ, "Oslo")', "send_date": "now", "content": "Hello", name: ["x"]}
    assert service.post("createTargetedMessage", {"request": request})["status_code"] == 210
    assert not sandbox.messages


def test_methods_of_sdks_have_their_own_gateway(service, wire):
    for row in METHODS.values():
        if row.asked_by is AskedBy.SDK:
            body = {"request": {"application": "TEST0-00001", "hwid": "h"}}
            assert service.post(row.name, body)["status_code"] == 403, row.name
    assert wire.sent == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"request":1}', 400),
        (b'{"request":{"notifications":[],"notifications":[]}}', 400),
        (b'{"notifications":[]}', 400),
        (b'{"request":{}}', 210),
        (b'{"request":{"notifications":{}}}', 210),
        (b'{"request":{"notifications":[7]}}', 210),
        (b'{"request":{"notifications":[]}}', 210),
        (b" " * 3_000_000, 413),
    ],
)
def test_bad_bodies_are_told_what_is_wrong(body, status, service, sandbox):
    assert service.post("createMessage", body)["status_code"] == status
    envelope_of(service.answer)


def test_wrong_addresses_and_verbs_get_an_envelope(service, client):
    for address in ("/server/json/1.3/", "/server/json/1.3", "/server/json/1.3/createmessage", "/server/messages/x"):
        assert service.get(address)["status_code"] in (404, 405)
        envelope_of(service.answer)
    assert service.post("createmessage", {"request": {}})["status_code"] == 404
    assert service.post("bulkSetTagsStatus", {}, root="/server/api/v2/audience/")["status_code"] == 405
    service.get("/server/api/v2/audience/bulkNothing/1")
    assert envelope_of(service.answer)["status_code"] == 404
    assert envelope_of(client.options("/server/json/1.3/createMessage"))["status_code"] in (200, 401)


# The cap


def test_beyond_the_cap_there_is_429_and_nothing_is_kept(service, sandbox):
    use_up(30)
    refused = service.send()
    assert refused["status_code"] == 429
    assert 28 <= int(service.answer["Retry-After"]) <= 31
    assert not ScheduledMessage.objects.exists()
    assert not sandbox.messages


def test_without_the_middleware_the_cap_holds_too(service, sandbox, settings):
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "pushwoosh" not in each]
    use_up(30)
    assert service.send()["status_code"] == 429
    assert 28 <= int(service.answer["Retry-After"]) <= 31
    assert not ScheduledMessage.objects.exists()


def test_beyond_the_cap_a_message_is_queued_for_whoever_asks(service, sandbox, clock: Clock):
    use_up(30)
    queued = service.send(Prefer="respond-async, wait=10")
    assert queued["status_code"] == 202
    assert service.answer["Preference-Applied"] == "respond-async"
    location = service.answer["Location"]
    assert queued["response"]["messages"][0]["location"] == location
    assert service.get(location)["response"]["status"] == "queued"

    use_up(0, free=600)
    run_outbox()
    told = service.get(location)["response"]
    assert told["status"] == "sent"
    assert told["code"] == sandbox.messages[0].code


def test_a_relayed_message_takes_its_slot_and_keeps_it(service, sandbox, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": 2}}}
    assert [service.send()["status_code"] for _ in range(3)] == [200, 200, 429]
    assert len(sandbox.messages) == 2


def test_several_messages_of_one_request_take_one_slot(service, sandbox, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": 1}}}
    answer = service.send(
        NOTE, {**NOTE, "content": "And more"}, {"devices": ["d"], "content": "You", "send_date": "now"}
    )
    assert answer["status_code"] == 200
    assert len(answer["response"]["Messages"]) == 3
    assert Dispatch.objects.filter(status="sent").count() == 3
    assert service.send()["status_code"] == 429


def test_what_is_exempt_from_the_cap_does_not_wait_for_it(service, sandbox):
    use_up(30)
    assert service.send({"send_date": "now", "content": "Your code", "devices": ["phone"]})["status_code"] == 200


def test_a_refused_slot_is_given_back_where_nothing_left(service, sandbox, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": 1}}}
    sandbox.faults.fail_next("createMessage", with_=fault.no_connection())
    assert service.send()["status_code"] == 503
    assert service.send()["status_code"] == 200


# What Pushwoosh makes of it


def test_every_message_has_a_transaction_id_before_it_leaves(service, wire):
    wire.watch = lambda: seen.append(
        (str(Dispatch.objects.get().transaction_id), OutboxEntry.objects.get().status, connection.in_atomic_block)
    )
    seen: list[Any] = []
    service.send()
    sent = json.loads(wire.sent[0].body)["request"]["notifications"][0]
    assert seen == [(sent["transactionId"], "sending", True)], "the test's own transaction is the only one"


def test_a_lost_answer_goes_again_once_and_is_told_later(service, sandbox, clock: Clock):
    sandbox.faults.lose_next_answer("createMessage")
    doubtful = service.send()
    assert doubtful["status_code"] == 202
    location = service.answer["Location"]
    assert service.get(location)["response"]["status"] == "queued"

    clock.advance(minutes=1)
    run_outbox()
    assert service.get(location)["response"]["status"] == "sent"
    assert len(sandbox.messages) == 1


def test_a_lost_answer_beyond_the_window_is_told_as_uncertain(service, sandbox, clock: Clock):
    sandbox.faults.lose_next_answer("createMessage")
    service.send()
    location = service.answer["Location"]
    clock.advance(minutes=10)
    run_outbox()
    assert service.get(location)["response"]["status"] == "uncertain"
    assert len(sandbox.messages) == 1


def test_a_message_whose_process_dies_is_taken_up_by_a_worker(service, sandbox, monkeypatch, clock: Clock):
    def die(*_args: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(direct, "send", die)
    with pytest.raises(SystemExit):
        service.send()
    assert OutboxEntry.objects.get().status == "sending"
    monkeypatch.undo()
    clock.advance(seconds=outbox.longest_lease().total_seconds() + 1)
    run_outbox()
    clock.advance(minutes=1)
    run_outbox()
    assert OutboxEntry.objects.get().status == "sent"
    assert len(sandbox.messages) == 1


def test_a_callers_transaction_id_names_one_message_for_ever(service, sandbox, clock: Clock):
    note = {**NOTE, "transactionId": "order 7 is on its way"}
    first = service.send(note)
    clock.advance(hours=2)
    again = service.send(note)
    assert again["status_code"] == 200
    assert again["response"]["Messages"] == first["response"]["Messages"]
    mixed = service.send(note, NOTE)
    assert mixed["response"]["Messages"][0] == first["response"]["Messages"][0]
    assert len(mixed["response"]["Messages"]) == 2
    assert len(sandbox.messages) == 2
    assert service.send(note, Prefer="respond-async")["status_code"] == 200

    get_user_model().objects.create_user("other", password="secret")
    service.headers = {"Authorization": "Basic b3RoZXI6c2VjcmV0"}
    assert service.send(note)["response"]["Messages"] != first["response"]["Messages"], "ids are a caller's own"


def test_what_was_queued_under_an_id_is_told_and_not_queued_again(service, sandbox):
    note = {**NOTE, "transactionId": "order 7"}
    first = service.send(note, Prefer="respond-async")
    assert service.send(note)["response"] == first["response"]
    assert service.send(note, note)["status_code"] == 210
    run_outbox()
    assert service.send(note)["status_code"] == 200
    assert len(sandbox.messages) == 1


def test_what_did_not_happen_may_be_posted_again_under_its_id(service, sandbox):
    note = {**NOTE, "transactionId": "order 7"}
    sandbox.faults.fail_next("createMessage", with_=fault.no_connection())
    assert service.send(note)["status_code"] == 503
    assert service.send(note)["status_code"] == 200
    assert sorted(Dispatch.objects.values_list("status", flat=True)) == ["failed", "sent"]
    run_outbox()
    assert len(sandbox.messages) == 1


def test_a_refusal_of_pushwooshs_is_passed_on_and_kept(service, sandbox):
    sandbox.faults.fail_next("createMessage", with_=fault.refusal("Cannot parse date"))
    refused = service.send()
    assert refused["status_code"] == 210
    assert refused["status_message"] == "Cannot parse date"
    assert Dispatch.objects.get().status == "failed"
    assert OutboxEntry.objects.get().status == "failed"
    assert Attempt.objects.get().status_code == 210


def test_of_several_messages_those_before_a_bad_one_are_sent(service, wire, faults):
    answer = {"status_code": 210, "status_message": "Cannot parse date", "response": {"Messages": ["AAAA-1-1"]}}
    faults.next((200, {}, json.dumps(answer).encode()))
    refused = service.send(NOTE, NOTE, NOTE)
    assert refused == answer
    assert list(Dispatch.objects.order_by("pk").values_list("status", flat=True)) == ["sent", "failed", "failed"]
    assert not OutboxEntry.objects.unsettled().exists(), "the caller decides what becomes of the rest"


@pytest.mark.parametrize("queues", [False, True])
def test_a_condemned_application_is_paused_and_the_caller_not_blamed(queues, service, sandbox):
    sandbox.faults.fail_next("createMessage", with_=fault.suspended_account())
    refused = service.send()
    assert refused["status_code"] == 503
    assert Pause.objects.get().application == "TEST0-00001"
    answer = service.send(**({"Prefer": "respond-async"} if queues else {}))
    assert answer["status_code"] == (202 if queues else 503)
    assert not sandbox.messages


def test_pushwooshs_429_holds_everybody_back(service, sandbox):
    sandbox.faults.fail_next("createMessage", with_=fault.too_many_requests(7))
    assert service.send()["status_code"] == 429
    assert service.answer["Retry-After"] == "7"
    assert service.send()["status_code"] == 429


def test_everything_may_be_paused(service, sandbox, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "PAUSED": True}
    assert service.send()["status_code"] == 503
    assert service.send(Prefer="respond-async")["status_code"] == 202
    assert service.post("cancelMessage", {"request": {"message": "AAAA-1-1"}})["status_code"] == 503
    assert not sandbox.messages


def test_a_queued_message_can_be_cancelled(service, sandbox):
    service.send(Prefer="respond-async")
    location = service.answer["Location"]
    answer = service.client.delete(location, headers=service.headers)
    assert envelope_of(answer)["response"]["status"] == "cancelled"
    run_outbox()
    assert not sandbox.messages


def test_a_message_for_later_is_cancelled_at_pushwoosh(service, sandbox, clock: Clock):
    note = {**NOTE, "send_date": "2026-03-03 09:00", "timezone": "Europe/Oslo"}
    code = service.send(note)["response"]["Messages"][0]
    dispatch = Dispatch.objects.get()
    assert dispatch.arguments["notifications"][0]["send_date"] == "2026-03-03 09:00"
    assert dispatch.arguments["notifications"][0]["timezone"] == "Europe/Oslo"
    assert service.post("getMessageDetails", {"request": {"message": code}})["response"]["message"]["code"] == code
    service.client.delete(f"/server/messages/{dispatch.transaction_id}", headers=service.headers)
    run_outbox()
    dispatch.refresh_from_db()
    assert dispatch.status == "cancelled"


@pytest.mark.parametrize(
    "note",
    [
        {**NOTE, "send_date": "2026-03-29 02:30", "timezone": "Europe/Oslo"},
        {**NOTE, "send_date": "2026-03-01 09:00"},
        {**NOTE, "send_date": "0001-01-01 00:00", "timezone": "Asia/Tokyo"},
        {**NOTE, "send_date": "soon"},
        {**NOTE, "send_date": "2026-03-03 09:00", "timezone": "Mars/North"},
    ],
)
def test_a_time_that_does_not_exist_is_refused(note, service, sandbox, clock):
    assert service.send(note)["status_code"] == 210
    assert not ScheduledMessage.objects.exists()


def test_each_devices_own_clock_is_kept(service, wire, clock):
    note = {**NOTE, "send_date": "2026-03-03 09:00", "timezone": "Europe/Oslo", "ignore_user_timezone": False}
    service.send(note)
    sent = json.loads(wire.sent[0].body)["request"]["notifications"][0]
    assert sent["send_date"] == "2026-03-03 09:00"
    assert sent["ignore_user_timezone"] is False


def test_parameters_that_nobody_knows_pass_through(service, wire):
    service.send({**NOTE, "tomorrows_parameter": {"a": [1, None]}, "ios_badges": "+1"})
    sent = json.loads(wire.sent[0].body)["request"]["notifications"][0]
    assert sent["tomorrows_parameter"] == {"a": [1, None]}
    assert sent["ios_badges"] == "+1"
    assert "to_everyone" not in sent


# The other methods


def test_the_other_methods_are_relayed_in_their_own_shape(service, sandbox):
    code = service.send({**NOTE, "send_date": "2026-03-03 09:00"})["response"]["Messages"][0]
    assert service.post("cancelMessage", {"request": {"message": code}})["status_code"] == 200
    assert service.post("deleteMessage", {"request": {"message": "AAAA-11111111-22222222"}})["status_code"] == 210
    assert service.post("getPushHistory", {"request": {"limitMessages": 10}})["status_code"] == 200
    assert service.post("getMessageDetails", {"request": {}})["status_code"] == 210

    devices = [{"hwid": str(number), "push_token": f"t{number}", "platform": 3} for number in range(3)]
    started = service.post("bulkRegisterDevice", {"devices": devices}, root="/server/api/v2/audience/")
    assert "status_code" not in started
    status = service.get(f"/server/api/v2/audience/bulkRegisterDevice/{started['request_id']}?detailed=true")
    assert status["request_id"] == started["request_id"]
    sandbox.faults.lose_next_answer("bulkSetTags")
    lost = service.post("bulkSetTags", {"devices": [{"hwid": "1", "tags": {"n": 1}}]}, root="/server/api/v2/audience/")
    assert lost["status_code"] == 504


@pytest.mark.parametrize(
    ("broken", "status"),
    [
        (fault.no_connection(), 503),
        (fault.lost_request(), 504),
        (fault.lost_answer(), 504),
        (fault.server_error(), 504),
        (fault.not_json(), 504),
        (fault.empty_body(), 504),
        (fault.redirect(), 503),
        (fault.too_many_requests(7), 429),
        (fault.suspended_account(), 503),
    ],
)
def test_relayed_calls_say_what_became_of_them(broken, status, service, sandbox):
    sandbox.faults.fail_next("cancelMessage", with_=broken)
    assert service.post("cancelMessage", {"request": {"message": "AAAA-1-1"}})["status_code"] == status
    envelope_of(service.answer)


def test_relays_run_outside_of_transactions(service, settings):
    for view in (method_view, job_view, message_view):
        assert view._non_atomic_requests == set(settings.DATABASES)
        assert view.csrf_exempt
        assert view.login_required is False


def test_a_database_in_trouble_is_told(service, sandbox, monkeypatch):
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError("secret")

    monkeypatch.setattr(push.posting, "post_now", fail)
    refused = service.send()
    assert refused["status_code"] == 503
    assert "secret" not in refused["status_message"]
    monkeypatch.setattr(push.posting, "post_now", lambda *_args: 1 / 0)
    assert service.send()["status_code"] == 500


def test_the_same_message_posted_twice_at_once_is_one(service, sandbox, monkeypatch):
    note = {**NOTE, "transactionId": "order 7"}
    service.send(note, Prefer="respond-async")
    known, asked = push.posting.known, []

    def not_yet(ids: Any) -> Any:
        asked.append(ids)
        return known(ids) if len(asked) % 3 != 1 else set()

    monkeypatch.setattr(push.posting, "known", not_yet)
    for notes in ([note], [note, NOTE]):
        with transaction.atomic():
            answer = service.send(*notes, Prefer="respond-async")
        assert answer["status_code"] == 202
        assert len(answer["response"]["messages"]) == len(notes)
    assert Dispatch.objects.count() == 2
