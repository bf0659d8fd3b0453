"""Statistics: that a push arrived, or was opened, as devices report it."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Statistic(models.Model):
    """One report of one device about one push, however often it was made.

    `key` is a digest of the device's hwid and the push's hash: enough to know a report again, not to know whose it was.
    The message need not be one of ours; what is reported of ours is added up in its dispatch after a while.
    """

    class Kind(models.IntegerChoices):
        DELIVERY = 1, _("delivery")
        OPEN = 2, _("open")

    application = models.CharField(_("application"), max_length=11)
    message_code = models.CharField(_("message code"), max_length=40)
    kind = models.PositiveSmallIntegerField(_("kind"), choices=Kind.choices)
    key = models.UUIDField(_("key"))
    at = models.DateTimeField(_("reported at"), default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("statistic")
        verbose_name_plural = _("statistics")
        constraints = [
            # Its beginning is what a message's rows are counted by.
            models.UniqueConstraint(
                fields=["application", "message_code", "kind", "key"], name="pushwoosh_statistic_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.message_code}"


class StatisticsMark(models.Model):
    """How far the statistics are added up: up to and with which row. There is one mark."""

    added_up_to = models.BigIntegerField(_("added up to"), default=0)

    class Meta:
        verbose_name = _("mark in the statistics")
        verbose_name_plural = _("marks in the statistics")

    def __str__(self) -> str:
        return str(self.added_up_to)
