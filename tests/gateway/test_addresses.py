"""Where the gateway answers: below any prefix everything, at the site's root its own addresses alone."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.urls import include, path, re_path, reverse

from tests.gateway.conftest import BODIES, PHONE, envelope_of

pytestmark = pytest.mark.django_db


def theirs(request: Any, rest: str = "") -> HttpResponse:
    return HttpResponse("the host's", content_type="text/plain")


GATEWAY = include("django_pushwoosh.gateway.urls")


class AtRoot:
    urlpatterns = [path("", GATEWAY), path("shop/setTags", theirs), path("<path:rest>", theirs), path("", theirs)]


class Prefixed:
    urlpatterns = [path("pushwoosh/", GATEWAY), path("", theirs), path("<path:rest>", theirs)]


class DeeplyPrefixed:
    urlpatterns = [path("", include([path("<slug:shop>/sdk/", include([re_path("^", GATEWAY)]))]))]


class DeeplyAtRoot:
    urlpatterns = [path("", include([re_path(r"^", include([path("", GATEWAY)]))])), path("<path:rest>", theirs)]


class Both:
    urlpatterns = [path("pushwoosh/", GATEWAY), path("", GATEWAY), path("<path:rest>", theirs)]


TAKEN = [
    (AtRoot, "/{}"),
    (AtRoot, "/{}/"),
    (AtRoot, "/json/1.3/{}"),
    (AtRoot, "/json/1.3/{}/"),
    (AtRoot, "/json/1.3//{}"),
    (AtRoot, "/json/1.3/anything/{}"),
    (AtRoot, "/api/v2/device-api/{}"),
    (AtRoot, "/api/v2/device-api/{}/"),
    (Prefixed, "/pushwoosh/{}"),
    (Prefixed, "/pushwoosh/{}/"),
    (Prefixed, "/pushwoosh//{}//"),
    (Prefixed, "/pushwoosh/json/1.3/{}"),
    (Prefixed, "/pushwoosh/some/where/else/{}"),
    (Prefixed, "/pushwoosh/api/v2/device-api/{}"),
    (DeeplyPrefixed, "/shoes/sdk/{}"),
    (DeeplyPrefixed, "/shoes/sdk/json/1.3/{}"),
    (DeeplyAtRoot, "/json/1.3/{}"),
    (DeeplyAtRoot, "/{}"),
    (Both, "/pushwoosh/{}"),
    (Both, "/{}"),
]


@pytest.mark.parametrize(("urls", "address"), TAKEN)
def test_the_last_segment_is_the_method_whatever_comes_before(urls, address, sdk, sandbox, settings):
    settings.ROOT_URLCONF = urls
    assert sdk.post("registerDevice", BODIES["android registerDevice"], path=address)["status_code"] == 200
    assert sandbox.devices["TEST0-00001", PHONE["hwid"]].push_token


@pytest.mark.parametrize(
    ("urls", "address"),
    [
        (AtRoot, "/json/1.3"),
        (AtRoot, "/json/1.3/nonsense"),
        (AtRoot, "/api/v2/device-api/"),
        (Prefixed, "/pushwoosh/"),
        (Prefixed, "/pushwoosh/nonsense"),
        (Prefixed, "/pushwoosh/registerDevice/nonsense"),
        (Prefixed, "/pushwoosh/admin/"),
        (DeeplyPrefixed, "/shoes/sdk/"),
    ],
)
def test_a_wrong_address_below_the_gateways_gets_an_envelope(urls, address, sdk, settings):
    settings.ROOT_URLCONF = urls
    assert sdk.post("", {"request": PHONE}, path=address)["status_code"] == 404


@pytest.mark.parametrize(
    ("urls", "address"),
    [
        (AtRoot, "/"),
        (AtRoot, "/nonsense"),
        (AtRoot, "/shop/setTags"),
        (AtRoot, "/createMessage"),
        (AtRoot, "/settags"),
        (AtRoot, "/json/1.4/setTags"),
        (AtRoot, "/api/v2/orders"),
        (Prefixed, "/setTags"),
        (Prefixed, "/json/1.3/setTags"),
        (Prefixed, "/pushwoosher"),
        (DeeplyAtRoot, "/shop"),
        (Both, "/pushwoosh/nonsense"),
    ],
)
def test_the_hosts_addresses_stay_the_hosts(urls, address, client, settings):
    settings.ROOT_URLCONF = urls
    assert client.post(address, "x", content_type="text/plain").content == b"the host's"


def test_a_script_name_is_no_part_of_it(client, sandbox, settings):
    settings.ROOT_URLCONF = Prefixed
    answer = client.post("/pushwoosh/getTags", {"request": PHONE}, content_type="application/json", SCRIPT_NAME="/site")
    assert envelope_of(answer)["status_code"] == 200


def test_addresses_can_be_written_by_name(settings):
    settings.ROOT_URLCONF = Prefixed
    assert reverse("pushwoosh-gateway", kwargs={"method": "getTags"}) == "/pushwoosh/json/1.3/getTags"
