"""What callers get to read: always Pushwoosh's envelope, as `application/json`.

An SDK that reads an answer without `status_code` goes back to Pushwoosh's own address, and one that reads a `base_url`
goes there; so every answer has the one and none has the other. A browser reports page visits where getConfig says; it
says here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.http import HttpResponse

from django_pushwoosh.protocol.envelope import ARGUMENT_ERROR, reply

JSON = "application/json"
PAGE_VISIT = ("response", "features", "page_visit", "entrypoint")
RETRIED = (500, 502, 503, 504)
"""The server errors after which SDKs try again; others, such as 520, make them give up."""

_ACCEPTED, _ACCEPTED_BARE = reply(200, "OK", None), reply(200)
# A number is not looked at, however long it is.
_DECODER = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)


class Refused(Exception):
    """The call is not taken; the text names what to change. A 210 goes out under HTTP 200, as Pushwoosh has it."""

    def __init__(self, status_code: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status_code = status_code
        self.text = text
        self.headers = headers

    def render(self) -> HttpResponse:
        return envelope(self.status_code, self.text, **self.headers)


def envelope(status_code: int, status_message: str = "OK", **headers: str) -> HttpResponse:
    """An answer of our own, with `"response": null`; in the names of headers `_` stands for `-`."""
    return _answer(reply(status_code, status_message, None), status_code, **headers)


def accepted(*, response_absent: bool = False) -> HttpResponse:
    """The answer to a call that was queued."""
    return _answer(_ACCEPTED_BARE if response_absent else _ACCEPTED, 200)


def passed_on(http_status: int, body: bytes) -> HttpResponse:
    """Pushwoosh's answer, byte for byte, but for what would lead an SDK away; its headers stay behind."""
    if http_status >= 500 and http_status not in RETRIED:
        http_status = 503
    return _answer(without_base_url(body), http_status)


def without_base_url(body: bytes) -> bytes:
    """Cut `base_url` out of an answer's top level, and leave every other byte alone.

    Decoding and encoding again would damage numbers beyond a float's precision, such as inbox codes.
    """
    if not _may_hold(b"base_url", body):
        return body
    text = body.decode("utf-8-sig")
    members = list(_members(text, 0))
    kept = [text[each.start : each.end] for each in members if each.name != "base_url"]
    if len(kept) == len(members):
        return body
    return ("{" + ",".join(kept) + "}").encode()


def with_entry_point(body: bytes, address: Callable[[], str]) -> tuple[bytes, object]:
    """An answer of getConfig that tells our address for page visits, every other byte as it was; and what it told.

    Where none is told there is nothing to replace, and nothing was told: `None`.
    """
    if not _may_hold(b"entrypoint", body):
        return body, None
    text = body.decode("utf-8-sig")
    told: object = None
    # From the end, so that the places before stay where they are. Of a name that stands twice the last counts.
    for member in sorted(_at(text, 0, PAGE_VISIT), key=lambda each: each.value, reverse=True):
        value = json.loads(text[member.value : member.end])
        if value:
            told = value if told is None else told
            text = text[: member.value] + json.dumps(address()) + text[member.end :]
    return (body, None) if told is None else (text.encode(), told)


def _may_hold(name: bytes, body: bytes) -> bool:
    # A name may be written in escapes.
    return name in body or b"\\u" in body


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of an object in a text: where it starts, where its value does, and where both end."""

    name: str
    start: int
    value: int
    end: int


def _at(text: str, at: int, path: tuple[str, ...]) -> Iterator[_Member]:
    """The members at a path below the object at `at`."""
    for member in _members(text, at):
        if member.name != path[0]:
            continue
        if len(path) == 1:
            yield member
        elif text[member.value] == "{":
            yield from _at(text, member.value, path[1:])


def _members(text: str, at: int) -> Iterator[_Member]:
    """Each member of the object at `at` in `text`, which is known to be valid JSON."""
    at = _past_blanks(text, _past_blanks(text, at) + 1)
    while text[at] != "}":
        start = at
        name, at = _DECODER.raw_decode(text, at)
        value = _past_blanks(text, _past_blanks(text, at) + 1)
        _read, at = _DECODER.raw_decode(text, value)
        yield _Member(name, start, value, at)
        at = _past_blanks(text, at)
        if text[at] == ",":
            at = _past_blanks(text, at + 1)


def _past_blanks(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def _answer(body: bytes, status_code: int, **headers: str) -> HttpResponse:
    response = HttpResponse(body, content_type=JSON, status=200 if status_code == ARGUMENT_ERROR else status_code)
    for name, value in headers.items():
        response[name.replace("_", "-")] = value
    return response
