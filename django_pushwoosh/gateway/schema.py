"""The gateways in an OpenAPI document of drf-spectacular's: one path per method, made from the tables.

::

    SPECTACULAR_SETTINGS = {
        "POSTPROCESSING_HOOKS": [
            "drf_spectacular.hooks.postprocess_schema_enums",
            "django_pushwoosh.gateway.schema.add_gateways",
        ],
    }

Each gateway is one view behind an address that takes every method, which no generator can look into; so the paths are
added to what it made of the rest. A gateway that is not mounted is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from rest_framework.schemas.generators import EndpointEnumerator

from django_pushwoosh.gateway.server import ASYNC, message_view, method_view
from django_pushwoosh.gateway.server_access import authentication_classes
from django_pushwoosh.gateway.views import view
from django_pushwoosh.protocol import answers
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.json_schema import CODE, Schema, of_arguments, of_parameter
from django_pushwoosh.protocol.methods import AskedBy, Body, Method, Rate, Shape
from django_pushwoosh.protocol.parameters import PARAMETERS
from django_pushwoosh.protocol.posted import EVERYONE, MOST

DEVICE_TOKEN = "PushwooshDeviceToken"  # noqa: S105
ENVELOPE = "PushwooshEnvelope"
NOTIFICATION = "PushwooshNotification"
STATE = "PushwooshMessageState"
JSON = "application/json"

REFUSALS = {
    "400": "The body is no JSON in UTF-8, or has another shape than this method's.",
    "401": "Whoever speaks is not known, or its token is wrong.",
    "403": "This caller may not, or the method is not for this gateway.",
    "405": "The address wants another HTTP method.",
    "413": "The body is too large.",
    "429": "Too many calls, or the account's cap is used up.",
    "500": "The gateway failed.",
    "503": "Pushwoosh or the database cannot be reached.",
}
MASKED = re.compile(r"\^?(?:json/|api/v2/|messages\()")
"""Where our own part of an address begins."""


def add_gateways(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """A postprocessing hook of drf-spectacular's."""
    mounts = _Mounts(generator.patterns, generator.urlconf).found()
    operations = [*_of_sdks(mounts), *_of_servers(mounts)]
    if not operations:
        return result
    paths = result.setdefault("paths", {})
    taken = {each.get("operationId") for path in paths.values() for each in path.values() if isinstance(each, dict)}
    for path, verb, operation in operations:
        name = operation["operationId"]
        number = next(each for each in range(1, 1000) if (name if each == 1 else f"{name}_{each}") not in taken)
        operation["operationId"] = name if number == 1 else f"{name}_{number}"
        taken.add(operation["operationId"])
        paths.setdefault(path, {})[verb] = {**_parameters_of(path), **operation}
    components = result.setdefault("components", {})
    components.setdefault("schemas", {}).update(_schemas())
    schemes = components.setdefault("securitySchemes", {})
    schemes.setdefault(
        DEVICE_TOKEN,
        {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token …`: the application's device token, as the SDKs send it.",
        },
    )
    for name, scheme, _requirement in _authentication():
        schemes.setdefault(name, scheme)
    return result


class _Mounts(EndpointEnumerator):
    """Finds what stands before the gateways' own addresses."""

    def found(self) -> dict[Callable[..., Any], list[str]]:
        mounts: dict[Callable[..., Any], list[str]] = {}
        for prefix, _method, callback in self.get_api_endpoints():
            if prefix not in mounts.setdefault(callback, []):
                mounts[callback].append(prefix)
        return mounts

    def get_path_from_regex(self, path_regex: str) -> str:
        prefix = MASKED.split(path_regex, maxsplit=1)[0]
        return str(super().get_path_from_regex(prefix)).rstrip("/")

    def should_include_endpoint(self, path: str, callback: Any) -> bool:
        return callback in (view, method_view, message_view)

    def get_allowed_methods(self, callback: Any) -> list[str]:
        return ["POST"]


def _of_sdks(mounts: dict[Callable[..., Any], list[str]]) -> Iterator[tuple[str, str, Schema]]:
    for prefix in mounts.get(view, ()):
        for method in METHODS.values():
            if method.asked_by is AskedBy.SDK:
                yield (
                    prefix + method.path,
                    "post",
                    {
                        **_headed(method, "Pushwoosh SDKs"),
                        "requestBody": _body(method, of_arguments(method), is_application_required=True),
                        "responses": _responses(_reference(ENVELOPE)),
                        "security": [{}, {DEVICE_TOKEN: []}],
                    },
                )


def _of_servers(mounts: dict[Callable[..., Any], list[str]]) -> Iterator[tuple[str, str, Schema]]:
    security = [requirement for _name, _scheme, requirement in _authentication()]
    more = {"security": security} if security else {}
    for prefix in mounts.get(method_view, ()):
        for method in METHODS.values():
            if method.asked_by is not AskedBy.SERVER:
                continue
            operation = {**_headed(method, "Pushwoosh server gateway"), "responses": _answers(method), **more}
            if method.body is Body.URL:
                yield prefix + method.path, "get", {**operation, "parameters": [_REQUEST_ID, _DETAILED]}
                continue
            operation["requestBody"] = _body(method, _posted(method), is_application_required=False)
            if method.rate is Rate.MESSAGES:
                operation["parameters"] = [_PREFER]
            yield prefix + method.path, "post", operation
    for prefix in mounts.get(message_view, ()):
        for verb, name, text in (
            ("get", "getPostedMessage", "Tells what became of a message that was posted."),
            ("delete", "cancelPostedMessage", "Cancels a message that was posted, as far as it still can be."),
        ):
            operation = {
                "operationId": name,
                "summary": text,
                "tags": ["Pushwoosh server gateway"],
                "parameters": [_ID],
                "responses": {**_responses(_enveloped(_reference(STATE))), "404": _refusal("No such message.")},
                **more,
            }
            yield f"{prefix}/messages/{{id}}", verb, operation


def _headed(method: Method, tag: str) -> Schema:
    return {"operationId": method.name, "summary": method.help, "tags": [tag]}


def _body(method: Method, arguments: Schema, *, is_application_required: bool) -> Schema:
    """The body, with the application; in the envelope where the method has one."""
    properties = {"application": {**CODE, "description": "the application's code"}, **arguments["properties"]}
    arguments = {**arguments, "properties": properties}
    if is_application_required:
        arguments["required"] = ["application", *arguments.get("required", [])]
    if method.body is Body.ENVELOPE:
        arguments = {"type": "object", "properties": {"request": arguments}, "required": ["request"]}
    return {"required": True, "content": {JSON: {"schema": arguments}}}


def _posted(method: Method) -> Schema:
    """The arguments of a method of servers; those that create messages have the parameters of table one."""
    schema = of_arguments(method)
    if method.name == "createMessage":
        notifications = {"type": "array", "minItems": 1, "maxItems": MOST, "items": _reference(NOTIFICATION)}
        return {
            "type": "object",
            "properties": {"notifications": notifications},
            "required": ["notifications"],
            "additionalProperties": False,
        }
    if method.rate is Rate.MESSAGES:
        rows = {each.name: of_parameter(each) for each in PARAMETERS if each.group != "audience"}
        schema["properties"] = {**rows, **schema["properties"]}
    return schema


def _answers(method: Method) -> Schema:
    if method.answer is Shape.BARE:
        shape = _JOB_STARTED if method.result is answers.JobStarted else _JOB_STATUS
        return {
            **_responses({"anyOf": [shape, _reference(ENVELOPE)]}),
            "404": _refusal("No such job."),
            "504": _refusal("Pushwoosh gave no answer; nobody knows what became of the call."),
        }
    responses = _responses(_reference(ENVELOPE))
    responses["504"] = _refusal("Pushwoosh gave no answer; nobody knows what became of the call.")
    if method.rate is Rate.MESSAGES:
        states = {"type": "object", "properties": {"messages": {"type": "array", "items": _reference(STATE)}}}
        responses["202"] = {
            "description": "Queued, or in doubt and repeated where that is safe.",
            "headers": {"Location": {"schema": {"type": "string"}, "description": "Where one message is told of."}},
            "content": {JSON: {"schema": _enveloped(states)}},
        }
    else:
        responses["404"] = _refusal("Pushwoosh knows nothing by this name.")
    return responses


def _responses(schema: Schema) -> Schema:
    taken = {"description": "Taken; or, with `status_code` 210, refused as Pushwoosh does: the text says why."}
    responses: Schema = {"200": {**taken, "content": {JSON: {"schema": schema}}}}
    return {**responses, **{status: _refusal(text, status) for status, text in REFUSALS.items()}}


def _refusal(text: str, status: str = "") -> Schema:
    refusal: Schema = {"description": text, "content": {JSON: {"schema": _reference(ENVELOPE)}}}
    if status == "429":
        refusal["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return refusal


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _enveloped(response: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {
            "status_code": {"type": "integer"},
            "status_message": {"type": "string"},
            "response": response,
        },
        "required": ["status_code", "status_message"],
    }


def _parameters_of(path: str) -> Schema:
    """Parameters of what stands before our own part of an address."""
    names = [name for name in re.findall(r"{(\w+)}", path) if name not in ("id", "request_id")]
    given = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    return {"parameters": given} if given else {}


def _schemas() -> Schema:
    rows = {each.name: of_parameter(each) for each in PARAMETERS if not each.targeted_only}
    return {
        ENVELOPE: _enveloped({"description": "What was asked for; null where there is nothing to tell."}),
        NOTIFICATION: {
            "type": "object",
            "description": f"A message and its one audience, or `{EVERYONE}`. Other parameters pass through.",
            "properties": {
                **rows,
                EVERYONE: {
                    "type": "boolean",
                    "enum": [True],
                    "description": "Every subscriber of the application is meant.",
                },
            },
            "additionalProperties": True,
        },
        STATE: {
            "type": "object",
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "status": {
                    "type": "string",
                    "enum": ["queued", "sent", "limited", "failed", "uncertain", "cancelled", "expired"],
                },
                "code": {"description": "Pushwoosh's message code, null while there is none."},
                "told": {"type": "string"},
                "location": {"type": "string"},
            },
            "required": ["id", "status", "code", "told"],
        },
    }


def _authentication() -> Iterator[tuple[str, Schema, Schema]]:
    """Name, scheme and requirement of each way to say who one is, as far as drf-spectacular knows it."""
    import_module("drf_spectacular.authentication")
    extension = import_module("drf_spectacular.extensions").OpenApiAuthenticationExtension
    for each in authentication_classes():
        found = extension.get_match(each())
        if found is not None and isinstance(found.name, str):
            yield found.name, found.get_security_definition(None), found.get_security_requirement(None)


_PREFER: Schema = {
    "name": "Prefer",
    "in": "header",
    "schema": {"type": "string"},
    "description": f"`{ASYNC}`: queue the message, and answer 202 at once.",
}
_REQUEST_ID: Schema = {"name": "request_id", "in": "path", "required": True, "schema": {"type": "string"}}
_DETAILED: Schema = {
    "name": "detailed",
    "in": "query",
    "schema": {"type": "boolean"},
    "description": "Whether to list every device.",
}
_ID: Schema = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
_JOB_STARTED: Schema = {
    "type": "object",
    "properties": {"request_id": {"type": "string"}, "status": {"type": "string"}},
    "required": ["request_id"],
}
_JOB_STATUS: Schema = {
    "type": "object",
    "properties": {
        "request_id": {"type": "string"},
        "status": {"type": "string"},
        "progress": {"type": "integer"},
        "devices": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
    },
    "required": ["request_id", "status"],
}
