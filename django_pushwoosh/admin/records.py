"""What the lists and pages of all records share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.forms import Media
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_pushwoosh.admin.forms import application_choices
from django_pushwoosh.admin.masking import sees_numbers
from django_pushwoosh.conf import settings

CSS: dict[str, Sequence[str]] = {"all": ["django_pushwoosh/admin.css"]}
AUTH = re.compile(r'("auth"\s*:\s*")[^"]*(")')


def minute(time: datetime) -> str:
    """A time as narrow as a list needs it."""
    return f"{timezone.localtime(time):%Y-%m-%d %H:%M}"


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

    def get_list_display(self, request: HttpRequest) -> Any:
        """Where there is one application only, its code in every row is left out: lists are narrow."""
        is_only = len(application_choices()) == 1
        return [name for name in super().get_list_display(request) if not (is_only and name == "application")]

    def text_of(self, name: str) -> Any:
        """A search field as an expression of text."""
        return name

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Searches without regard to case; on MariaDB and MySQL the columns themselves compare by it."""
        names = self.get_search_fields(request)
        folded = {f"folded_{number}": Lower(self.text_of(name)) for number, name in enumerate(names)}
        for word in search_term.lower().split():
            found = Q()
            for name in folded:
                found |= Q(**{f"{name}__contains": word})
            queryset = queryset.annotate(**folded).filter(found)
        return queryset, False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Whether the address may filter the list by this.

        Who may not see phone numbers filters by the filters offered: any other look-up (`hwid__startswith`) would tell
        a number digit by digit.
        """
        if request is not None and sees_numbers(request):
            return bool(super().lookup_allowed(lookup, value, request))
        offered = self.get_list_filter(request) if request is not None else ()
        return lookup.partition("__")[0] in {_filtered(each) for each in offered}

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            # Before anybody looks: whether the object exists is an answer too.
            raise PermissionDenied
        return super().history_view(request, object_id, extra_context)


class ReadOnly:
    """Of records, or rows within a record, that people only look at: deliveries change them, and views of their own."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _filtered(offered: Any) -> str:
    """What a list's filter filters by."""
    if isinstance(offered, str):
        return offered
    return str(offered[0] if isinstance(offered, (tuple, list)) else offered.parameter_name)
