"""The tables' kinds of values as JSON Schema (the part of it that OpenAPI 3.0 and 3.1 share).

A schema says the shape; what it cannot say (that a time exists, that parameters fit each other) is in the description,
and in the refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django_pushwoosh.protocol import fields
from django_pushwoosh.protocol.fields import LARGEST_INTEGER, Kind
from django_pushwoosh.protocol.methods import Argument, Method
from django_pushwoosh.protocol.parameters import Parameter

Schema = dict[str, Any]

CODE: Schema = {"type": "string", "pattern": "^[0-9A-Z]{5}-[0-9A-Z]{5}$"}
LANGUAGES: Schema = {"type": "object", "additionalProperties": {"type": "string"}}


def of_kind(kind: Kind) -> Schema:
    """What a kind takes."""
    return {**_SCHEMAS[type(kind)](kind), "description": kind.describe()}


def of_argument(argument: Argument) -> Schema:
    schema = of_kind(argument.kind)
    return {**schema, "description": f"{argument.help} ({schema['description']})"}


def of_parameter(parameter: Parameter) -> Schema:
    schema = of_kind(parameter.kind)
    row = {**schema, "description": f"{parameter.help} ({schema['description']})", "example": parameter.example}
    return {**row, "deprecated": True} if parameter.deprecated else row


def of_arguments(method: Method) -> Schema:
    """The object of a method's arguments. Others pass through, so it is open."""
    schema: Schema = {
        "type": "object",
        "properties": {each.name: of_argument(each) for each in method.arguments},
        "additionalProperties": True,
    }
    required = [each.name for each in method.arguments if each.required]
    if required:
        schema["required"] = required
    if method.one_of:
        schema["anyOf"] = [{"required": [name]} for name in method.one_of]
    return schema


def _text(kind: fields.Text) -> Schema:
    schema: Schema = {"type": "string", "maxLength": kind.max_length}
    if not kind.blank:
        schema["minLength"] = 1
    if kind.pattern:
        schema["pattern"] = f"^(?:{kind.pattern})$"
    return schema


def _localized(_kind: Kind) -> Schema:
    return {"anyOf": [{"type": "string"}, LANGUAGES]}


def _strings(kind: fields.Strings) -> Schema:
    each = {"type": "string", "minLength": 0 if kind.blank else 1, "maxLength": kind.max_length}
    return {"type": "array", "items": each, "minItems": kind.minimum, "maxItems": kind.maximum}


def _integer(kind: fields.Integer) -> Schema:
    schema: Schema = {"type": "integer", "minimum": kind.minimum}
    return schema if kind.maximum == LARGEST_INTEGER else {**schema, "maximum": kind.maximum}


def _badge(kind: fields.Badge) -> Schema:
    shapes: list[Schema] = [
        {"type": "integer", "minimum": 0, "maximum": 10**9 - 1},
        {"type": "string", "pattern": "^[+-]?[0-9]{1,9}$"},
    ]
    return {"anyOf": [*shapes, {"type": "boolean"}] if kind.or_boolean else shapes}


def _choice(kind: fields.Choice) -> Schema:
    types = {type(option) for option in kind.options}
    schema: Schema = {"enum": list(kind.options)}
    return {"type": "string" if types == {str} else "integer", **schema} if len(types) == 1 else schema


def _geozone(_kind: Kind) -> Schema:
    return {
        "type": "object",
        "properties": {
            "lat": {"type": "number", "minimum": -90, "maximum": 90},
            "lng": {"type": "number", "minimum": -180, "maximum": 180},
            "range": {"type": "integer", "minimum": 1},
        },
        "required": ["lat", "lng", "range"],
        "additionalProperties": False,
    }


_SCHEMAS: dict[type[Kind], Callable[[Any], Schema]] = {
    fields.Anything: lambda kind: {},
    fields.Badge: _badge,
    fields.Boolean: lambda kind: {"type": "boolean"},
    fields.Choice: _choice,
    fields.Code: lambda kind: CODE,
    fields.Color: lambda kind: {
        "type": "string",
        "pattern": "^(?:#(?:[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})|[A-Za-z]{3,24})$",
    },
    fields.Conditions: lambda kind: {
        "type": "array",
        "minItems": 1,
        "items": {"type": "array", "items": {}, "minItems": 2, "maxItems": 3},
    },
    fields.Day: lambda kind: {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    fields.Flag: lambda kind: {"anyOf": [{"type": "integer", "enum": [0, 1]}, {"type": "boolean"}]},
    fields.GeozoneKind: _geozone,
    fields.Integer: _integer,
    fields.JsonObject: lambda kind: {"type": "object", "additionalProperties": True},
    fields.JsonObjectOrString: lambda kind: {
        "anyOf": [{"type": "object", "additionalProperties": True}, {"type": "string"}]
    },
    fields.LedColor: lambda kind: {"type": "string", "pattern": "^#[0-9A-Fa-f]{6}$"},
    fields.LocalizedBase64: _localized,
    fields.LocalizedText: _localized,
    fields.Objects: lambda kind: {
        "type": "array",
        "minItems": 1,
        "items": {"type": "object", "additionalProperties": True},
    },
    fields.PlatformList: lambda kind: {
        "type": "array",
        "minItems": 1,
        "items": {"type": "integer", "enum": [number for number, _label in kind.choices]},
    },
    fields.Seconds: lambda kind: {"type": "integer", "minimum": kind.minimum, "maximum": kind.maximum},
    fields.SendDate: lambda kind: {
        "type": "string",
        "pattern": "^(?:now|[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(?::[0-9]{2})?)$",
    },
    fields.Strings: _strings,
    fields.Text: _text,
    fields.TextMap: lambda kind: LANGUAGES,
    fields.TimeZoneName: lambda kind: {"type": "string", "maxLength": 64},
    fields.Url: lambda kind: {"type": "string", "minLength": 1, "maxLength": kind.max_length},
}
