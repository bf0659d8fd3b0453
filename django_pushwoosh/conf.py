"""The `PUSHWOOSH` setting: one typed, documented property each, read when it is used.

::

    PUSHWOOSH = {
        "APPLICATIONS": {"default": {"CODE": "XXXXX-XXXXX", "API_TOKEN": env("…"), "DEVICE_TOKEN": env("…")}},
        "API_ROOT": "https://api.pushwoosh.com",
    }
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.methods import AskedBy, Method, Policy

DEFAULT_ALIAS = "default"
DEFAULT_API_ROOT = "https://api.pushwoosh.com"
DEFAULT_TRACKING_ROOT = "https://tracking.svc-nue.pushwoosh.com"
"""Where the SDKs themselves report advertising ids."""
LONGEST_RELAY = 20.0
"""Android makes all its calls on one thread, and iOS gives up after a minute; whoever waits longer hears nothing."""
CODE = re.compile(r"[0-9A-Z]{5}-[0-9A-Z]{5}")
RATE = re.compile(r"(\d+)/(second|minute|hour)")
DATABASE = re.compile(r"(/\d*)?")
GATEWAY_URL = re.compile(r"https?://[^\s/?#@\\]+(/[^\s?#\\]*)?")
HEADER = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
TAKEN_HEADERS = ("authorization", "cookie", "host", "origin", "content-type", "content-length", "x-forwarded-for")
"""Headers that say something else already."""
REDIS_SCHEMES = ("redis", "rediss", "unix")
WEB = ("", "anonymous", "token")
SECONDS = {"second": 1, "minute": 60, "hour": 3600}


Value = TypeVar("Value")

_POLICIES = {policy.name.lower(): policy for policy in Policy}


@dataclass(frozen=True, slots=True)
class Application:
    """A Pushwoosh application as the settings name it. Its tokens show in no `repr`."""

    alias: str
    code: str
    api_root: str = DEFAULT_API_ROOT
    account: str = DEFAULT_ALIAS
    transport: str = ""
    api_token: str = field(default="", repr=False)
    device_token: str = field(default="", repr=False)
    tracking_root: str = DEFAULT_TRACKING_ROOT


@dataclass(frozen=True, slots=True)
class Account:
    """What belongs to a Pushwoosh account: the cap, and what other senders than this project need of it (`reserve`)."""

    name: str = DEFAULT_ALIAS
    requests_per_minute: int = 600
    reserve: int = 0
    tracing: bool = False

    @property
    def slots(self) -> int:
        return max(1, self.requests_per_minute - self.reserve)


@dataclass(frozen=True, slots=True)
class Throttle:
    """How many gateway calls a minute, hour or second one hwid (and, where switched on, one address) may make.

    `max_wait` is in seconds: a view that sends messages is refused early when the cap would make it wait longer.
    """

    per_hwid: tuple[int, int] | None = (120, 60)
    per_address: tuple[int, int] | None = None
    trusted_proxies: int = 0
    max_wait: float = 5.0


OWN_HEADERS = ("X-Gateway-Secret", "X-Authorization")
USER_POLICIES = ("take", "refuse", "replace")
"""What may become of a user id in a gateway call's body."""


