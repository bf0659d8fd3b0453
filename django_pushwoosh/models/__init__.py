"""What we remember."""

from django_pushwoosh.models.base import home_of, is_storable, storable
from django_pushwoosh.models.budget import RateSlot
from django_pushwoosh.models.devices import Device, canonical_hwid
from django_pushwoosh.models.entry_points import EntryPoint
from django_pushwoosh.models.jobs import BulkJob, BulkJobChunk
from django_pushwoosh.models.links import UserLink
from django_pushwoosh.models.messages import Dispatch, ScheduledMessage
from django_pushwoosh.models.outbox import Attempt, BulkRequest, OutboxEntry, Pause
from django_pushwoosh.models.statistics import Statistic, StatisticsMark
from django_pushwoosh.models.tags import TagDefinition

__all__ = [
    "Attempt",
    "BulkJob",
    "BulkJobChunk",
    "BulkRequest",
    "Device",
    "Dispatch",
    "EntryPoint",
    "OutboxEntry",
    "Pause",
    "RateSlot",
    "ScheduledMessage",
    "Statistic",
    "StatisticsMark",
    "TagDefinition",
    "UserLink",
    "canonical_hwid",
    "home_of",
    "is_storable",
    "storable",
]
