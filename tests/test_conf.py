"""The PUSHWOOSH setting: read when it is used, wrong values told at once."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from django_pushwoosh import checks
from django_pushwoosh.conf import settings as pushwoosh
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.methods import Policy

TOKENS = {"API_TOKEN": "secret-api", "DEVICE_TOKEN": "secret-device"}


def applications(**rows: Any) -> dict[str, Any]:
    return {"APPLICATIONS": rows}


def ids(found: Any) -> set[str]:
    return {message.id.removeprefix("django_pushwoosh.") for message in found}


def test_settings_follow_overrides(settings: Any) -> None:
    settings.PUSHWOOSH = applications(default={"CODE": "AAAAA-11111", **TOKENS})
    assert pushwoosh.application().code == "AAAAA-11111"

    settings.PUSHWOOSH = applications(default={"CODE": "BBBBB-22222", **TOKENS})
    assert pushwoosh.application().code == "BBBBB-22222"


def test_an_application_is_found_by_alias_and_by_code(settings: Any) -> None:
    settings.PUSHWOOSH = applications(shop={"CODE": "AAAAA-11111", **TOKENS})

    assert pushwoosh.application("shop") == pushwoosh.application("AAAAA-11111")
    with pytest.raises(ImproperlyConfigured, match="it has: shop"):
        pushwoosh.application("news")


def test_applications_may_have_roots_and_accounts_of_their_own(settings: Any) -> None:
    settings.PUSHWOOSH = {
        "API_ROOT": "https://eu.example/",
        "ACCOUNTS": {"big": {"REQUESTS_PER_MINUTE": 6000, "RESERVE": 100}},
        **applications(
            first={"CODE": "AAAAA-11111", **TOKENS},
            second={"CODE": "BBBBB-22222", "API_ROOT": "https://us.example", "ACCOUNT": "big", **TOKENS},
        ),
    }

    assert pushwoosh.application("first").api_root == "https://eu.example"
    assert pushwoosh.application("second").api_root == "https://us.example"
    assert pushwoosh.account("big").slots == 5900
    assert pushwoosh.account("default").slots == 600


def test_no_repr_shows_a_token(settings: Any) -> None:
    settings.PUSHWOOSH = applications(default={"CODE": "AAAAA-11111", **TOKENS})

    assert "secret" not in repr(pushwoosh.applications)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"APPLICATIONS": []},
        applications(default="AAAAA-11111"),
        applications(default={}),
        applications(default={"CODE": "aaaaa-11111"}),
        applications(default={"CODE": None}),
        {**applications(default={"CODE": "AAAAA-11111"}), "THROTTLE": {"PER_HWID": "often"}},
        {**applications(default={"CODE": "AAAAA-11111"}), "THROTTLE": {"PER_HWID": "0/minute"}},
        {**applications(default={"CODE": "AAAAA-11111"}), "ENGINE": "rq"},
        {**applications(default={"CODE": "AAAAA-11111"}), "RETENTION": {"SETTLED": 30}},
        {**applications(default={"CODE": "AAAAA-11111"}), "RETENTION": {"settled": None}},
        {**applications(default={"CODE": "AAAAA-11111"}), "RETENTION": {"DEVICES": None}},
        {**applications(default={"CODE": "AAAAA-11111"}), "EXPIRE_AFTER": 60},
        {**applications(default={"CODE": "AAAAA-11111"}), "TIMEOUT": "soon"},
        {**applications(default={"CODE": "AAAAA-11111"}), "RELAY_TIMEOUT": (2, 17)},
        {**applications(default={"CODE": "AAAAA-11111"}), "RELAY_TIMEOUT": (0, 0)},
        {**applications(default={"CODE": "AAAAA-11111"}), "GATEWAY_UNKNOWN_METHODS": True},
        {**applications(default={"CODE": "AAAAA-11111"}), "GATEWAY_POLICIES": ["postEvent"]},
        {**applications(default={"CODE": "AAAAA-11111"}), "GOVERNOR": 5},
        {**applications(default={"CODE": "AAAAA-11111"}), "GOVERNOR": "redis"},
        {**applications(default={"CODE": "AAAAA-11111"}), "ACCOUNTS": {"default": {"REQUESTS_PER_MINUTE": "many"}}},
        {**applications(default={"CODE": "AAAAA-11111"}), "GATEWAY_SECRET": 5},
        {**applications(default={"CODE": "AAAAA-11111"}), "GATEWAY_SECRET": [5]},
        {**applications(default={"CODE": "AAAAA-11111"}), "GATEWAY_SECRET_HEADER": "Authorization"},
        {**applications(default={"CODE": "AAAAA-11111"}), "GATEWAY_SECRET_HEADER": "HTTP_X_SECRET"},
        {**applications(default={"CODE": "AAAAA-11111"}), "GATEWAY_CREDENTIALS_HEADER": "X-Gateway-Secret"},
        {**applications(default={"CODE": "AAAAA-11111"}), "GATEWAY_AUTHENTICATION": "shop.Bearer"},
        {**applications(default={"CODE": "AAAAA-11111"}), "GATEWAY_USER_ID": "believe"},
    ],
)
def test_a_wrong_setting_is_told_by_the_checks(settings: Any, wrong: Any) -> None:
    settings.PUSHWOOSH = wrong

    assert ids(checks.check_settings(None)) == {"E001"}


def test_what_is_missing_is_told_by_the_checks(settings: Any) -> None:
    settings.PUSHWOOSH = {}
    assert ids(checks.check_settings(None)) == {"W001"}

    settings.PUSHWOOSH = applications(first={"CODE": "AAAAA-11111"}, second={"CODE": "AAAAA-11111", **TOKENS})
    assert ids(checks.check_settings(None)) == {"E002", "W002", "W003"}

    settings.PUSHWOOSH = {"API_ROOT": "api.pushwoosh.com", **applications(default={"CODE": "AAAAA-11111", **TOKENS})}
    assert ids(checks.check_settings(None)) == {"E003"}

    settings.PUSHWOOSH = {"TRANSPORT": "no.such", **applications(default={"CODE": "AAAAA-11111", **TOKENS})}
    assert ids(checks.check_settings(None)) == {"E004"}


SESSION = "rest_framework.authentication.SessionAuthentication"
SECRET = "a-secret-of-16-ch"


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ({}, set()),
        ({"GATEWAY_SECRET": SECRET, "GATEWAY_SECRET_REQUIRED": True}, set()),
        ({"GATEWAY_SECRET": [SECRET, SECRET[::-1]]}, set()),
        ({"GATEWAY_SECRET": None}, set()),
        ({"GATEWAY_SECRET": ""}, {"E011"}),
        ({"GATEWAY_SECRET": [SECRET, " "]}, {"E011"}),
        ({"GATEWAY_SECRET_REQUIRED": True}, {"E011"}),
        ({"GATEWAY_SECRET": "short"}, {"W020"}),
        ({"GATEWAY_AUTHENTICATION": [SESSION], "GATEWAY_USER_ID": "replace"}, set()),
        ({"GATEWAY_AUTHENTICATION": ["no.such"]}, {"E010"}),
        ({"GATEWAY_AUTHENTICATION": ["words"]}, {"E010"}),
        ({"GATEWAY_AUTHENTICATION": ["tests.test_conf.shouted", SESSION]}, {"E010"}),
        ({"GATEWAY_AUTHENTICATION": [5]}, {"E010"}),
        ({"GATEWAY_AUTHENTICATION_REQUIRED": True}, {"E012"}),
        ({"GATEWAY_USER_ID": "refuse"}, {"W021"}),
        ({"GATEWAY_USER_ID": "replace"}, {"W021"}),
        ({"GATEWAY_USER_ID": "take"}, set()),
    ],
)
def test_who_may_speak_is_checked(settings: Any, rules: dict[str, Any], found: set[str]) -> None:
    settings.PUSHWOOSH = {**rules, **applications(default={"CODE": "AAAAA-11111", **TOKENS})}

    told = list(checks.check_settings(None))
    assert ids(told) == found
    assert "short" not in str(told)


def test_user_ids_are_refused_as_soon_as_somebody_says_who_calls(settings: Any) -> None:
    assert pushwoosh.speakers.user_ids == "take"

    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_AUTHENTICATION": [SESSION]}
    assert pushwoosh.speakers.user_ids == "refuse"


@pytest.mark.parametrize(
    "url",
    [
        "http://:s3cret@host:6379/0",
        "redis://:s3cret@host:s3cret/0",
        "redis://:s3#cret@host:6379/0",
        "redis://:s3cret@:6379/0",
        "redis://:s3cret@host:6379/first",
        "redis://:s3cret@[::1:6379/0",
        "unix://",
    ],
)
def test_an_unreadable_address_of_redis_is_told_without_its_password(settings: Any, url: str) -> None:
    settings.PUSHWOOSH = {"GOVERNOR": url, **applications(default={"CODE": "AAAAA-11111", **TOKENS})}

    [told] = checks.check_settings(None)
    assert told.id == "django_pushwoosh.E001"
    assert "GOVERNOR" in told.msg
    assert "s3" not in str(told)


def test_the_client_of_redis_has_its_say(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = applications(default={"CODE": "AAAAA-11111", **TOKENS})
    for good in ("database", "redis://host", "rediss://user:s3cret@host:6379/3", "unix:///run/redis.sock?db=2"):
        settings.PUSHWOOSH = {"GOVERNOR": good, **ours}
        assert ids(checks.check_settings(None)) == set()

    settings.PUSHWOOSH = {"GOVERNOR": "redis://:s3cret@host/0?socket_timeout=s3cret", **ours}
    [told] = checks.check_settings(None)
    assert told.id == "django_pushwoosh.E006"
    assert "s3cret" not in str(told)

    monkeypatch.setitem(sys.modules, "redis", None)
    settings.PUSHWOOSH = {"GOVERNOR": "redis://host:6379/0", **ours}
    [told] = checks.check_settings(None)
    assert told.id == "django_pushwoosh.E006"
    assert "pip install" in told.msg


def test_sqlite_without_immediate_transactions_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    row: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3"}
    monkeypatch.setattr(checks, "django_settings", SimpleNamespace(DATABASES={"default": row}))
    assert ids(checks.check_databases(None, ["default"])) == {"W004"}

    row["OPTIONS"] = {"transaction_mode": "IMMEDIATE"}
    assert ids(checks.check_databases(None, ["default"])) == set()


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"API_ROOT": "http://127.0.0.1:8600"}, {"W005"}),
        ({"TRANSPORT": "django_pushwoosh.sandbox.transport.in_process"}, {"W005"}),
        ({"API_ROOT": "http://api.pushwoosh.com"}, {"W006"}),
        ({"API_ROOT": "https://api.pushwoosh.com"}, set()),
    ],
)
def test_a_sandbox_in_production_is_told(settings: Any, row: dict[str, str], found: set[str]) -> None:
    settings.DEBUG = False
    settings.PUSHWOOSH = applications(default={"CODE": "AAAAA-11111", **TOKENS, **row})

    assert ids(checks.check_production(None)) == found


@pytest.mark.django_db
def test_the_example_project_has_nothing_to_complain_of() -> None:
    assert run_checks() == []


@pytest.mark.django_db
def test_a_users_id_comes_from_a_field_or_a_callable(settings: Any) -> None:
    user = get_user_model()(pk=7, username="ada")
    assert pushwoosh.user_id(user) == "7"

    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "USER_ID": "username"}
    assert pushwoosh.user_id(user) == "ada"

    user.last_login = None
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "USER_ID": "last_login"}
    assert pushwoosh.user_id(user) == ""

    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "USER_ID": "tests.test_conf.shouted"}
    assert pushwoosh.user_id(user) == "ADA"


def shouted(user: Any) -> str:
    return user.get_username().upper()


@pytest.mark.parametrize(
    ("policies", "told"),
    [
        ({"createMessage": "relay"}, "createMessage, which is for servers"),
        ({"bulkSetTags": "refused"}, "which is for servers"),
        ({"postevent": "queue"}, "'postevent', which is no method; upper and lower case count"),
        ({5: "queue"}, "5, which is no method"),
        ({"postEvent": "later"}, r'\["postEvent"\] must be one of: queue, relay_else_queue, relay, refused'),
        ({"postEvent": None}, "must be one of"),
        ({"getTags": "queue"}, "which a queue cannot answer"),
        ({"checkDevice": "relay_else_queue"}, "which a queue cannot answer"),
    ],
)
def test_a_wrong_policy_is_told_by_the_checks(settings: Any, policies: Any, told: str) -> None:
    settings.PUSHWOOSH = {**applications(default={"CODE": "AAAAA-11111", **TOKENS}), "GATEWAY_POLICIES": policies}

    [error] = checks.check_settings(None)
    assert error.id == "django_pushwoosh.E001"
    assert re.search(told, error.msg)


def test_policies_are_those_of_the_rows_unless_a_setting_says_otherwise(settings: Any) -> None:
    settings.PUSHWOOSH = {"GATEWAY_POLICIES": {"postEvent": "queue", "getInApps": "refused"}}

    named = {"postEvent": Policy.QUEUE, "getInApps": Policy.REFUSED}
    for name, method in METHODS.items():
        assert pushwoosh.policy_of(method) is named.get(name, method.policy)


@pytest.mark.parametrize(
    "url", ["your.site/pushwoosh", "https://", "ftp://your.site/", "https://a b/", 5, "https://x/?a"]
)
def test_a_gateway_url_that_is_none_is_told_by_the_checks(settings: Any, url: Any) -> None:
    settings.PUSHWOOSH = {**applications(default={"CODE": "AAAAA-11111", **TOKENS}), "GATEWAY_URL": url}

    assert ids(checks.check_settings(None)) == {"E001"}


def test_whose_api_is_not_pushwooshs_tracks_there_too(settings: Any) -> None:
    default = {"CODE": "AAAAA-11111", **TOKENS}

    def tracking_root(**more: Any) -> str:
        settings.PUSHWOOSH = {**applications(default={**default, **more.pop("row", {})}), **more}
        return pushwoosh.application().tracking_root

    assert tracking_root() == "https://tracking.svc-nue.pushwoosh.com"
    assert tracking_root(API_ROOT="https://us.api.pushwoosh.com") == "https://tracking.svc-nue.pushwoosh.com"
    assert tracking_root(API_ROOT="http://127.0.0.1:8600/") == "http://127.0.0.1:8600"
    assert tracking_root(API_ROOT="https://notpushwoosh.com") == "https://notpushwoosh.com"
    assert tracking_root(TRACKING_ROOT="https://t.example/") == "https://t.example"
    assert tracking_root(TRACKING_ROOT="https://t.example", row={"TRACKING_ROOT": "https://u.example"}) == (
        "https://u.example"
    )
    tracking_root(TRACKING_ROOT="t.example")
    assert ids(checks.check_settings(None)) == {"E003"}