@dataclass(frozen=True, slots=True)
class Speakers:
    """Who may speak at the gateway. The secrets show in no `repr`.

    `authentication` are dotted paths of REST framework's authentication classes, or such classes; they read
    `credentials_header` in place of `Authorization`. `user_ids` says what becomes of a user id in a body: "take",
    "refuse" or "replace".
    """

    secrets: tuple[str, ...] = field(default=(), repr=False)
    secret_header: str = OWN_HEADERS[0]
    is_secret_required: bool = False
    authentication: tuple[Any, ...] = ()
    credentials_header: str = OWN_HEADERS[1]
    is_authentication_required: bool = False
    user_ids: str = "take"


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what has ended is kept; `None`: for ever. What has not ended is always kept.

    `settled` and `failed` are entries of the outbox with their attempts: sent, cancelled or expired ones, and failed,
    left or uncertain ones. `messages` are those that code sent, `composed` those that a person did; failed and
    uncertain ones are kept as long as `failed` at least. `jobs` are ended bulk jobs, `links` closed user links.
    `statistics` are single opens and deliveries; their numbers stay with our messages.
    """

    settled: timedelta | None = timedelta(days=30)
    failed: timedelta | None = timedelta(days=90)
    messages: timedelta | None = timedelta(days=30)
    composed: timedelta | None = None
    jobs: timedelta | None = timedelta(days=90)
    links: timedelta | None = timedelta(days=365)
    statistics: timedelta | None = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class ServerGateway:
    """Who may post messages through the server gateway, as dotted paths of REST framework's classes.

    `None`: those of the project's `REST_FRAMEWORK`. `body_limit` is in bytes.
    """

    authentication: tuple[str, ...] | None = None
    permissions: tuple[str, ...] | None = None
    body_limit: int = 2 * 1024 * 1024


def _paths(value: Any, where: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ImproperlyConfigured(f"{where} must be a list of dotted paths, or None.")
    return tuple(value)


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ImproperlyConfigured(f"{where} must be a dictionary.")
    return value


def _rate(value: Any, where: str) -> tuple[int, int] | None:
    if value is None:
        return None
    match = RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or not int(match[1]):
        raise ImproperlyConfigured(f'{where} must read like "120/minute", or be None.')
    return int(match[1]), SECONDS[match[2]]


def _policy(name: object, value: object, where: str) -> Policy:
    """What a row of the policies says. Raises `ImproperlyConfigured`, saying why it cannot be."""
    method = METHODS.get(name) if isinstance(name, str) else None
    if method is None:
        raise ImproperlyConfigured(f"{where} names {name!r}, which is no method; upper and lower case count.")
    if method.asked_by is not AskedBy.SDK:
        raise ImproperlyConfigured(f"{where} names {name}, which is for servers: the gateway never takes it from SDKs.")
    policy = _POLICIES.get(value) if isinstance(value, str) else None
    if policy is None:
        raise ImproperlyConfigured(f'{where}["{name}"] must be one of: {", ".join(_POLICIES)}.')
    if method.policy is Policy.RELAY and policy in (Policy.QUEUE, Policy.RELAY_ELSE_QUEUE):
        raise ImproperlyConfigured(
            f'{where}["{name}"] must be "relay" or "refused": the SDK asks for something, which a queue cannot answer.'
        )
    return policy


def _is_pushwooshs(root: str) -> bool:
    host = urlsplit(root).hostname or ""
    return host == "pushwoosh.com" or host.endswith(".pushwoosh.com")


class Settings:
    """Reads Django's settings at each use, so that `override_settings` works and nothing is frozen at import.

    What takes long to read, and is asked for at every call of the gateway, is read once for each such dictionary.
    """

    def __init__(self) -> None:
        self._read: tuple[Mapping[str, Any], dict[str, Any]] = ({}, {})

    @property
    def _all(self) -> Mapping[str, Any]:
        return _mapping(getattr(django_settings, "PUSHWOOSH", {}), "PUSHWOOSH")

    def _once(self, read: Callable[[], Value]) -> Value:
        """What `read` makes of the present settings; made anew where Django's settings name another dictionary."""
        present = getattr(django_settings, "PUSHWOOSH", None)
        known, values = self._read
        if known is not present:
            values = {}
            self._read = self._all, values
        name = read.__name__
        if name not in values:
            values[name] = read()
        found: Value = values[name]
        return found

    @property
    def applications(self) -> Mapping[str, Application]:
        """`APPLICATIONS`: alias → `CODE`, `API_TOKEN`, `DEVICE_TOKEN`.

        Perhaps `API_ROOT`, `TRACKING_ROOT`, `ACCOUNT`, `TRANSPORT`. Whose API root is not Pushwoosh's (a sandbox)
        reports advertising ids there, too.
        """
        return self._once(self._applications)

    def _applications(self) -> Mapping[str, Application]:
        root = self._all.get("API_ROOT", DEFAULT_API_ROOT)
        tracking_root = self._all.get("TRACKING_ROOT")
        applications = {}
        for alias, row in _mapping(self._all.get("APPLICATIONS", {}), 'PUSHWOOSH["APPLICATIONS"]').items():
            where = f'PUSHWOOSH["APPLICATIONS"]["{alias}"]'
            row = _mapping(row, where)
            code = row.get("CODE")
            if not isinstance(code, str) or not CODE.fullmatch(code):
                raise ImproperlyConfigured(f'{where}["CODE"] must be an application code like "XXXXX-XXXXX".')
            api_root = str(row.get("API_ROOT", root)).rstrip("/")
            tracks_at = row.get("TRACKING_ROOT", tracking_root)
            if tracks_at is None:
                tracks_at = DEFAULT_TRACKING_ROOT if _is_pushwooshs(api_root) else api_root
            applications[alias] = Application(
                alias,
                code,
                api_root,
                row.get("ACCOUNT", DEFAULT_ALIAS),
                row.get("TRANSPORT", self._all.get("TRANSPORT", "")),
                # A file that holds a secret often ends with a newline.
                str(row.get("API_TOKEN") or "").strip(),
                str(row.get("DEVICE_TOKEN") or "").strip(),
                str(tracks_at).rstrip("/"),
            )
        return MappingProxyType(applications)

    def application(self, name: str = DEFAULT_ALIAS) -> Application:
        """The application with this alias or code. Raises `ImproperlyConfigured`, saying which there are."""
        applications = self.applications
        if name in applications:
            return applications[name]
        found = next((each for each in applications.values() if each.code == name), None)
        if found is None:
            known = ", ".join(f"{each.alias} ({each.code})" for each in applications.values()) or "none"
            raise ImproperlyConfigured(f'PUSHWOOSH["APPLICATIONS"] has no application {name!r}; it has: {known}.')
        return found

    def account(self, name: str = DEFAULT_ALIAS) -> Account:
        """`ACCOUNTS`: name → `REQUESTS_PER_MINUTE` (600), `RESERVE` (0), `TRACING` (False)."""
        where = f'PUSHWOOSH["ACCOUNTS"]["{name}"]'
        row = _mapping(_mapping(self._all.get("ACCOUNTS", {}), 'PUSHWOOSH["ACCOUNTS"]').get(name, {}), where)
        return Account(
            name, int(row.get("REQUESTS_PER_MINUTE", 600)), int(row.get("RESERVE", 0)), bool(row.get("TRACING", False))
        )

    @property
    def timeout(self) -> tuple[float, float]:
        """`TIMEOUT`: seconds to connect and to wait for an answer (3.05, 20)."""
        connect, read = self._all.get("TIMEOUT", (3.05, 20.0))
        return float(connect), float(read)

    @property
    def longest_request(self) -> float:
        """The seconds that a request takes at most: the client tries a connection twice before it gives up."""
        connect, read = self.timeout
        return 2 * connect + read

    @property
    def governor(self) -> str:
        """`GOVERNOR`: where the cap's state is: "database", or the URL of a Redis, which may hold a password."""
        governor = self._all.get("GOVERNOR", "database")
        if governor == "database":
            return "database"
        try:
            parts = urlsplit(governor if isinstance(governor, str) else "")
            # The client of Redis would take what is no number for database 0.
            is_place = parts.path if parts.scheme == "unix" else parts.hostname and DATABASE.fullmatch(parts.path)
            is_good = parts.scheme in REDIS_SCHEMES and parts.port != 0 and not parts.fragment and bool(is_place)
        except ValueError:
            is_good = False
        if not is_good:
            # Not what it is: a URL that is wrong by one sign still holds its password.
            raise ImproperlyConfigured(
                'PUSHWOOSH["GOVERNOR"] must be "database", or a URL like "redis://host:6379/0" (rediss://, unix://).'
            ) from None
        return str(governor)

    @property
    def relay_timeout(self) -> tuple[float, float]:
        """`RELAY_TIMEOUT`: the same where an SDK waits for the answer (2, 8); not more than 20 s in all."""
        connect, read = self._all.get("RELAY_TIMEOUT", (2.0, 8.0))
        # A connection is tried twice.
        if not 0 < 2 * float(connect) + float(read) <= LONGEST_RELAY:
            raise ImproperlyConfigured(
                'PUSHWOOSH["RELAY_TIMEOUT"] must be (connect, read) with 2 × connect + read of at most '
                f"{LONGEST_RELAY:.0f} seconds: an SDK waits for it."
            )
        return float(connect), float(read)

    @property
    def connections(self) -> int:
        """`CONNECTIONS`: requests that one worker has in flight at once (16)."""
        return max(1, int(self._all.get("CONNECTIONS", 16)))

    @property
    def expire_after(self) -> timedelta | None:
        """`EXPIRE_AFTER`: how long beyond its time a message may wait, a timedelta (1 day); `None`: for ever."""
        value = self._all.get("EXPIRE_AFTER", timedelta(days=1))
        if value is not None and (not isinstance(value, timedelta) or value <= timedelta()):
            raise ImproperlyConfigured('PUSHWOOSH["EXPIRE_AFTER"] must be a positive timedelta, or None.')
        return value

    @property
    def retention(self) -> Retention:
        """`RETENTION`: how long what has ended is kept, timedeltas or `None` for ever.

        `SETTLED` (30 days), `FAILED` (90), `MESSAGES` (30), `COMPOSED` (None), `JOBS` (90), `LINKS` (365),
        `STATISTICS` (30).
        """
        where = 'PUSHWOOSH["RETENTION"]'
        row = _mapping(self._all.get("RETENTION", {}), where)
        known = [each.name for each in fields(Retention)]
        for name, value in row.items():
            if name.lower() not in known or name != name.upper():
                raise ImproperlyConfigured(f"{where} has {name!r}; it may have: {', '.join(known).upper()}.")
            if value is not None and (not isinstance(value, timedelta) or value <= timedelta()):
                raise ImproperlyConfigured(f'{where}["{name}"] must be a positive timedelta, or None.')
        return Retention(**{name.lower(): value for name, value in row.items()})

    @property
    def is_paused(self) -> bool:
        """`PAUSED`: the switch that holds everything back; what is queued stays queued."""
        return bool(self._all.get("PAUSED", False))

    @property
    def engine(self) -> str:
        """`ENGINE`: "celery", or "command" where `manage.py pushwoosh_worker` drains the outbox."""
        engine = self._all.get("ENGINE", "celery")
        if engine not in ("celery", "command"):
            raise ImproperlyConfigured('PUSHWOOSH["ENGINE"] must be "celery" or "command".')
        return str(engine)

    @property
    def repeat_events(self) -> bool:
        """`REPEAT_EVENTS`: whether an event goes again when nobody knows whether it arrived (True)."""
        return bool(self._all.get("REPEAT_EVENTS", True))

    @property
    def user_id(self) -> Callable[[Any], str]:
        """`USER_ID`: a Django user's id at Pushwoosh; a field's name ("pk") or the dotted path of a callable."""
        named = self._all.get("USER_ID", "pk")
        if callable(named):
            return named  # type: ignore[no-any-return]
        if "." in named:
            return import_string(named)  # type: ignore[no-any-return]

        def field_of(user: Any) -> str:
            value = getattr(user, named)
            # Users who have none must not become one user called "None".
            return "" if value is None else str(value)

        return field_of

    @property
    def may_reach_beyond(self) -> Callable[..., bool] | None:
        """`GATEWAY_PERMISSION`: dotted path of `(request, method_name) -> bool`, for calls beyond the speaking hwid."""
        path = self._all.get("GATEWAY_PERMISSION")
        return import_string(path) if isinstance(path, str) else path

    @property
    def gateway_policies(self) -> dict[str, Policy]:
        """`GATEWAY_POLICIES`: SDK method → "queue", "relay_else_queue", "relay" or "refused", in place of its row's."""
        where = 'PUSHWOOSH["GATEWAY_POLICIES"]'
        return {
            name: _policy(name, value, where)
            for name, value in _mapping(self._all.get("GATEWAY_POLICIES", {}), where).items()
        }

    def policy_of(self, method: Method) -> Policy:
        """What the gateway does with a method's calls."""
        where = 'PUSHWOOSH["GATEWAY_POLICIES"]'
        named = _mapping(self._all.get("GATEWAY_POLICIES", {}), where)
        return _policy(method.name, named[method.name], where) if method.name in named else method.policy

    @property
    def relays_unknown_methods(self) -> bool:
        """`GATEWAY_UNKNOWN_METHODS`: "refused", or "relay" for methods that SDKs of tomorrow may have ("refused")."""
        value = self._all.get("GATEWAY_UNKNOWN_METHODS", "refused")
        if value not in ("refused", "relay"):
            raise ImproperlyConfigured('PUSHWOOSH["GATEWAY_UNKNOWN_METHODS"] must be "refused" or "relay".')
        return bool(value == "relay")

    @property
    def gateway_url(self) -> str:
        """`GATEWAY_URL`: the gateway's public address, where what Django sees of it is another's, behind a proxy."""
        value = self._all.get("GATEWAY_URL") or ""
        if value and not (isinstance(value, str) and GATEWAY_URL.fullmatch(value)):
            raise ImproperlyConfigured('PUSHWOOSH["GATEWAY_URL"] must read like "https://your.site/pushwoosh/".')
        return str(value).rstrip("/")

    @property
    def tells_address(self) -> bool:
        """`GATEWAY_FORWARDED_FOR`: whether relayed calls tell Pushwoosh the caller's address (False).

        It goes out as `X-Forwarded-For`, read as `THROTTLE["TRUSTED_PROXIES"]` says.
        """
        return bool(self._all.get("GATEWAY_FORWARDED_FOR", False))

    @property
    def speakers(self) -> Speakers:
        """`GATEWAY_SECRET`, `GATEWAY_AUTHENTICATION` and what belongs to them: who may speak at the gateway."""
        return self._once(self._speakers)

    def _speakers(self) -> Speakers:
        row = self._all
        named = row.get("GATEWAY_SECRET")
        secrets = (named,) if isinstance(named, str) else named or ()
        if not isinstance(secrets, list | tuple) or not all(isinstance(each, str) for each in secrets):
            raise ImproperlyConfigured('PUSHWOOSH["GATEWAY_SECRET"] must be a text, or a list of texts.')
        classes = row.get("GATEWAY_AUTHENTICATION", ())
        if not isinstance(classes, list | tuple):
            raise ImproperlyConfigured('PUSHWOOSH["GATEWAY_AUTHENTICATION"] must be a list of dotted paths.')
        # Nobody is known where nobody asks; where somebody does, a user id is believed of nobody else.
        user_ids = row.get("GATEWAY_USER_ID", "refuse" if classes else "take")
        if user_ids not in USER_POLICIES:
            raise ImproperlyConfigured(f'PUSHWOOSH["GATEWAY_USER_ID"] must be one of: {", ".join(USER_POLICIES)}.')
        headers = []
        for name, default in zip(("GATEWAY_SECRET_HEADER", "GATEWAY_CREDENTIALS_HEADER"), OWN_HEADERS, strict=True):
            header = row.get(name, default)
            if not isinstance(header, str) or not HEADER.fullmatch(header) or header.lower() in TAKEN_HEADERS:
                raise ImproperlyConfigured(f'PUSHWOOSH["{name}"] must be the name of a header of your own.')
            headers.append(header)
        if headers[0].lower() == headers[1].lower():
            raise ImproperlyConfigured(f"PUSHWOOSH names {headers[0]} for the secret and for the credentials.")
        return Speakers(
            tuple(each.strip() for each in secrets),
            headers[0],
            bool(row.get("GATEWAY_SECRET_REQUIRED", False)),
            tuple(classes),
            headers[1],
            bool(row.get("GATEWAY_AUTHENTICATION_REQUIRED", False)),
            user_ids,
        )

    @property
    def gateway_body_limit(self) -> int:
        """`GATEWAY_BODY_LIMIT`: bytes of one gateway call (262,144)."""
        return int(self._all.get("GATEWAY_BODY_LIMIT", 256 * 1024))

    @property
    def gateway_web(self) -> str:
        """`GATEWAY_WEB`: how pages of other origins call the gateway: "anonymous", "token" (an apiToken), "": none."""
        web = self._all.get("GATEWAY_WEB", "")
        if web not in WEB:
            raise ImproperlyConfigured('PUSHWOOSH["GATEWAY_WEB"] must be "anonymous", "token" or "".')
        return str(web)

    @property
    def server_gateway(self) -> ServerGateway:
        """`SERVER_GATEWAY`: `AUTHENTICATION`, `PERMISSIONS` (None: REST framework's), `BODY_LIMIT` (2,097,152)."""
        where = 'PUSHWOOSH["SERVER_GATEWAY"]'
        row = _mapping(self._all.get("SERVER_GATEWAY", {}), where)
        return ServerGateway(
            _paths(row.get("AUTHENTICATION"), f'{where}["AUTHENTICATION"]'),
            _paths(row.get("PERMISSIONS"), f'{where}["PERMISSIONS"]'),
            int(row.get("BODY_LIMIT", ServerGateway().body_limit)),
        )

    @property
    def throttle(self) -> Throttle:
        """`THROTTLE`: `PER_HWID` ("120/minute"), `PER_ADDRESS` (None), `TRUSTED_PROXIES` (0), `MAX_WAIT` (5 s)."""
        return self._once(self._throttle)

    def _throttle(self) -> Throttle:
        row = _mapping(self._all.get("THROTTLE", {}), 'PUSHWOOSH["THROTTLE"]')
        return Throttle(
            _rate(row.get("PER_HWID", "120/minute"), 'PUSHWOOSH["THROTTLE"]["PER_HWID"]'),
            _rate(row.get("PER_ADDRESS"), 'PUSHWOOSH["THROTTLE"]["PER_ADDRESS"]'),
            int(row.get("TRUSTED_PROXIES", 0)),
            float(row.get("MAX_WAIT", 5.0)),
        )


settings = Settings()
