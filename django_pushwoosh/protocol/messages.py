"""A message: what is said and how it is shown. Whom it is for and when it leaves are said when it is sent.

A `Message` is checked as a whole when it is made, by the rows of `parameters` and by the rules between them, and the
error names everything that has to change. `call` joins it with an audience and a time into the one `Call` that says
all three. Source: seed 001 (createMessage, createTargetedMessage).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django_pushwoosh.protocol.audience import (
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
    is_web_address,
    shown,
)
from django_pushwoosh.protocol.parameters import BY_NAME, PARAMETERS
from django_pushwoosh.protocol.platforms import BY_NUMBER, SMS, WINDOWS

SILENT = ("ios_silent", "android_silent", "huawei_android_silent")

_KINDS = {row.name: row.kind for row in PARAMETERS if row.group not in ("schedule", "audience")}
_CONTENT = ("content", "preset", "rich_media", "wns_content", "live_activity")
_TARGETED_ONLY = tuple(row.name for row in PARAMETERS if row.targeted_only)
_CODE = Code()
_EXTRA = JsonObject()
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
        given: dict[str, Any] = {"content": content, "title": title, **parameters}
        self.parameters, self.extra = _checked(given, extra)

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
    ) -> Call:
        """The call that sends it from an application to an audience: createTargetedMessage for a `FilterExpression`,
        createMessage for all others.

        `transaction_id` must be the same in every attempt to send the same thing. `send_date` is "now" or
        `YYYY-MM-DD HH:mm` in `timezone` (UTC where there is none). Raises `InvalidMessage`.
        """
        if not isinstance(audience, Audience):
            raise InvalidMessage(Problem("to", f"must be an audience, such as Devices([…]), not {shown(audience)}"))
        problems: list[Problem] = []
        application = _cleaned("application", _CODE.clean, application, problems)
        schedule: dict[str, Any] = {
            "send_date": send_date,
            "ignore_user_timezone": ignore_user_timezone,
            "timezone": timezone,
            "transactionId": transaction_id,
        }
        if timezone is None:
            del schedule["timezone"]
        for name, value in schedule.items():
            schedule[name] = _cleaned(name, BY_NAME[name].kind.clean, value, problems)
        problems.extend(self._misfits(audience))
        if problems:
            raise InvalidMessage(*problems)

        if isinstance(audience, FilterExpression):
            audience = audience.bound_to(application)
        target = audience.arguments()
        said = {**schedule, **self.parameters, **self.extra}
        if isinstance(audience, FilterExpression):
            call = Call(METHODS["createTargetedMessage"], application, {**target, **said})
        elif isinstance(audience, ApplicationGroup):
            call = Call(METHODS["createMessage"], application, {**target, "notifications": [said]})
        else:
            call = Call(METHODS["createMessage"], application, {"notifications": [{**said, **target}]})
        verify_audience(call, audience)
        return call

    def _misfits(self, audience: Audience) -> Iterator[Problem]:
        """What this message cannot be to that audience."""
        platforms = self.parameters.get("platforms")
        if isinstance(audience, (Devices, Users)) and len(audience.ids) > MOST_TARGETS:
            yield Problem(audience.keys[0], f"one message reaches {MOST_TARGETS} at most: use split()")
        if platforms == [SMS.number] and not (
            isinstance(audience, Devices) and len(audience.ids) == 1 and _PHONE_NUMBER.fullmatch(audience.ids[0])
        ):
            yield Problem(
                "devices", "an SMS goes to exactly one device, whose id is a phone number such as +4712345678"
            )
        if isinstance(audience, FilterExpression):
            if platforms:
                names = ", ".join(f'"{BY_NUMBER[number].filter_name}"' for number in platforms)
                yield Problem(
                    "platforms",
                    "cannot be combined with a filter expression: name them in the expression, "
                    f'as Application("CODE", platforms=[{names}])',
                )
        else:
            for name in _TARGETED_ONLY:
                if name in self.parameters:
                    yield Problem(name, "goes only with a filter expression: use rich_media instead")


def verify_audience(call: Call, audience: Audience) -> None:
    """Make sure that a call says whom it is for, exactly; a lost key would make it a push to everyone.

    Raises `InvalidMessage`.
    """
    expected = audience.arguments()
    arguments = call.arguments
    notifications = arguments.get("notifications", ())
    if call.method.name == "createMessage" and len(notifications) != 1:
        raise InvalidMessage("A call carries exactly one message.")
    for key in KEYS:
        found = [place[key] for place in (arguments, *notifications) if key in place]
        wanted = [expected[key]] if key in expected else []
        if found != wanted or not all(found):
            raise InvalidMessage(Problem(key, f"the audience ({audience.kind}) was lost or changed on its way out"))
    if set(audience.keys) != set(expected):
        raise InvalidMessage(f"The audience ({audience.kind}) was lost: it does not say whom it is.")


def _cleaned(name: str, clean: Callable[[Any, str], Any], value: Any, problems: list[Problem]) -> Any:
    try:
        return clean(value, name)
    except Invalid as error:
        problems.extend(error.problems)
        return None


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
    problems.extend(_conflicts(cleaned, present))
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


def _conflicts(cleaned: Mapping[str, Any], present: set[str]) -> Iterator[Problem]:
    """What the parameters are to each other. `present` counts those whose values were refused, too."""
    platforms = cleaned.get("platforms")
    is_silent = any(cleaned.get(name) for name in SILENT)
    if not is_silent and present.isdisjoint(_CONTENT):
        yield Problem("content", "is missing: a push without text needs a preset, rich media or a silent flag")
    if "inbox_date" in present and "inbox_days" in present:
        yield Problem("inbox_days", "says the same as inbox_date: give one of them")
    if ("capping_days" in present) != ("capping_count" in present):
        given, missing = sorted(("capping_days", "capping_count"), key=present.__contains__, reverse=True)
        yield Problem(missing, f"is missing: {given} counts only together with it")
    link = cleaned.get("link")
    if link and not is_web_address(link) and cleaned.get("minimize_link", 0) != 0:
        yield Problem("minimize_link", "must be 0 for a deep link, which cannot be shortened")
    if "wns_content" in present and "wns_type" not in present:
        yield Problem("wns_type", "is missing: wns_content needs to say what it is (Tile, Toast, Badge or Raw)")
    if platforms == [WINDOWS.number] and "wns_content" not in present and "preset" not in present:
        yield Problem("wns_content", "is missing: Windows shows no other content")
    if platforms == [SMS.number]:
        if "content" in cleaned and not isinstance(cleaned["content"], str):
            yield Problem("content", "of an SMS must be one text, not one per language")
        for name in sorted(present - {"content", "platforms"}):
            yield Problem(name, "is not passed on with an SMS, which has only a text: leave it out")
