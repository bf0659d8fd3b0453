"""Devices, links, tags, bulk jobs, the outbox and pauses, as people see them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Count, ProtectedError, Q, QuerySet
from django.forms import Media
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_pushwoosh import push
from django_pushwoosh.admin.composer import CSS, state_badge
from django_pushwoosh.admin.following import CANCELLING, as_text, shown_call
from django_pushwoosh.admin.forms import application_choices
from django_pushwoosh.conf import settings
from django_pushwoosh.models import (
    Attempt,
    BulkJob,
    BulkJobChunk,
    Device,
    OutboxEntry,
    Pause,
    TagDefinition,
    UserLink,
)
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.errors import Invalid
from django_pushwoosh.protocol.tags import clean_tags

ENTRY = OutboxEntry.Status
PHONE_NUMBER = re.compile(r"\+[0-9]{6,15}")
AUTH = re.compile(r'("auth"\s*:\s*")[^"]*(")')
FIRST_CHUNKS = 100
"""Chunks on a job's page; of the others only those that did not go well."""


def masked(text: str) -> str:
    """Phone numbers in a text, told apart by their ends only: +1•••4567."""
    return PHONE_NUMBER.sub(lambda found: f"{found[0][:2]}•••{found[0][-4:]}", text)


def without_tokens(text: str) -> str:
    """A text that may hold what an SDK sent, without any token of ours."""
    text = AUTH.sub(r"\1•••\2", text)
    for application in settings.applications.values():
        for token in (application.api_token, application.device_token):
            if token:
                text = text.replace(token, "•••")
    return text


class ApplicationFilter(admin.SimpleListFilter):
    """The applications of the settings; finding them in the table would read all of it."""

    title = _("application")
    parameter_name = "application"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return application_choices()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(application=self.value()) if self.value() else queryset


class OfApplication(forms.ModelForm):  # type: ignore[type-arg]
    """Rows belong to one of the settings' applications; which, does not change afterwards."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "application" in self.fields:
            choices = application_choices()
            label = self.fields["application"].label
            self.fields["application"] = forms.ChoiceField(choices=choices, label=label)


class RecordAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What all records have in common."""

    show_full_result_count = False
    list_per_page = 50

    @property
    def media(self) -> Media:
        return super().media + Media(css=CSS)


# Devices and their users


class SubscribedFilter(admin.SimpleListFilter):
    title = _("subscription")
    parameter_name = "subscribed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("subscribed")), ("no", _("unsubscribed")), ("tokenless", _("without a push token"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Device]) -> QuerySet[Device]:
        match self.value():
            case "yes":
                return queryset.filter(unsubscribed_at=None).exclude(push_token="")
            case "no":
                return queryset.exclude(unsubscribed_at=None)
            case "tokenless":
                return queryset.filter(unsubscribed_at=None, push_token="")
        return queryset


class DeviceForm(OfApplication):
    class Meta:
        model = Device
        fields = "__all__"  # noqa: DJ007 (the admin's fieldsets choose)

    def clean_tags(self) -> dict[str, Any]:
        tags = self.cleaned_data["tags"] or {}
        if not isinstance(tags, dict):
            raise ValidationError(_('Tags are a JSON object such as {"City": "Oslo"}.'))
        try:
            return clean_tags(tags) if tags else {}
        except Invalid as error:
            raise ValidationError([str(problem) for problem in error.problems]) from None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        hwid = cleaned.get("hwid") or self.instance.hwid
        application = cleaned.get("application") or self.instance.application
        if not self.errors and hwid and application:
            try:
                Call.of("registerDevice", application, hwid=hwid, push_token=cleaned.get("push_token") or None)
            except Invalid as error:
                raise ValidationError([str(problem) for problem in error.problems]) from None
            if application not in dict(application_choices()):
                raise ValidationError(
                    _("PUSHWOOSH['APPLICATIONS'] has no application %(code)s; its devices cannot be changed."),
                    params={"code": application},
                )
        return cleaned


