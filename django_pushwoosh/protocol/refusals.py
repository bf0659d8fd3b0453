"""Every way in which Pushwoosh says no, or yes with a warning: one table, and the verdicts that read it.

Two layers of status speak: HTTP's, and the envelope's `status_code` inside an HTTP 200. They alone decide what became
of a call. Texts drift and come in other languages: they are for advice, and whole documented ones pause an
application.

Sources: seeds 000 (statuses, texts, warnings) and 001 (filters that do not compile, HTTP 400); what they do not list
was seen in answers that others published, and is marked so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from django_pushwoosh.protocol.errors import (
    BadArgument,
    BadToken,
    CallError,
    NotFound,
    RateLimited,
    Rejected,
    ServerFailed,
)

if TYPE_CHECKING:
    from django_pushwoosh.protocol.calls import Call
    from django_pushwoosh.protocol.envelope import Answer

MOST_TEXT = 2000
"""Characters of theirs that are told; a gateway in between may answer with a book."""

DASH = " — "
"""Stands between what they said and what to do about it."""


class Layer(Enum):
    HTTP = "HTTP"
    ENVELOPE = "status_code"


HTTP, ENVELOPE = Layer.HTTP, Layer.ENVELOPE


class Source(Enum):
    DOCUMENTED = "documented"
    SEEN = "seen"


@dataclass(frozen=True, slots=True)
class Status:
    """One row of both layers: which numbers, what became of the call, and what is said where they say nothing.

    `condemns` names what is wrong for every call alike, the account, the application, the token or the address; the
    application is then paused.
    """

    label: str
    layers: tuple[Layer, ...]
    numbers: range
    error: type[CallError]
    text: str
    advice: str = ""
    condemns: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One text of theirs. `…` stands for what varies; `sign` is a part that tells it in other words too.

    `status` is the number that it comes with; the status decides which exception it becomes, never the text.
    """

    text: str
    advice: str
    condemns: str = ""
    sign: str = ""
    status: int = 210
    source: Source = Source.DOCUMENTED

    @property
    def error(self) -> type[CallError]:
        return _status(ENVELOPE, self.status).error


@dataclass(frozen=True, slots=True)
class Warned:
    """A text in a success. `is_lost` where the push went to nearly nobody."""

    text: str
    advice: str
    sign: str
    is_lost: bool = False


_CODE = "check APPLICATIONS[…]['CODE'] and that the token may use this application"
_ACCOUNT = "check APPLICATIONS[…]['API_TOKEN']: Pushwoosh knows no account with it"
_BOTH = "set APPLICATIONS[…]['API_TOKEN'] and ['CODE']"
_GRANT = "grant this operation to the token in the Pushwoosh control panel"
_AGAIN = "Pushwoosh has trouble of its own; what is safe to repeat goes again by itself"
_OURS = "the request could not be read; if its values are right, report its body as a mistake of django-pushwoosh"

