"""What the sandbox remembers: applications, devices, users, messages, and what happened to them.

All of it changes through calls only (`handlers`) and through time (`delivery`), and nothing here is random, so that
the same calls at the same times lead to the same state: that is what the journal rests on.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappush
from typing import Any, TypeAlias

from django_pushwoosh.protocol.platforms import EMAIL, IOS, SMS, WHATSAPP, label_of
from django_pushwoosh.protocol.tags import TagType
from django_pushwoosh.sandbox.options import Options as Options

WHATSAPP_PREFIX = "whatsapp:"
Effect: TypeAlias = Callable[[datetime], object]
"""Something that happens at a moment, which it is told."""

DELIVERIES_REMEMBERED = 1000
"""Delivery times kept per device; a frequency cap cannot count further than that."""

MOST_PUSHES = 50_000
"""Pushes kept for the phones page and for tests; older ones are forgotten, their counts are not."""


@dataclass(frozen=True, slots=True)
class Application:
    """One application of an account, with its two tokens. The tokens are never journalled, shown or logged.

    `groups` are the codes of the application groups that it belongs to. Applications of one `account` share its
    API token's reach (createTargetedMessage goes across them) and its cap. `forbidden` names the methods that its
    tokens are not allowed.
    """

    code: str
    api_token: str = field(repr=False)
    device_token: str = field(repr=False)
    groups: tuple[str, ...] = ()
    account: str = "default"
    forbidden: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.code or not self.api_token or not self.device_token:
            raise ValueError("An application of the sandbox needs a code, an API token and a device token.")
        object.__setattr__(self, "groups", tuple(self.groups))
        object.__setattr__(self, "forbidden", tuple(self.forbidden))


@dataclass(slots=True, eq=False)
class Letter:
    """A message in a device's inbox, until `removed_at`. The status runs 1 delivered, 2 read, 3 opened, 4 deleted."""

    code: str
    order: int
    hash: str
    title: str
    text: str
    image: str
    link: str
    rich_media: str
    sent_at: datetime
    removed_at: datetime
    status: int = 1


@dataclass(frozen=True, slots=True)
class TestDevice:
    """As what a device was put among the test devices."""

    name: str
    description: str
    is_auto_created: bool


@dataclass(slots=True, eq=False)
class Device:
    """One device of one application. `timezone` is seconds east of UTC; `position` is (latitude, longitude).

    `own_tags` are the tags that were set; `tags` has the ones that Pushwoosh keeps by itself as well. The `inbox` is by
    the letters' order; `activities` are the push tokens of live activities by their ids.
    """

    id: int
    application: str
    hwid: str
    platform: int
    registered_at: datetime
    user_id: str
    push_token: str = ""
    language: str = ""
    timezone: int = 0
    badge: int = 0
    model: str = ""
    os_version: str = ""
    app_version: str = ""
    last_open_at: datetime | None = None
    position: tuple[float, float] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    own_tags: dict[str, Any] = field(default_factory=dict)
    received_at: deque[datetime] = field(default_factory=lambda: deque(maxlen=DELIVERIES_REMEMBERED))
    inbox: dict[int, Letter] = field(default_factory=dict)
    test_device: TestDevice | None = None
    activities: dict[str, str] = field(default_factory=dict)
    version: int = 0

    @property
    def is_subscribed(self) -> bool:
        return bool(self.push_token)

    @property
    def tags(self) -> dict[str, Any]:
        """Every tag with a value, the device's own over the ones that are kept by themselves."""
        kept = {
            "Language": language_tag(self.language),
            "Device Model": self.model,
            "OS Version": self.os_version,
            "Application Version": self.app_version,
            "Platform": label_of(self.platform) if self.platform else "",
            "First Install": wire_minute(self.registered_at),
            "Last Application Open": wire_minute(self.last_open_at) if self.last_open_at else "",
            "User ID": self.user_id,
        }
        return {name: value for name, value in kept.items() if value != ""} | self.own_tags


