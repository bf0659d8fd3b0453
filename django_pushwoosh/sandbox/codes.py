"""Codes and ids as Pushwoosh writes them, derived from counters and times so that a replay makes the same ones.

The statistics hash (`p` in a payload) is what SDKs send back with pushStat and messageDeliveryEvent: at least four
parts split by `_`, of which the last three are campaign id, message id and message code. Ids are base 62 with the
digits 0-9a-zA-Z; the code's hexadecimal parts are each base 62, the first of 4 digits, the others of 8.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUES = {digit: value for value, digit in enumerate(DIGITS)}


def _digest(*parts: object) -> str:
    text = "\x1f".join(map(str, parts))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest().upper()


def message_code(sequence: int, at: datetime) -> str:
    """`XXXX-XXXXXXXX-XXXXXXXX`. The time is in it, so that two runs of a sandbox do not give out the same codes."""
    digest = _digest("message", sequence, at.isoformat())
    return f"{digest[:4]}-{digest[4:12]}-{digest[12:20]}"


def tracking_code(sequence: int, at: datetime) -> str:
    digest = _digest("tracking", sequence, at.isoformat())
    return f"T-{digest[:4]}-{digest[4:12]}-{digest[12:20]}"


def request_id(sequence: int, at: datetime) -> str:
    """A UUID in form."""
    return str(uuid.UUID(hex=_digest("job", sequence, at.isoformat())[:32], version=4))


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
    for digit in text[:64]:
        number = number * 62 + _VALUES.get(digit, 0)
    return number


def statistics_hash(campaign: str, message_id: int, code: str) -> str:
    """The hash that names a message. The campaign's id is made of its code, for the sandbox knows no other."""
    campaign_id = int(_digest("campaign", campaign)[:8], 16) if campaign else 0
    parts = "-".join(in_base_62(int(part, 16)) for part in code.split("-"))
    return f"s_{in_base_62(campaign_id)}_{in_base_62(message_id)}_{parts}"


def message_of_hash(text: str) -> str:
    """The message code that a hash names, or nothing."""
    parts = text.split("_")
    if len(parts) < 4:
        return ""
    code = parts[3]
    if "-" not in code:
        return code
    first, *rest = code.split("-")
    return "-".join([f"{from_base_62(first):04X}", *(f"{from_base_62(part):08X}" for part in rest)])
