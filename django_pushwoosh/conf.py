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

DEFAULT_ALIAS = "default"
DEFAULT_API_ROOT = "https://api.pushwoosh.com"
CODE = re.compile(r"[0-9A-Z]{5}-[0-9A-Z]{5}")
RATE = re.compile(r"(\d+)/(second|minute|hour)")
DATABASE = re.compile(r"(/\d*)?")
REDIS_SCHEMES = ("redis", "rediss", "unix")
SECONDS = {"second": 1, "minute": 60, "hour": 3600}


Value = TypeVar("Value")


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
        present = self._all
        known, values = self._read
        if known is not present:
            values = {}
            self._read = present, values
        name = read.__name__
        if name not in values:
            values[name] = read()
        found: Value = values[name]
        return found

    @property
    def applications(self) -> Mapping[str, Application]:
        """`APPLICATIONS`: alias → `CODE`, `API_TOKEN`, `DEVICE_TOKEN`; perhaps `API_ROOT`, `ACCOUNT`, `TRANSPORT`."""
        return self._once(self._applications)

    def _applications(self) -> Mapping[str, Application]:
        root = self._all.get("API_ROOT", DEFAULT_API_ROOT)
        applications = {}
        for alias, row in _mapping(self._all.get("APPLICATIONS", {}), 'PUSHWOOSH["APPLICATIONS"]').items():
            where = f'PUSHWOOSH["APPLICATIONS"]["{alias}"]'
            row = _mapping(row, where)
            code = row.get("CODE")
            if not isinstance(code, str) or not CODE.fullmatch(code):
                raise ImproperlyConfigured(f'{where}["CODE"] must be an application code like "XXXXX-XXXXX".')
            applications[alias] = Application(
                alias,
                code,
                str(row.get("API_ROOT", root)).rstrip("/"),
                row.get("ACCOUNT", DEFAULT_ALIAS),
                row.get("TRANSPORT", self._all.get("TRANSPORT", "")),
                # A file that holds a secret often ends with a newline.
                str(row.get("API_TOKEN") or "").strip(),
                str(row.get("DEVICE_TOKEN") or "").strip(),
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
        """`RELAY_TIMEOUT`: the same where an SDK waits for the answer (2, 8)."""
        connect, read = self._all.get("RELAY_TIMEOUT", (2.0, 8.0))
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
        return lambda user: str(getattr(user, named))

    @property
    def may_reach_beyond(self) -> Callable[..., bool] | None:
        """`GATEWAY_PERMISSION`: dotted path of `(request, method_name) -> bool`, for calls beyond the speaking hwid."""
        path = self._all.get("GATEWAY_PERMISSION")
        return import_string(path) if isinstance(path, str) else path

    @property
    def gateway_body_limit(self) -> int:
        """`GATEWAY_BODY_LIMIT`: bytes of one gateway call (262,144)."""
        return int(self._all.get("GATEWAY_BODY_LIMIT", 256 * 1024))

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
