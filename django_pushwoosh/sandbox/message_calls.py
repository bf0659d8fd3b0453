"""What servers say about messages: create, cancel, delete. One function per method. Source: seed 001."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django_pushwoosh.protocol.answers import CODE_NOT_AVAILABLE
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.envelope import ARGUMENT_ERROR
from django_pushwoosh.protocol.errors import Invalid, InvalidFilter
from django_pushwoosh.protocol.filters import (
    ApplicationSet,
    AppTagSet,
    Expression,
    GroupSet,
    clean_conditions,
    parse,
    walk,
)
from django_pushwoosh.protocol.parameters import BY_NAME
from django_pushwoosh.sandbox.answering import NO_RESPONSE, Asked, Refused, Reply
from django_pushwoosh.sandbox.audience import Geozone, Selection, find
from django_pushwoosh.sandbox.codes import message_code, tracking_code
from django_pushwoosh.sandbox.message_reports import message_of
from django_pushwoosh.sandbox.schedule import due_at, is_immediate
from django_pushwoosh.sandbox.state import Message, State

UNRECORDED_BELOW = 10
"""Immediate messages to fewer `devices` than this are not kept in the message history, and have no code."""

EXEMPT_UP_TO = 10
"""Immediate messages to at most this many `devices` do not count against the cap."""

MOST_RECIPIENTS = 1000
MOST_ERRORS = 20

TARGETED_FORBIDS = (
    "application",
    "applications_group",
    "platforms",
    "devices",
    "filter",
    "conditions",
    "users",
    "geozone",
)
"""What createTargetedMessage refuses. Unverified against Pushwoosh: users and geozone are not on their list."""

STAND_FOR_CONTENT = (
    "content",
    "preset",
    "wns_content",
    "rich_media",
    "ios_silent",
    "android_silent",
    "huawei_android_silent",
)
"""A message says or does something by one of these."""

CHECKED_ELSEWHERE = frozenset(
    {
        "send_date",
        "timezone",
        "ignore_user_timezone",
        "devices",
        "users",
        "conditions",
        "conditions_operator",
        "platforms",
        "filter",
    }
)
"""Parameters whose refusals have words of their own."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """One notification that was accepted, now or under the same transaction id before."""

    code: str
    tracking_code: str
    unknown: tuple[str, ...] = ()


def is_capped(method: str, arguments: Mapping[str, Any], *, is_tracing: bool) -> bool:
    """Whether a request counts against the cap: all do, but for immediate ones to `devices` of 10 or less.

    Unverified against Pushwoosh: with several notifications, one that counts makes the request count.
    """
    if is_tracing or method != "createMessage":
        return True
    notifications = arguments.get("notifications")
    if not isinstance(notifications, list) or not notifications:
        return True
    return not all(isinstance(each, Mapping) and _is_small(each, EXEMPT_UP_TO) for each in notifications)


def _is_small(parameters: Mapping[str, Any], most: int) -> bool:
    devices = parameters.get("devices")
    return (
        is_immediate(parameters)
        and isinstance(devices, list)
        and 0 < len(devices) <= most
        and not parameters.get("users")
    )


def create_message(asked: Asked) -> Reply:
    """Takes notifications one by one; at the first that cannot be taken, answers 210 with the codes before it."""
    applications = _applications(asked)
    notifications = asked.arguments.get("notifications")
    if not isinstance(notifications, list):
        raise Refused("No notifications")
    codes: list[str] = []
    unknown: dict[str, list[str]] = {}
    first = len(asked.state.messages)
    refused: Refused | None = None
    for each in notifications:
        try:
            taken = _take(asked, applications, each, "applications_group" in asked.arguments)
        except Refused as error:
            refused = error
            break
        codes.append(taken.code)
        if taken.unknown:
            key = "" if taken.code == CODE_NOT_AVAILABLE else taken.code
            unknown.setdefault(key, []).extend(taken.unknown)
    response: dict[str, Any] = {"Messages": codes}
    if unknown:
        response["UnknownDevices"] = unknown
    is_change = len(asked.state.messages) > first
    if refused is not None:
        return Reply(response, ARGUMENT_ERROR, refused.reply.status_message, is_change=is_change)
    return Reply(response, is_change=is_change)


def create_targeted_message(asked: Asked) -> Reply:
    """Takes a message to a filter expression, which may reach across all applications of the account."""
    forbidden = [name for name in TARGETED_FORBIDS if name in asked.arguments]
    if forbidden:
        raise Refused(f"{', '.join(forbidden)} cannot be used in createTargetedMessage")
    key = ("createTargetedMessage", asked.account, asked.text("transactionId"))
    known: _Taken | None = asked.state.remembered(key, asked.now) if key[2] else None
    if known is None:
        try:
            expression = parse(asked.text("devices_filter"))
        except InvalidFilter as error:
            raise _uncompiled("syntax", (problem.text for problem in error.problems)) from None
        unknown = list(_unknown_sets(asked, expression))
        if unknown:
            raise _uncompiled("semantic", unknown)
        parameters = {name: value for name, value in asked.arguments.items() if name != "auth"}
        message = _created(asked, (), parameters, Selection(expression=expression))
        known = _Taken(message.code, message.tracking_code)
        _remember(asked, key, known)
        return Reply(_targeted(known), is_change=True)
    return Reply(_targeted(known))


def _uncompiled(kind: str, messages: Iterable[str]) -> Refused:
    errors = [{"message": each, "type": kind} for each in islice(messages, MOST_ERRORS)]
    return Refused("Errors occurred while compiling filter", {"errors": errors})


def _unknown_sets(asked: Asked, expression: Expression) -> Iterator[str]:
    """Unverified against Pushwoosh: applications and groups in a filter that the account does not have.

    The documents show errors of the type "syntax" only; "semantic" is ours.
    """
    known = set(asked.state.codes_of_account(asked.account))
    for node in walk(expression):
        if isinstance(node, ApplicationSet) and node.code not in known:
            yield f'Application "{node.code}" not found.'
        elif isinstance(node, AppTagSet) and node.application not in known:
            yield f'Application "{node.application}" not found.'
        elif isinstance(node, GroupSet) and not asked.state.codes_of_group(asked.account, node.code):
            yield f'Group "{node.code}" not found.'


def cancel_message(asked: Asked) -> Reply:
    """Ends a message that is waiting, pending or under way; what was delivered stays delivered."""
    message = message_of(asked)
    if not message.is_pending:
        # Unverified against Pushwoosh: how what comes too late is refused, here and in deleteMessage.
        raise Refused(f"Message cannot be canceled: it is {message.status}")
    message.end(asked.state, "canceled")
    return Reply(NO_RESPONSE, is_change=True)


def delete_message(asked: Asked) -> Reply:
    """Removes a message that has not begun; "You can't delete messages that have already been sent out." """
    message = message_of(asked)
    if message.status not in ("waiting", "pending"):
        raise Refused(f"Message cannot be deleted: it is {message.status}")
    message.end(asked.state, "deleted")
    return Reply(NO_RESPONSE, is_change=True)


def _applications(asked: Asked) -> tuple[str, ...]:
    group = asked.arguments.get("applications_group")
    if group is None:
        return (asked.application,)
    codes = asked.state.codes_of_group(asked.account, group) if isinstance(group, str) else ()
    if not codes:
        raise Refused("Access denied or application not found")
    return codes


def _take(asked: Asked, applications: tuple[str, ...], parameters: Any, is_group: bool) -> _Taken:
    if not isinstance(parameters, Mapping):
        raise Refused("No notifications")
    transaction = parameters.get("transactionId")
    key = ("createMessage", ",".join(applications), transaction if isinstance(transaction, str) else "")
    known: _Taken | None = asked.state.remembered(key, asked.now) if key[2] else None
    if known is not None:
        # Unverified against Pushwoosh: a repeated transaction id is answered as it was the first time.
        return known
    selection = _selection(asked, parameters, is_group)
    message = _created(asked, applications, parameters, selection)
    unknown: tuple[str, ...] = ()
    if selection.devices is not None:
        unknown = tuple(
            each for each in selection.devices if not any(find(asked.state, code, each) for code in applications)
        )
    taken = _Taken(message.code if message.is_recorded else CODE_NOT_AVAILABLE, message.tracking_code, unknown)
    if key[2]:
        _remember(asked, key, taken)
    return taken


def _created(
    asked: Asked, applications: tuple[str, ...], parameters: Mapping[str, Any], selection: Selection
) -> Message:
    """The message, checked and put in its place; raises `Refused` before anything is changed."""
    state, now = asked.state, asked.now
    _check(parameters, is_content_required=state.options.requires_content)
    due, is_local = due_at(parameters, now)
    sequence = len(state.messages) + 1
    last = state.messages[-1].id if state.messages else 0
    is_unrecorded = selection.devices is not None and _is_small(parameters, UNRECORDED_BELOW - 1)
    message = Message(
        sequence=sequence,
        id=max(last + 1, int(now.timestamp() * 1000)),
        code=message_code(sequence, now),
        tracking_code=tracking_code(sequence, now),
        account=asked.account,
        applications=applications,
        created_at=now,
        due_at=due,
        parameters=dict(parameters),
        audience=selection,
        follows_user_timezone=is_local,
        is_recorded=not is_unrecorded or state.is_tracing(now),
    )
    state.add_message(message)
    return message


def _check(parameters: Mapping[str, Any], *, is_content_required: bool) -> None:
    """Hold what table one knows against it; what it does not know passes, for Pushwoosh adds parameters.

    Unverified against Pushwoosh: how strictly each parameter is looked at, and in which words it is refused; that a
    message without content is (`requires_content`).
    """
    for name, value in parameters.items():
        row = BY_NAME.get(name)
        if row is None or value is None or name in CHECKED_ELSEWHERE:
            continue
        try:
            row.kind.clean(value, name)
        except Invalid as error:
            if name.endswith("_root_params"):
                raise Refused(f"{name} must be key-value object") from None
            raise Refused(str(error.problems[0])) from None
    if is_content_required and not any(parameters.get(name) for name in STAND_FOR_CONTENT):
        raise Refused("Message content is empty")


def _selection(asked: Asked, given: Mapping[str, Any], is_group: bool) -> Selection:
    users = _recipients(given, "users")
    devices = _recipients(given, "devices")
    if is_group and (users or devices):
        raise Refused("Application group is not allowed for devices and users")
    platforms = _platforms(given.get("platforms"))
    geozone = given.get("geozone")
    zone = None
    if geozone is not None:
        try:
            circle = BY_NAME["geozone"].kind.clean(geozone, "geozone")
        except Invalid as error:
            raise Refused(str(error.problems[0])) from None
        zone = Geozone(circle["lat"], circle["lng"], circle["range"])
    if users is not None:
        return Selection(users=users, platforms=platforms, geozone=zone)
    if devices is not None:
        if len(devices) < UNRECORDED_BELOW:
            platforms = None
        return Selection(devices=devices, platforms=platforms, geozone=zone)
    name, conditions = given.get("filter"), given.get("conditions")
    if name is not None and conditions is not None:
        raise Refused("filter and conditions cannot be used together")
    operator = given.get("conditions_operator")
    if operator not in (None, "AND", "OR"):
        raise Refused("conditions_operator must be AND or OR")
    expression: Expression | None = None
    if name is not None:
        expression = _saved(asked.state, name)
    cleaned = None
    if conditions is not None:
        try:
            cleaned = tuple(clean_conditions(conditions))
        except Invalid as error:
            raise Refused(str(error.problems[0])) from None
    return Selection(
        conditions=cleaned, any_condition=operator == "OR", expression=expression, geozone=zone, platforms=platforms
    )


def _recipients(given: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, list):
        raise Refused(f'Invalid {name} list. "{name}" must be an array.')
    if not value or len(value) > MOST_RECIPIENTS or any(not isinstance(each, str) or not each for each in value):
        # Unverified against Pushwoosh: what an empty list does. Here it never reaches everyone.
        raise Refused(f'Invalid {name} list. "{name}" must hold 1 to {MOST_RECIPIENTS} texts.')
    return tuple(dict.fromkeys(value))


def _platforms(value: Any) -> frozenset[int] | None:
    if value is None:
        return None
    if isinstance(value, list) and not value:
        raise Refused("Please select at least one platform")
    try:
        return frozenset(BY_NAME["platforms"].kind.clean(value, "platforms"))
    except Invalid as error:
        raise Refused(str(error.problems[0])) from None


def _saved(state: State, name: Any) -> Expression:
    text = state.options.filters.get(name) if isinstance(name, str) else None
    if text is None:
        # Unverified against Pushwoosh: how an unknown filter is refused.
        raise Refused("Filter not found")
    return parse(text)


def _remember(asked: Asked, key: tuple[str, str, str], taken: _Taken) -> None:
    window = METHODS[asked.method].window
    if key[2] and window is not None:
        asked.state.remember(key, asked.now + window, asked.now, taken)


def _targeted(taken: _Taken) -> dict[str, str]:
    return {"messageCode": taken.code, "trackingCode": taken.tracking_code}