STATUSES = (
    Status(
        "2xx",
        (HTTP,),
        range(300),
        ServerFailed,
        "the answer cannot be read",
        "check API_ROOT: something other than Pushwoosh may answer there",
    ),
    Status(
        "3xx",
        (HTTP,),
        range(300, 400),
        Rejected,
        "answered with a redirect; check API_ROOT",
        "set API_ROOT to the address that answers, https://api.pushwoosh.com if you have none of your own",
        condemns="address",
    ),
    Status(
        "210",
        (ENVELOPE,),
        range(210, 211),
        BadArgument,
        "argument error",
        "change what the text names; the same call would be refused again",
    ),
    Status("400", (HTTP, ENVELOPE), range(400, 401), BadArgument, "bad request", _OURS),
    Status(
        "401",
        (HTTP, ENVELOPE),
        range(401, 402),
        BadToken,
        "the token is missing, wrong or of the wrong kind",
        "check APPLICATIONS[…]['API_TOKEN'] and ['DEVICE_TOKEN'], and that each stands in its own place",
        condemns="token",
    ),
    Status(
        "403",
        (ENVELOPE,),
        range(403, 404),
        BadToken,
        "the token does not allow this operation",
        _GRANT,
        condemns="token",
    ),
    Status(
        "403",
        (HTTP,),
        range(403, 404),
        BadToken,
        "forbidden",
        f"{_GRANT}; without an envelope it may be a firewall that refused this one request",
    ),
    Status(
        "404",
        (HTTP, ENVELOPE),
        range(404, 405),
        NotFound,
        "resource not found",
        "check the code or id that the call names; if every call ends so, check API_ROOT",
    ),
    Status("408", (HTTP, ENVELOPE), range(408, 409), ServerFailed, "request timeout", _AGAIN),
    Status(
        "429",
        (HTTP, ENVELOPE),
        range(429, 430),
        RateLimited,
        "too many requests",
        "what waits goes again by itself; if it comes often, raise ACCOUNTS[…]['RESERVE'] for what else sends",
    ),
    Status("other 4xx", (HTTP, ENVELOPE), range(400, 500), BadArgument, "refused", _OURS),
    Status("500", (HTTP, ENVELOPE), range(500, 501), ServerFailed, "internal error", _AGAIN),
    Status("502", (HTTP, ENVELOPE), range(502, 503), ServerFailed, "bad gateway", _AGAIN),
    Status("503", (HTTP, ENVELOPE), range(503, 504), ServerFailed, "service unavailable", _AGAIN),
    Status("504", (HTTP, ENVELOPE), range(504, 505), ServerFailed, "gateway timeout", _AGAIN),
    Status("5xx and above", (HTTP, ENVELOPE), range(500, 1000), ServerFailed, "server error", _AGAIN),
    Status("any other", (HTTP,), range(0), ServerFailed, "an unknown status", _AGAIN),
    Status("any other", (ENVELOPE,), range(0), BadArgument, "an unknown status code", _OURS),
)
"""The first row that has the number decides; "any other" is what is left. HTTP 200 with `status_code` 200 is a success,
and so is a bare document (bulk methods) that is not one of the bare refusals."""

REFUSALS = (
    Refusal("Access denied or application not found", _CODE, condemns="application", sign="access denied"),
    Refusal("Application not found", _CODE, condemns="application", sign="application not found"),
    Refusal(
        "Application suspended",
        "the application is suspended; ask Pushwoosh",
        condemns="application",
        sign="application suspended",
    ),
    Refusal(
        "Invalid API Token: Account not found",
        "check APPLICATIONS[…]['API_TOKEN']",
        condemns="token",
        sign="invalid api token",
    ),
    Refusal("Account not found", _ACCOUNT, condemns="account", sign="account not found"),
    Refusal("Account has been suspended", "the account is suspended; ask Pushwoosh", condemns="account"),
    Refusal(
        "Suspended account can not use device filtration",
        "the account is suspended and may not target by devices, tags or filters; ask Pushwoosh",
        sign="suspended",
    ),
    Refusal("API token or application is not set", _BOTH, condemns="token", sign="token or application"),
    Refusal("API token or application or account is not set", _BOTH, condemns="token"),
    Refusal("Please select at least one platform", "choose at least one platform, or leave the platforms out"),
    Refusal(
        "No application or group code given",
        "the call names neither an application nor a group; set APPLICATIONS[…]['CODE']",
    ),
    Refusal("Errors occurred while compiling filter", "correct the filter expression", sign="compiling filter"),
    Refusal("Token restrictions forbid this operation", _GRANT, condemns="token", sign="restrictions", status=403),
    Refusal(
        "Resource not found",
        "check the code or id that the call names; if every call ends so, check API_ROOT",
        status=404,
    ),
    Refusal("No notifications", "the message was empty; compose it anew", source=Source.SEEN),
    Refusal("Cannot parse date", "write the time as YYYY-MM-DD HH:mm, or now", source=Source.SEEN),
    Refusal(
        "android_root_params must be key-value object",
        "write android_root_params as a JSON object",
        source=Source.SEEN,
    ),
    Refusal(
        'Invalid devices list. "devices" must be an array',
        "list the devices, also where it is only one",
        sign="invalid devices list",
        source=Source.SEEN,
    ),
    Refusal(
        "Message not found",
        "Pushwoosh keeps no message with this code: it was deleted, or is of another account",
        sign="message not found",
        source=Source.SEEN,
    ),
    Refusal("No hwid given", "name the device by its hwid", sign="no hwid", source=Source.SEEN),
    Refusal(
        "No push token given",
        "the device has no push token; it gets one when the app asks for permission to notify",
        sign="no push token",
        source=Source.SEEN,
    ),
    Refusal(
        "Invalid token: …",
        "the push token does not fit the platform; let the device register again",
        sign="invalid token",
        source=Source.SEEN,
    ),
    Refusal(
        "Invalid device type",
        "use a platform's number as device_type: 1 is iOS, 3 Android",
        sign="device type",
        source=Source.SEEN,
    ),
    Refusal(
        "This feature is available for Premium accounts only",
        "the account's plan does not include this feature",
        sign="premium",
        source=Source.SEEN,
    ),
    Refusal(
        "invalid request",
        "the body does not have the parameters of this method",
        status=400,
        source=Source.SEEN,
    ),
    Refusal(
        "exceeded the maximum date interval. Max interval: …",
        "ask for a shorter time",
        sign="maximum date interval",
        status=400,
        source=Source.SEEN,
    ),
)
"""What a refusal says, and what a person does about it."""

