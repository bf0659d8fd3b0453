"""The two wrappings of Pushwoosh's wire: `{"request": …}` there, `{"status_code": …}` back.

Source: seeds 000 (success and error codes) to 004. Both sides use this module: the client and the gateway's
forwarding on ours, the sandbox on theirs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from json import encoder
from typing import Any

OK = 200
ARGUMENT_ERROR = 210

MOST_DEPTH = 64

_ABSENT: Any = object()


class MalformedRequest(ValueError):
    """The body is not what a call looks like; the text says what to send."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, read as far as it can be read.

    `status_code` is `None` where the body is not an envelope (HTML of a gateway, an empty body, the bare
    documents of the audience methods); `document` is the whole JSON, or `None` where it was no JSON.
    """

    http_status: int
    status_code: int | None = None
    status_message: str = ""
    response: Any = None
    document: Any = None

    @property
    def warning(self) -> str:
        """The text that comes with a success that is none in full ("… sent to 1 random device only")."""
        if self.status_code == OK and self.status_message.strip().upper() not in ("", "OK"):
            return self.status_message
        return ""


def read_answer(http_status: int, body: bytes) -> Answer:
    """Read an answer's body; never raises, whatever came."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return Answer(http_status)
    if is_too_deep(document):
        return Answer(http_status)
    if not isinstance(document, dict):
        return Answer(http_status, document=document)
    code = document.get("status_code")
    if isinstance(code, str) and code.isdecimal() and len(code) == 3:
        code = int(code)
    if not isinstance(code, int) or isinstance(code, bool) or not 0 <= code < 1000:
        code = None
    message = document.get("status_message")
    return Answer(http_status, code, message if isinstance(message, str) else "", document.get("response"), document)


def wrap(arguments: Mapping[str, Any]) -> bytes:
    """A call's body: `{"request": {…}}` as UTF-8 JSON."""
    return encode({"request": arguments})


def unwrap(body: bytes) -> dict[str, Any]:
    """The arguments in a call's body, with their envelope or (setMADID, deleteUser) without one."""
    try:
        document = loads(body.decode("utf-8-sig"))
    except RecursionError:
        raise MalformedRequest("The body is nested too deeply.") from None
    except ValueError as error:
        raise MalformedRequest(f"The body is not JSON ({error}).") from None
    if not isinstance(document, dict):
        raise MalformedRequest('The body must be a JSON object: {"request": {…}}.')
    if "request" not in document:
        return document
    request = document["request"]
    if not isinstance(request, dict):
        raise MalformedRequest('"request" must be a JSON object.')
    return request


def loads(text: str, **hooks: Any) -> Any:
    """JSON as SDKs write it; a number too long for an integer is read as nearly it. Raises `ValueError`."""
    try:
        return _decoder(**hooks).decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # Python converts no more than some thousand digits.
        return _decoder(**hooks, parse_int=float).decode(text)


@lru_cache(maxsize=8)
def _decoder(**hooks: Any) -> json.JSONDecoder:
    """What `json.loads` makes anew for every text that comes with hooks."""
    return json.JSONDecoder(**hooks)


def is_too_deep(document: Any) -> bool:
    """Whether JSON is nested deeper than any call; some parsers and databases give up far below Python's own limit."""
    level = [document]
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def reply(status_code: int, status_message: str = "OK", response: Any = _ABSENT) -> bytes:
    """An answer's envelope; `response` is left out where the documents leave it out."""
    document: dict[str, Any] = {"status_code": status_code, "status_message": status_message}
    if response is not _ABSENT:
        document["response"] = response
    return encode(document)


def _compact_encoder() -> Callable[[Any, int], Iterable[str]]:
    """What `json.dumps` makes anew for every document, made once: making it takes a third of a message's encoding."""
    make: Any = getattr(encoder, "c_make_encoder", None)
    if make is None:
        return lambda document, level: (json.dumps(document, separators=(",", ":")),)
    made: Callable[[Any, int], Iterable[str]] = make(
        None, json.JSONEncoder().default, encoder.encode_basestring_ascii, None, ":", ",", False, False, True
    )
    return made


_compact = _compact_encoder()


def encode(document: Any) -> bytes:
    """JSON in ASCII, so that not even a lone surrogate from an SDK can break the encoding.

    Raises `RecursionError` for a document that contains itself, and `TypeError` for what JSON cannot hold.
    """
    return "".join(_compact(document, 0)).encode("ascii")
