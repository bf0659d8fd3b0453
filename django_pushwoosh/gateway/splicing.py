"""Changes one value in an SDK's body and leaves every other byte alone.

Decoding and encoding again would damage numbers beyond a float's precision, and break at lone surrogates.
"""

from __future__ import annotations

import json

_DECODER = json.JSONDecoder(strict=False)
_BLANKS = " \t\r\n"


def with_text(body: bytes, path: tuple[str, ...], text: str) -> bytes:
    """The body of a call, with a text in the place of the value at `path`: `("request", "userId")`.

    The body was read before, so it is valid. Raises `KeyError` where nothing stands there.
    """
    said = body.decode()
    at = 1 if said.startswith("\ufeff") else 0
    end = len(said)
    for name in path:
        at, end = _place_of(name, said, at)
    return (said[:at] + json.dumps(text) + said[end:]).encode()


def _place_of(wanted: str, said: str, at: int) -> tuple[int, int]:
    """Where the value of a member begins and ends, in the object that begins at `at`."""
    at = _past_blanks(said, _past_blanks(said, at) + 1)
    while said[at] != "}":
        name, at = _DECODER.raw_decode(said, at)
        start = _past_blanks(said, _past_blanks(said, at) + 1)
        _value, at = _DECODER.raw_decode(said, start)
        if name == wanted:
            return start, at
        at = _past_blanks(said, at)
        if said[at] == ",":
            at = _past_blanks(said, at + 1)
    raise KeyError(wanted)


def _past_blanks(said: str, at: int) -> int:
    while said[at] in _BLANKS:
        at += 1
    return at
