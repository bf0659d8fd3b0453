"""What the system checks say of the gateways: who may post messages, and what browsers may read."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.urls import include, path, re_path

from django_pushwoosh import checks
from tests.test_conf import ids

CORS = "corsheaders.middleware.CorsMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
SECURITY = "django.middleware.security.SecurityMiddleware"
THROTTLE = "django_pushwoosh.gateway.middleware.ThrottleMiddleware"
KNOWN = "rest_framework.permissions.IsAuthenticated"


class OnlySdks:
    urlpatterns = [path("push/", include("django_pushwoosh.gateway.urls"))]


class OnlyServers:
    urlpatterns = [path("server/", include("django_pushwoosh.gateway.server_urls"))]


class Neither:
    urlpatterns: list[Any] = []


class Somewhere:
    urlpatterns = [re_path(r"^(?:de|en)/", include("django_pushwoosh.gateway.urls"))]


def of_server(settings: Any, rules: dict[str, Any] | None = None, **rest_framework: Any) -> set[str]:
    settings.ROOT_URLCONF = OnlyServers
    settings.REST_FRAMEWORK = rest_framework
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "SERVER_GATEWAY": rules or {}}
    return ids(checks.check_server_gateway(None))


def test_a_server_gateway_that_asks_nobody_anything_is_an_error(settings: Any) -> None:
    assert of_server(settings) == {"E007"}
    assert of_server(settings, {"PERMISSIONS": ["rest_framework.permissions.AllowAny"]}) == {"E007"}
    assert of_server(settings, {"AUTHENTICATION": [], "PERMISSIONS": [KNOWN]}) == {"E007"}
    assert of_server(settings, {"PERMISSIONS": ["shop.permissions.Missing"]}) == {"E008"}
    assert "E007" in ids(run_checks()) | of_server(settings)


def test_whoever_can_log_in_may_not_send_by_oversight(settings: Any) -> None:
    assert of_server(settings, DEFAULT_PERMISSION_CLASSES=[KNOWN]) == {"W016"}
    assert of_server(settings, {"PERMISSIONS": [KNOWN]}) == set()
    assert of_server(settings, DEFAULT_PERMISSION_CLASSES=["rest_framework.permissions.IsAdminUser"]) == set()


def test_what_is_not_mounted_is_not_judged(settings: Any) -> None:
    of_server(settings)
    settings.ROOT_URLCONF = Neither
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_WEB": "token"}
    settings.MIDDLEWARE = []
    assert ids(checks.check_server_gateway(None)) == set()
    assert ids(checks.check_cors(None)) == set()
    settings.ROOT_URLCONF = None
    assert ids(checks.check_cors(None)) == set()


@pytest.mark.parametrize(
    "rules", [{"AUTHENTICATION": "one.Class"}, {"PERMISSIONS": [7]}, {"BODY_LIMIT": "much"}, ["PERMISSIONS"]]
)
def test_rules_that_cannot_be_read_are_an_error(rules: Any, settings: Any) -> None:
    assert of_server(settings, rules) == set()
    assert ids(checks.check_settings(None)) == {"E001"}


def of_cors(settings: Any, middleware: list[str], web: str = "", urls: Any = OnlySdks, **cors: Any) -> set[str]:
    settings.ROOT_URLCONF = urls
    settings.MIDDLEWARE = middleware
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_WEB": web}
    for name in ("CORS_ALLOWED_ORIGIN_REGEXES", "CORS_ALLOW_CREDENTIALS", "CORS_URLS_REGEX"):
        if hasattr(settings, name):
            delattr(settings, name)
    for name, value in cors.items():
        setattr(settings, name, value)
    found = ids(checks.check_cors(None))
    for name in cors:
        delattr(settings, name)
    return found


ORIGIN = {"CORS_ALLOWED_ORIGINS": ["https://shop.example"]}


def test_without_web_nothing_is_said_of_cors(settings: Any) -> None:
    assert of_cors(settings, [COMMON, THROTTLE]) == set()
    assert of_cors(settings, [COMMON, CORS, THROTTLE]) == set(), "no origin is allowed anything"
    assert of_cors(settings, [COMMON, CORS], **ORIGIN, CORS_URLS_REGEX=r"^/api/") == set(), "it serves other addresses"
    assert of_cors(settings, [CORS, COMMON], **ORIGIN, CORS_ALLOW_HEADERS=["accept"]) == set()


@pytest.mark.parametrize("web", ["", "anonymous"])
def test_a_middleware_that_answers_first_is_told(web: str, settings: Any) -> None:
    assert of_cors(settings, [COMMON, CORS, THROTTLE], web, **ORIGIN) == {"W017"}
    assert of_cors(settings, [THROTTLE, CORS, COMMON], web, **ORIGIN) == {"W017"}
    assert of_cors(settings, [SECURITY, CORS, COMMON, THROTTLE], web, **ORIGIN) == set()
    assert of_cors(settings, [CORS, SECURITY, COMMON, THROTTLE], web, CORS_ALLOW_ALL_ORIGINS=True) == set()
    assert of_cors(settings, [COMMON, CORS], web, Somewhere, **ORIGIN, CORS_URLS_REGEX="^/elsewhere/") == {"W017"}, (
        "where the address varies, nobody knows that it is not served"
    )


def test_web_without_cors_is_told(settings: Any) -> None:
    assert of_cors(settings, [COMMON, THROTTLE], "anonymous") == {"W017"}
    assert of_cors(settings, [CORS, COMMON], "anonymous") == {"W017"}, "no origin may read anything"
    assert of_cors(settings, [CORS, COMMON], "anonymous", **ORIGIN, CORS_URLS_REGEX=r"^/api/") == {"W017"}
    assert of_cors(settings, [CORS, COMMON], "anonymous", **ORIGIN, CORS_URLS_REGEX=r"^/push/json/1\.3/") == set()


def test_a_project_that_decides_by_request_is_not_judged(settings: Any) -> None:
    from corsheaders.signals import check_request_enabled

    def decide(**_kwargs: Any) -> bool:
        return True

    check_request_enabled.connect(decide)
    try:
        assert of_cors(settings, [CORS, COMMON], "anonymous") == set()
    finally:
        check_request_enabled.disconnect(decide)


def test_api_tokens_need_credentials_and_their_header(settings: Any) -> None:
    assert of_cors(settings, [CORS, COMMON], "anonymous", **ORIGIN) == set()
    assert of_cors(settings, [CORS, COMMON], "token", **ORIGIN) == {"W018"}
    good = {**ORIGIN, "CORS_ALLOW_CREDENTIALS": True}
    assert of_cors(settings, [CORS, COMMON], "token", **good) == set()
    assert of_cors(settings, [CORS, COMMON], "token", **good, CORS_ALLOW_HEADERS=["accept"]) == {"W018"}
    assert of_cors(settings, [CORS, COMMON], "token", **good, CORS_ALLOW_HEADERS=["Authorization"]) == set()


def test_the_word_for_web_is_checked(settings: Any) -> None:
    assert of_cors(settings, [COMMON], "yes") == set()
    assert ids(checks.check_settings(None)) == {"E001"}


def test_the_example_is_set_up_well(settings: Any) -> None:
    assert settings.PUSHWOOSH["GATEWAY_WEB"] == "token"
    assert ids(checks.check_cors(None)) == set()