@dataclass(slots=True, eq=False)
class User:
    """A user exists while at least one device is theirs; by default it is named after the device's hwid."""

    application: str
    id: str
    hwids: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Message:
    """One notification that was accepted.

    `due_at` is when it goes out; with `follows_user_timezone` it is the same wall-clock time read as UTC, and each
    device gets it at its own. `is_recorded` is false for immediate messages to fewer than 10 devices: they have no
    code that anyone could ask for. `status` runs waiting → pending → processing → done, or ends at canceled, failed or
    deleted. It is pending from `begins_at` until its recipients are in the `queue`, each with the time of its push.
    """

    sequence: int
    id: int
    code: str
    tracking_code: str
    account: str
    applications: tuple[str, ...]
    created_at: datetime
    due_at: datetime
    parameters: dict[str, Any]
    audience: Any
    follows_user_timezone: bool = False
    is_recorded: bool = True
    status: str = "waiting"
    begins_at: datetime | None = None
    queue: deque[tuple[datetime, Device]] = field(default_factory=deque)
    sent: Counter[tuple[str, int]] = field(default_factory=Counter)
    opened: Counter[tuple[str, int]] = field(default_factory=Counter)
    delivered_until: datetime | None = None
    looked_at_version: int = -1
    next_due_at: datetime | None = None
    reached: set[int] = field(default_factory=set)

    @property
    def is_pending(self) -> bool:
        return self.status in ("waiting", "pending", "processing")

    def end(self, state: State, status: str) -> None:
        """Stop it where it is; what was delivered stays delivered."""
        self.status = status
        self.queue.clear()
        if self in state.pending:
            state.pending.remove(self)


@dataclass(frozen=True, slots=True, eq=False)
class Push:
    """A message as one device shows it."""

    sequence: int
    device: Device
    message: Message
    at: datetime
    title: str
    body: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    at: datetime
    application: str
    hwid: str
    user_id: str
    name: str
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """Something that an SDK only tells, and that changes nothing else: a visit, a purchase, a popup that was shown."""

    at: datetime
    method: str
    application: str
    hwid: str
    user_id: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statistic:
    """A pushStat (an open) or a messageDeliveryEvent; `message` is the code that the hash names, if any."""

    at: datetime
    method: str
    application: str
    hwid: str
    user_id: str
    hash: str
    message: str
    meta: Any


@dataclass(slots=True, eq=False)
class Job:
    """A bulk job. It takes effect as a whole at `due_at`; `report` then has one entry per device."""

    request_id: str
    method: str
    application: str
    created_at: datetime
    due_at: datetime
    devices: list[dict[str, Any]]
    create_missing_tags: bool = False
    report: list[dict[str, Any]] = field(default_factory=list)
    is_completed: bool = False

    def progress(self, now: datetime) -> int:
        """From 0 to 100; below 100 until it is completed."""
        if self.is_completed:
            return 100
        whole = (self.due_at - self.created_at).total_seconds()
        passed = (now - self.created_at).total_seconds()
        return max(0, min(99, int(100 * passed / whole))) if whole > 0 else 99


@dataclass(frozen=True, slots=True)
class Request:
    """A call as it was judged. The arguments have no `auth`; `verdict` is the answer's text.

    `fault` names what the call met on its way; the caller then heard that instead.
    """

    at: datetime
    method: str
    application: str
    arguments: Mapping[str, Any]
    http_status: int
    status_code: int
    verdict: str
    fault: str = ""

    @property
    def is_accepted(self) -> bool:
        return self.http_status == 200 and self.status_code == 200


