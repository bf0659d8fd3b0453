"""For people: the composer and the records of what the package remembers."""

from django_pushwoosh.admin.composer import ScheduledMessageAdmin
from django_pushwoosh.admin.devices import DeviceAdmin, TagDefinitionAdmin, UserLinkAdmin
from django_pushwoosh.admin.jobs import BulkJobAdmin
from django_pushwoosh.admin.outbox import OutboxEntryAdmin, PauseAdmin

__all__ = [
    "BulkJobAdmin",
    "DeviceAdmin",
    "OutboxEntryAdmin",
    "PauseAdmin",
    "ScheduledMessageAdmin",
    "TagDefinitionAdmin",
    "UserLinkAdmin",
]
