"""The door in: everything that is said to Pushwoosh is said here.

What is queued is a row in the present transaction; it leaves after the commit. `relay` alone asks at once.
"""

from django_pushwoosh.delivery.forecasts import Forecast
from django_pushwoosh.delivery.standing import Standing
from django_pushwoosh.delivery.statistics import Statistics
from django_pushwoosh.push.devices import (
    delete_user,
    key_of,
    link_user,
    mirror_call,
    mirror_refusal,
    note_entry_point,
    post_event,
    queue_call,
    queue_incoming,
    queue_unmirrored,
    register_device,
    register_user,
    relay,
    set_badge,
    set_tags,
    set_tags_of_many,
    standing_of,
    unlink_user,
    unregister_device,
)
from django_pushwoosh.push.estimates import Estimate, estimate
from django_pushwoosh.push.jobs import abort, bulk_register_devices, bulk_set_tags, pause, resume, start
from django_pushwoosh.push.messages import (
    EVERYONE,
    audience_of,
    call_of,
    cancel,
    reschedule,
    schedule,
    send,
    submit,
    to,
    warnings,
    withdraw,
)
from django_pushwoosh.push.statistics import statistics_of, statistics_of_many
from django_pushwoosh.push.waiting import cancel_entries, discard, forecast, retry, unpause

__all__ = [
    "EVERYONE",
    "Estimate",
    "Forecast",
    "Standing",
    "Statistics",
    "abort",
    "audience_of",
    "bulk_register_devices",
    "bulk_set_tags",
    "call_of",
    "cancel",
    "cancel_entries",
    "delete_user",
    "discard",
    "estimate",
    "forecast",
    "key_of",
    "link_user",
    "mirror_call",
    "mirror_refusal",
    "note_entry_point",
    "pause",
    "post_event",
    "queue_call",
    "queue_incoming",
    "queue_unmirrored",
    "register_device",
    "register_user",
    "relay",
    "reschedule",
    "resume",
    "retry",
    "schedule",
    "send",
    "set_badge",
    "set_tags",
    "set_tags_of_many",
    "standing_of",
    "start",
    "statistics_of",
    "statistics_of_many",
    "submit",
    "to",
    "unlink_user",
    "unpause",
    "unregister_device",
    "warnings",
    "withdraw",
]
