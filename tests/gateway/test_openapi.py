"""The gateways in drf-spectacular's document: one path per method, made from the tables, without a warning."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml
from django.urls import include, path, re_path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.settings import patched_settings, spectacular_settings
from drf_spectacular.validation import validate_schema
from rest_framework.views import APIView

from django_pushwoosh.protocol import fields
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.json_schema import of_kind
from django_pushwoosh.protocol.methods import AskedBy
from django_pushwoosh.protocol.parameters import PARAMETERS
from tests.gateway.spectacular_urls import urlpatterns
from tests.processes import ROOT

HOOK = "django_pushwoosh.gateway.schema.add_gateways"
SDK = {each.name for each in METHODS.values() if each.asked_by is AskedBy.SDK}
SERVER = {each.name for each in METHODS.values() if each.asked_by is AskedBy.SERVER}


class Own(APIView):
    schema = AutoSchema()

    def get(self, request: Any) -> None: ...


class Twice:
    urlpatterns = [
        path("<slug:shop>/", include("django_pushwoosh.gateway.urls")),
        re_path(r"^old/", include("django_pushwoosh.gateway.urls")),
    ]


class Neither:
    urlpatterns: list[Any] = []


@pytest.fixture(autouse=True)
def _spectacular(settings: Any) -> Iterator[None]:
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
    settings.ROOT_URLCONF = "tests.gateway.spectacular_urls"
    with patched_settings({"POSTPROCESSING_HOOKS": [HOOK]}):
        yield


def document() -> Any:
    return SchemaGenerator().get_schema(request=None, public=True)


def names(found: Any) -> set[str]:
    return {each["operationId"] for operations in found["paths"].values() for each in operations.values()}


def test_the_command_finds_nothing_to_warn_of(tmp_path: Any) -> None:
    target = tmp_path / "schema.yml"
    ran = subprocess.run(
        [sys.executable, "manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", str(target)],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.gateway.spectacular_project"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert "arning" not in ran.stderr
    found = yaml.safe_load(target.read_text())
    assert names(found) == SDK | SERVER | {"getPostedMessage", "cancelPostedMessage"}


def test_each_method_has_its_own_path() -> None:
    paths = document()["paths"]
    for method in METHODS.values():
        prefix = "/push" if method.asked_by is AskedBy.SDK else "/server"
        assert paths[prefix + method.path][method.verb.lower()]["operationId"] == method.name


def test_arguments_are_those_of_the_rows() -> None:
    paths = document()["paths"]
    body = paths["/push/json/1.3/setTags"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    request = body["properties"]["request"]
    assert set(request["properties"]) == {"application", *(each.name for each in METHODS["setTags"].arguments)}
    assert request["required"] == ["application", "tags"]
    assert request["anyOf"] == [{"required": ["hwid"]}, {"required": ["userId"]}]
    flat = paths["/push/api/v2/device-api/setMADID"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "request" not in flat["properties"]
    notification = document()["components"]["schemas"]["PushwooshNotification"]["properties"]
    assert set(notification) == {each.name for each in PARAMETERS if not each.targeted_only} | {"to_everyone"}


def test_every_answer_is_described() -> None:
    for operations in document()["paths"].values():
        for operation in operations.values():
            assert {"200", "400", "401", "403", "413", "429", "500", "503"} <= set(operation["responses"])
            assert all(each["content"]["application/json"]["schema"] for each in operation["responses"].values())


def test_a_project_says_who_may_come_in(settings: Any) -> None:
    rules = {"AUTHENTICATION": ["rest_framework.authentication.BasicAuthentication"]}
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "SERVER_GATEWAY": rules}
    found = document()
    assert found["paths"]["/server/json/1.3/createMessage"]["post"]["security"] == [{"basicAuth": []}]
    assert found["paths"]["/push/json/1.3/setTags"]["post"]["security"] == [{}, {"PushwooshDeviceToken": []}]
    assert set(found["components"]["securitySchemes"]) == {"PushwooshDeviceToken", "basicAuth"}


def test_a_gateway_may_be_mounted_twice_or_not_at_all(settings: Any) -> None:
    settings.ROOT_URLCONF = Twice
    found = document()
    validate_schema(found)
    assert len(names(found)) == 2 * len(SDK)
    assert found["paths"]["/old/json/1.3/setTags"]["post"]["operationId"] in ("setTags", "setTags_2")
    assert found["paths"]["/{shop}/json/1.3/setTags"]["post"]["parameters"][0]["name"] == "shop"
    settings.ROOT_URLCONF = Neither
    assert document()["paths"] == {}


@pytest.mark.parametrize("version", ["3.0.3", "3.1.1"])
def test_both_versions_of_openapi_take_it(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectacular_settings, "OAS_VERSION", version)
    validate_schema(document())


def test_the_projects_own_views_stay(settings: Any) -> None:
    settings.ROOT_URLCONF = type("Urls", (), {"urlpatterns": [path("own/", Own.as_view()), *urlpatterns]})
    assert "/own/" in document()["paths"]
    assert "/push/json/1.3/setTags" in document()["paths"]


def test_every_kind_of_value_has_a_schema_that_its_examples_meet() -> None:
    kinds = {each.kind for each in PARAMETERS} | {each.kind for row in METHODS.values() for each in row.arguments}
    for kind in kinds:
        jsonschema.Draft202012Validator.check_schema(of_kind(kind))
    for each in PARAMETERS:
        jsonschema.validate(json.loads(json.dumps(each.example)), of_kind(each.kind))
    classes = {getattr(fields, name) for name in fields.__all__}
    known = {each for each in classes if isinstance(each, type) and issubclass(each, fields.Kind)} - {fields.Kind}
    assert {type(each) for each in kinds} <= known


def test_the_gateway_does_not_need_drf_spectacular() -> None:
    code = (
        "import sys; sys.modules['drf_spectacular'] = None\n"
        "import django; django.setup()\n"
        "import django_pushwoosh.gateway.urls, django_pushwoosh.gateway.server_urls\n"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT), "PATH": ""}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, timeout=60)
