"""The outbox: what is to be said to Pushwoosh, written in the transaction that decided it."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_pushwoosh.models.jobs import BulkJobChunk
from django_pushwoosh.models.messages import Dispatch
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.envelope import unwrap


class OutboxEntryQuerySet(models.QuerySet["OutboxEntry"]):
    def unsettled(self) -> OutboxEntryQuerySet:
        return self.filter(status__in=OutboxEntry.UNSETTLED)

    def due(self, now: datetime) -> OutboxEntryQuerySet:
        """Queued entries whose time has come, and that no earlier unsettled entry of their key stands before."""
        earlier = (
            OutboxEntry.objects.using(self.db)
            .filter(
                key=models.OuterRef("key"),
                # What was written for another API root is never sent here, and must hold nobody up.
                api_root=models.OuterRef("api_root"),
                status__in=OutboxEntry.UNSETTLED,
                pk__lt=models.OuterRef("pk"),
            )
            .order_by()
        )
        paused = Pause.objects.using(self.db).values("application")
        return (
            self.filter(status=OutboxEntry.Status.QUEUED, due_at__lte=now)
            .exclude(application__in=paused)
            .filter(~models.Exists(earlier))
            .order_by("due_at", "pk")
        )

    def expired(self, now: datetime) -> OutboxEntryQuerySet:
        """Entries whose worker did not come back in time."""
        return self.filter(status=OutboxEntry.Status.SENDING, lease_expires_at__lt=now)


class OutboxEntry(models.Model):
    """One call to make. Only `delivery.outbox` writes here; no column ever holds a token.

    `key` orders: entries of one key (a device, a message, a chunk) leave one after the other, by id. `application` and
    `api_root` say whom the entry was written for; a worker with other settings leaves it alone, so that a copy of the
    database sends nothing elsewhere.

    `begun_at` tells an entry that is held from one whose call may have left. `doubtful_since` is when the first attempt
    with an unknown outcome began; from then on it may go again only as long as its method's row says.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("queued")
        SENDING = "sending", _("sending")
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")
        UNCERTAIN = "uncertain", _("uncertain")
        LEFT = "left", _("left, outcome unknown")
        CANCELLED = "cancelled", _("cancelled")

    UNSETTLED = (Status.QUEUED, Status.SENDING)

    application = models.CharField(_("application"), max_length=11)
    api_root = models.CharField(_("API root"), max_length=255)
    method = models.CharField(_("method"), max_length=40)
    arguments = models.JSONField(_("arguments"), default=dict)
    raw = models.BinaryField(_("original bytes"), null=True, editable=False)
    key = models.CharField(_("key"), max_length=300)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.QUEUED)
    due_at = models.DateTimeField(_("due at"), default=timezone.now)
    created_at = models.DateTimeField(_("queued at"), default=timezone.now)
    begun_at = models.DateTimeField(_("call begun at"), null=True, blank=True)
    tried_since = models.DateTimeField(_("tried since"), null=True, blank=True)
    doubtful_since = models.DateTimeField(_("in doubt since"), null=True, blank=True)
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)
    attempts_made = models.PositiveIntegerField(_("attempts"), default=0)
    lease_owner = models.CharField(_("lease owner"), max_length=64, blank=True)
    lease_expires_at = models.DateTimeField(_("lease expires at"), null=True, blank=True)
    told = models.TextField(_("in words"), blank=True)
    dispatch = models.ForeignKey(
        Dispatch, models.SET_NULL, null=True, blank=True, related_name="entries", verbose_name=_("dispatch")
    )
    chunk = models.ForeignKey(
        BulkJobChunk, models.SET_NULL, null=True, blank=True, related_name="entries", verbose_name=_("chunk")
    )

    objects = OutboxEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("outbox entry")
        verbose_name_plural = _("outbox entries")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["status", "due_at"], name="pushwoosh_entry_due"),
            models.Index(fields=["key", "status", "id"], name="pushwoosh_entry_key"),
        ]

    def __str__(self) -> str:
        return f"{self.method} #{self.pk}"

    @property
    def call(self) -> Call:
        """The call as the client takes it."""
        if self.raw is None:
            return Call(METHODS[self.method], self.application, self.arguments)
        raw = bytes(self.raw)
        # What was sent decides whether it may go again: an increment in an SDK's bytes is one all the same.
        return Call(METHODS[self.method], self.application, unwrap(raw), raw)


class Attempt(models.Model):
    """One try at an entry: when, how long, and what came of it."""

    entry = models.ForeignKey(OutboxEntry, models.CASCADE, related_name="attempts", verbose_name=_("entry"))
    number = models.PositiveIntegerField(_("number"))
    started_at = models.DateTimeField(_("started at"))
    took_seconds = models.FloatField(_("took (seconds)"))
    outcome = models.CharField(_("outcome"), max_length=40)
    http_status = models.PositiveIntegerField(_("HTTP status"), null=True, blank=True)
    status_code = models.IntegerField(_("status code"), null=True, blank=True)
    told = models.TextField(_("in words"), blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ["entry_id", "number"]

    def __str__(self) -> str:
        return f"{self.entry_id}/{self.number} {self.outcome}"


class Pause(models.Model):
    """An application whose entries wait, because Pushwoosh condemned its token or account, or a person said so."""

    application = models.CharField(_("application"), max_length=11, unique=True)
    reason = models.TextField(_("reason"))
    since = models.DateTimeField(_("since"), default=timezone.now)

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")
        ordering = ["application"]

    def __str__(self) -> str:
        return self.application
