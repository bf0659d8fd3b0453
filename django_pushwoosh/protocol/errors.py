"""What can go wrong, told by what became of the call.

::

    PushwooshError
    ├── Invalid                       refused here, before anything was said
    │   ├── InvalidMessage
    │   ├── InvalidFilter
    │   └── InvalidTag
    └── CallError                     has .call, .answer, .retry_after, .advice
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

No message of these exceptions carries a token. Which answer becomes which of them stands in `refusals.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from django_pushwoosh.protocol.calls import Call
    from django_pushwoosh.protocol.envelope import Answer


_ONE_COLUMN_EACH = str.maketrans("\n\r\t", "   ")
"""A caret stands under the mistake only where every character before it takes one column."""


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
        line = self.source[start : self.position + 20].translate(_ONE_COLUMN_EACH)
        return f"{self}\n{line}\n{' ' * (self.position - start)}^"


class CallError(PushwooshError):
    """A call to Pushwoosh did not succeed. `retry_after` is in seconds, where they said so.

    `advice` is what a person does about it, empty where there is nothing; the text ends with it too.
    """

    label: ClassVar[str] = "The call failed"

    def __init__(
        self,
        text: str,
        *,
        call: Call | None = None,
        answer: Answer | None = None,
        retry_after: float | None = None,
        advice: str = "",
    ) -> None:
        super().__init__(text)
        self.call = call
        self.answer = answer
        self.retry_after = retry_after
        self.advice = advice


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
