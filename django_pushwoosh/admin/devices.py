"""Devices, whose they are, and the types of their tags."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import router, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_pushwoosh.admin.forms import application_choices
from django_pushwoosh.admin.masking import ADDRESSES, discreet, masked_json, sees_numbers
from django_pushwoosh.admin.records import ApplicationFilter, OfApplication, RecordAdmin, minute
from django_pushwoosh.models import (
    Device,
    TagDefinition,
    UserLink,
)
from django_pushwoosh.protocol.addresses import masked, masked_address
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.errors import Invalid
from django_pushwoosh.protocol.tags import clean_tags

MOST_TAGS = 4
"""Tags that the list shows of a device."""


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
        fields = "__all__"

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
        "hwid_shown", "platform", "application", "is_subscribed_shown", "tags_shown", "updated_shown",
    ]  # fmt: skip
    list_filter = [ApplicationFilter, "platform", SubscribedFilter]
    search_fields = ["hwid"]
    search_help_text = _("Searches in the hardware id; in numbers and addresses only for who may change devices.")
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
        (_("Seen"), {"fields": ["opened_at", "registered_at", "created_at", "updated_at", "links_shown", "extra"]}),
    ]  # fmt: skip
    readonly_fields = ["opened_at", "registered_at", "created_at", "updated_at", "links_shown", "extra"]

    def get_readonly_fields(self, request: HttpRequest, obj: Device | None = None) -> Any:
        # Another hwid or platform is another device.
        return [*self.readonly_fields, "application", "hwid", "platform"] if obj else self.readonly_fields

    def get_list_display(self, request: HttpRequest) -> Any:
        return discreet(
            request, super().get_list_display(request), {"hwid_shown": "hwid_masked", "tags_shown": "tags_masked"}
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Device], search_term: str
    ) -> tuple[QuerySet[Device], bool]:
        if search_term and not sees_numbers(request):
            queryset = queryset.exclude(ADDRESSES)
        return super().get_search_results(request, queryset, search_term)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        device: Device | None = kwargs.get("obj")
        if device is not None and device.is_address and not sees_numbers(request):
            # Nothing is saved on this path: who may not change a device is only shown it.
            device.hwid, device.push_token = device.hwid_masked, masked_address(device.push_token)
            device.tags, device.extra = masked_json(device.tags), masked_json(device.extra)
            context["subtitle"] = str(device)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=_("hardware id"), ordering="hwid")
    def hwid_shown(self, device: Device) -> str:
        return device.hwid

    @admin.display(description=_("hardware id"))
    def hwid_masked(self, device: Device) -> str:
        return device.hwid_masked

    @admin.display(description=_("subscribed"), boolean=True)
    def is_subscribed_shown(self, device: Device) -> bool:
        return device.is_subscribed

    @admin.display(description=_("changed at"), ordering="updated_at")
    def updated_shown(self, device: Device) -> str:
        return minute(device.updated_at)

    @admin.display(description=_("tags"))
    def tags_shown(self, device: Device) -> str:
        return _listed(device.tags)

    @admin.display(description=_("tags"))
    def tags_masked(self, device: Device) -> str:
        return _listed(masked_json(device.tags) if device.is_address else device.tags)

    @admin.display(description=_("speaks for"))
    def links_shown(self, device: Device) -> Any:
        if device.pk is None:
            return "—"
        links = device.links.select_related("django_user").order_by("-since")[:20]
        rows = [(masked(link.user_id), link.since.date(), link.until.date() if link.until else "…") for link in links]
        return format_html_join("", "<div>{} ({} – {})</div>", rows) or "—"


def _listed(tags: dict[str, Any]) -> str:
    words = [f"{name}: {tag_words(value)}" for name, value in sorted(tags.items())[:MOST_TAGS]]
    more = len(tags) - len(words)
    return " · ".join(words) + (f" · +{more}" if more > 0 else "") or "—"


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
    list_display = ["user_id", "device_shown", "django_user", "since_shown", "until_shown"]
    list_filter = [("is_open", admin.BooleanFieldListFilter)]
    list_select_related = ["device", "django_user"]
    search_fields = ["user_id", "device__hwid"]
    search_help_text = _("Searches in user ids, and for who may change devices in hardware ids.")
    autocomplete_fields = ["device"]
    raw_id_fields = ["django_user"]

    def get_list_display(self, request: HttpRequest) -> Any:
        twins = {"user_id": "user_id_masked", "device_shown": "device_masked"}
        return discreet(request, super().get_list_display(request), twins)

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return self.search_fields if sees_numbers(request) else ["user_id"]

    def get_readonly_fields(self, request: HttpRequest, obj: UserLink | None = None) -> Any:
        return ["device"] if obj else []

    def save_model(self, request: HttpRequest, obj: UserLink, form: Any, change: bool) -> None:
        if not change and obj.until is None:
            earlier = UserLink.objects.filter(device=obj.device).open()
            with transaction.atomic(using=router.db_for_write(UserLink)):
                earlier.update(is_open=None, until=timezone.now())
                super().save_model(request, obj, form, change)
        else:
            super().save_model(request, obj, form, change)

    @admin.display(description=_("user id"))
    def user_id_masked(self, link: UserLink) -> str:
        return masked(link.user_id)

    @admin.display(description=_("since"), ordering="since")
    def since_shown(self, link: UserLink) -> str:
        return minute(link.since)

    @admin.display(description=_("until"), ordering="until")
    def until_shown(self, link: UserLink) -> str:
        return minute(link.until) if link.until else "—"

    @admin.display(description=_("device"))
    def device_shown(self, link: UserLink) -> str:
        return f"{link.device.platform_label} {link.device.hwid}"

    @admin.display(description=_("device"))
    def device_masked(self, link: UserLink) -> str:
        return str(link.device)


@admin.register(TagDefinition)
class TagDefinitionAdmin(RecordAdmin):
    form = OfApplication
    list_display = ["name", "type", "source", "application"]
    list_filter = [ApplicationFilter, "type", "source"]
    search_fields = ["name"]
