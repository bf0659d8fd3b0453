"""Bulk jobs and their chunks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, ProtectedError, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_pushwoosh import push
from django_pushwoosh.admin.composer import state_badge
from django_pushwoosh.admin.forms import application_choices
from django_pushwoosh.admin.masking import discreet
from django_pushwoosh.admin.records import ApplicationFilter, ReadOnly, RecordAdmin
from django_pushwoosh.models import (
    BulkJob,
    BulkJobChunk,
)
from django_pushwoosh.protocol.addresses import masked

FIRST_CHUNKS = 100
"""Chunks on a job's page; of the others only those that did not go well."""


class ChunkInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """The first chunks, and of the others those that need somebody's eye."""

    model = BulkJobChunk
    fields = ["number", "status", "request_id", "succeeded", "failed", "not_found", "told"]
    readonly_fields = cast(list[str], fields)
    extra = 0
    can_delete = False
    verbose_name_plural = _("chunks")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return discreet(request, self.fields, {"told": "told_masked"})

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    @admin.display(description=_("in words"))
    def told_masked(self, chunk: BulkJobChunk) -> str:
        return masked(chunk.told)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BulkJobChunk]:
        trouble = Q(status__in=[BulkJobChunk.Status.FAILED, BulkJobChunk.Status.UNCERTAIN])
        chunks = super().get_queryset(request).defer("devices", "report")
        return chunks.filter(Q(number__lte=FIRST_CHUNKS) | trouble).order_by("number")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("django_pushwoosh.view_bulkjob") or request.user.has_perm(
            "django_pushwoosh.change_bulkjob"
        )


JOB = BulkJob.Status
VERBS: dict[str, tuple[Any, tuple[str, ...], Any]] = {
    "start": (push.start, (JOB.NEW,), _("Start")),
    "pause": (push.pause, (JOB.RUNNING,), _("Pause")),
    "resume": (push.resume, (JOB.PAUSED,), _("Resume")),
    "abort": (push.abort, (JOB.NEW, JOB.RUNNING, JOB.PAUSED), _("Abort")),
}


@admin.register(BulkJob)
class BulkJobAdmin(RecordAdmin):
    """Jobs come from code; here they are followed, paused, resumed and aborted."""

    change_form_template = "admin/django_pushwoosh/bulkjob/change_form.html"
    list_display = ["__str__", "state_shown", "application", "chunks_shown", "created_at", "ended_at"]
    list_filter = ["status", "kind", ApplicationFilter]
    actions = ["start_selected", "pause_selected", "abort_selected"]
    inlines = [ChunkInline]
    fields = ["kind", "application", "state_shown", "progress_shown", "create_missing_tags", "created_at", "ended_at"]
    readonly_fields = cast(list[str], fields)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BulkJob]:
        settled = Q(chunks__status__in=[BulkJobChunk.Status.DONE, BulkJobChunk.Status.FAILED])
        jobs: QuerySet[BulkJob] = super().get_queryset(request)
        return jobs.annotate(chunk_count=Count("chunks"), settled_count=Count("chunks", filter=settled))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description=_("state"), ordering="status")
    def state_shown(self, job: BulkJob) -> SafeString:
        return state_badge(job.status, job.get_status_display())

    @admin.display(description=_("chunks done"))
    def chunks_shown(self, job: Any) -> str:
        return f"{job.settled_count} / {job.chunk_count}"

    @admin.display(description=_("progress"))
    def progress_shown(self, job: BulkJob) -> str:
        labels = dict(BulkJobChunk.Status.choices)
        counts = job.chunks.order_by().values_list("status").annotate(Count("pk"))
        return ", ".join(f"{number} {labels.get(status, status)}" for status, number in counts) or "—"

    def get_urls(self) -> list[Any]:
        own = [
            path(
                f"<int:pk>/{verb}/",
                self.admin_site.admin_view(self._verb_view(verb)),
                name=f"django_pushwoosh_bulkjob_{verb}",
            )
            for verb in VERBS
        ]
        return [*own, *super().get_urls()]

    def _verb_view(self, verb: str) -> Any:
        def view(request: HttpRequest, pk: int) -> HttpResponse:
            if not self.has_change_permission(request):
                raise PermissionDenied
            job = get_object_or_404(BulkJob, pk=pk)
            allowed = ["GET", "POST"] if verb == "abort" else ["POST"]
            if request.method not in allowed:
                return HttpResponseNotAllowed(allowed)
            if request.method == "GET":
                return self._ask_to_abort(request, job)
            self._do(request, verb, [job])
            return redirect("admin:django_pushwoosh_bulkjob_change", pk)

        return view

    def _ask_to_abort(self, request: HttpRequest, job: BulkJob) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": job,
            "title": gettext("Abort the job?"),
            "words": [gettext("Chunks that have not left never will. What has left is not taken back.")],
            "button": gettext("Abort the job"),
            "is_destructive": True,
            "back": reverse("admin:django_pushwoosh_bulkjob_change", args=[job.pk]),
            "has_view_permission": True,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/django_pushwoosh/ask.html", context)

    def _do(self, request: HttpRequest, verb: str, jobs: Iterable[BulkJob]) -> None:
        act, states, _label = VERBS[verb]
        known = dict(application_choices())
        done = 0
        for job in jobs:
            if verb in ("start", "resume") and job.application not in known:
                messages.error(
                    request,
                    gettext("PUSHWOOSH['APPLICATIONS'] has no application %(code)s; %(job)s cannot go on.")
                    % {"code": job.application, "job": job},
                )
            elif job.status in states and act(job):
                done += 1
                self.log_change(request, job, f"{verb}.")
            else:
                messages.warning(
                    request,
                    gettext("%(job)s is %(state)s; nothing was changed.")
                    % {"job": job, "state": job.get_status_display()},
                )
        if done:
            told = ngettext("%(number)d job was changed.", "%(number)d jobs were changed.", done)
            messages.success(request, told % {"number": done})

    @admin.action(description=_("Start or resume the selected jobs"), permissions=["change"])
    def start_selected(self, request: HttpRequest, queryset: QuerySet[BulkJob]) -> None:
        for job in queryset:
            self._do(request, "resume" if job.status == JOB.PAUSED else "start", [job])

    @admin.action(description=_("Pause the selected jobs"), permissions=["change"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[BulkJob]) -> None:
        self._do(request, "pause", queryset)

    @admin.action(description=_("Abort the selected jobs"), permissions=["change"])
    def abort_selected(self, request: HttpRequest, queryset: QuerySet[BulkJob]) -> None:
        self._do(request, "abort", queryset)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        job: BulkJob | None = kwargs.get("obj")
        if job is not None and self.has_change_permission(request, job):
            context["verbs"] = [
                (reverse(f"admin:django_pushwoosh_bulkjob_{verb}", args=[job.pk]), label, verb != "abort")
                for verb, (_act, states, label) in VERBS.items()
                if job.status in states
            ]
        return super().render_change_form(request, context, *args, **kwargs)

    # A job that runs is not deleted; that is said before it is tried.

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        to_delete, counts, needed, protected = super().get_deleted_objects(objs, request)
        running = [job for job in objs if not job.is_over and job.status != JOB.NEW]
        words = [gettext("%(job)s is not over; abort it first.") % {"job": job} for job in running]
        return to_delete, counts, needed, [*protected, *words]

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except ProtectedError as error:
            messages.error(request, str(error.args[0]))
            return redirect("admin:django_pushwoosh_bulkjob_change", object_id)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[BulkJob]) -> None:
        for job in queryset:
            try:
                job.delete()
            except ProtectedError as error:
                messages.error(request, str(error.args[0]))