WARNINGS = (
    Warned(
        "Warnings: You have reached the subscriber limit. Push Message will be sent to 1 random device only",
        "the push went to 1 random device only: it is effectively lost; "
        "raise the plan's limit or remove devices, and send it again",
        sign="1 random device",
        is_lost=True,
    ),
    Warned(
        "Warnings: You have exceeded the number of active devices allowed on your current subscription plan.",
        "it was accepted; raise the plan's limit before pushes no longer reach everybody",
        sign="number of active devices",
    ),
)
"""What comes with a success that is none in full (seed 000)."""

TOKENLESS = (
    "it was sent without your device token, which the gateway lends for calls about the device that speaks alone; "
    "see “Who may speak” in docs/gateway.md"
)
"""The advice where a call went without a token and was refused for what may be the lack of it."""

ADVICE = frozenset({TOKENLESS, *(row.advice for row in (*STATUSES, *REFUSALS, *WARNINGS) if row.advice)})

_BARE_KEYS = frozenset({"message", "error", "code", "details"})
"""All that the refusals of the bare methods hold."""


def failure_of(call: Call, answer: Answer, retry_after: float | None = None) -> CallError | None:
    """The verdict on an answer: `None` for a success, else the error to raise.

    The envelope wins inside an HTTP 200, HTTP elsewhere. The SDKs' own rule for success is the same: HTTP 200 and
    `status_code` 200.
    """
    status = answer.http_status
    if status == 200 and answer.status_code == 200:
        return None
    if call.method.answer.name == "ANY" and 200 <= status < 300 and answer.status_code in (None, 200):
        return None
    row = _row(answer)
    document = answer.document
    if (
        call.method.answer.name == "BARE"
        and 200 <= status < 300
        and answer.status_code is None
        and isinstance(document, dict)
    ):
        if not _is_refusal(document):
            return None
        row = _status(HTTP, 400)
    refusal = refusal_of(words_of(answer)) if issubclass(row.error, Rejected) else None
    advice = refusal.advice if refusal is not None else row.advice
    number = status if status != 200 or answer.status_code is None else answer.status_code
    # A far side could repeat what it was sent; a token in a text would reach a log or a page.
    told = f"{call.method.name} for {call.application or 'the account'}: {number} {_told(answer, row)}"
    told = f"{told}{DASH}{advice}" if advice else told
    return row.error(told, call=call, answer=answer, retry_after=retry_after, advice=advice)


def condemns(error: CallError) -> bool:
    """Whether a refusal is about the account, the application, the token or the address, and not this one call."""
    call = error.call
    if call is not None and call.method.upstream.name != "API":
        # Another host, which knows nothing of the account.
        return False
    if call is not None and call.raw is not None and "application" not in call.arguments:
        # An SDK left out what Pushwoosh misses; nobody from outside is to stop an application by that.
        return False
    answer = error.answer
    if answer is None:
        return isinstance(error, BadToken)
    # A firewall's 403 is about one request; Pushwoosh's own comes in an envelope.
    if _row(answer).condemns or (answer.http_status == 403 and answer.status_code is not None):
        return True
    # A whole text: a part of one could be a name that an app made up, and everything would stop for it.
    refusal = _WHOLE.get(_plain(words_of(answer)))
    if refusal is None or not refusal.condemns or not isinstance(error, BadArgument):
        return False
    # In a message to a group it is the group that they do not know.
    is_group = call is not None and "applications_group" in call.arguments
    return not (is_group and "application" in _plain(refusal.text))


def may_lack_token(error: CallError) -> bool:
    """Whether a refusal may be due to the call's having had no token, so that it says nothing about ours.

    What is suspended, or answers elsewhere, would refuse a call with a token too.
    """
    if isinstance(error, BadToken):
        return True
    refusal = _WHOLE.get(_plain(words_of(error.answer))) if error.answer is not None else None
    return refusal is not None and bool(refusal.condemns) and "suspended" not in _plain(refusal.text)


