"""User links: whom a device speaks for, since when, until when."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_pushwoosh.models.base import MirroredModel
from django_pushwoosh.models.devices import Device
from django_pushwoosh.protocol.addresses import masked


class UserLinkQuerySet(models.QuerySet["UserLink"]):
    def open(self) -> UserLinkQuerySet:
        return self.filter(is_open=True)


class UserLink(MirroredModel):
    """A device speaks for a Pushwoosh user id and, if one is known, a Django user.

    One open link per device; closed ones are its history. `is_open` is true or null, never false: a unique
    constraint over a nullable column holds on every database, a conditional one does not on MariaDB and MySQL.
    """

    device = models.ForeignKey(Device, models.CASCADE, related_name="links", verbose_name=_("device"))
    user_id = models.CharField(_("user id"), max_length=255, help_text=_("The user's id at Pushwoosh."))
    django_user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("Django user"),
    )
    since = models.DateTimeField(_("since"), default=timezone.now)
    until = models.DateTimeField(_("until"), null=True, blank=True)
    is_open = models.BooleanField(_("open"), null=True, default=True, editable=False)

    objects = UserLinkQuerySet.as_manager()

    class Meta:
        verbose_name = _("user link")
        verbose_name_plural = _("user links")
        ordering = ["-since", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["device", "is_open"], name="pushwoosh_one_open_link"),
            models.CheckConstraint(
                condition=models.Q(is_open=True, until__isnull=True)
                | models.Q(is_open__isnull=True, until__isnull=False),
                name="pushwoosh_link_open_or_ended",
            ),
        ]
        indexes = [
            models.Index(fields=["user_id", "is_open"], name="pushwoosh_link_user"),
            models.Index(fields=["until"], name="pushwoosh_link_until"),
        ]

    def __str__(self) -> str:
        return f"{masked(self.user_id)} · {self.device}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.is_open = True if self.until is None else None
        super().save(*args, **kwargs)