@admin.register(Device)
class DeviceAdmin(RecordAdmin):
    """Saving a device registers it at Pushwoosh, deleting it unregisters it there."""

    form = DeviceForm
    list_display = [
        "hwid_shown", "platform", "application", "is_subscribed_shown", "tags_shown", "language", "updated_at",
    ]  # fmt: skip
    list_filter = [ApplicationFilter, "platform", SubscribedFilter]
    search_fields = ["hwid"]
    search_help_text = _("Searches in the hardware id.")
    fieldsets = [
        (None, {"fields": ["application", "hwid", "platform", "push_token", "badge", "tags"]}),
        (
            _("Device"),
            {
                "fields": [
                    "language", "utc_offset_seconds", "device_model", "os_version", "app_version", "sdk_version",
                ]
            },
        ),
        (_("Subscription"), {"fields": ["unsubscribed_at", "unsubscribed_reason"]}),
        (_("Seen"), {"fields": ["opened_at", "created_at", "updated_at", "links_shown", "extra"]}),
    ]  # fmt: skip
    readonly_fields = ["opened_at", "created_at", "updated_at", "links_shown", "extra"]

    def get_readonly_fields(self, request: HttpRequest, obj: Device | None = None) -> Any:
        # Another hwid or platform is another device.
        return [*self.readonly_fields, "application", "hwid", "platform"] if obj else self.readonly_fields

    def get_list_display(self, request: HttpRequest) -> Any:
        if self.has_change_permission(request):
            return self.list_display
        return ["hwid_masked", *self.list_display[1:]]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        device: Device | None = kwargs.get("obj")
        if device is not None and device.is_phone_number and not self.has_change_permission(request, device):
            # Nothing is saved on this path: who may not change a device is only shown it.
            device.hwid = masked(device.hwid)
            device.push_token = masked(device.push_token)
            context["subtitle"] = str(device)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=_("hardware id"), ordering="hwid")
    def hwid_shown(self, device: Device) -> str:
        return device.hwid

    @admin.display(description=_("hardware id"), ordering="hwid")
    def hwid_masked(self, device: Device) -> str:
        return masked(device.hwid) if device.is_phone_number else device.hwid

    @admin.display(description=_("subscribed"), boolean=True)
    def is_subscribed_shown(self, device: Device) -> bool:
        return device.is_subscribed

    @admin.display(description=_("tags"))
    def tags_shown(self, device: Device) -> str:
        words = [f"{name}: {tag_words(value)}" for name, value in sorted(device.tags.items())[:6]]
        more = len(device.tags) - len(words)
        return " · ".join(words) + (f" · +{more}" if more > 0 else "") or "—"

    @admin.display(description=_("speaks for"))
    def links_shown(self, device: Device) -> Any:
        if device.pk is None:
            return "—"
        links = device.links.select_related("django_user").order_by("-since")[:20]
        rows = [(link.user_id, link.since.date(), link.until.date() if link.until else "…") for link in links]
        return format_html_join("", "<div>{} ({} – {})</div>", rows) or "—"


def tag_words(value: Any) -> str:
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list):
        return ", ".join(map(tag_words, value))
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


class UserLinkForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = UserLink
        fields = ["device", "user_id", "django_user", "since", "until"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until < since:
            self.add_error("until", _("It ends before it begins."))
        device = cleaned.get("device") or (self.instance.device if self.instance.device_id else None)
        if device is None:
            return cleaned
        if until is None and self.instance.pk:
            others = UserLink.objects.filter(device=device).open().exclude(pk=self.instance.pk)
            if others.exists():
                self.add_error("until", _("The device speaks for somebody else by now; this link stays ended."))
        if device.application not in dict(application_choices()):
            self.add_error(None, _("PUSHWOOSH['APPLICATIONS'] does not have the application of this device."))
        return cleaned


@admin.register(UserLink)
class UserLinkAdmin(RecordAdmin):
    """Whom devices speak for. A new link ends the one before it."""

    form = UserLinkForm
    list_display = ["user_id", "device_shown", "django_user", "since", "until"]
    list_filter = [("is_open", admin.BooleanFieldListFilter)]
    list_select_related = ["device", "django_user"]
    search_fields = ["user_id", "device__hwid"]
    autocomplete_fields = ["device"]
    raw_id_fields = ["django_user"]

    def get_list_display(self, request: HttpRequest) -> Any:
        if request.user.has_perm("django_pushwoosh.change_device"):
            return self.list_display
        return [name if name != "device_shown" else "device_masked" for name in self.list_display]

    def get_readonly_fields(self, request: HttpRequest, obj: UserLink | None = None) -> Any:
        return ["device"] if obj else []

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        link: UserLink | None = kwargs.get("obj")
        if (
            link is not None
            and link.device.is_phone_number
            and not request.user.has_perm("django_pushwoosh.change_device")
        ):
            # The link is saved from what was posted, before this; here it is only shown.
            link.device.hwid = masked(link.device.hwid)
            context["subtitle"] = str(link)
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: UserLink, form: Any, change: bool) -> None:
        if not change and obj.until is None:
            earlier = UserLink.objects.filter(device=obj.device).open()
            with transaction.atomic(using=earlier.db):
                earlier.update(is_open=None, until=timezone.now())
                super().save_model(request, obj, form, change)
        else:
            super().save_model(request, obj, form, change)

    @admin.display(description=_("device"))
    def device_shown(self, link: UserLink) -> str:
        return str(link.device)

    @admin.display(description=_("device"))
    def device_masked(self, link: UserLink) -> str:
        return masked(str(link.device)) if link.device.is_phone_number else str(link.device)


