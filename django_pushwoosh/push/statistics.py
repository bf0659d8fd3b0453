"""What devices reported of messages through the gateway."""

from __future__ import annotations

from collections.abc import Collection

from django_pushwoosh.conf import DEFAULT_ALIAS, settings
from django_pushwoosh.delivery import statistics
from django_pushwoosh.delivery.statistics import Statistics
from django_pushwoosh.models import ScheduledMessage


def statistics_of(message: ScheduledMessage | str, *, application: str = DEFAULT_ALIAS) -> Statistics:
    """How many devices reported a message as arrived, and as opened: one of ours, or any by its message code.

    By a code alone only what retention has left is counted.
    """
    if isinstance(message, str):
        return statistics.of_code(settings.application(application).code, message)
    return statistics_of_many([message])[message.pk]


def statistics_of_many(messages: Collection[ScheduledMessage]) -> dict[int, Statistics]:
    """The same for a page of messages at once, by primary key."""
    return statistics.of_messages(messages)
