"""The log of what was tried: when, how long it took, what was said and answered."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_pushwoosh.admin.masking import discreet
from django_pushwoosh.admin.records import ReadOnly, without_tokens
from django_pushwoosh.models import Attempt
from django_pushwoosh.protocol.addresses import masked

MOST_SHOWN = 50
"""Attempts on a page, the latest; what has waited for a day of trouble has over a thousand."""

TWINS = {"told": "told_masked", "bodies_shown": "bodies_masked"}


class Latest(BaseInlineFormSet):  # type: ignore[type-arg]
    def get_queryset(self) -> Any:
        if not hasattr(self, "_latest"):
            self._latest = sorted(super().get_queryset().order_by("-pk")[:MOST_SHOWN], key=lambda each: each.pk)
        return self._latest


class AttemptInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """To read. Bodies are the beginnings of what was said, without tokens."""

    model = Attempt
    formset = Latest
    fields = ["number", "started_shown", "took_shown", "outcome", "http_status", "status_code", "told", "bodies_shown"]
    readonly_fields = cast(list[str], fields)
    extra = 0
    can_delete = False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return discreet(request, self.fields, TWINS)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    @admin.display(description=_("started at"))
    def started_shown(self, attempt: Attempt) -> str:
        return f"{timezone.localtime(attempt.started_at):%Y-%m-%d %H:%M:%S}"

    @admin.display(description=_("took"))
    def took_shown(self, attempt: Attempt) -> str:
        return took(attempt)

    @admin.display(description=_("in words"))
    def told_masked(self, attempt: Attempt) -> str:
        return masked(attempt.told)

    @admin.display(description=_("bodies"))
    def bodies_shown(self, attempt: Attempt) -> SafeString:
        return _bodies(without_tokens(attempt.sent), without_tokens(attempt.answered))

    @admin.display(description=_("bodies"))
    def bodies_masked(self, attempt: Attempt) -> SafeString:
        return _bodies(masked(without_tokens(attempt.sent)), masked(without_tokens(attempt.answered)))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("django_pushwoosh.view_outboxentry")


def took(attempt: Attempt) -> str:
    return f"{attempt.took_seconds:.3f} s"


def _bodies(sent: str, answered: str) -> SafeString:
    if not sent and not answered:
        return format_html("—")
    return format_html(
        '<details class="pushwoosh-bodies"><summary>{}</summary>'
        '<p>{}</p><pre class="pushwoosh-json" tabindex="0">{}</pre>'
        '<p>{}</p><pre class="pushwoosh-json" tabindex="0">{}</pre></details>',
        gettext("Show"),
        gettext("Sent"),
        sent or "—",
        gettext("Answered"),
        answered or "—",
    )
