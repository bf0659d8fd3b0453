"""Scheduled messages, what was meant; and their dispatches, what was sent."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_pushwoosh.models.base import MirroredModel
from django_pushwoosh.protocol import audience as audiences
from django_pushwoosh.protocol.answers import CODE_NOT_AVAILABLE
from django_pushwoosh.protocol.messages import Message


class ScheduledMessage(MirroredModel):
    """A push to compose, to send now or at a time, and to follow.

    `status` is what became of its dispatches, taken together: *scheduled* until the last one is settled.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        SCHEDULED = "scheduled", _("queued")
        SENT = "sent", _("sent")
        LIMITED = "limited", _("sent to 1 device only")
        FAILED = "failed", _("failed")
        UNCERTAIN = "uncertain", _("uncertain")
        CANCELLED = "cancelled", _("cancelled")
        EXPIRED = "expired", _("expired")

    application = models.CharField(_("application"), max_length=11)
    parameters = models.JSONField(_("parameters"), default=dict)
    audience = models.JSONField(_("audience"), default=dict)
    send_at = models.DateTimeField(_("send at"), null=True, blank=True, help_text=_("Empty: as soon as it is queued."))
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    in_device_time = models.BooleanField(
        _("in each device's own time zone"),
        default=False,
        help_text=_("The time is read on each device's own clock."),
    )
    expires_at = models.DateTimeField(
        _("expires at"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("What has not left by then never will."),
    )
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.DRAFT, editable=False)
    composer_key = models.UUIDField(_("composer key"), default=uuid.uuid4, unique=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("composed by"),
    )
    created_at = models.DateTimeField(_("composed at"), default=timezone.now, editable=False)
    queued_at = models.DateTimeField(_("queued at"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering = ["-id"]
        indexes = [models.Index(fields=["status", "created_at"], name="pushwoosh_message_age")]

    def __str__(self) -> str:
        content = self.parameters.get("content") or self.parameters.get("title") or ""
        if isinstance(content, dict):
            content = content.get("default") or content.get("en") or next(iter(content.values()), "")
        return str(content)[:80] or f"#{self.pk}"

    @property
    def is_ahead(self) -> bool:
        """Whether it goes out at a time that has not come."""
        return self.send_at is not None and self.send_at > timezone.now()

    @property
    def latest_at(self) -> datetime:
        """When its time has come for everybody; a device's own clock may be up to a day behind."""
        at = self.send_at or self.queued_at or self.created_at
        return at + timedelta(days=1) if self.send_at is not None and self.in_device_time else at

    @property
    def message(self) -> Message:
        """The parameters as a `Message`. Raises `InvalidMessage` where a draft is not yet whole."""
        return Message.from_json(self.parameters)

    @property
    def to(self) -> audiences.Audience:
        """The audience. Raises `InvalidMessage` where there is none: nothing ever means everyone."""
        return audiences.from_json(self.audience)

    def settle(self) -> None:
        """Take the status from the dispatches; the worst of several speaks.

        Call it in a transaction that has locked this row: two parts that end at once must see each other.
        """
        using = self._state.db
        # A locking read sees what others have committed, also where a transaction reads from a snapshot.
        found = set(self.dispatches.using(using).select_for_update().values_list("status", flat=True))
        for status in (
            Dispatch.Status.QUEUED,
            Dispatch.Status.UNCERTAIN,
            Dispatch.Status.FAILED,
            Dispatch.Status.LIMITED,
            Dispatch.Status.EXPIRED,
            Dispatch.Status.SENT,
            Dispatch.Status.CANCELLED,
        ):
            if status in found:
                self.status = self.Status.SCHEDULED if status == Dispatch.Status.QUEUED else self.Status(status.value)
                type(self).objects.using(using).filter(pk=self.pk).update(status=self.status)
                return


class Dispatch(models.Model):
    """One request's worth of a message: its transaction id, code and state. It outlives its outbox entry."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("queued")
        SENT = "sent", _("sent")
        LIMITED = "limited", _("sent to 1 device only")
        FAILED = "failed", _("failed")
        UNCERTAIN = "uncertain", _("uncertain")
        CANCELLED = "cancelled", _("cancelled")
        EXPIRED = "expired", _("expired")

    message = models.ForeignKey(ScheduledMessage, models.CASCADE, related_name="dispatches", verbose_name=_("message"))
    number = models.PositiveIntegerField(_("number"), default=1)
    transaction_id = models.UUIDField(_("transaction id"), default=uuid.uuid4, unique=True)
    method = models.CharField(_("method"), max_length=40)
    arguments = models.JSONField(_("arguments"), help_text=_("What is sent, but for the token."))
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.QUEUED)
    is_unwanted = models.BooleanField(
        _("to be cancelled"),
        default=False,
        help_text=_("Cancelled while being sent: stopped once it has a code."),
    )
    message_code = models.CharField(_("message code"), max_length=40, blank=True)
    answer = models.JSONField(_("answer"), null=True, blank=True)
    told = models.TextField(_("in words"), blank=True)
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)
    upstream_status = models.CharField(
        _("status at Pushwoosh"), max_length=20, blank=True, help_text=_("As getMessageDetails last told it.")
    )
    follow_at = models.DateTimeField(
        _("asked next at"),
        null=True,
        blank=True,
        db_index=True,
        help_text=_("When Pushwoosh is asked next what became of it; empty: not any more."),
    )
    deliveries_added_up = models.PositiveIntegerField(
        _("deliveries added up"), default=0, help_text=_("Reports since the mark in the statistics are not in it.")
    )
    opens_added_up = models.PositiveIntegerField(
        _("opens added up"), default=0, help_text=_("Reports since the mark in the statistics are not in it.")
    )

    class Meta:
        verbose_name = _("dispatch")
        verbose_name_plural = _("dispatches")
        ordering = ["message_id", "number"]
        indexes = [models.Index(fields=["message_code"], name="pushwoosh_dispatch_code")]
        constraints = [
            models.UniqueConstraint(fields=["message", "number"], name="pushwoosh_dispatch_number"),
        ]

    def __str__(self) -> str:
        return self.message_code if self.is_known_upstream else str(self.transaction_id)

    @property
    def is_known_upstream(self) -> bool:
        """Whether there is a code by which it can be looked up, cancelled or deleted.

        `CODE_NOT_AVAILABLE` is none: the message was sent, and is beyond reach.
        """
        return bool(self.message_code) and self.message_code != CODE_NOT_AVAILABLE
