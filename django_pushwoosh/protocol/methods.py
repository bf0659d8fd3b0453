"""One remote method as a row of table two: its address, tokens, arguments, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from django_pushwoosh.protocol import answers, fields
from django_pushwoosh.protocol.errors import Invalid, Problem

REMOTE = "/json/1.3/"
AUDIENCE = "/api/v2/audience/"
DEVICE_API = "/api/v2/device-api/"


class Token(Enum):
    """Which token opens a method, and where it stands."""

    API = "the API token, as `auth` in the body"
    DEVICE = "the device token, as `Authorization: Token …`"
    NONE = "none: the request id is the key"


class Body(Enum):
    """How the arguments travel."""

    ENVELOPE = '{"request": {…}}'
    FLAT = "{…}"
    URL = "path and query"


class Shape(Enum):
    """How the answer comes."""

    ENVELOPE = '{"status_code", "status_message", "response"}'
    BARE = "a bare document"
    ANY = "whatever it is, its HTTP status tells"


class Upstream(Enum):
    """Who takes a call."""

    API = "the API root"
    TRACKING = "the tracking host"
    ENTRY_POINT = "the address that getConfig tells"


class Repeat(Enum):
    """What to do when nobody knows whether a call took effect."""

    ALWAYS = "repeat"
    PLAIN_TAGS = "repeat unless a tag is incremented or appended to"
    WINDOW = "repeat while Pushwoosh remembers the transaction id"
    EVENT = "repeat, unless the setting REPEAT_EVENTS says otherwise"


class Rate(Enum):
    """What a method counts against."""

    UNLIMITED = "unlimited"
    MESSAGES = "600 requests a minute, all message-creating methods together"


class AskedBy(Enum):
    SERVER = "server"
    SDK = "SDK"


class Policy(Enum):
    """What the gateway does with a method by default."""

    QUEUE = "queue first"
    RELAY_ELSE_QUEUE = "relay, else queue"
    RELAY = "relay"
    REFUSED = "refused unless the host says who may"


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    kind: fields.Kind
    required: bool = False
    help: str = ""


@dataclass(frozen=True, slots=True)
class Method:
    """One remote method.

    `one_of` names arguments of which at least one has to be there. What is not documented, only SDKs are seen to call.
    """

    name: str
    path: str
    token: Token
    asked_by: AskedBy
    arguments: tuple[Argument, ...]
    help: str
    result: type[answers.Result] = answers.Accepted
    verb: str = "POST"
    body: Body = Body.ENVELOPE
    answer: Shape = Shape.ENVELOPE
    token_required: bool = True
    response_absent: bool = False
    repeat: Repeat = Repeat.ALWAYS
    window: timedelta | None = None
    rate: Rate = Rate.UNLIMITED
    policy: Policy = Policy.REFUSED
    one_of: tuple[str, ...] = ()
    application_required: bool = True
    is_documented: bool = True
    upstream: Upstream = Upstream.API

    def clean(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Check arguments against the row; unknown ones pass, for SDKs and tomorrow's documents add them.

        Raises `Invalid` with every problem at once.
        """
        problems: list[Problem] = []
        cleaned = dict(arguments)
        for argument in self.arguments:
            value = arguments.get(argument.name)
            if value is None:
                if argument.required:
                    problems.append(Problem(argument.name, f"{self.name} needs it: {argument.help}"))
                continue
            is_short = type(value) is str and 0 < len(value) <= argument.kind.plain_length
            if is_short and value.isprintable() and not value.isspace():
                # Nearly all that SDKs say; `Kind` tells why it needs no cleaning.
                continue
            try:
                cleaned[argument.name] = argument.kind.clean(value, argument.name)
            except Invalid as error:
                problems.extend(error.problems)
        if self.one_of and not any(arguments.get(name) for name in self.one_of):
            problems.append(Problem(self.one_of[0], f"{self.name} needs {' or '.join(self.one_of)}"))
        if problems:
            raise Invalid(*problems)
        return cleaned


TEXT = fields.Text(max_length=255)
BLANK = fields.Text(max_length=255, blank=True)
LONG_TEXT = fields.Text(max_length=4096)
EMAIL = fields.Text(max_length=254, pattern=r"[^@\s]+@[^@\s]+")

HWID = Argument("hwid", TEXT, required=True, help="the device's hardware id, as given to registerDevice")
HWID_OPTIONAL = Argument("hwid", TEXT, help="the device's hardware id")
USER_ID = Argument("userId", BLANK, help="the user's id")
DEVICE_TYPE = Argument("device_type", fields.Integer(0), help="the platform's number")
TAGS = Argument("tags", fields.JsonObject(), help="tag names and their values or operations")
LANGUAGE = Argument("language", fields.Text(max_length=35, blank=True), help="two lower-case letters (ISO 639-1)")
HASH = Argument("hash", LONG_TEXT, help="`p` of the push's payload: names the message")
META = Argument("metaData", fields.Anything(), help="passed through")
MESSAGE = Argument("message", TEXT, required=True, help="the message code from createMessage")
DEVICES = Argument("devices", fields.Objects(), required=True, help="one object per device")
REQUEST_ID = Argument("request_id", TEXT, required=True, help="the request id that started the job")
DETAILED = Argument("detailed", fields.Boolean(), help="whether to list every device")
PROFILE = (
    Argument("app_version", BLANK, help="the mobile app's version"),
    Argument("device_model", BLANK, help="the device's model"),
    Argument("os_version", BLANK, help="the operating system's version"),
)


def unknown_method(name: str) -> Method:
    """The row of a method that is in no table: an SDK of tomorrow may have it. It is opened by no token of ours."""
    return Method(
        name, REMOTE + name, Token.NONE, AskedBy.SDK, (), "", answers.Told, policy=Policy.RELAY, token_required=False
    )


def server_method(name: str, *arguments: Argument, help: str, **row: Any) -> Method:
    return Method(
        name,
        row.pop("path", REMOTE + name),
        row.pop("token", Token.API),
        AskedBy.SERVER,
        arguments,
        help,
        policy=Policy.REFUSED,
        **row,
    )


def sdk_method(name: str, policy: Policy, *arguments: Argument, help: str, **row: Any) -> Method:
    return Method(
        name,
        row.pop("path", REMOTE + name),
        Token.DEVICE,
        AskedBy.SDK,
        arguments,
        help,
        policy=policy,
        # The device page of the documents shows no token, the user page requires one.
        token_required=row.pop("token_required", False),
        **row,
    )
