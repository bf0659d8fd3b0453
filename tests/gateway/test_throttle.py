"""Callers that come too often, and views that would send more than the cap lets through."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from rest_framework.decorators import api_view
from rest_framework.response import Response

from django_pushwoosh import push
from django_pushwoosh.conf import settings as pushwoosh
from django_pushwoosh.delivery.governor import EPOCH, Governor
from django_pushwoosh.gateway.middleware import sends_messages, waiting_seconds
from django_pushwoosh.gateway.throttling import address_of
from django_pushwoosh.models import Device, OutboxEntry, RateSlot
from django_pushwoosh.protocol.audience import EVERYONE
from tests.gateway.conftest import HWID, NUMBER, PHONE, envelope_of

pytestmark = pytest.mark.django_db


def throttle(settings: Any, **rules: Any) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "THROTTLE": rules}


def test_one_device_is_held_to_its_rate(sdk, sandbox, settings, clock):
    throttle(settings, PER_HWID="2/minute")
    assert sdk.call("setTags", tags={"n": 1})["status_code"] == 200
    clock.advance(seconds=20)
    assert sdk.call("registerDevice", push_token="t")["status_code"] == 200

    refused = sdk.call("setTags", tags={"n": 2})
    assert refused["status_code"] == 429
    assert refused["response"] is None
    assert sdk.answer["Retry-After"] == "40"
    assert "40 s" in refused["status_message"]
    assert Device.objects.get().tags == {"n": 1}, "what is refused is not stored"

    assert sdk.call("setTags", hwid="another", tags={"n": 2})["status_code"] == 200
    clock.advance(seconds=41)
    assert sdk.call("setTags", tags={"n": 3})["status_code"] == 200


def test_an_address_in_place_of_a_hwid_is_held_too(sdk, sandbox, settings):
    throttle(settings, PER_HWID="1/hour")
    body = {"request": {"application": "TEST0-00001", "email": "ada@example.org"}}
    assert sdk.post("registerEmail", body)["status_code"] == 200
    assert sdk.post("registerEmail", body)["status_code"] == 429


def test_the_default_lets_an_sdk_start_in_peace(sdk, sandbox):
    for _ in range(60):
        assert sdk.call("applicationOpen")["status_code"] == 200


def test_malformed_and_large_bodies_are_left_to_the_view(sdk, sandbox, settings):
    throttle(settings, PER_HWID="1/hour")
    for _ in range(3):
        assert sdk.post("setTags", b"{")["status_code"] == 400
        assert sdk.post("setTags", b" " * 300_000)["status_code"] == 413


def test_a_preflight_counts_for_nothing(sdk, sandbox, settings, client):
    throttle(settings, PER_HWID="1/hour", PER_ADDRESS="1/hour")
    for _ in range(3):
        assert client.options("/json/1.3/setTags").status_code == 200
    assert sdk.call("setTags", tags={})["status_code"] == 200


def test_addresses_are_held_only_where_that_is_switched_on(sdk, sandbox, settings):
    throttle(settings, PER_HWID=None)
    for number in range(5):
        assert sdk.call("setTags", hwid=str(number), tags={})["status_code"] == 200
    throttle(settings, PER_HWID=None, PER_ADDRESS="2/minute", TRUSTED_PROXIES=1)

    def call_from(address: str) -> int:
        return sdk.post("setTags", {"request": {**PHONE, "tags": {}}}, **{"X-Forwarded-For": address})["status_code"]

    assert [call_from("9.9.9.9, 1.2.3.4"), call_from("8.8.8.8, 1.2.3.4")] == [200, 200]
    assert call_from("7.7.7.7, 1.2.3.4") == 429, "what the caller writes himself does not count"
    assert call_from("1.2.3.4, 5.6.7.8") == 200


@pytest.mark.parametrize(
    ("forwarded", "proxies", "expected"),
    [
        ("1.1.1.1, 2.2.2.2, 3.3.3.3", 0, "127.0.0.1"),
        ("1.1.1.1, 2.2.2.2, 3.3.3.3", 1, "3.3.3.3"),
        ("1.1.1.1, 2.2.2.2, 3.3.3.3", 2, "2.2.2.2"),
        ("1.1.1.1", 3, "1.1.1.1"),
        ("", 1, "127.0.0.1"),
        (" , ", 1, "127.0.0.1"),
        ("not an address", 1, "not an address"),
        ("2001:db8:1:2:3:4:5:6", 1, "2001:db8:1:2::/64"),
        ("::ffff:1.2.3.4", 1, "1.2.3.4"),
    ],
)
def test_the_address_is_the_one_a_trusted_proxy_wrote(forwarded, proxies, expected):
    request = RequestFactory().post("/", headers={"X-Forwarded-For": forwarded})
    assert address_of(request, proxies) == expected


def test_a_cache_that_does_not_work_refuses_nobody(sdk, sandbox, monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise ConnectionError("redis://user:password@cache")

    monkeypatch.setattr(type(cache._connections[cache._alias]), "get", fail)
    assert sdk.call("setTags", tags={})["status_code"] == 200
    assert "throttle does not work" in caplog.text
    assert "password" not in caplog.text


def test_no_number_becomes_a_key_of_the_cache(sdk, sandbox, monkeypatch):
    keys = []
    monkeypatch.setattr(
        type(cache._connections[cache._alias]), "set", lambda self, key, *rest, **more: keys.append(key)
    )
    sdk.call("registerDevice", hwid=NUMBER, device_type=18)
    assert len(keys) == 1
    assert NUMBER[1:] not in keys[0]


# Views that send messages

ran: list[str] = []


@sends_messages()
def send_one(request):
    ran.append("function")
    push.send("Hello", to=EVERYONE)
    return HttpResponse("sent")


@method_decorator(sends_messages("default"), name="dispatch")
class SendOne(View):
    def get(self, request):
        return HttpResponse("a form")

    def post(self, request):
        ran.append("class")
        return HttpResponse("sent")


@sends_messages()
@api_view(["POST"])
def send_by_rest(request):
    ran.append("rest")
    return Response("sent")


@sends_messages("other")
def send_for_another_account(request):
    ran.append("other")
    return HttpResponse("sent")


class Urls:
    urlpatterns = [
        path("function/", send_one),
        path("class/", SendOne.as_view()),
        path("marked/", sends_messages()(View.as_view())),
        path("rest/", send_by_rest),
        path("other/", send_for_another_account),
        path("", include("django_pushwoosh.gateway.urls")),
    ]


@pytest.fixture
def _views(settings):
    settings.ROOT_URLCONF = Urls
    ran.clear()


def use_up(seconds: float, free: int = 0) -> None:
    """Fill the account's cap: all slots but some are free again in so many seconds."""
    Governor().pause(pushwoosh.account(), seconds)
    RateSlot.objects.filter(account="default", number__lt=free).update(free_at=EPOCH)


