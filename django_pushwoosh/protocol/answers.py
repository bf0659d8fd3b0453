"""What each method's success carries, read into a type.

A class here is named in its method's row (`calls.py`). `read` takes an `Answer` that was judged a success and
raises `ValueError` where the document does not hold what the documents promise. Unknown keys are kept in `raw`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from django_pushwoosh.protocol.envelope import Answer

CODE_NOT_AVAILABLE = "CODE_NOT_AVAILABLE"
"""Stands for a message code where Pushwoosh keeps no record (immediate, fewer than 10 devices): the message was
accepted, and can be neither looked up nor cancelled. Any number of messages share it; it is no code."""

MOST_WARNINGS = 20
MOST_TEXT = 2000
"""Bounds on what is said beside a success; a success it stays."""


class Result(Protocol):
    @classmethod
    def read(cls, answer: Answer) -> Self: ...


def _response(answer: Answer) -> dict[str, Any]:
    if answer.response is None:
        return {}
    if not isinstance(answer.response, dict):
        raise ValueError("the answer's response is not an object")
    return answer.response


def _document(answer: Answer) -> dict[str, Any]:
    if not isinstance(answer.document, dict):
        raise ValueError("the answer is not a JSON object")
    return answer.document


def _integer(value: Any) -> int:
    """Counters come as numbers, and empty ones as `""` (seeds 001, getPushHistory)."""
    return min(max(value, 0), 2**63 - 1) if isinstance(value, int) else 0


def _count(value: Any) -> int:
    """A number of devices, as a database's column takes it."""
    return min(_integer(value), 2**31 - 1)


def warnings_in(answer: Answer) -> tuple[str, ...]:
    """What a success says beside it: in `status_message` (seed 000), or under "warnings" in its response."""
    listed = answer.response.get("warnings") if isinstance(answer.response, dict) else None
    each_said = listed if isinstance(listed, list) else [listed]
    said = (each.get("message") if isinstance(each, dict) else each for each in each_said[:MOST_WARNINGS])
    texts = [answer.warning, *(each for each in said if isinstance(each, str))]
    return tuple(dict.fromkeys(text[:MOST_TEXT] for text in texts if text.strip()))


def _warning(answer: Answer) -> str:
    return "; ".join(warnings_in(answer))


def _code(value: Any) -> str:
    """A message's code, or the sentinel for whatever is none."""
    return value if isinstance(value, str) and value else CODE_NOT_AVAILABLE


def _items(value: Any) -> list[Any]:
    """A list; their side sends one as an object where its numbers have gaps."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _names(value: Any) -> tuple[str, ...]:
    """Devices as they were listed in the request; what can be no device's name is left out."""
    found = (str(each) for each in _items(value) if isinstance(each, str | int) and not isinstance(each, bool))
    return tuple(dict.fromkeys(name for name in found if name))


@dataclass(frozen=True, slots=True)
class Accepted:
    """It was taken; there is nothing more to say than perhaps a warning."""

    warning: str = ""

    @classmethod
    def read(cls, answer: Answer) -> Self:
        return cls(_warning(answer))


@dataclass(frozen=True, slots=True)
class MessagesCreated:
    """createMessage: one code per notification, in order; `CODE_NOT_AVAILABLE` where there is none.

    `unknown_by_code` has the recipients that Pushwoosh does not know, hwids or push tokens as they were sent, by the
    code of their message, `""` where it has none; `unknown_devices` has them all. No document mentions them: both
    shapes were seen in recorded answers.
    """

    codes: tuple[str, ...]
    unknown_by_code: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warning: str = ""

    @property
    def unknown_devices(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for names in self.unknown_by_code.values() for name in names))

    @classmethod
    def read(cls, answer: Answer) -> Self:
        response = _response(answer)
        codes = response.get("Messages")
        if not isinstance(codes, list):
            raise ValueError('the answer has no list "Messages"')
        listed = response.get("UnknownDevices")
        # Without any key it would be a plain list.
        by_code = listed if isinstance(listed, dict) else {"": listed}
        unknown = {code: names for code, each in by_code.items() if (names := _names(each))}
        return cls(tuple(map(_code, codes)), unknown, _warning(answer))


@dataclass(frozen=True, slots=True)
class TargetedMessageCreated:
    message_code: str
    tracking_code: str = ""
    warning: str = ""

    @classmethod
    def read(cls, answer: Answer) -> Self:
        response = _response(answer)
        code = response.get("messageCode")
        if not isinstance(code, str):
            raise ValueError('the answer has no "messageCode"')
        return cls(_code(code), str(response.get("trackingCode") or ""), _warning(answer))