@admin.register(TagDefinition)
class TagDefinitionAdmin(RecordAdmin):
    form = OfApplication
    list_display = ["name", "type", "source", "application"]
    list_filter = [ApplicationFilter, "type", "source"]
    search_fields = ["name"]


# Bulk jobs


class ChunkInline(admin.TabularInline):  # type: ignore[type-arg]
    """The first chunks, and of the others those that need somebody's eye."""

    model = BulkJobChunk
    fields = ["number", "status", "request_id", "succeeded", "failed", "not_found", "told"]
    readonly_fields = cast(list[str], fields)
    extra = 0
    can_delete = False
    verbose_name_plural = _("chunks")

    def get_queryset(self, request: HttpRequest) -> QuerySet[BulkJobChunk]:
        trouble = Q(status__in=[BulkJobChunk.Status.FAILED, BulkJobChunk.Status.UNCERTAIN])
        chunks = super().get_queryset(request).defer("devices", "report")
        return chunks.filter(Q(number__lte=FIRST_CHUNKS) | trouble).order_by("number")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

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
            job = get_object_or_404(BulkJob, pk=pk)
            if not self.has_change_permission(request, job):
                raise PermissionDenied
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


# The outbox


class MethodFilter(admin.SimpleListFilter):
    title = _("method")
    parameter_name = "method"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(METHODS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxEntry]) -> QuerySet[OutboxEntry]:
        return queryset.filter(method=self.value()) if self.value() else queryset


class AttemptInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Attempt
    fields = ["number", "started_at", "took_seconds", "outcome", "http_status", "status_code", "told"]
    readonly_fields = cast(list[str], fields)
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("django_pushwoosh.view_outboxentry")