@pytest.mark.usefixtures("_views")
@pytest.mark.parametrize("address", ["/function/", "/class/", "/rest/"])
def test_a_view_that_sends_is_refused_early_when_the_cap_is_used_up(address, client, sandbox):
    use_up(30)
    answer = client.post(address)
    assert envelope_of(answer)["status_code"] == 429
    assert 28 <= int(answer["Retry-After"]) <= 30
    assert ran == []
    assert not OutboxEntry.objects.exists()


@pytest.mark.usefixtures("_views")
@pytest.mark.parametrize("address", ["/function/", "/class/", "/rest/"])
def test_a_short_wait_is_no_reason(address, client, sandbox):
    use_up(4)
    assert client.post(address).status_code == 200
    assert ran


@pytest.mark.usefixtures("_views")
def test_what_is_queued_already_comes_first(client, sandbox, settings):
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": 3}}}
    use_up(30, free=2)
    assert [client.post("/function/").status_code for _ in range(3)] == [200, 200, 429]
    assert OutboxEntry.objects.count() == 2
    assert waiting_seconds("default") > 28


@pytest.mark.usefixtures("_views")
def test_other_accounts_and_other_views_are_not_held(client, sdk, sandbox):
    use_up(30)
    assert client.post("/other/").status_code == 200
    assert client.get("/class/").status_code == 200, "who only looks sends nothing"
    assert sdk.call("setTags", hwid=HWID, tags={})["status_code"] == 200, "reports are never refused for the cap"


def test_the_examples_view_is_held_before_it_asks_who_is_there(client, sandbox):
    use_up(30)
    assert client.post("/shop/orders/1/ship/").status_code == 429