@dataclass(frozen=True, slots=True)
class MessageDetails:
    """getMessageDetails. `status` is lower case: creating, waiting, pending, processing, done, failed, canceled …

    The documents show *done* only; the control panel's list says FAIL and CANCELED. Other words are kept as they are.
    """

    id: int
    code: str
    status: str
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return self.status == "done"

    @property
    def is_failed(self) -> bool:
        return self.status in ("fail", "failed")

    @property
    def is_canceled(self) -> bool:
        return self.status in ("canceled", "cancelled", "deleted")

    @classmethod
    def read(cls, answer: Answer) -> Self:
        message = _response(answer).get("message")
        if not isinstance(message, dict):
            raise ValueError('the answer has no "message"')
        status = str(message.get("status", "")).lower()
        return cls(_integer(message.get("id")), str(message.get("code", "")), status, message)


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One row of getPushHistory; counts are summed over applications and platforms."""

    id: int
    code: str
    sent: int
    opened: int
    raw: dict[str, Any]


def _total(counts: Any) -> int:
    """`{application: {PLATFORM: n}}`, or `""` where nothing was counted."""
    if isinstance(counts, dict):
        return sum(_total(each) for each in counts.values())
    return _integer(counts)


@dataclass(frozen=True, slots=True)
class PushHistory:
    rows: tuple[HistoryRow, ...]

    @classmethod
    def read(cls, answer: Answer) -> Self:
        rows = _response(answer).get("rows")
        if not isinstance(rows, list):
            raise ValueError('the answer has no list "rows"')
        return cls(
            tuple(
                HistoryRow(
                    _integer(row.get("id")),
                    str(row.get("code", "")),
                    _total(row.get("sent")),
                    _total(row.get("open")),
                    row,
                )
                for row in rows
                if isinstance(row, dict)
            )
        )


@dataclass(frozen=True, slots=True)
class TagValues:
    values: dict[str, Any]

    @classmethod
    def read(cls, answer: Answer) -> Self:
        result = _response(answer).get("result")
        # An empty mapping of their side arrives as an empty list.
        if result == [] or result is None:
            result = {}
        if not isinstance(result, dict):
            raise ValueError('the answer has no object "result"')
        return cls(result)


@dataclass(frozen=True, slots=True)
class Told:
    """What an SDK asked for; it goes to the SDK as it came, and nobody here reads it."""

    raw: dict[str, Any]

    @classmethod
    def read(cls, answer: Answer) -> Self:
        return cls(_response(answer))


@dataclass(frozen=True, slots=True)
class EventPosted:
    """postEvent. `code` names the in-app message that the SDK shall show, if any."""

    code: str = ""
    raw: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, answer: Answer) -> Self:
        response = _response(answer)
        return cls(str(response.get("code") or ""), response)


@dataclass(frozen=True, slots=True)
class JobStarted:
    request_id: str
    status: str

    @classmethod
    def read(cls, answer: Answer) -> Self:
        document = _document(answer)
        request_id = document.get("request_id")
        if not isinstance(request_id, str) or not request_id:
            raise ValueError('the answer has no "request_id"')
        return cls(request_id, str(document.get("status", "")))


@dataclass(frozen=True, slots=True)
class JobDevice:
    """One device of a job's detailed report; `tags` says per tag "ok", "tag not found" or what was wrong."""

    id: str
    status: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A bulk job. `status` is Pending, Completed or Failed; `progress` runs from 0 to 100.

    With a detailed report the counts are taken from it: the documents' own example counts differently than it lists.
    """

    request_id: str
    status: str
    progress: int
    succeeded: int
    failed: int
    not_found: int
    devices: tuple[JobDevice, ...] = ()

    @property
    def is_ended(self) -> bool:
        return self.status.lower() in ("completed", "failed")

    @classmethod
    def read(cls, answer: Answer) -> Self:
        document = _document(answer)
        listed = document.get("devices")
        devices = tuple(
            JobDevice(
                str(each.get("hwid") or each.get("user_id") or each.get("push_token") or ""),
                str(each.get("status", "")).lower(),
                each["tags"] if isinstance(each.get("tags"), dict) else {},
            )
            for each in (listed if isinstance(listed, list) else ())
            if isinstance(each, dict)
        )
        statuses = [device.status for device in devices]
        return cls(
            request_id=str(document.get("request_id", "")),
            status=str(document.get("status", "")),
            progress=_count(document.get("progress")),
            succeeded=statuses.count("done") if devices else _count(document.get("devices_success")),
            failed=statuses.count("failed") if devices else _count(document.get("devices_failed")),
            not_found=statuses.count("not found") if devices else _count(document.get("devices_not_found")),
            devices=devices,
        )