class State:
    """The memory, and the few rules that keep its indexes together."""

    def __init__(self, applications: Iterable[Application], options: Options, version: int = 0) -> None:
        self.applications: dict[str, Application] = {}
        for application in applications:
            if application.code in self.applications:
                raise ValueError(f"The sandbox has the application {application.code} twice.")
            self.applications[application.code] = application
        self.options = options
        self.devices: dict[tuple[str, str], Device] = {}
        self.users: dict[tuple[str, str], User] = {}
        self.messages: list[Message] = []
        self.pushes: deque[Push] = deque(maxlen=MOST_PUSHES)
        self.push_count = 0
        self.events: list[Event] = []
        self.statistics: list[Statistic] = []
        self.reports: list[Report] = []
        self.jobs: dict[str, Job] = {}
        self.tag_types: dict[tuple[str, str], TagType] = {}
        self.transactions: dict[tuple[str, str, str], tuple[datetime, Any]] = {}
        self.tracing_until: datetime | None = None
        self.devices_version = version
        self.pending: list[Message] = []
        self.open_jobs: list[Job] = []
        self.later: list[tuple[datetime, int, Effect]] = []
        self._later_count = 0
        self._by_application: dict[str, dict[str, Device]] = {}
        self._by_token: dict[tuple[str, str], Device] = {}
        self._by_code: dict[str, Message] = {}
        self._by_id: dict[int, Message] = {}
        self._device_count = 0

    # Applications

    def account_of(self, application: str) -> str:
        """An application's account; that of one that is no longer configured (an old journal's) is the default."""
        known = self.applications.get(application)
        return known.account if known else "default"

    def codes_of_account(self, account: str) -> list[str]:
        codes = [code for code, known in self.applications.items() if known.account == account]
        return codes + [code for code in self._by_application if code not in codes and self.account_of(code) == account]

    def codes_of_group(self, account: str, group: str) -> tuple[str, ...]:
        return tuple(
            code for code, known in self.applications.items() if known.account == account and group in known.groups
        )

    def is_tracing(self, now: datetime) -> bool:
        """Whether API messaging tracing is on: small immediate messages are then recorded, and capped."""
        return self.tracing_until is not None and now < self.tracing_until

    # What is to come

    def at(self, moment: datetime, effect: Effect) -> None:
        """Let something happen when its time has come; what comes at one moment happens in the order of these calls."""
        self._later_count += 1
        heappush(self.later, (moment, self._later_count, effect))

    def set_back(self, duration: timedelta) -> None:
        """The clock goes back: what is under way takes as long as it would have; times that were named stay."""
        self.later = [(moment - duration, number, effect) for moment, number, effect in self.later]
        for job in self.open_jobs:
            job.created_at -= duration
            job.due_at -= duration
        for message in self.pending:
            if message.begins_at is not None:
                message.begins_at -= duration
            message.queue = deque((moment - duration, device) for moment, device in message.queue)

    # Devices and users

    def devices_of(self, application: str) -> dict[str, Device]:
        return self._by_application.get(application, {})

    def device(self, application: str, hwid: str) -> Device | None:
        return self.devices.get((application, hwid))

    def device_by_token(self, application: str, token: str) -> Device | None:
        return self._by_token.get((application, token))

    def seen(self, application: str, hwid: str, now: datetime, platform: int = 0, user_id: str = "") -> Device:
        """The device, made known if this is the first that is heard of it: any call of an SDK may be."""
        device = self.devices.get((application, hwid))
        if device is None:
            self._device_count += 1
            device = Device(self._device_count, application, hwid, platform, now, "")
            self.devices[application, hwid] = device
            self._by_application.setdefault(application, {})[hwid] = device
            self.link(device, user_id or hwid)
        elif platform and not device.platform:
            device.platform = platform
        return device

    def changed(self, device: Device) -> None:
        """Note that a device looks different now."""
        self.devices_version += 1
        device.version = self.devices_version

    def subscribe(self, device: Device, token: str) -> None:
        """Give a device its push token; an empty one takes it away."""
        if device.push_token == token:
            return
        self._by_token.pop((device.application, device.push_token), None)
        if token:
            # Unverified against Pushwoosh: a token is where one device is reached, so an earlier owner loses it.
            earlier = self._by_token.get((device.application, token))
            if earlier is not None:
                earlier.push_token = ""
                self.changed(earlier)
            self._by_token[device.application, token] = device
        device.push_token = token
        self.changed(device)

    def link(self, device: Device, user_id: str) -> None:
        """Make a device a user's; a user who is left without any device vanishes."""
        if device.user_id == user_id:
            return
        self._unlink(device)
        device.user_id = user_id
        user = self.users.setdefault((device.application, user_id), User(device.application, user_id))
        user.hwids.append(device.hwid)
        self.changed(device)

    def remove(self, device: Device) -> None:
        """Forget a device."""
        self.subscribe(device, "")
        self._unlink(device)
        del self.devices[device.application, device.hwid]
        del self._by_application[device.application][device.hwid]
        self.devices_version += 1

    def devices_of_user(self, application: str, user_id: str) -> list[Device]:
        user = self.users.get((application, user_id))
        return [self.devices[application, hwid] for hwid in user.hwids] if user else []

    def _unlink(self, device: Device) -> None:
        user = self.users.get((device.application, device.user_id))
        if user is not None:
            user.hwids.remove(device.hwid)
            if not user.hwids:
                del self.users[device.application, device.user_id]

    # Messages

    def add_message(self, message: Message) -> None:
        self.messages.append(message)
        self._by_code[message.code] = message
        self._by_id[message.id] = message
        self.pending.append(message)

    def message(self, account: str, code_or_id: object) -> Message | None:
        """A recorded message of the account by its code or its id (as a number or in digits)."""
        found = self._by_code.get(code_or_id) if isinstance(code_or_id, str) else None
        if found is None and isinstance(code_or_id, str) and code_or_id.isascii() and code_or_id.isdigit():
            code_or_id = int(code_or_id[:20])
        if found is None and isinstance(code_or_id, int) and not isinstance(code_or_id, bool):
            found = self._by_id.get(code_or_id)
        if found is None or found.account != account or not found.is_recorded or found.status == "deleted":
            return None
        return found

    def message_by_code(self, code: str) -> Message | None:
        return self._by_code.get(code)

    # Transactions

    def remembered(self, key: tuple[str, str, str], now: datetime) -> Any | None:
        """What was answered under a transaction id, while it is remembered."""
        known = self.transactions.get(key)
        return known[1] if known is not None and now < known[0] else None

    def remember(self, key: tuple[str, str, str], until: datetime, now: datetime, answer: Any) -> None:
        if len(self.transactions) >= 10_000:
            self.transactions = {key: kept for key, kept in self.transactions.items() if now < kept[0]}
        self.transactions[key] = (until, answer)


def language_tag(language: str) -> str:
    """The Language tag of a device's language: `en-US` from a browser is `en`."""
    return language.replace("_", "-").split("-", 1)[0].lower()


def wire_minute(moment: datetime) -> str:
    """A time as tags hold it: `YYYY-MM-DD HH:MM`, in UTC."""
    return moment.strftime("%Y-%m-%d %H:%M")


def wire_second(moment: datetime) -> str:
    """A time as getMessageDetails and getPushHistory tell it: `YYYY-MM-DD HH:MM:SS`, in UTC."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def normal_hwid(hwid: str, platform: int) -> str:
    """WhatsApp's hwid has its prefix, which the web SDK leaves out; else an SMS device would have the same."""
    if platform == WHATSAPP.number and not hwid.startswith(WHATSAPP_PREFIX):
        return WHATSAPP_PREFIX + hwid
    return hwid


def normal_token(token: str, platform: int) -> str:
    """iOS tokens are hexadecimal, and known in lower case only."""
    return token.lower() if platform == IOS.number else token


REACHED_BY_HWID = (EMAIL.number, SMS.number, WHATSAPP.number)
"""Platforms whose hwid (an address, a number) is the push token as well."""
