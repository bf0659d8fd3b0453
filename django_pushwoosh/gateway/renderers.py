"""What callers get to read: always Pushwoosh's envelope, as `application/json`.

An SDK that reads an answer without `status_code` goes back to Pushwoosh's own address, and one that reads a `base_url`
goes there; so every answer has the one and none has the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from django.http import HttpResponse

from django_pushwoosh.protocol.envelope import ARGUMENT_ERROR, reply

JSON = "application/json"
RETRIED = (500, 502, 503, 504)
"""The server errors after which SDKs try again; others, such as 520, make them give up."""

_ACCEPTED, _ACCEPTED_BARE = reply(200, "OK", None), reply(200)
_DECODER = json.JSONDecoder(strict=False)


class Refused(Exception):
    """The call is not taken; the text names what to change. A 210 goes out under HTTP 200, as Pushwoosh has it."""

    def __init__(self, status_code: int, text: str) -> None:
        super().__init__(text)
        self.status_code = status_code
        self.text = text

    def render(self) -> HttpResponse:
        return envelope(self.status_code, self.text)


def envelope(status_code: int, status_message: str = "OK", **headers: str) -> HttpResponse:
    """An answer of our own, with `"response": null`; in the names of headers `_` stands for `-`."""
    return _answer(reply(status_code, status_message, None), status_code, **headers)


def accepted(*, response_absent: bool = False) -> HttpResponse:
    """The answer to a call that was queued."""
    return _answer(_ACCEPTED_BARE if response_absent else _ACCEPTED, 200)


def passed_on(http_status: int, body: bytes) -> HttpResponse:
    """Pushwoosh's answer, byte for byte, without its `base_url`; its headers stay behind."""
    if http_status >= 500 and http_status not in RETRIED:
        http_status = 503
    return _answer(without_base_url(body), http_status)


def without_base_url(body: bytes) -> bytes:
    """Cut `base_url` out of an answer's top level, and leave every other byte alone.

    Decoding and encoding again would damage numbers beyond a float's precision, such as inbox codes.
    """
    if b"base" not in body and b"\\u" not in body:
        return body
    text = body.decode("utf-8-sig")
    members = list(_members(text))
    kept = [text[start:end] for name, start, end in members if name != "base_url"]
    if len(kept) == len(members):
        return body
    return ("{" + ",".join(kept) + "}").encode()


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """Name, start and end of each member of the object in `text`, which is known to be valid JSON."""
    at = _past_blanks(text, _past_blanks(text, 0) + 1)
    while text[at] != "}":
        start = at
        name, at = _DECODER.raw_decode(text, at)
        at = _past_blanks(text, _past_blanks(text, at) + 1)
        _value, at = _DECODER.raw_decode(text, at)
        yield name, start, at
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
