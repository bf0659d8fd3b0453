"""Where Pushwoosh wants an application's pages to report visits."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class EntryPoint(models.Model):
    """The address for page visits that getConfig last told, for the browsers are told the gateway's in its place.

    It holds for the API root that told it, as everything in the outbox does.
    """

    application = models.CharField(_("application"), max_length=11, unique=True)
    api_root = models.CharField(_("API root"), max_length=255)
    url = models.TextField(_("address"))
    told_at = models.DateTimeField(_("told at"), default=timezone.now)

    class Meta:
        verbose_name = _("entry point")
        verbose_name_plural = _("entry points")
        ordering = ["application"]

    def __str__(self) -> str:
        return self.application
