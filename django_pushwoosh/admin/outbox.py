"""What waits to be said to Pushwoosh, and what came to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_pushwoosh import push
from django_pushwoosh.admin import notices
from django_pushwoosh.admin.attempts import AttemptInline
from django_pushwoosh.admin.composer import state_badge
from django_pushwoosh.admin.following import CANCELLING, as_text, shown_call
from django_pushwoosh.admin.masking import ADDRESS_KEY, discreet, sees_numbers
from django_pushwoosh.admin.records import ApplicationFilter, ReadOnly, RecordAdmin, minute, without_tokens
from django_pushwoosh.models import OutboxEntry
from django_pushwoosh.protocol.addresses import masked
from django_pushwoosh.protocol.calls import METHODS

ENTRY = OutboxEntry.Status
TWINS = {
    "key_shown": "key_masked",
    "body_shown": "body_masked",
    "told_shown": "told_short_masked",
    "told": "told_masked",
}


class MethodFilter(admin.SimpleListFilter):
    title = _("method")
    parameter_name = "method"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(METHODS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxEntry]) -> QuerySet[OutboxEntry]:
        return queryset.filter(method=self.value()) if self.value() else queryset


class ExpiryFilter(admin.SimpleListFilter):
    """What is too late soon."""

    title = _("expiry")
    parameter_name = "expiry"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("past", _("has passed")),
            ("hour", _("within an hour")),
            ("day", _("within a day")),
            ("never", _("never")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxEntry]) -> QuerySet[OutboxEntry]:
        now = timezone.now()
        match self.value():
            case "past":
                return queryset.filter(expires_at__lte=now)
            case "hour":
                return queryset.filter(expires_at__gt=now, expires_at__lte=now + timedelta(hours=1))
            case "day":
                return queryset.filter(expires_at__gt=now, expires_at__lte=now + timedelta(days=1))
            case "never":
                return queryset.filter(expires_at=None)
        return queryset


class BulkRequestFilter(admin.SimpleListFilter):
    """By the address alone, from a bulk request's page: there are too many to choose from."""

    title = _("bulk request")
    parameter_name = "bulk_request"

    def has_output(self) -> bool:
        return bool(self.value())

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = request.GET.get(self.parameter_name, "")
        return [(chosen, f"#{chosen}")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutboxEntry]) -> QuerySet[OutboxEntry]:
        chosen = self.value()
        if not chosen:
            return queryset
        return queryset.filter(bulk_request=int(chosen)) if chosen.isascii() and chosen.isdigit() else queryset.none()


