"""Bulk requests, which carry many entries of the outbox; to read."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_pushwoosh.admin.attempts import AttemptInline
from django_pushwoosh.admin.composer import state_badge
from django_pushwoosh.admin.masking import discreet
from django_pushwoosh.admin.records import ApplicationFilter, ReadOnly, RecordAdmin, minute
from django_pushwoosh.models import BulkRequest, OutboxEntry
from django_pushwoosh.protocol.addresses import masked


class IsAwaitedFilter(admin.SimpleListFilter):
    title = _("report")
    parameter_name = "awaited"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("awaited")), ("no", _("has come"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[BulkRequest]) -> QuerySet[BulkRequest]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(settled_at__isnull=self.value() == "yes")


@admin.register(BulkRequest)
class BulkRequestAdmin(ReadOnly, RecordAdmin):
    list_display = ["__str__", "state_shown", "application", "entries_shown", "sent_shown", "told_shown"]
    list_filter = [IsAwaitedFilter, ApplicationFilter]
    search_fields = ["request_id"]
    inlines = [AttemptInline]
    fields = [
        "method", "request_id", "state_shown", "told_shown", "application", "api_root", "sent_at", "ask_at",
        "settled_at", "entries_shown",
    ]  # fmt: skip
    readonly_fields = cast(list[str], fields)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BulkRequest]:
        carried = OutboxEntry.objects.filter(bulk_request=OuterRef("pk")).order_by().values("bulk_request")
        requests: QuerySet[BulkRequest] = super().get_queryset(request)
        return requests.annotate(entry_count=Coalesce(Subquery(carried.annotate(n=Count("pk")).values("n")), 0))

    def get_list_display(self, request: HttpRequest) -> Any:
        return discreet(request, super().get_list_display(request), {"told_shown": "told_masked"})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return discreet(request, self.fields, {"told_shown": "told_masked"})

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    @admin.display(description=_("report"))
    def state_shown(self, bulk: BulkRequest) -> SafeString:
        if bulk.settled_at is None:
            return state_badge("running", gettext("awaited"))
        return state_badge("uncertain", gettext("given up")) if bulk.told else state_badge("ended", gettext("has come"))

    @admin.display(description=_("entries"))
    def entries_shown(self, bulk: Any) -> SafeString:
        entries = f"{reverse('admin:django_pushwoosh_outboxentry_changelist')}?bulk_request={bulk.pk}"
        return format_html('<a href="{}">{}</a>', entries, bulk.entry_count)

    @admin.display(description=_("sent at"), ordering="sent_at")
    def sent_shown(self, bulk: BulkRequest) -> str:
        return minute(bulk.sent_at)

    @admin.display(description=_("in words"))
    def told_shown(self, bulk: BulkRequest) -> str:
        return bulk.told

    @admin.display(description=_("in words"))
    def told_masked(self, bulk: BulkRequest) -> str:
        return masked(bulk.told)