@admin.register(OutboxEntry)
class OutboxEntryAdmin(RecordAdmin):
    """What is to be said to Pushwoosh, to read. Trying again and cancelling take the permission to change entries."""

    list_display = [
        "__str__", "state_shown", "application", "key_shown", "attempts_made", "created_at", "due_at", "told_shown",
    ]  # fmt: skip
    list_filter = ["status", ApplicationFilter, MethodFilter]
    search_fields = ["key"]
    search_help_text = _("Searches in the key, which holds the hardware id of a device's call.")
    actions = ["retry", "cancel"]
    inlines = [AttemptInline]
    fields = [
        "method", "state_shown", "told", "application", "api_root", "key_shown", "body_shown", "created_at", "due_at",
        "first_sent_at", "settled_at", "attempts_made", "lease_expires_at", "message_shown", "job_shown",
    ]  # fmt: skip
    readonly_fields = cast(list[str], fields)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("django_pushwoosh.change_outboxentry"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboxEntry]:
        entries = super().get_queryset(request).select_related("dispatch", "chunk")
        heavy = ("dispatch__arguments", "dispatch__answer", "chunk__devices", "chunk__report")
        is_list = request.resolver_match is not None and request.resolver_match.view_name.endswith("_changelist")
        return entries.defer("arguments", "raw", *heavy) if is_list else entries.defer(*heavy)

    def get_list_display(self, request: HttpRequest) -> Any:
        return self._masked(request, self.list_display)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self._masked(request, self.fields)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self._masked(request, self.fields)

    def _masked(self, request: HttpRequest, names: Any) -> list[str]:
        if request.user.has_perm("django_pushwoosh.change_device"):
            return list(names)
        twins = {"key_shown": "key_masked", "body_shown": "body_masked"}
        return [twins.get(name, name) for name in names]

    @admin.display(description=_("state"), ordering="status")
    def state_shown(self, entry: OutboxEntry) -> SafeString:
        return state_badge(entry.status, entry.get_status_display())

    @admin.display(description=_("key"), ordering="key")
    def key_shown(self, entry: OutboxEntry) -> str:
        return entry.key

    @admin.display(description=_("key"), ordering="key")
    def key_masked(self, entry: OutboxEntry) -> str:
        return masked(entry.key)

    @admin.display(description=_("in words"))
    def told_shown(self, entry: OutboxEntry) -> str:
        return entry.told if len(entry.told) <= 120 else f"{entry.told[:119]}…"

    @admin.display(description=_("body"))
    def body_shown(self, entry: OutboxEntry) -> SafeString:
        return format_html('<pre class="pushwoosh-json" tabindex="0">{}</pre>', body_of(entry))

    @admin.display(description=_("body"))
    def body_masked(self, entry: OutboxEntry) -> SafeString:
        return format_html('<pre class="pushwoosh-json" tabindex="0">{}</pre>', masked(body_of(entry)))

    @admin.display(description=_("message"))
    def message_shown(self, entry: OutboxEntry) -> Any:
        if entry.dispatch is None:
            return "—"
        url = reverse("admin:django_pushwoosh_scheduledmessage_change", args=[entry.dispatch.message_id])
        return format_html('<a href="{}">{}</a>', url, entry.dispatch)

    @admin.display(description=_("bulk job"))
    def job_shown(self, entry: OutboxEntry) -> Any:
        if entry.chunk is None:
            return "—"
        url = reverse("admin:django_pushwoosh_bulkjob_change", args=[entry.chunk.job_id])
        return format_html('<a href="{}">{}</a>', url, entry.chunk)

    @admin.action(description=_("Try the selected entries again"), permissions=["decide"])
    def retry(self, request: HttpRequest, queryset: QuerySet[OutboxEntry]) -> HttpResponse | None:
        chosen = queryset.count()
        # A message that could not be cancelled is cancelled on its page, where its state is in view.
        retryable = queryset.filter(status__in=[ENTRY.FAILED, ENTRY.LEFT, ENTRY.UNCERTAIN, ENTRY.CANCELLED]).exclude(
            method__in=CANCELLING
        )
        doubtful = list(retryable.filter(status__in=[ENTRY.UNCERTAIN, ENTRY.LEFT])[:100])
        if doubtful and "_confirm" not in request.POST:
            return self._ask_to_repeat(request, queryset, doubtful)
        done = sum(push.retry(entry) for entry in retryable)
        self._tell(request, done, chosen - done, gettext("Only what is settled and not sent can be retried."))
        return None

    def _ask_to_repeat(
        self, request: HttpRequest, queryset: QuerySet[OutboxEntry], doubtful: Sequence[OutboxEntry]
    ) -> HttpResponse:
        chosen = [(helpers.ACTION_CHECKBOX_NAME, pk) for pk in queryset.values_list("pk", flat=True)]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("Try again?"),
            "words": [
                gettext(
                    "Nobody knows whether these calls arrived. If they did, a push arrives twice, and what is counted "
                    "up is counted twice:"
                )
            ],
            "items": [str(entry) for entry in doubtful],
            "hidden": [("action", "retry"), *chosen],
            "button": gettext("Try again"),
            "is_destructive": True,
            "back": reverse("admin:django_pushwoosh_outboxentry_changelist"),
            "has_view_permission": True,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/django_pushwoosh/ask.html", context)

    @admin.action(description=_("Cancel the selected entries"), permissions=["decide"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[OutboxEntry]) -> None:
        chosen = queryset.count()
        done = push.cancel_entries(list(queryset.filter(status=ENTRY.QUEUED)))
        self._tell(
            request,
            done,
            chosen - done,
            gettext("Messages and bulk jobs are cancelled on their own pages; what is being sent cannot be."),
        )

    def _tell(self, request: HttpRequest, done: int, left: int, why: str) -> None:
        if done:
            told = ngettext("%(number)d entry was changed.", "%(number)d entries were changed.", done)
            messages.success(request, told % {"number": done})
        if left:
            told = ngettext("%(number)d entry was left as it is.", "%(number)d entries were left as they are.", left)
            messages.warning(request, f"{told % {'number': left}} {why}")


def body_of(entry: OutboxEntry) -> str:
    """The call's body for people: decoded, and without tokens."""
    if entry.raw is not None:
        return without_tokens(bytes(entry.raw).decode("utf-8", "replace"))
    try:
        return without_tokens(shown_call(entry.method, entry.application, entry.arguments))
    except (KeyError, ValueError, TypeError):
        # Written by another version of the package, whose methods this one does not know.
        return without_tokens(as_text(entry.arguments))


# Pauses


@admin.register(Pause)
class PauseAdmin(RecordAdmin):
    """Applications that wait. Resuming one is deleting its pause."""

    form = OfApplication
    list_display = ["application", "reason", "since"]
    fields = ["application", "reason", "since"]
    readonly_fields = ["since"]
    actions = ["resume"]

    @admin.action(description=_("Resume the selected applications"), permissions=["delete"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        pauses = list(queryset)
        codes = ", ".join(pause.application for pause in pauses)
        push.unpause(pauses)
        messages.success(request, gettext("Resumed: %(codes)s.") % {"codes": codes})

    def delete_model(self, request: HttpRequest, obj: Pause) -> None:
        push.unpause([obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        push.unpause(list(queryset))
