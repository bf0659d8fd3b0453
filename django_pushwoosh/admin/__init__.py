"""For people: the composer and the records of what the package remembers."""

from django_pushwoosh.admin.composer import ScheduledMessageAdmin
from django_pushwoosh.admin.records import (
    BulkJobAdmin,
    DeviceAdmin,
    OutboxEntryAdmin,
    PauseAdmin,
    TagDefinitionAdmin,
    UserLinkAdmin,
)

__all__ = [
    "BulkJobAdmin",
    "DeviceAdmin",
    "OutboxEntryAdmin",
    "PauseAdmin",
    "ScheduledMessageAdmin",
    "TagDefinitionAdmin",
    "UserLinkAdmin",
]
