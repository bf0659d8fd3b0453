"""Faults on demand: what goes wrong between a caller and Pushwoosh, scripted by tests and switched from the page.

::

    sandbox.faults.lose_next_answer("createMessage")
    sandbox.faults.fail_next("setTags", times=3, with_=faults.bad_gateway())
    sandbox.faults.always("registerDevice", with_=faults.server_error(), probability=0.1, random=Random(7))
    sandbox.faults.slow(seconds=0.2, jitter=0.1, random=Random(7))
    sandbox.faults.clear()

A call meets at most one fault, the oldest that applies to it; what slows it down comes on top. Faults are not part of
the state: a journal replays what they left of the calls, and a new sandbox has none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any

from django_pushwoosh.protocol.envelope import ARGUMENT_ERROR, reply
from django_pushwoosh.protocol.seam import ConnectionLost, NotConnected

Answered = tuple[int, Mapping[str, str], bytes]

SUBSCRIBER_LIMIT = (
    "Warnings: You have reached the subscriber limit. Push Message will be sent to 1 random device only"
)  # fmt: skip
DEVICE_LIMIT = "Warnings: You have exceeded the number of active devices allowed on your current subscription plan."
"""The two warnings that are documented (seed 000)."""

SLOWEST_SECONDS = 3600.0
MOST_RULES = 1000


class Effect(Enum):
    """What a fault does to a call."""

    DELAY = "delay"
    NO_CONNECTION = "no connection"
    LOST_REQUEST = "lost request"
    LOST_ANSWER = "lost answer"
    OTHER_ANSWER = "other answer"
    CHANGED_ANSWER = "changed answer"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can go wrong. `takes_effect` says whether the call is carried out all the same.

    An `answer` replaces what would have been said; `envelope` changes parts of it.
    """

    name: str
    effect: Effect
    takes_effect: bool = False
    answer: Answered | None = field(default=None, repr=False)
    envelope: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    jitter: float = 0.0

    def told(self) -> tuple[int, dict[str, str], bytes]:
        """What the caller hears instead of an answer. Raises `NotConnected` and `ConnectionLost`."""
        if self.answer is not None:
            status, headers, content = self.answer
            return status, dict(headers), content
        raise (NotConnected if self.effect is Effect.NO_CONNECTION else ConnectionLost)(self.name)


def no_connection() -> Fault:
    """Nobody answers at all. Over HTTP, where somebody did, the connection drops instead."""
    return Fault("no connection", Effect.NO_CONNECTION)


def lost_request() -> Fault:
    """The connection drops before the call takes effect."""
    return Fault("lost request", Effect.LOST_REQUEST)


def lost_answer() -> Fault:
    """The call takes effect, and the connection drops before the answer."""
    return Fault("lost answer", Effect.LOST_ANSWER, takes_effect=True)


def delay(seconds: float, jitter: float = 0.0) -> Fault:
    """The call waits for `seconds`, and up to `jitter` more. Raises `ValueError`."""
    for given in (seconds, jitter):
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= SLOWEST_SECONDS:
            raise ValueError(f"A delay is a number of seconds from 0 to {SLOWEST_SECONDS:g}.")
    return Fault("delay", Effect.DELAY, takes_effect=True, seconds=float(seconds), jitter=float(jitter))


def answer(
    status: int,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    takes_effect: bool = False,
    name: str = "",
) -> Fault:
    """Any other answer."""
    kind = {} if headers and any(each.lower() == "content-type" for each in headers) else _type_of(body)
    whole = (status, {**kind, **(headers or {})}, body)
    return Fault(name or f"HTTP {status}", Effect.OTHER_ANSWER, takes_effect=takes_effect, answer=whole)


