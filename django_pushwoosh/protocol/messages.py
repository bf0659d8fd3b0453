"""A message: what is said and how it is shown. Whom it is for and when it leaves are said when it is sent.

A `Message` is checked as a whole when it is made, by the rows of `parameters` and by the rules between them
(`conflicts`), and the error names everything that has to change. `call` joins it with an audience and a time into the
one `Call` that says all three. Source: seed 001 (createMessage, createTargetedMessage).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django_pushwoosh.protocol import conflicts, personalisation
from django_pushwoosh.protocol.audience import (
    AUDIENCES,
    KEYS,
    ApplicationGroup,
    Audience,
    Devices,
    FilterExpression,
    Users,
)
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.errors import Invalid, InvalidMessage, Problem
from django_pushwoosh.protocol.fields import (
    MOST_PROBLEMS,
    MOST_TARGETS,
    Code,
    JsonObject,
    closest,
    shown,
)
from django_pushwoosh.protocol.parameters import BY_NAME, PARAMETERS
from django_pushwoosh.protocol.platforms import BY_NUMBER, SMS

_ROWS = tuple(row for row in PARAMETERS if row.group not in ("schedule", "audience"))
_KINDS = {row.name: row.kind for row in _ROWS}
_PLAIN_LENGTHS = {row.name: row.kind.plain_length for row in _ROWS if row.name not in conflicts.RELATED}
_PLAIN_RANGES = {row.name: row.kind.plain_range for row in _ROWS if row.name not in conflicts.RELATED}
_TARGETED_ONLY = frozenset(row.name for row in PARAMETERS if row.targeted_only)
_KEYS = frozenset(KEYS)
_NOTHING: Mapping[str, Any] = {}
_CODE = Code()
_EXTRA = JsonObject()
_LONGEST_WORD = BY_NAME["transactionId"].kind.plain_length
_PHONE_NUMBER = re.compile(r"\+[0-9]{6,15}")

_ELSEWHERE = {
    **{row.name: "says when: use `at=`" for row in PARAMETERS if row.group == "schedule"},
    **{row.name: "says for whom: use `to=`" for row in PARAMETERS if row.group == "audience"},
    "transactionId": "is set for every message that is sent",
    "applications_group": "says for whom: use `to=ApplicationGroup(…)`",
    "devices_filter": "says for whom: use `to=` with a filter expression",
    "application": "is set by the application that sends",
    "auth": "is set from the settings, and kept out of messages",
    "notifications": "is the list that messages are put into: give its parameters one by one",
    "remote_page": "is no longer served by Pushwoosh: use rich_media",
}
"""Names that people try, which are not a message's to carry, and where they belong."""


