"""Table two: every remote method, one row each; and `Call`, one invocation.

The client sends by these rows, the gateway takes and forwards by them, the sandbox routes and checks by them, the
governor paces and the worker repeats by them. Sources: seeds 001 (messages), 002 (devices), 003 (users, events) and
004 (audience); where they contradict each other, the reading is the one that works for both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any
from urllib.parse import quote, urlencode

from django_pushwoosh.protocol import answers, fields, tags
from django_pushwoosh.protocol.envelope import encode, wrap
from django_pushwoosh.protocol.errors import Invalid, Problem

REMOTE = "/json/1.3/"
AUDIENCE = "/api/v2/audience/"
DEVICE_API = "/api/v2/device-api/"
SHOWN = 20
"""Members of a list that an excerpt shows."""


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
    """One remote method. `one_of` names arguments of which at least one has to be there."""

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
            try:
                cleaned[argument.name] = argument.kind.clean(value, argument.name)
            except Invalid as error:
                problems.extend(error.problems)
        if self.one_of and not any(arguments.get(name) for name in self.one_of):
            problems.append(Problem(self.one_of[0], f"{self.name} needs {' or '.join(self.one_of)}"))
        if problems:
            raise Invalid(*problems)
        return cleaned


@dataclass(slots=True)
class Call:
    """One invocation of a method, without its token.

    `raw` holds the original bytes of an SDK's call: they are forwarded as they came, never re-encoded.
    """

    method: Method
    application: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    raw: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, name: str, application: str, **arguments: Any) -> Call:
        """A checked call. Raises `Invalid`, or `KeyError` for a method that is not in the table."""
        method = METHODS[name]
        present = {key: value for key, value in arguments.items() if value is not None}
        return cls(method, application, method.clean(present))

    def url(self, root: str) -> str:
        """The address under an API root (scheme and host)."""
        path = self.method.path
        if self.method.body is Body.URL:
            arguments = dict(self.arguments)
            path = path.format(request_id=quote(str(arguments.pop("request_id")), safe=""))
            query = urlencode({key: str(value).lower() for key, value in arguments.items()})
            path = f"{path}?{query}" if query else path
        return root.rstrip("/") + path

    def encode(self, api_token: str = "") -> bytes:
        """The body as it leaves; the API token enters here and is kept nowhere else."""
        if self.raw is not None:
            return self.raw
        method = self.method
        arguments: dict[str, Any] = {"auth": api_token} if method.token is Token.API else {}
        if method.application_required and "applications_group" not in self.arguments:
            arguments["application"] = self.application
        arguments.update(self.arguments)
        if method.body is Body.ENVELOPE:
            return wrap(arguments)
        return encode(arguments) if method.body is Body.FLAT else b""

    def shown(self) -> str:
        """The body for people, indented, with the token's place marked."""
        if self.raw is not None:
            return self.raw.decode("utf-8", "replace")
        return json.dumps(json.loads(self.encode("•••") or b"{}"), indent=2, ensure_ascii=False)

    def excerpt(self, length: int) -> str:
        """The beginning of what is said, without the token, for the log."""
        if self.raw is not None:
            return _AUTH.sub('"auth": "•••"', self.raw[:length].decode("utf-8", "replace"))
        # A request may carry a thousand devices; not all of them are encoded for what is cut off anyway.
        few = {name: value[:SHOWN] if isinstance(value, list) else value for name, value in self.arguments.items()}
        return json.dumps(few, ensure_ascii=False)[:length]

    def is_repeatable(self, age: timedelta = timedelta(), *, repeat_events: bool = True) -> bool:
        """Whether it may go again after an unknown outcome, `age` after its first attempt."""
        match self.method.repeat:
            case Repeat.ALWAYS:
                return True
            case Repeat.EVENT:
                return repeat_events
            case Repeat.WINDOW:
                return self.method.window is not None and age < self.method.window
            case Repeat.PLAIN_TAGS:
                devices = self.arguments.get("devices")
                for each in devices if isinstance(devices, list) else [self.arguments]:
                    changes = each.get("tags") if isinstance(each, Mapping) else None
                    if isinstance(each, Mapping) and each.get("list_operator") == "append":
                        return False
                    if isinstance(changes, Mapping) and not tags.is_repeatable(changes):
                        return False
                return True

    @property
    def is_capped(self) -> bool:
        """Whether it counts against the account's cap.

        Exempt is an immediate push to fewer than 10 devices (the documents say both "10 or less" and "less than 10";
        the narrower reading holds under both), unless the account traces its messages: that is the governor's to know.
        """
        if self.method.rate is not Rate.MESSAGES:
            return False
        notifications = self.arguments.get("notifications")
        if not isinstance(notifications, list) or not notifications:
            return True
        return not all(
            isinstance(each, Mapping)
            and each.get("send_date") == "now"
            and isinstance(each.get("devices"), list)
            and 0 < len(each["devices"]) < 10
            and not each.get("users")
            for each in notifications
        )

    @property
    def hwid(self) -> str:
        value = self.arguments.get("hwid")
        return value if isinstance(value, str) else ""


