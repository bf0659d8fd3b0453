"""The statistics hash (`p` in a push's payload), by which an SDK says which message it opened or got.

At least four parts, split by `_`: anything, the campaign's id, the message's id, the message's code. Ids are base 62
with the digits 0-9a-zA-Z. A code with dashes travels part by part, each the number that its hexadecimal digits are, in
base 62: the first has 4 digits, the others 8. A code without dashes travels as it is. A character that is no digit
counts as 0. Source: the SDKs' own decoders; a hash of hostile length names nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
LONGEST = 512
"""Characters of a hash that is looked at; those of Pushwoosh have some forty."""
LONGEST_CODE = 40
"""Characters of a message code, as long as we keep them."""

_VALUES = {digit: value for value, digit in enumerate(DIGITS)}
_LONGEST_NUMBER = 11
"""Digits of 64 bits."""


@dataclass(frozen=True, slots=True)
class MessageHash:
    """What a hash says."""

    campaign_id: int
    message_id: int
    code: str


def encode(campaign_id: int, message_id: int, code: str, *, prefix: str = "s") -> str:
    """The hash that names a message. Raises `ValueError` for a code with dashes that is not hexadecimal."""
    parts = code
    if "-" in code:
        parts = "-".join(in_base_62(int(part, 16)) for part in code.split("-"))
    return f"{prefix}_{in_base_62(campaign_id)}_{in_base_62(message_id)}_{parts}"


def decode(text: object) -> MessageHash | None:
    """What a hash says; `None` if it names no message."""
    if not isinstance(text, str) or len(text) > LONGEST:
        return None
    parts = text.split("_")
    if len(parts) < 4:
        return None
    campaign, message, code = parts[1:4]
    if max(len(campaign), len(message)) > _LONGEST_NUMBER:
        return None
    if "-" in code:
        numbers = code.split("-")
        if max(map(len, numbers)) > _LONGEST_NUMBER:
            return None
        first, *rest = map(from_base_62, numbers)
        code = "-".join([f"{first:04X}", *(f"{each:08X}" for each in rest)])
    if not code or len(code) > LONGEST_CODE:
        return None
    return MessageHash(from_base_62(campaign), from_base_62(message), code)


def in_base_62(number: int) -> str:
    if number <= 0:
        return "0"
    digits = ""
    while number:
        number, value = divmod(number, 62)
        digits = DIGITS[value] + digits
    return digits


def from_base_62(text: str) -> int:
    """The number; a character outside the alphabet counts as 0, as in the SDKs."""
    number = 0
    for digit in text:
        number = number * 62 + _VALUES.get(digit, 0)
    return number
