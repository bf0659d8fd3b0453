"""What the lists and pages of all records share."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.forms import Media
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_pushwoosh.admin.composer import CSS
from django_pushwoosh.admin.forms import application_choices
from django_pushwoosh.conf import settings

PHONE_NUMBER = re.compile(r"\+[0-9]{6,15}")
AUTH = re.compile(r'("auth"\s*:\s*")[^"]*(")')


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