_AUTH = re.compile(r'"auth"\s*:\s*"[^"]*("|$)')

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


def _server(name: str, *arguments: Argument, help: str, **row: Any) -> Method:
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


def _sdk(name: str, policy: Policy, *arguments: Argument, help: str, **row: Any) -> Method:
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


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        _server(
            "createMessage",
            Argument("notifications", fields.Objects(), required=True, help="one object of parameters per message"),
            Argument("applications_group", fields.Code(), help="a group's code, in place of the application's"),
            help="Creates push messages.",
            result=answers.MessagesCreated,
            repeat=Repeat.WINDOW,
            window=timedelta(minutes=5),
            rate=Rate.MESSAGES,
        ),
        _server(
            "createTargetedMessage",
            Argument("devices_filter", fields.Text(max_length=1_000_000), required=True, help="a filter expression"),
            Argument("send_date", fields.SendDate(), required=True, help="`now` or YYYY-MM-DD HH:mm"),
            help="Creates a push message to the devices of a filter expression, across applications.",
            result=answers.TargetedMessageCreated,
            repeat=Repeat.WINDOW,
            window=timedelta(days=1),
            rate=Rate.MESSAGES,
            application_required=False,
        ),
        _server(
            "deleteMessage",
            MESSAGE,
            help="Deletes a message that was not sent yet.",
            response_absent=True,
            application_required=False,
        ),
        _server(
            "cancelMessage",
            MESSAGE,
            help="Cancels a message that is waiting, pending or being processed.",
            response_absent=True,
            application_required=False,
        ),
        _server(
            "getMessageDetails",
            Argument("message", fields.Anything(), required=True, help="the message's code or id"),
            help="Tells a message's content and state.",
            result=answers.MessageDetails,
            application_required=False,
        ),
        _server(
            "getPushHistory",
            Argument("limitMessages", fields.Integer(10, 1000), help="rows a page, 10 to 1000"),
            Argument(
                "source",
                fields.Choice(("CP", "API", "GeoZone", "Beacon", "RSS", "AutoPush", "Twitter", "A/B Test")),
                help="where the messages came from",
            ),
            Argument(
                "searchBy",
                fields.Choice(("", "notificationID", "notificationCode", "applicationCode", "campaignCode")),
                help="what `value` is",
            ),
            Argument("value", fields.Anything(), help="what to search for"),
            Argument("lastNotificationID", fields.Integer(0), help="the last id of the page before"),
            help="Lists sent messages with their counts.",
            result=answers.PushHistory,
            application_required=False,
        ),
        _server(
            "bulkRegisterDevice",
            DEVICES,
            path=AUDIENCE + "bulkRegisterDevice",
            body=Body.FLAT,
            answer=Shape.BARE,
            help="Registers many devices with their tags in one job.",
            result=answers.JobStarted,
            repeat=Repeat.PLAIN_TAGS,
        ),
        _server(
            "bulkRegisterDeviceStatus",
            REQUEST_ID,
            DETAILED,
            path=AUDIENCE + "bulkRegisterDevice/{request_id}",
            verb="GET",
            token=Token.NONE,
            body=Body.URL,
            answer=Shape.BARE,
            help="Tells how far a bulkRegisterDevice job is.",
            result=answers.JobStatus,
            application_required=False,
        ),
        _server(
            "bulkSetTags",
            DEVICES,
            Argument("create_missing_tags", fields.Boolean(), help="whether unknown tags come into being"),
            path=AUDIENCE + "bulkSetTags",
            body=Body.FLAT,
            answer=Shape.BARE,
            help="Sets the tags of many devices (50 or more) in one job.",
            result=answers.JobStarted,
            repeat=Repeat.PLAIN_TAGS,
        ),
        _server(
            "bulkSetTagsStatus",
            REQUEST_ID,
            DETAILED,
            path=AUDIENCE + "bulkSetTags/{request_id}",
            verb="GET",
            token=Token.NONE,
            body=Body.URL,
            answer=Shape.BARE,
            help="Tells how far a bulkSetTags job is.",
            result=answers.JobStatus,
            application_required=False,
        ),
        _sdk(
            "registerDevice",
            Policy.RELAY_ELSE_QUEUE,
            HWID_OPTIONAL,
            DEVICE_TYPE,
            Argument(
                "push_token",
                fields.Text(max_length=4096, blank=True),
                help="without it the device is known, but cannot be pushed to",
            ),
            Argument("email", EMAIL, help="an address to register, in place of hwid and push_token"),
            LANGUAGE,
            Argument("timezone", fields.Anything(), help="offset in seconds (iOS sends it as a string)"),
            USER_ID,
            TAGS,
            *PROFILE,
            Argument("idfa", TEXT, help="advertising id"),
            Argument("public_key", LONG_TEXT, help="encryption key of Chrome and Firefox"),
            Argument("auth_token", LONG_TEXT, help="encryption secret of Chrome and Firefox"),
            Argument("fcm_token", LONG_TEXT, help="FCM key of Chrome"),
            Argument("fcm_push_set", LONG_TEXT, help="FCM push set of Chrome"),
            help="Registers a device, or updates it.",
            repeat=Repeat.PLAIN_TAGS,
            one_of=("hwid", "email"),
        ),
        _sdk(
            "registerEmail",
            Policy.QUEUE,
            Argument("email", EMAIL, required=True, help="the address to register"),
            LANGUAGE,
            USER_ID,
            TAGS,
            help="Registers an e-mail address.",
            repeat=Repeat.PLAIN_TAGS,
        ),
        _sdk(
            "unregisterDevice",
            Policy.QUEUE,
            HWID,
            help="Removes a device's push token; the device stays known.",
        ),
        _sdk(
            "setTags",
            Policy.QUEUE,
            HWID_OPTIONAL,
            USER_ID,
            Argument("tags", fields.JsonObject(), required=True, help="tag names and their values or operations"),
            help="Sets the tags of a device, or of all devices of a user.",
            repeat=Repeat.PLAIN_TAGS,
            one_of=("hwid", "userId"),
        ),
        _sdk(
            "getTags",
            Policy.RELAY,
            HWID_OPTIONAL,
            USER_ID,
            help="Tells the tags of a device or of a user; the hwid prevails.",
            result=answers.TagValues,
            one_of=("hwid", "userId"),
        ),
        _sdk(
            "setBadge",
            Policy.QUEUE,
            HWID,
            Argument("badge", fields.Integer(0), required=True, help="the number on the app's icon"),
            help="Tells the badge's present value, from which +n and -n count.",
            response_absent=True,
        ),
        _sdk(
            "applicationOpen",
            Policy.QUEUE,
            HWID,
            help="Tells that the app was opened.",
            response_absent=True,
        ),
        _sdk(
            "pushStat",
            Policy.QUEUE,
            HWID,
            USER_ID,
            HASH,
            META,
            help="Tells that a push was opened.",
        ),
        _sdk(
            "messageDeliveryEvent",
            Policy.QUEUE,
            HWID,
            HASH,
            META,
            help="Tells that a push arrived.",
        ),
        _sdk(
            "registerUser",
            Policy.QUEUE,
            HWID,
            USER_ID,
            Argument("tz_offset", fields.Anything(), help="offset in seconds"),
            DEVICE_TYPE,
            help="Makes a device a user's; without a user id it is the hwid's again.",
            token_required=True,
        ),
        _sdk(
            "deleteUser",
            Policy.REFUSED,
            Argument("user_id", TEXT, required=True, help="the user to delete, with all devices"),
            path=DEVICE_API + "deleteUser",
            body=Body.FLAT,
            help="Deletes a user and all the user's devices in the application.",
            token_required=True,
        ),
        _sdk(
            "postEvent",
            Policy.RELAY_ELSE_QUEUE,
            Argument("event", TEXT, required=True, help="the event's name, exactly as created in Pushwoosh"),
            Argument("attributes", fields.JsonObject(), help="the event's attributes; an empty object where none"),
            HWID_OPTIONAL,
            USER_ID,
            Argument("timestampUTC", fields.Integer(0), help="unix time"),
            Argument("timestampCurrent", fields.Integer(0), help="unix time shifted by the local offset"),
            DEVICE_TYPE,
            help="Triggers an event.",
            result=answers.EventPosted,
            repeat=Repeat.EVENT,
            token_required=True,
            one_of=("hwid", "userId"),
        ),
    )
}
"""Every method of the documents, by its wire name; the status of a bulk job is `<method>Status`."""


def sdk_method(name: str) -> Method | None:
    """The row of a method that SDKs call, or `None`."""
    method = METHODS.get(name)
    return method if method is not None and method.asked_by is AskedBy.SDK else None
