"""Codes and ids as Pushwoosh writes them, derived from counters and times so that a replay makes the same ones."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime

from django_pushwoosh.protocol import hashes


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


def statistics_hash(campaign: str, message_id: int, code: str) -> str:
    """The hash that names a message. The campaign's id is made of its code, for the sandbox knows no other."""
    return hashes.encode(int(_digest("campaign", campaign)[:8], 16) if campaign else 0, message_id, code)
