"""Bulk jobs: many devices registered or tagged in chunks, each chunk one job of Pushwoosh's."""

from __future__ import annotations

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_pushwoosh.models.base import home_of


class BulkJob(models.Model):
    """A job of ours. It ends when the last chunk has its report."""

    class Kind(models.TextChoices):
        REGISTER = "bulkRegisterDevice", _("register devices")
        TAGS = "bulkSetTags", _("set tags")

    class Status(models.TextChoices):
        NEW = "new", _("not started")
        RUNNING = "running", _("running")
        PAUSED = "paused", _("paused")
        ENDED = "ended", _("ended")
        ABORTED = "aborted", _("aborted")

    application = models.CharField(_("application"), max_length=11)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    create_missing_tags = models.BooleanField(_("create missing tags"), default=False)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.NEW, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("bulk job")
        verbose_name_plural = _("bulk jobs")
        ordering = ["-id"]
        indexes = [models.Index(fields=["status", "ended_at"], name="pushwoosh_job_age")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} #{self.pk}"

    @property
    def is_over(self) -> bool:
        return self.status in (self.Status.ENDED, self.Status.ABORTED)

    def delete(self, using: str | None = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        """Delete an ended job. Raises `ProtectedError` for one that is not over."""
        using = using or home_of(self)
        with transaction.atomic(using=using):
            # Somebody may have started it since it was read.
            present = BulkJob.objects.using(using).select_for_update().filter(pk=self.pk).first() or self
            if not present.is_over and present.status != self.Status.NEW:
                raise models.ProtectedError("A bulk job can be deleted once it has ended; abort it first.", {self})
            return super().delete(using, keep_parents)


class BulkJobChunk(models.Model):
    """Up to 1,000 devices of a job, sent as one request; a *sent* chunk waits for its report."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting")
        QUEUED = "queued", _("queued")
        SENT = "sent", _("sent")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        UNCERTAIN = "uncertain", _("uncertain")
        CANCELLED = "cancelled", _("cancelled")

    job = models.ForeignKey(BulkJob, models.CASCADE, related_name="chunks", verbose_name=_("bulk job"))
    number = models.PositiveIntegerField(_("number"))
    devices = models.JSONField(_("devices"), help_text=_("The objects as they go on the wire."))
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.WAITING)
    request_id = models.CharField(_("request id"), max_length=255, blank=True)
    asked_at = models.DateTimeField(_("last asked about at"), null=True, blank=True)
    succeeded = models.PositiveIntegerField(_("succeeded"), default=0)
    failed = models.PositiveIntegerField(_("failed"), default=0)
    not_found = models.PositiveIntegerField(_("not found"), default=0)
    report = models.JSONField(_("report"), default=list, blank=True, help_text=_("Devices that did not succeed."))
    told = models.TextField(_("in words"), blank=True)

    class Meta:
        verbose_name = _("chunk")
        verbose_name_plural = _("chunks")
        ordering = ["job_id", "number"]
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="pushwoosh_chunk_number")]

    def __str__(self) -> str:
        return f"{self.job_id}/{self.number}"
