"""The switch: one application waits, or everything, until somebody resumes it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_pushwoosh import push
from django_pushwoosh.admin.forms import application_choices
from django_pushwoosh.admin.notices import words_of
from django_pushwoosh.admin.records import RecordAdmin, minute
from django_pushwoosh.models import OutboxEntry, Pause

EVERYTHING = "*"
"""Stands for the empty application in the form: nothing chosen must not mean everything."""


class PauseForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is to wait has to be chosen; everything is never the default."""

    class Meta:
        model = Pause
        fields = ("application", "reason")
        widgets = {"reason": forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "application" in self.fields:
            choices = [*application_choices(), (EVERYTHING, _("Everything"))]
            self.fields["application"] = forms.TypedChoiceField(
                label=_("What waits"),
                choices=choices,
                coerce=lambda value: "" if value == EVERYTHING else value,
                widget=forms.RadioSelect,
            )


@admin.register(Pause)
class PauseAdmin(RecordAdmin):
    """What waits. Adding pauses; resuming deletes the pause."""

    form = PauseForm
    list_display = ["application_shown", "reason", "since_shown", "by_shown"]
    list_display_links = ["application_shown"]
    list_select_related = ["paused_by"]
    actions = ["resume"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["application", "reason"] if obj is None else ["application_shown", "reason", "since", "by_shown"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [] if obj is None else ["application_shown", "since", "by_shown"]

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.resume_view)
        return [path("<int:pk>/resume/", view, name="django_pushwoosh_pause_resume"), *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Pause, form: Any, change: bool) -> None:
        if not change:
            obj.paused_by_id = request.user.pk
        super().save_model(request, obj, form, change)

    @admin.display(description=_("what waits"), ordering="application")
    def application_shown(self, pause: Pause) -> str:
        return str(pause)

    @admin.display(description=_("since"), ordering="since")
    def since_shown(self, pause: Pause) -> str:
        return minute(pause.since)

    @admin.display(description=_("paused by"))
    def by_shown(self, pause: Pause) -> str:
        return str(pause.paused_by) if pause.paused_by else gettext("Pushwoosh's answer")

    def resume_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_delete_permission(request):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "POST"])
        pause = Pause.objects.filter(pk=pk).first()
        if pause is None:
            raise Http404
        if request.method == "POST":
            self._resume(request, [pause])
            return redirect("admin:django_pushwoosh_outboxentry_changelist" if _sees_outbox(request) else "admin:index")
        may_look = self.has_view_permission(request)
        waiting = OutboxEntry.objects.unsettled()
        if pause.application:
            waiting = waiting.filter(application=pause.application)
        count = waiting.count()
        told = ngettext("%(number)d entry of the outbox waits.", "%(number)d entries of the outbox wait.", count)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": pause,
            "title": gettext("Resume sending?"),
            "words": [words_of(pause), told % {"number": count}],
            "button": gettext("Resume"),
            "back": reverse("admin:django_pushwoosh_pause_changelist" if may_look else "admin:index"),
            "has_view_permission": may_look,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/django_pushwoosh/ask.html", context)

    def _resume(self, request: HttpRequest, pauses: list[Pause]) -> None:
        names = ", ".join(map(str, pauses))
        self.log_deletions(request, pauses)  # type: ignore[arg-type]
        push.unpause(pauses)
        messages.success(request, gettext("Resumed: %(codes)s.") % {"codes": names})

    @admin.action(description=_("Resume what is selected"), permissions=["delete"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        self._resume(request, list(queryset))

    def delete_model(self, request: HttpRequest, obj: Pause) -> None:
        push.unpause([obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        push.unpause(list(queryset))


def _sees_outbox(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("django_pushwoosh.view_outboxentry"))
