"""The outbox: what is to be said to Pushwoosh, written in the transaction that decided it."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
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
        """Queued entries whose time has come, and that no earlier unsettled entry of their key stands before.

        In the order in which they leave.
        """
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
        return (
            self.filter(status=OutboxEntry.Status.QUEUED, due_at__lte=now)
            .filter(~models.Exists(earlier))
            .order_by("lane", "due_at", "pk")
        )

    def expired(self, now: datetime) -> OutboxEntryQuerySet:
        """Entries whose worker did not come back in time."""
        return self.filter(status=OutboxEntry.Status.SENDING, lease_expires_at__lt=now)


class BulkRequest(models.Model):
    """A bulk request that carries entries of the outbox; they stay *sending* until its report tells of each.

    Written before the request leaves; `request_id` is there once it was taken in. `ask_at` is when to look after it
    next: to ask for the report, or, while there is no request id, to give the request up for lost. `None` once it is
    settled.
    """

    application = models.CharField(_("application"), max_length=11)
    api_root = models.CharField(_("API root"), max_length=255)
    method = models.CharField(_("method"), max_length=40)
    request_id = models.CharField(_("request id"), max_length=255, blank=True)
    sent_at = models.DateTimeField(_("sent at"), default=timezone.now)
    ask_at = models.DateTimeField(_("asked next at"), null=True, blank=True, db_index=True)
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True, db_index=True)
    told = models.TextField(_("in words"), blank=True)

    class Meta:
        verbose_name = _("bulk request")
        verbose_name_plural = _("bulk requests")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.method} {self.request_id}"


class OutboxEntry(models.Model):
    """One call to make. Only `delivery.outbox` writes here; no column ever holds a token.

    `key` orders: entries of one key (a device, a message, a chunk) leave one after the other, by id. `application` and
    `api_root` say whom the entry was written for; a worker with other settings leaves it alone, so that a copy of the
    database sends nothing elsewhere.

    `begun_at` tells an entry that is held from one whose call may have left. `doubtful_since` is when the first attempt
    with an unknown outcome began; from then on it may go again only as long as its method's row says.

    `lane` is what leaves first where many wait; what `is_capped` waits for the account's cap as well, and what has a
    `bulk_method` can travel with others of its kind in one bulk request. An entry whose `expires_at` has passed does
    not leave any more. One that a `bulk_request` carries is held without a lease, until that request's report. One
    that `is_alone` was refused in company, and goes by itself to get a verdict of its own. One that `is_tokenless`
    came from a caller to whom our device token is not lent: it leaves without, however often it is tried.
    """

    class Lane(models.IntegerChoices):
        """Lower leaves first."""

        TRANSACTIONAL = 0, _("transactional")
        USER_VISIBLE = 1, _("user-visible")
        BULK = 2, _("bulk")

    class Status(models.TextChoices):
        QUEUED = "queued", _("queued")
        SENDING = "sending", _("sending")
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")
        UNCERTAIN = "uncertain", _("uncertain")
        LEFT = "left", _("left, outcome unknown")
        CANCELLED = "cancelled", _("cancelled")
        EXPIRED = "expired", _("expired")

    UNSETTLED = (Status.QUEUED, Status.SENDING)

    application = models.CharField(_("application"), max_length=11)
    api_root = models.CharField(_("API root"), max_length=255)
    method = models.CharField(_("method"), max_length=40)
    arguments = models.JSONField(_("arguments"), default=dict)
    raw = models.BinaryField(_("original bytes"), null=True, editable=False)
    key = models.CharField(_("key"), max_length=300)
    lane = models.PositiveSmallIntegerField(_("lane"), choices=Lane.choices, default=Lane.USER_VISIBLE)
    is_capped = models.BooleanField(_("counts against the cap"), default=False)
    bulk_method = models.CharField(_("can travel by"), max_length=20, blank=True, default="")
    is_alone = models.BooleanField(_("goes by itself"), default=False)
    is_tokenless = models.BooleanField(_("speaks without our token"), default=False)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.QUEUED)
    due_at = models.DateTimeField(_("due at"), default=timezone.now)
    created_at = models.DateTimeField(_("queued at"), default=timezone.now)
    begun_at = models.DateTimeField(_("call begun at"), null=True, blank=True)
    tried_since = models.DateTimeField(_("tried since"), null=True, blank=True)
    doubtful_since = models.DateTimeField(_("in doubt since"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)
    attempts_made = models.PositiveIntegerField(_("attempts"), default=0)
    lease_owner = models.CharField(_("lease owner"), max_length=64, blank=True)
    lease_expires_at = models.DateTimeField(_("lease expires at"), null=True, blank=True)
    told = models.TextField(_("in words"), blank=True)
    dispatch = models.ForeignKey(
        Dispatch,
        models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="entries",
        verbose_name=_("dispatch"),
    )
    chunk = models.ForeignKey(
        BulkJobChunk,
        models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="entries",
        verbose_name=_("chunk"),
    )
    bulk_request = models.ForeignKey(
        BulkRequest,
        models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        # Checked row by row it costs a tenth of a bulk request's time; only `delivery.bulk` ever sets it.
        db_constraint=False,
        related_name="entries",
        verbose_name=_("bulk request"),
    )

    objects = OutboxEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("outbox entry")
        verbose_name_plural = _("outbox entries")
        ordering = ["-id"]
        # Each holds only the entries that are sought by it: two changes of a row are all that most entries see, and
        # what those cost is the indexes. Where a database knows no such indexes (MariaDB, MySQL) they hold all.
        indexes = [
            models.Index(
                fields=["application", "is_capped", "bulk_method", "lane", "due_at", "id"],
                condition=models.Q(status="queued"),
                name="pushwoosh_entry_due",
            ),
            models.Index(
                fields=["key", "id"], condition=models.Q(status__in=("queued", "sending")), name="pushwoosh_entry_key"
            ),
            models.Index(
                fields=["lease_expires_at"],
                condition=models.Q(lease_expires_at__isnull=False),
                name="pushwoosh_entry_lease",
            ),
            models.Index(
                fields=["status", "settled_at"],
                condition=models.Q(settled_at__isnull=False),
                name="pushwoosh_entry_settled",
            ),
            models.Index(
                fields=["dispatch"], condition=models.Q(dispatch__isnull=False), name="pushwoosh_entry_dispatch"
            ),
            models.Index(fields=["chunk"], condition=models.Q(chunk__isnull=False), name="pushwoosh_entry_chunk"),
            models.Index(
                fields=["bulk_request"], condition=models.Q(bulk_request__isnull=False), name="pushwoosh_entry_bulk"
            ),
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
    """One try at an entry, or at a bulk request that carries many: when, how long, and what came of it.

    `sent` and `answered` are the beginnings of the two bodies, without tokens.
    """

    entry = models.ForeignKey(
        OutboxEntry, models.CASCADE, null=True, blank=True, related_name="attempts", verbose_name=_("entry")
    )
    bulk_request = models.ForeignKey(
        BulkRequest, models.CASCADE, null=True, blank=True, related_name="attempts", verbose_name=_("bulk request")
    )
    number = models.PositiveIntegerField(_("number"))
    started_at = models.DateTimeField(_("started at"))
    took_seconds = models.FloatField(_("took (seconds)"))
    outcome = models.CharField(_("outcome"), max_length=40)
    http_status = models.PositiveIntegerField(_("HTTP status"), null=True, blank=True)
    status_code = models.IntegerField(_("status code"), null=True, blank=True)
    told = models.TextField(_("in words"), blank=True)
    sent = models.TextField(_("sent"), blank=True)
    answered = models.TextField(_("answered"), blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ["entry_id", "number"]

    def __str__(self) -> str:
        return f"{self.entry_id}/{self.number} {self.outcome}"


class Pause(models.Model):
    """An application whose entries wait, because Pushwoosh condemned its token or account, or a person said so.

    An empty application stands for all of them.
    """

    application = models.CharField(
        _("application"), max_length=11, unique=True, blank=True, help_text=_("Empty: everything waits.")
    )
    reason = models.TextField(_("reason"))
    since = models.DateTimeField(_("since"), default=timezone.now)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("paused by"),
        help_text=_("Nobody: Pushwoosh's answer did."),
    )

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")
        ordering = ["application"]

    def __str__(self) -> str:
        return self.application or str(_("everything"))
