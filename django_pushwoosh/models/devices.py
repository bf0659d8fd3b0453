"""Devices: one row per application and hwid, a mirror of what Pushwoosh holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_pushwoosh.models.base import MirroredModel
from django_pushwoosh.models.matching import judged
from django_pushwoosh.protocol.addresses import is_address, masked_address
from django_pushwoosh.protocol.filters import Expression
from django_pushwoosh.protocol.platforms import DEVICE_PLATFORMS, REACHED_BY_HWID, WHATSAPP, label_of

WHATSAPP_PREFIX = "whatsapp:"


def canonical_hwid(hwid: str, platform: int | None) -> str:
    """The hwid as the mirror knows it: a WhatsApp number carries its prefix, so that it is not the SMS device."""
    if platform == WHATSAPP.number and not hwid.startswith(WHATSAPP_PREFIX):
        return WHATSAPP_PREFIX + hwid
    return hwid


class DeviceQuerySet(models.QuerySet["Device"]):
    def subscribed(self) -> DeviceQuerySet:
        """Devices that a push can reach, as far as the mirror knows."""
        return self.filter(unsubscribed_at=None).exclude(push_token="")

    def of(self, application: str) -> DeviceQuerySet:
        return self.filter(application=application)

    def matching(self, expression: Expression | str, *, now: datetime | None = None) -> DeviceQuerySet:
        """The devices that are surely in a filter's set, as far as the mirror knows. Raises `InvalidFilter`."""
        return self.filter(judged(expression, now or timezone.now())[0])

    def possibly_matching(self, expression: Expression | str, *, now: datetime | None = None) -> DeviceQuerySet:
        """Those, and the devices of which the mirror cannot know it. Raises `InvalidFilter`."""
        return self.filter(judged(expression, now or timezone.now())[1])

    def estimate(self, expression: Expression | str, *, now: datetime | None = None) -> tuple[int, int]:
        """How many devices match surely, and of how many more the mirror cannot know it: one query."""
        surely, possibly = judged(expression, now or timezone.now())
        found = self.order_by().aggregate(
            surely=models.Count("pk", filter=surely), possibly=models.Count("pk", filter=possibly)
        )
        return found["surely"], found["possibly"] - found["surely"]


class Device(MirroredModel):
    """A device as Pushwoosh knows it. Unsubscribed is a state with a time and a reason, not a deletion.

    Saving and deleting single objects pushes the change upstream; `bulk_create()` and `update()` do not.
    """

    application = models.CharField(_("application"), max_length=11, help_text=_("The application's code."))
    hwid = models.CharField(_("hardware id"), max_length=255)
    platform = models.PositiveIntegerField(
        _("platform"), choices=[(platform.number, platform.label) for platform in DEVICE_PLATFORMS]
    )
    push_token = models.TextField(_("push token"), blank=True)
    language = models.CharField(_("language"), max_length=35, blank=True)
    utc_offset_seconds = models.IntegerField(_("offset from UTC in seconds"), null=True, blank=True)
    device_model = models.CharField(_("model"), max_length=255, blank=True)
    os_version = models.CharField(_("system version"), max_length=255, blank=True)
    app_version = models.CharField(_("app version"), max_length=255, blank=True)
    sdk_version = models.CharField(_("SDK version"), max_length=50, blank=True)
    badge = models.PositiveIntegerField(_("badge"), default=0)
    tags = models.JSONField(_("tags"), default=dict, blank=True)
    extra = models.JSONField(_("further attributes"), default=dict, blank=True)
    unsubscribed_at = models.DateTimeField(_("unsubscribed at"), null=True, blank=True)
    unsubscribed_reason = models.CharField(_("reason"), max_length=255, blank=True)
    opened_at = models.DateTimeField(_("last opened at"), null=True, blank=True)
    registered_at = models.DateTimeField(_("last registered at"), null=True, blank=True)
    created_at = models.DateTimeField(_("first seen at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)

    objects = DeviceQuerySet.as_manager()

    class Meta:
        verbose_name = _("device")
        verbose_name_plural = _("devices")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["application", "hwid"], name="pushwoosh_device_hwid"),
        ]
        indexes = [
            models.Index(fields=["application", "unsubscribed_at", "platform"], name="pushwoosh_device_reach"),
        ]

    def __str__(self) -> str:
        return f"{label_of(self.platform)} {self.hwid_masked}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.hwid = canonical_hwid(self.hwid, self.platform)
        super().save(*args, **kwargs)

    @property
    def is_subscribed(self) -> bool:
        return self.unsubscribed_at is None and bool(self.push_token)

    @property
    def platform_label(self) -> str:
        return label_of(self.platform)

    @property
    def is_reached_by_hwid(self) -> bool:
        """E-mail, SMS and WhatsApp devices are named by an address or number, which is nobody else's business."""
        return self.platform in REACHED_BY_HWID

    @property
    def is_address(self) -> bool:
        """Whether it is named by a person's number or e-mail address, which is nobody else's business."""
        return is_address(self.hwid, self.platform)

    @property
    def hwid_masked(self) -> str:
        """The hwid, but of an address its ends only: +1•••4567, a•••@example.org."""
        return masked_address(self.hwid) if self.is_address else self.hwid
