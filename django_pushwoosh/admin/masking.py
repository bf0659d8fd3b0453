"""Phone numbers and e-mail devices, which are for those who may change devices; others see ends, and cannot guess."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.http import HttpRequest

from django_pushwoosh.models import ScheduledMessage

PHONE_KEY = r":[+]?[0-9]{6,15}$"
"""Outbox keys that end with a phone number, as a database reads regular expressions."""

_NUMBER = re.compile(r"(\+|\\u002[bB]|whatsapp:)([0-9]{6,15})")
_BARE_NUMBER = re.compile(r'(?<=[":])()([0-9]{8,15})(?="|$)')


def sees_numbers(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("django_pushwoosh.change_device"))


def masked(text: str) -> str:
    """Phone numbers in a text, told apart by their ends only: +1•••4567. Ids of digits alone are taken for numbers."""
    for pattern in (_NUMBER, _BARE_NUMBER):
        text = pattern.sub(lambda found: f"{found[1]}{found[2][0]}•••{found[2][-4:]}", text)
    return text


def masked_json(value: Any) -> Any:
    return json.loads(masked(json.dumps(_worded(value), ensure_ascii=False)))


def _worded(value: Any) -> Any:
    """Long whole numbers as text: a phone number may be written as one."""
    if isinstance(value, dict):
        return {key: _worded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_worded(each) for each in value]
    is_long = isinstance(value, int) and not isinstance(value, bool) and value >= 10**7
    return str(value) if is_long else value


def is_numbered(message: ScheduledMessage) -> bool:
    """Whether a message is addressed to phone numbers, so that its audience is not everybody's to see."""
    text = json.dumps(message.audience, ensure_ascii=False)
    return masked(text) != text


def discreet(request: HttpRequest, names: Iterable[Any], twins: Mapping[str, str]) -> list[Any]:
    """Columns or fields, with the masked twin of each that shows phone numbers for who may not see them."""
    return list(names) if sees_numbers(request) else [twins.get(name, name) for name in names]