def told_without_token(error: CallError) -> BadToken:
    """The refusal of a call that had no token, with advice that fits."""
    return BadToken(f"{parted(str(error))[0]}{DASH}{TOKENLESS}", call=error.call, answer=error.answer, advice=TOKENLESS)


def knows_no_message(error: CallError) -> bool:
    """Whether Pushwoosh says that it keeps no message with the code that was named."""
    if isinstance(error, NotFound):
        return True
    words = words_of(error.answer) if isinstance(error, Rejected) and error.answer is not None else ""
    return _plain(words) == "message not found"


def refusal_of(text: str) -> Refusal | None:
    """The row of a text: the whole of it, its beginning, or a part that tells it. For advice only."""
    plain = _plain(text)
    if plain in _WHOLE:
        return _WHOLE[plain]
    return next((row for row in REFUSALS if row.sign and row.sign in plain), None) if plain else None


def warned_of(text: str) -> Warned | None:
    """The row of a warning."""
    plain = text.lower()
    return next((row for row in WARNINGS if row.sign in plain), None)


def is_lost(warnings: Iterable[str]) -> bool:
    """Whether one of the warnings says that the push went to nearly nobody."""
    return any(row is not None and row.is_lost for row in map(warned_of, warnings))


def told_warnings(warnings: Iterable[str]) -> str:
    """Warnings with what to do about them, for people."""
    rows = ((text, warned_of(text)) for text in warnings)
    return " ".join(f"{text}{DASH}{row.advice}" if row is not None else text for text, row in rows)


def parted(told: str) -> tuple[str, str]:
    """What was told, without its advice; and the advice, empty where there is none."""
    found = [advice for advice in ADVICE if f"{DASH}{advice}" in told]
    # One advice may be the beginning of another.
    found.sort(key=len, reverse=True)
    given = []
    for advice in found:
        if f"{DASH}{advice}" in told:
            told = told.replace(f"{DASH}{advice}", "")
            given.append(advice)
    return told, "; ".join(given)


def words_of(answer: Answer) -> str:
    """What the other side says in words: the envelope's message, or that of a bare refusal."""
    text = answer.status_message
    document = answer.document
    if not text and isinstance(document, dict):
        text = _first_text(document)
    return text[:MOST_TEXT]


def _first_text(document: dict[str, Any]) -> str:
    for key in ("message", "error"):
        value = document.get(key)
        if isinstance(value, dict):
            value = value.get("message")
        if isinstance(value, str) and value:
            return value
    return ""


def _details(answer: Answer) -> list[str]:
    """The single mistakes that a filter's refusal lists, and the details of the bare refusals."""
    details: list[str] = []
    for holder, key in ((answer.response, "errors"), (answer.document, "details")):
        listed = holder.get(key) if isinstance(holder, dict) else None
        for each in listed[:20] if isinstance(listed, list) else ():
            said = each.get("message") or each.get("description") if isinstance(each, dict) else each
            if isinstance(said, str) and said:
                details.append(said)
    return details


def _told(answer: Answer, row: Status) -> str:
    said = words_of(answer)
    if 300 <= answer.http_status < 400:
        # Whoever redirects is not the one that was meant; the words are not Pushwoosh's.
        said = ""
    elif not said and answer.document is None and 200 <= answer.http_status < 300:
        said = "the answer is no JSON"
    details = "; ".join(_details(answer))[:MOST_TEXT]
    return f"{said or row.text} ({details})" if details else said or row.text


def _row(answer: Answer) -> Status:
    """The envelope's row inside an HTTP 200, HTTP's elsewhere."""
    if answer.http_status == 200 and answer.status_code is not None:
        return _status(ENVELOPE, answer.status_code)
    return _status(HTTP, answer.http_status)


def _status(layer: Layer, number: int) -> Status:
    rows = [row for row in STATUSES if layer in row.layers]
    return next((row for row in rows if number in row.numbers), rows[-1])


def _is_refusal(document: dict[str, Any]) -> bool:
    return bool(_first_text(document)) and document.keys() <= _BARE_KEYS


def _plain(text: str) -> str:
    return " ".join(text[:MOST_TEXT].split()).strip(" .").lower()


_WHOLE = {_plain(row.text): row for row in REFUSALS if "…" not in row.text}
