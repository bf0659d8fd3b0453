"""For people: the composer and the records of what the package remembers."""

from django_pushwoosh.admin.bulk_requests import BulkRequestAdmin
from django_pushwoosh.admin.composer import ScheduledMessageAdmin
from django_pushwoosh.admin.devices import DeviceAdmin, TagDefinitionAdmin, UserLinkAdmin
from django_pushwoosh.admin.jobs import BulkJobAdmin
from django_pushwoosh.admin.outbox import OutboxEntryAdmin
from django_pushwoosh.admin.pauses import PauseAdmin

__all__ = [
    "BulkJobAdmin",
    "BulkRequestAdmin",
    "DeviceAdmin",
    "OutboxEntryAdmin",
    "PauseAdmin",
    "ScheduledMessageAdmin",
    "TagDefinitionAdmin",
    "UserLinkAdmin",
]
