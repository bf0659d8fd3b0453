"""Addresses of people: phone numbers and e-mail addresses, which also name devices.

They are nobody else's business: in lists, pages and logs they are told apart by their ends only, and since anybody may
know one, naming it proves nothing.
"""

from __future__ import annotations

import re

from django_pushwoosh.protocol.platforms import REACHED_BY_HWID

HIDDEN = "•••"
LEAST_DIGITS = 6

_PREFIX = r"\+|\\u002[bB]|whatsapp:(?:\+|\\u002[bB])?"
_APART = r"[ ()./\u00a0\u2010-\u2015-]{0,3}"
_NUMBER = re.compile(rf"({_PREFIX})((?:{_APART}[0-9]){{{LEAST_DIGITS},}})")
_BARE_NUMBER = re.compile(
    # Not a date, a decimal number or an IP address.
    rf'(?<=[":])(?![0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?![0-9]+\.[0-9]+["$])(?!(?:[0-9]{{1,3}}\.){{3}}[0-9]{{1,3}}["$])'
    rf'()(\(?[0-9](?:{_APART}[0-9]){{7,14}}\)?)(?="|$)'
)
# From the beginning of a word only: tried at every letter, a long text would take for ever.
_WORD = r"\s\"'<>@:,;()\[\]{}\\"
_EMAIL = re.compile(rf"(?<![^{_WORD}])([^{_WORD}])[^{_WORD}]*@([^{_WORD}]+)")
_DIGITS = re.compile(r"[0-9]")
_START = re.compile(_PREFIX)


def is_address(hwid: str, platform: object = None) -> bool:
    """Whether a hardware id is a person's number or e-mail address; `platform` is its number, as text perhaps."""
    if "@" in hwid or hwid.startswith("+") or hwid.casefold().startswith("whatsapp:"):
        return True
    return str(platform) in map(str, REACHED_BY_HWID)


def masked(text: str) -> str:
    """A text with its addresses told apart by their ends only: +1•••4567, a•••@example.org.

    Ids of eight and more digits, and nothing else, are taken for numbers.
    """
    for pattern in (_NUMBER, _BARE_NUMBER):
        text = pattern.sub(lambda found: found[1] + _ends(found[2]), text)
    return _EMAIL.sub(rf"\1{HIDDEN}@\2", text)


def masked_address(hwid: str) -> str:
    """The same for a text that is an address as a whole, however it is written."""
    if "@" in hwid:
        return f"{hwid[:1]}{HIDDEN}@{hwid.rpartition('@')[2]}"
    start = _START.match(hwid)
    return (start[0] if start else "") + _ends(hwid)


def _ends(number: str) -> str:
    digits = "".join(_DIGITS.findall(number))
    return f"{digits[0]}{HIDDEN}{digits[-4:]}" if len(digits) >= LEAST_DIGITS else HIDDEN
