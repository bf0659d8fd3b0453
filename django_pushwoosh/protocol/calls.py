"""One invocation of a method, and table two, where every method is a row.

The client sends by these rows, the gateway takes and forwards by them, the sandbox routes and checks by them, the
governor paces and the worker repeats by them. Where the documents contradict each other, the reading is the one that
works for both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

from django_pushwoosh.protocol import tags
from django_pushwoosh.protocol.envelope import encode, wrap
from django_pushwoosh.protocol.methods import Body, Method, Rate, Repeat, Token, Upstream
from django_pushwoosh.protocol.sdk_methods import SDK_METHODS
from django_pushwoosh.protocol.server_methods import SERVER_METHODS, SERVERS_OWN

SHOWN = 20
"""Members of a list that an excerpt shows."""


@dataclass(slots=True)
class Call:
    """One invocation of a method, without its token.

    `raw` holds the original bytes of an SDK's call: they are forwarded as they came, never re-encoded. An `address`
    is where it goes in place of its row's. `is_replay`: the SDK says that it could not get the call through before,
    perhaps for days; it tells how things were then.
    """

    method: Method
    application: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    raw: bytes | None = field(default=None, repr=False)
    address: str = ""
    is_replay: bool = False

    @classmethod
    def of(cls, name: str, application: str, /, **arguments: Any) -> Call:
        """A checked call. Raises `Invalid`, or `KeyError` for a method that is not in the table."""
        method = METHODS[name]
        present = {key: value for key, value in arguments.items() if value is not None}
        return cls(method, application, method.clean(present))

    def root(self, api_root: str, tracking_root: str) -> str:
        """Scheme and host of whoever takes the call."""
        if self.address:
            return "/".join(self.address.split("/", 3)[:3])
        return tracking_root if self.method.upstream is Upstream.TRACKING else api_root

    def url(self, root: str) -> str:
        """The address under a root (scheme and host)."""
        if self.address:
            return self.address
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

METHODS: dict[str, Method] = {method.name: method for method in (*SERVER_METHODS, *SDK_METHODS)}
"""Every method, by its wire name; the status of a bulk job is `<method>Status`."""

_NAME = re.compile(r"[a-z][A-Za-z0-9]{2,63}")
_TAKEN = frozenset(name.lower() for name in (*METHODS, *SERVERS_OWN))


def may_be_an_sdks(name: str) -> bool:
    """Whether a method that is in no table may be one that an SDK calls: no server's, and no variant of one we know."""
    return _NAME.fullmatch(name) is not None and name.lower() not in _TAKEN
