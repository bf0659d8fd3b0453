"""The account's budget of capped requests: one row per request allowed a minute."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class RateSlot(models.Model):
    """May be used when `free_at` has come. `uses` counts its grants, and makes a grant a compare-and-set."""

    account = models.CharField(_("account"), max_length=64)
    number = models.PositiveIntegerField(_("number"))
    free_at = models.DateTimeField(_("free at"))
    uses = models.PositiveBigIntegerField(_("uses"), default=0)

    class Meta:
        verbose_name = _("rate slot")
        verbose_name_plural = _("rate slots")
        ordering = ["account", "number"]
        constraints = [models.UniqueConstraint(fields=["account", "number"], name="pushwoosh_slot_number")]
        indexes = [models.Index(fields=["account", "free_at"], name="pushwoosh_slot_free")]

    def __str__(self) -> str:
        return f"{self.account}/{self.number}"
