"""Phone numbers and e-mail addresses, which are for those who may change devices.

Everybody else sees their ends, and cannot guess the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Q
from django.http import HttpRequest

from django_pushwoosh.models import ScheduledMessage
from django_pushwoosh.protocol.addresses import masked
from django_pushwoosh.protocol.platforms import REACHED_BY_HWID

ADDRESSES = (
    Q(platform__in=REACHED_BY_HWID) | Q(hwid__contains="@") | Q(hwid__startswith="+") | Q(hwid__istartswith="whatsapp:")
)
"""Devices that are named by an address."""

ADDRESS_KEY = r"@|:[+]?[(]?[0-9][0-9 ()./-]{4,30}[0-9]$|whatsapp:"
"""Outbox keys that end with an address, as a database reads regular expressions."""


def sees_numbers(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("django_pushwoosh.change_device"))


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
