"""What can go wrong, told by what became of the call.

::

    PushwooshError
    ├── Invalid                       refused here, before anything was said
    │   ├── InvalidMessage
    │   ├── InvalidFilter
    │   └── InvalidTag
    └── CallError                     has .call, .answer, .retry_after
        ├── NotSent                   it did not happen: try again
        │   ├── RateLimited           our governor, or their 429
        │   └── ConnectionFailed
        ├── Rejected                  they said no: a person must change something
        │   ├── BadArgument           status_code 210, HTTP 400
        │   ├── BadToken              401, 403
        │   └── NotFound              404
        └── OutcomeUnknown            it may have happened: repeat only if repeatable
            ├── NoAnswer              read timeout, connection lost
            └── ServerFailed          5xx, or an answer that cannot be read

No message of these exceptions carries a token.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from django_pushwoosh.protocol.calls import Call
    from django_pushwoosh.protocol.envelope import Answer


class PushwooshError(Exception):
    """Everything this package raises of its own accord."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to change: where (`ios_badges`, `conditions[0][1]`) and what."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


class Invalid(PushwooshError, ValueError):
    """Refused before it left; `problems` lists everything that has to change."""

    problems: tuple[Problem, ...]

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = tuple(Problem("", item) if isinstance(item, str) else item for item in problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Invalid:
        return cls(*problems)


class InvalidMessage(Invalid):
    """The message, its audience or its time cannot be expressed to Pushwoosh."""


class InvalidTag(Invalid):
    """A tag's name, value or operation is not one that Pushwoosh knows."""


class InvalidFilter(Invalid):
    """A condition or a filter expression is wrong.

    `position` is the offset of the mistake in `source`, where the filter came as text.
    """

    def __init__(self, *problems: Problem | str, source: str = "", position: int | None = None) -> None:
        super().__init__(*problems)
        self.source = source
        self.position = position

    def pointed(self) -> str:
        """The message with the source and a caret under the mistake, for people."""
        if self.position is None:
            return str(self)
        start = max(0, self.position - 60)
        line = self.source[start : self.position + 20].replace("\n", " ")
        return f"{self}\n{line}\n{' ' * (self.position - start)}^"


class CallError(PushwooshError):
    """A call to Pushwoosh did not succeed. `retry_after` is in seconds, where they said so."""

    label: ClassVar[str] = "The call failed"

    def __init__(
        self, text: str, *, call: Call | None = None, answer: Answer | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(text)
        self.call = call
        self.answer = answer
        self.retry_after = retry_after


class NotSent(CallError):
    """It did not happen; trying again is safe."""

    label = "Not sent"


class RateLimited(NotSent):
    """Our governor held it back, or Pushwoosh answered 429."""


class ConnectionFailed(NotSent):
    """No connection came about, so nothing was said."""


class Rejected(CallError):
    """Pushwoosh said no; repeating the same call changes nothing."""

    label = "Rejected"


class BadArgument(Rejected):
    """`status_code` 210 or HTTP 400."""


class BadToken(Rejected):
    """401 or 403: the token is missing, wrong, of the wrong kind or too narrow."""


class NotFound(Rejected):
    """404: no such resource."""


class OutcomeUnknown(CallError):
    """It may have happened; repeat it only if it is repeatable."""

    label = "Outcome unknown"


class NoAnswer(OutcomeUnknown):
    """The request left, and no answer came."""


class ServerFailed(OutcomeUnknown):
    """5xx, or an answer that cannot be read."""


ADVICE = (
    ("application not found", "check APPLICATIONS[…]['CODE'] and that the token may use this application"),
    ("access denied", "check APPLICATIONS[…]['CODE'] and that the token may use this application"),
    ("account not found", "check APPLICATIONS[…]['API_TOKEN']: Pushwoosh knows no account with it"),
    ("invalid api token", "check APPLICATIONS[…]['API_TOKEN']"),
    ("token or application", "set APPLICATIONS[…]['API_TOKEN'] and ['CODE']"),
    ("suspended", "the application or the account is suspended; ask Pushwoosh"),
    ("compiling filter", "correct the filter expression"),
    ("at least one platform", "choose at least one platform, or leave the platforms out"),
    ("premium", "the account's plan does not include this feature"),
    ("token restrictions", "grant this operation to the token in the Pushwoosh control panel"),
)
"""What people should do about a text of Pushwoosh's; for advice only, never for a decision on repeating."""

_CONDEMNING = frozenset(
    {
        "access denied or application not found",
        "account has been suspended",
        "account not found",
        "api token or application is not set",
        "api token or application or account is not set",
        "application not found",
        "application suspended",
        "invalid api token: account not found",
    }
)
"""Whole texts (seed 000): a part of one could be a name that an app made up, and everything would stop for it."""


def failure_of(call: Call, answer: Answer, retry_after: float | None = None) -> CallError | None:
    """The verdict on an answer: `None` for a success, else the error to raise.

    The table of both layers of status, HTTP's and the envelope's (seeds 000 and 001). The envelope wins inside a
    200, HTTP elsewhere. The SDKs' own rule for success is the same: HTTP 200 and `status_code` 200.
    """
    status = answer.http_status
    bare = call.method.answer.name == "BARE"
    if 200 <= status < 300 and bare and isinstance(answer.document, dict) and answer.status_code is None:
        return None
    if status == 200 and answer.status_code == 200:
        return None
    code = answer.status_code if status == 200 and answer.status_code is not None else status
    kind: type[CallError]
    if code == 200:
        kind = ServerFailed
    elif code in (401, 403):
        kind = BadToken
    elif code == 404:
        kind = NotFound
    elif code == 429:
        kind = RateLimited
    elif code == 408 or code >= 500:
        kind = ServerFailed
    elif status == 200 or code >= 400:
        kind = BadArgument
    else:
        kind = Rejected
    return kind(_told(call, answer, code), call=call, answer=answer, retry_after=retry_after)


def _told(call: Call, answer: Answer, code: int) -> str:
    text = answer.status_message
    document = answer.document
    if not text and isinstance(document, dict) and isinstance(document.get("message"), str):
        text = document["message"]
    if isinstance(answer.response, dict) and isinstance(answer.response.get("errors"), list):
        details = [str(each.get("message")) for each in answer.response["errors"] if isinstance(each, dict)]
        text = f"{text} ({'; '.join(details)})" if details else text
    if not text and document is None and code == 200:
        text = "the answer is no JSON"
    if 300 <= code < 400:
        text = "answered with a redirect; check API_ROOT"
    if code == 401 and not text:
        text = "the token is missing, wrong or of the wrong kind"
    # A far side could repeat what it was sent; a token in a text would reach a log or a page.
    told = f"{call.method.name} for {call.application or 'the account'}: {code} {text}".strip()
    advice = next((words for sign, words in ADVICE if sign in text.lower()), "")
    return f"{told} — {advice}" if advice else told


def condemns(error: CallError) -> bool:
    """Whether a refusal is about the account, the application or the token, and not about this one call."""
    if isinstance(error, BadToken):
        # A firewall's 403 is about one request; Pushwoosh's own comes in an envelope.
        answer = error.answer
        return answer is None or answer.http_status != 403 or answer.status_code is not None
    if error.answer is None:
        return False
    if 300 <= error.answer.http_status < 400:
        # A redirect means that API_ROOT is wrong, for every call alike.
        return True
    text = error.answer.status_message.strip(" .").lower()
    if error.call is not None and "applications_group" in error.call.arguments and "application" in text:
        # It is the group that they do not know.
        return False
    return isinstance(error, BadArgument) and text in _CONDEMNING