def too_many_requests(retry_after: int | None = 7) -> Fault:
    """HTTP 429, whatever the cap says."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return answer(429, reply(429, "Too many requests", None), headers)


def server_error(*, takes_effect: bool = False) -> Fault:
    """HTTP 500 with an envelope that says the same."""
    return answer(500, reply(500, "Internal error", None), takes_effect=takes_effect)


def bad_gateway(*, takes_effect: bool = False) -> Fault:
    """HTTP 502 as a gateway in between writes it: in HTML."""
    return answer(502, _page("502 Bad Gateway"), takes_effect=takes_effect)


def gateway_timeout(*, takes_effect: bool = True) -> Fault:
    """HTTP 504 in HTML; what stands behind the gateway may well have heard the call."""
    return answer(504, _page("504 Gateway Time-out"), takes_effect=takes_effect)


def empty_body() -> Fault:
    """HTTP 200 without a word, after the call took effect."""
    return answer(200, b"", {"Content-Type": "application/json"}, takes_effect=True, name="empty body")


def not_json() -> Fault:
    """HTTP 200 with something that is no JSON, after the call took effect."""
    return answer(200, b'{"status_code":200,"status_mess', takes_effect=True, name="not JSON")


def redirect(location: str = "https://elsewhere.example/") -> Fault:
    """HTTP 302, as of a wrong address."""
    return answer(302, b"", {"Location": location}, name="redirect")


def refusal(text: str, status_code: int = ARGUMENT_ERROR) -> Fault:
    """HTTP 200 whose envelope says no."""
    return answer(200, reply(status_code, text, None), name=f"refusal: {text}")


def suspended_account() -> Fault:
    return refusal("Account has been suspended")


def suspended_application() -> Fault:
    return refusal("Application suspended")


def warning(text: str = SUBSCRIBER_LIMIT) -> Fault:
    """The call takes effect, and its success has this text instead of OK."""
    return Fault(
        "warning", Effect.CHANGED_ANSWER, takes_effect=True, envelope={"status_message": text}
    )  # fmt: skip


def base_url(address: str = "https://elsewhere.example/json/1.3/") -> Fault:
    """The call takes effect, and its answer tells SDKs to speak to another address from now on."""
    return Fault("base_url", Effect.CHANGED_ANSWER, takes_effect=True, envelope={"base_url": address})


CATALOGUE: Mapping[str, tuple[str, Callable[[], Fault]]] = {
    "lost_answer": ("Lost answer: the call takes effect, the connection drops", lost_answer),
    "lost_request": ("Dropped connection: the call does not take effect", lost_request),
    "too_many_requests": ("HTTP 429 with Retry-After", too_many_requests),
    "server_error": ("HTTP 500", server_error),
    "bad_gateway": ("HTTP 502 in HTML", bad_gateway),
    "gateway_timeout": ("HTTP 504 in HTML, after the call took effect", gateway_timeout),
    "empty_body": ("Empty body, after the call took effect", empty_body),
    "not_json": ("A body that is no JSON, after the call took effect", not_json),
    "refused": ("Refusal: status_code 210", lambda: refusal("Refused on demand")),
    "subscriber_limit": ("Warning: sent to 1 random device only", lambda: warning(SUBSCRIBER_LIMIT)),
    "device_limit": ("Warning: too many active devices for the plan", lambda: warning(DEVICE_LIMIT)),
    "suspended_account": ("Account has been suspended", suspended_account),
    "suspended_application": ("Application suspended", suspended_application),
    "base_url": ("base_url: tells SDKs to go elsewhere", base_url),
    "redirect": ("HTTP 302", redirect),
}
"""The faults of the control page: name, what it says, and how it is made."""


@dataclass(slots=True, eq=False)
class Rule:
    """A fault and the calls that it meets. Empty `methods` or `applications` mean all of them.

    `left` is how many more calls it meets, `None` for all; `hits` how many it has met.
    """

    number: int
    fault: Fault
    methods: frozenset[str] = frozenset()
    applications: frozenset[str] = frozenset()
    left: int | None = None
    probability: float = 1.0
    random: Random | None = None
    hits: int = 0

    def takes(self, method: str, application: str) -> bool:
        """Whether this call is met; counts it."""
        if self.left == 0 or (self.methods and method not in self.methods):
            return False
        if self.applications and application not in self.applications:
            return False
        if self.random is not None and self.probability < 1 and self.random.random() >= self.probability:
            return False
        if self.left is not None:
            self.left -= 1
        self.hits += 1
        return True


@dataclass(frozen=True, slots=True)
class Met:
    """What one call meets: a delay in seconds, and perhaps a fault."""

    seconds: float = 0.0
    fault: Fault | None = None


class Faults:
    """The faults of one sandbox. Not safe for threads by itself: the sandbox takes them under its lock."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._count = 0

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All of them, oldest first; also those that have met all their calls."""
        return tuple(self._rules)

    @property
    def active(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self._rules if rule.left != 0)

    def fail_next(
        self, *methods: str, times: int = 1, with_: Fault | None = None, applications: Iterable[str] = ()
    ) -> Rule:
        """Let the next calls of these methods (of all, where none is named) meet a fault, by default HTTP 500."""
        if isinstance(times, bool) or not isinstance(times, int) or times < 1:
            raise ValueError("times is a number from 1.")
        return self._add(with_ or server_error(), methods, applications, left=times)

    def lose_next_answer(self, *methods: str, times: int = 1) -> Rule:
        """Let the next calls take effect unheard."""
        return self.fail_next(*methods, times=times, with_=lost_answer())

    def lose_next_request(self, *methods: str, times: int = 1) -> Rule:
        """Let the next calls be lost on their way."""
        return self.fail_next(*methods, times=times, with_=lost_request())

    def always(
        self,
        *methods: str,
        with_: Fault,
        probability: float = 1.0,
        random: Random | None = None,
        applications: Iterable[str] = (),
    ) -> Rule:
        """Let every call of these methods (of all, where none is named) meet a fault.

        With a `probability` it is as many of them as chance, which is handed in, has it. Raises `ValueError`.
        """
        if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
            raise ValueError("probability is a number from 0 to 1.")
        if probability < 1 and random is None:
            raise ValueError("Chance is handed in: give random=Random(seed) with a probability.")
        return self._add(with_, methods, applications, probability=float(probability), random=random)

    def slow(
        self, *methods: str, seconds: float, jitter: float = 0.0, random: Random | None = None
    ) -> Rule:  # fmt: skip
        """Let calls wait. `jitter` is added by chance, which is handed in."""
        if jitter and random is None:
            raise ValueError("Chance is handed in: give random=Random(seed) with jitter.")
        return self._add(delay(seconds, jitter), methods, (), random=random)

    def remove(self, rule: Rule | int) -> None:
        """Take one away, by itself or its number."""
        number = rule.number if isinstance(rule, Rule) else rule
        self._rules = [each for each in self._rules if each.number != number]

    def clear(self) -> None:
        """Take all away."""
        self._rules.clear()

    def take(self, method: str, application: str) -> Met:
        """What a call meets."""
        seconds, met = 0.0, None
        for rule in self._rules:
            if met is not None and rule.fault.effect is not Effect.DELAY:
                continue
            if not rule.takes(method, application):
                continue
            if rule.fault.effect is Effect.DELAY:
                chance = rule.random.random() if rule.random is not None and rule.fault.jitter else 0.0
                seconds += rule.fault.seconds + rule.fault.jitter * chance
            else:
                met = rule.fault
        return Met(seconds, met)

    def _add(self, fault: Fault, methods: Iterable[str], applications: Iterable[str], **given: Any) -> Rule:
        # Those that have met all their calls are kept for their counts, but not for ever.
        while len(self._rules) >= MOST_RULES:
            self._rules.pop(0)
        self._count += 1
        named = frozenset({applications} if isinstance(applications, str) else applications)
        rule = Rule(self._count, fault, frozenset(methods), named, **given)
        self._rules.append(rule)
        return rule


def changed(content: bytes, fault: Fault) -> bytes:
    """An enveloped success with what the fault changes; other answers stay as they are."""
    document = json.loads(content)
    if isinstance(document, dict) and document.get("status_code") == 200:
        return json.dumps({**document, **fault.envelope}, separators=(",", ":")).encode("ascii")
    return content


def _page(title: str) -> bytes:
    head = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    return f"{head}<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n".encode()


def _type_of(body: bytes) -> dict[str, str]:
    return {"Content-Type": "text/html" if body.startswith(b"<") else "application/json"}
