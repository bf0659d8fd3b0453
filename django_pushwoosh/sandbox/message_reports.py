"""What servers ask about messages: details of one, and the history page by page. Source: seed 001."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django_pushwoosh.protocol.platforms import BY_NUMBER
from django_pushwoosh.sandbox.answering import Asked, Refused, Reply
from django_pushwoosh.sandbox.state import Message, State, wire_second


def message_of(asked: Asked) -> Message:
    """The message that a call names by its code or its id. Raises `Refused`."""
    message = asked.state.message(asked.account, asked.arguments.get("message"))
    if message is None:
        raise Refused("Message not found")
    return message


def get_message_details(asked: Asked) -> Reply:
    message = message_of(asked)
    given = message.parameters
    platforms = given.get("platforms") or sorted({platform for _, platform in message.sent})
    return Reply(
        {
            "message": {
                "id": message.id,
                "created": wire_second(message.created_at),
                "send_date": wire_second(message.due_at),
                "status": message.status,
                "content": _by_language(given.get("content")),
                "platforms": json.dumps(platforms, separators=(",", ":")),
                "ignore_user_timezone": "0" if message.follows_user_timezone else "1",
                "code": message.code,
                "data": _as_object(given.get("data")),
            }
        }
    )


def get_push_history(asked: Asked) -> Reply:
    """Recorded messages of the account by their ids, a page at a time after `lastNotificationID`."""
    limit = asked.arguments.get("limitMessages") or 1000
    after = asked.arguments.get("lastNotificationID") or 0
    sought, value = asked.text("searchBy"), asked.arguments.get("value")
    if asked.text("source") not in ("", "API"):
        # Whatever the sandbox sent came by the API.
        return Reply({"rows": []})
    found = (
        message
        for message in asked.state.messages
        if message.account == asked.account
        and message.is_recorded
        and message.status != "deleted"
        and message.id > after
        and _is_sought(asked.state, message, sought, value)
    )
    return Reply({"rows": [_row(message) for message, _ in zip(found, range(limit), strict=False)]})


def _by_language(content: Any) -> dict[str, str]:
    if isinstance(content, str):
        # Unverified against Pushwoosh: under which language a plain text is kept.
        return {"default": content}
    return dict(content) if isinstance(content, Mapping) else {}


def _as_object(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _is_sought(state: State, message: Message, sought: str, value: Any) -> bool:
    match sought:
        case "notificationID":
            return str(message.id) == str(value)
        case "notificationCode":
            return bool(message.code == value)
        case "applicationCode":
            return value in (message.applications or state.codes_of_account(message.account))
        case "campaignCode":
            return bool(message.parameters.get("campaign") == value)
    return True


def _row(message: Message) -> dict[str, Any]:
    given = message.parameters
    sent = _counts(message.sent)
    # Whatever was sent to is counted among the opened, be it as 0.
    opened = _counts({**dict.fromkeys(message.sent, 0), **message.opened})
    rates = {
        application: _percent(sum(opened[application].values()), sum(counts.values()))
        for application, counts in sent.items()
    }
    return {
        "id": message.id,
        "code": message.code,
        "createDate": wire_second(message.created_at),
        "sendDate": wire_second(message.due_at),
        "content": _by_language(given.get("content")) or [],
        "title": _by_language(given.get("title")) or [],
        "subtitle": _by_language(given.get("subtitle")) or [],
        "url": given.get("link"),
        "data": given.get("data"),
        "ios_title": given.get("ios_title"),
        "ios_subtitle": given.get("ios_subtitle"),
        "ios_root_params": given.get("ios_root_params"),
        "android_header": given.get("android_header"),
        "android_root_params": given.get("android_root_params"),
        "conditions": given.get("conditions"),
        "conditions_operator": given.get("conditions_operator", "AND"),
        "filter_code": None,
        "filter_conditions": None,
        "filter_name": given.get("filter"),
        "richPageId": given.get("rich_media"),
        "geozone": given.get("geozone"),
        "campaignId": given.get("campaign", ""),
        "campaignName": "",
        "subscription_segments": None,
        "trackingCode": message.tracking_code,
        "open": opened or "",
        "sent": sent or "",
        "ctr": rates or "",
        "errors": "",
    }


def _percent(part: int, whole: int) -> float:
    """To two decimals; a whole number is one in JSON too."""
    rate = round(100 * part / whole, 2)
    return int(rate) if rate == int(rate) else rate


def _counts(counted: Mapping[tuple[str, int], int]) -> dict[str, dict[str, int]]:
    """`{application: {PLATFORM: n}}`"""
    result: dict[str, dict[str, int]] = {}
    for (application, number), count in sorted(counted.items()):
        platform = BY_NUMBER.get(number)
        result.setdefault(application, {})[platform.key if platform else str(number)] = count
    return result