class Message:
    """A push: its text, and any parameter of `parameters.PARAMETERS` outside the schedule and the audience.

    `content` and `title` are a text, or an object of texts by language. A parameter that is `None` counts as left out.
    `extra` holds parameters that the table does not know, which pass through. A link is sent as it is, unless
    `minimize_link=2` asks for the shortener (Pushwoosh's own default, whose quota runs out).

    Raises `InvalidMessage` with every problem at once. `parameters` and `extra` hold wire values; do not change them.
    """

    __slots__ = ("extra", "parameters")

    parameters: dict[str, Any]
    extra: dict[str, Any]

    def __init__(
        self,
        content: str | Mapping[str, str] | None = None,
        *,
        title: str | Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> None:
        if content is not None:
            parameters["content"] = content
        if title is not None:
            parameters["title"] = title
        if extra is None and _is_plain(parameters):
            self.parameters, self.extra = parameters, {}
        else:
            self.parameters, self.extra = _checked(parameters, extra)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Message:
        """The message that `to_json` wrote, checked anew. Raises `InvalidMessage`."""
        if not isinstance(value, Mapping):
            raise InvalidMessage(f"A message must be an object (dict), not {shown(value)}")
        given = {key: item for key, item in value.items() if key != "extra"}
        message = cls.__new__(cls)
        message.parameters, message.extra = _checked(given, value.get("extra"))
        return message

    def to_json(self) -> dict[str, Any]:
        """The parameters by name, with `extra` among them where there is any."""
        return {**self.parameters, "extra": dict(self.extra)} if self.extra else dict(self.parameters)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return self.parameters == other.parameters and self.extra == other.extra

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        others = [name for name in (*self.parameters, *self.extra) if name != "content"]
        content = self.parameters.get("content")
        if isinstance(content, dict):
            content = next(iter(content.values()))
        return f"<Message {shown(content)}{' with ' if others else ''}{', '.join(others)}>"

    def call(
        self,
        application: str,
        audience: Audience,
        *,
        transaction_id: str,
        send_date: str = "now",
        timezone: str | None = None,
        ignore_user_timezone: bool = True,
        now: datetime | None = None,
    ) -> Call:
        """The call that sends it from an application to an audience: createTargetedMessage for a `FilterExpression`,
        createMessage for all others.

        `transaction_id` must be the same in every attempt to send the same thing. `send_date` is "now" or
        `YYYY-MM-DD HH:mm` in `timezone` (UTC where there is none). With `now` (aware), a day in the Inbox that ends
        before it begins is refused. Raises `InvalidMessage`.
        """
        if not isinstance(audience, Audience):
            raise InvalidMessage(Problem("to", f"must be an audience, such as Devices([…]), not {shown(audience)}"))
        problems = self._misfits(audience)
        if type(application) is not str or not _is_code(application):
            _cleaned("application", _CODE.clean, application, problems)
        said = {
            "send_date": "now",
            "ignore_user_timezone": True,
            "transactionId": transaction_id,
            **self.parameters,
            **self.extra,
        }
        if type(transaction_id) is not str or not _is_plain_word(transaction_id):
            _schedule(said, problems, transactionId=transaction_id)
        if timezone is not None or ignore_user_timezone is not True or type(send_date) is not str or send_date != "now":
            _schedule(said, problems, send_date=send_date, timezone=timezone, ignore_user_timezone=ignore_user_timezone)
        if "inbox_date" in said:
            problems.extend(self._inbox(said["send_date"], now))
        if problems:
            raise InvalidMessage(*problems)

        if isinstance(audience, FilterExpression):
            audience = audience.bound_to(application)
            call = Call(METHODS["createTargetedMessage"], application, audience.arguments() | said)
        elif isinstance(audience, ApplicationGroup):
            call = Call(METHODS["createMessage"], application, audience.arguments() | {"notifications": [said]})
        else:
            said.update(audience.arguments())
            call = Call(METHODS["createMessage"], application, {"notifications": [said]})
        verify_audience(call, audience)
        return call

    def warnings(
        self,
        audience: Audience,
        *,
        send_date: str = "now",
        timezone: str | None = None,
        ignore_user_timezone: bool = True,
        now: datetime | None = None,
    ) -> list[Problem]:
        """What Pushwoosh would take and silently ignore, or read in another way than it looks.

        The arguments are those of `call`; `now` (aware) is the present where it is left out.
        """
        moment = now or datetime.now(UTC)
        return conflicts.warnings(
            conflicts.Sending(self.parameters, audience, send_date, timezone, ignore_user_timezone, moment)
        )

    def _inbox(self, send_date: str | None, now: datetime | None) -> Iterator[Problem]:
        """Pushwoosh takes a push out of the Inbox as the day begins (UTC)."""
        day = now.astimezone(UTC).strftime("%Y-%m-%d") if now and send_date == "now" else (send_date or "now")[:10]
        if day != "now" and self.parameters["inbox_date"] <= day:
            yield Problem(
                "inbox_date", f"must be after the day of sending, {day}: it leaves the Inbox as the day begins"
            )

    def _misfits(self, audience: Audience) -> list[Problem]:
        """What this message cannot be to that audience."""
        problems = []
        if isinstance(audience, (Devices, Users)) and len(audience.ids) > MOST_TARGETS:
            problems.append(Problem(audience.keys[0], f"one message reaches {MOST_TARGETS} at most: use split()"))
        if "platforms" in self.parameters:
            problems.extend(_limited(audience, self.parameters["platforms"]))
        if not _TARGETED_ONLY.isdisjoint(self.parameters) and not isinstance(audience, FilterExpression):
            for name in sorted(_TARGETED_ONLY.intersection(self.parameters)):
                problems.append(Problem(name, "goes only with a filter expression: use rich_media instead"))
        return problems


def _limited(audience: Audience, platforms: list[int]) -> Iterator[Problem]:
    """What a message that is limited to platforms cannot be to an audience."""
    if isinstance(audience, FilterExpression):
        names = ", ".join(f'"{BY_NUMBER[number].filter_name}"' for number in platforms)
        yield Problem(
            "platforms",
            "cannot be combined with a filter expression: name them in the expression, "
            f'as Application("CODE", platforms=[{names}])',
        )
    if platforms == [SMS.number] and not (
        isinstance(audience, Devices) and len(audience.ids) == 1 and _PHONE_NUMBER.fullmatch(audience.ids[0])
    ):
        yield Problem("devices", "an SMS goes to exactly one device, whose id is a phone number such as +4712345678")


def verify_audience(call: Call, audience: Audience) -> None:
    """Make sure that a call says whom it is for, exactly; a lost key would make it a push to everyone.

    Raises `InvalidMessage`.
    """
    outer = call.arguments
    notifications = outer.get("notifications", (_NOTHING,))
    if len(notifications) != 1:
        raise InvalidMessage("A call carries exactly one message.")
    inner = notifications[0]
    is_outside = call.method.name != "createMessage" or "applications_group" in audience.keys
    place, rest = (outer, inner) if is_outside else (inner, outer)
    expected = audience.arguments()
    if not (
        len(expected) == len(audience.keys)
        and all(expected.values())
        and place.items() >= expected.items()
        and _foreign(audience.keys).isdisjoint(place)
        and _KEYS.isdisjoint(rest)
    ):
        path = audience.keys[0] if audience.keys else ""
        raise InvalidMessage(Problem(path, f"the audience ({audience.kind}) was lost or changed on its way out"))


def is_addressed(call: Call, kind: str) -> bool:
    """Whether a message's call names an audience of that kind, and no other: the last look before it leaves."""
    keys = AUDIENCES[kind].keys if kind in AUDIENCES else ("",)
    places = (call.arguments, *call.arguments.get("notifications", ()))
    return all(any(place.get(key) for place in places) for key in keys) and all(
        _foreign(keys).isdisjoint(place) for place in places
    )


@lru_cache(maxsize=64)
def _foreign(keys: tuple[str, ...]) -> frozenset[str]:
    """The keys by which a request would name another audience than the one that has these."""
    return _KEYS.difference(keys)


@lru_cache(maxsize=1024)
def _is_code(text: str) -> bool:
    try:
        return _CODE.clean(text) == text
    except Invalid:
        return False


def _is_plain_word(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_WORD and text.isprintable() and not text.isspace()


def _schedule(said: dict[str, Any], problems: list[Problem], **given: Any) -> None:
    """Put into `said` when it is sent, cleaned."""
    for name, value in given.items():
        if value is not None or name != "timezone":
            said[name] = _cleaned(name, BY_NAME[name].kind.clean, value, problems)


def _cleaned(name: str, clean: Callable[[Any, str], Any], value: Any, problems: list[Problem]) -> Any:
    try:
        return clean(value, name)
    except Invalid as error:
        problems.extend(error.problems)
        return None


def _is_plain(given: Mapping[str, Any]) -> bool:
    """Whether a message has content and nothing that needs a second look, as nearly all of them."""
    try:
        for name, value in given.items():
            kind = type(value)
            if kind is str:
                if not 0 < len(value) <= _PLAIN_LENGTHS[name] or "{" in value:
                    return False
                if not value.isprintable() or value.isspace():
                    return False
            elif kind is not int or value not in _PLAIN_RANGES[name]:
                return False
    except KeyError:
        return False
    return "content" in given


def _checked(given: Mapping[Any, Any], extra: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    problems: list[Problem] = []
    cleaned: dict[str, Any] = {}
    present: set[str] = set()
    for name, value in given.items():
        kind = _KINDS.get(name) if isinstance(name, str) else None
        if kind is None:
            problems.append(_misplaced(name))
            if len(problems) >= MOST_PROBLEMS:
                break
        elif value is not None:
            present.add(name)
            try:
                cleaned[name] = kind.clean(value, name)
            except Invalid as error:
                problems.extend(error.problems)
    passed: dict[str, Any] = {}
    if extra is not None:
        passed = _cleaned("extra", _EXTRA.clean, extra, problems) or {}
        for name in passed:
            if name in _ELSEWHERE:
                problems.append(Problem(f"extra.{name}", _ELSEWHERE[name]))
            elif name in _KINDS:
                problems.append(Problem(f"extra.{name}", "is a parameter of its own: give it beside `extra`"))
    if "link" in cleaned and "minimize_link" not in present:
        cleaned["minimize_link"] = 0
    problems.extend(conflicts.conflicts(cleaned, present))
    for path, text in conflicts.texts_of(cleaned):
        problems.extend(personalisation.problems(text, path))
    if problems:
        raise InvalidMessage(*problems)
    return cleaned, passed


def _misplaced(name: object) -> Problem:
    if not isinstance(name, str):
        return Problem("", f"a parameter's name must be text (str), not {shown(name)}")
    path = name if name.isidentifier() and len(name) <= 64 else shown(name)
    if name in _ELSEWHERE:
        return Problem(path, _ELSEWHERE[name])
    return Problem(path, f"is no documented parameter.{closest(name, _KINDS)} Others pass through extra={{…}}.")