@admin.register(OutboxEntry)
class OutboxEntryAdmin(ReadOnly, RecordAdmin):
    """What is to be said to Pushwoosh, to read. Trying again and cancelling take the permission to change entries."""

    list_display = [
        "__str__", "state_and_lane", "key_shown", "attempts_made", "due_shown", "told_shown",
    ]  # fmt: skip
    list_filter = ["status", "lane", ExpiryFilter, ApplicationFilter, MethodFilter, BulkRequestFilter]
    change_list_template = "admin/django_pushwoosh/change_list.html"
    search_fields = ["key"]
    search_help_text = _("Searches in the key, which holds the hardware id of a device's call.")
    actions = ["retry", "discard", "cancel"]
    inlines = [AttemptInline]
    fields = [
        "method", "state_shown", "told", "application", "api_root", "key_shown", "lane", "is_capped", "is_tokenless",
        "body_shown",
        "created_at", "due_at", "expires_at", "begun_at", "tried_since", "doubtful_since", "settled_at",
        "attempts_made", "lease_expires_at", "message_shown", "job_shown", "request_shown",
    ]  # fmt: skip
    readonly_fields = cast(list[str], fields)

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("django_pushwoosh.change_outboxentry"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboxEntry]:
        entries = super().get_queryset(request).select_related("dispatch", "chunk", "bulk_request")
        heavy = ("dispatch__arguments", "dispatch__answer", "chunk__devices", "chunk__report")
        is_list = request.resolver_match is not None and request.resolver_match.view_name.endswith("_changelist")
        return entries.defer("arguments", "raw", *heavy) if is_list else entries.defer(*heavy)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        said = [*notices.held_back(request), *notices.of_others()]
        return super().changelist_view(request, notices.context(request, said) | (extra_context or {}))

    def get_list_display(self, request: HttpRequest) -> Any:
        return self._masked(request, super().get_list_display(request))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self._masked(request, self.fields)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self._masked(request, self.fields)

    def _masked(self, request: HttpRequest, names: Any) -> list[str]:
        return discreet(request, names, TWINS)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OutboxEntry], search_term: str
    ) -> tuple[QuerySet[OutboxEntry], bool]:
        if search_term and not sees_numbers(request):
            queryset = queryset.exclude(key__regex=ADDRESS_KEY)
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description=_("state"), ordering="status")
    def state_shown(self, entry: OutboxEntry) -> SafeString:
        return state_badge(entry.status, entry.get_status_display())

    @admin.display(description=_("state, lane"), ordering="status")
    def state_and_lane(self, entry: OutboxEntry) -> SafeString:
        return format_html('{}<br><span class="quiet">{}</span>', self.state_shown(entry), entry.get_lane_display())

    @admin.display(description=_("key"), ordering="key")
    def key_shown(self, entry: OutboxEntry) -> str:
        return entry.key

    @admin.display(description=_("key"))
    def key_masked(self, entry: OutboxEntry) -> str:
        return masked(entry.key)

    @admin.display(description=_("due at"), ordering="due_at")
    def due_shown(self, entry: OutboxEntry) -> str:
        if entry.expires_at is None:
            return minute(entry.due_at)
        latest = gettext("not after %(time)s") % {"time": minute(entry.expires_at)}
        return format_html('{}<br><span class="quiet">{}</span>', minute(entry.due_at), latest)

    @admin.display(description=_("in words"))
    def told_shown(self, entry: OutboxEntry) -> str:
        return shortened(entry.told)

    @admin.display(description=_("in words"))
    def told_short_masked(self, entry: OutboxEntry) -> str:
        return shortened(masked(entry.told))

    @admin.display(description=_("in words"))
    def told_masked(self, entry: OutboxEntry) -> str:
        return masked(entry.told)

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

    @admin.display(description=_("bulk request"))
    def request_shown(self, entry: OutboxEntry) -> Any:
        if entry.bulk_request is None:
            return "—"
        url = reverse("admin:django_pushwoosh_bulkrequest_change", args=[entry.bulk_request.pk])
        return format_html('<a href="{}">{}</a>', url, entry.bulk_request)

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
        words = gettext(
            "Nobody knows whether these calls arrived. If they did, a push arrives twice, and what is counted up is "
            "counted twice:"
        )
        return self._ask(request, queryset, "retry", gettext("Try again?"), words, doubtful, gettext("Try again"))

    @admin.action(description=_("Discard the selected dead letters"), permissions=["decide"])
    def discard(self, request: HttpRequest, queryset: QuerySet[OutboxEntry]) -> HttpResponse | None:
        """Give up what failed, was left or is uncertain, after a question."""
        dead = queryset.filter(status__in=[ENTRY.FAILED, ENTRY.LEFT, ENTRY.UNCERTAIN])
        first = list(dead[:100])
        if first and "_confirm" not in request.POST:
            words = gettext(
                "What has failed or is uncertain here is given up for good: messages and chunks among it are not tried "
                "again. What may have reached Pushwoosh stays there:"
            )
            return self._ask(request, queryset, "discard", gettext("Discard?"), words, first, gettext("Discard"))
        chosen = queryset.count()
        done = push.discard(dead, by=str(request.user))
        self._tell(request, done, chosen - done, gettext("Only what is failed, left or uncertain can be discarded."))
        return None

    def _ask(
        self,
        request: HttpRequest,
        queryset: QuerySet[OutboxEntry],
        action: str,
        title: str,
        words: str,
        entries: Sequence[OutboxEntry],
        button: str,
    ) -> HttpResponse:
        chosen = [(helpers.ACTION_CHECKBOX_NAME, pk) for pk in queryset.values_list("pk", flat=True)]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "words": [words],
            "items": [str(entry) for entry in entries],
            "hidden": [("action", action), *chosen],
            "button": button,
            "is_destructive": True,
            "back": reverse("admin:django_pushwoosh_outboxentry_changelist"),
            "has_view_permission": True,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/django_pushwoosh/ask.html", context)

    @admin.action(description=_("Cancel the selected entries"), permissions=["decide"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[OutboxEntry]) -> None:
        chosen = queryset.count()
        done = push.cancel_entries(queryset)
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


def shortened(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}…"


def body_of(entry: OutboxEntry) -> str:
    """The call's body for people: decoded, and without tokens."""
    if entry.raw is not None:
        return without_tokens(bytes(entry.raw).decode("utf-8", "replace"))
    try:
        return without_tokens(shown_call(entry.method, entry.application, entry.arguments))
    except (KeyError, ValueError, TypeError):
        # Written by another version of the package, whose methods this one does not know.
        return without_tokens(as_text(entry.arguments))
