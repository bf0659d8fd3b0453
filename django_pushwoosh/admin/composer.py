"""The composer: write a push, send it once, and follow what becomes of it.

Writing and sending take the permission to *add* messages, changing others' drafts and cancelling the one to *change*
them, and looking at others' messages the one to *view* them. Permission is looked at before anything else: whether a
message exists is an answer too.
"""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import IntegrityError, router, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.fields.json import KT, KeyTextTransform
from django.forms import Media
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_pushwoosh import push
from django_pushwoosh.admin import confirmation, notices
from django_pushwoosh.admin.confirmation import Reach, Verdict
from django_pushwoosh.admin.following import (
    IS_BEING_CANCELLED,
    SENDING,
    is_cancellable,
    is_sent_to_nobody,
    report_on,
    warnings_about,
    when_words,
)
from django_pushwoosh.admin.forms import AUDIENCE_LABELS, ComposerForm
from django_pushwoosh.admin.masking import is_numbered, sees_numbers
from django_pushwoosh.admin.records import RecordAdmin, minute
from django_pushwoosh.models import Dispatch, OutboxEntry, ScheduledMessage, home_of
from django_pushwoosh.protocol.addresses import masked
from django_pushwoosh.protocol.errors import Invalid

DRAFT = ScheduledMessage.Status.DRAFT


class MessageList(ChangeList):
    """Without the audiences, which may list a hundred thousand devices."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        sent = Dispatch.objects.filter(message=OuterRef("pk"), status=Dispatch.Status.SENT)
        lean: QuerySet[Any] = found.annotate(
            audience_kind=KeyTextTransform("kind", "audience"), is_all_well=Exists(sent.filter(told=""))
        ).defer("audience")
        return lean

    def get_results(self, request: HttpRequest) -> None:
        """The page, with what devices reported of its messages: one look for all. What was for nobody is rare."""
        super().get_results(request)
        self.result_list = list(self.result_list)
        statistics = push.statistics_of_many(self.result_list)
        for message in self.result_list:
            message.statistics = statistics[message.pk]
            message.is_for_nobody = not message.is_all_well and is_sent_to_nobody(message)


@admin.register(ScheduledMessage)
class ScheduledMessageAdmin(RecordAdmin):
    """Adding is composing; a draft's page is the composer again, any other message's page tells what became of it."""

    list_display = [
        "content_shown",
        "state_shown",
        "audience_shown",
        "when_shown",
        "reported_shown",
        "application",
        "created_shown",
    ]
    list_filter = ["status", "created_at"]
    change_list_template = "admin/django_pushwoosh/change_list.html"
    search_fields = ["parameters__content", "parameters__title", "application"]
    search_help_text = _("Searches in text, title and application.")

    def text_of(self, name: str) -> Any:
        return KT(name) if name.startswith("parameters__") else name

    def get_changelist(self, request: HttpRequest, **more: Any) -> type[ChangeList]:
        return MessageList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return super().changelist_view(
            request, notices.context(request, notices.held_back(request)) | (extra_context or {})
        )

    @admin.display(description=_("message"))
    def content_shown(self, message: ScheduledMessage) -> str:
        return str(message)

    @admin.display(description=_("state"), ordering="status")
    def state_shown(self, message: Any) -> SafeString:
        if message.is_for_nobody:
            return state_badge(ScheduledMessage.Status.LIMITED, gettext("sent to nobody"))
        return state_badge(message.status, message.get_status_display())

    @admin.display(description=_("audience"))
    def audience_shown(self, message: Any) -> str:
        return str(AUDIENCE_LABELS.get(message.audience_kind, _("nobody yet")))

    @admin.display(description=_("when"), ordering="send_at")
    def when_shown(self, message: ScheduledMessage) -> str:
        return when_words(message)

    @admin.display(description=_("arrived / opened"))
    def reported_shown(self, message: Any) -> str:
        """As devices reported it through the gateway; what a person sees in Pushwoosh counts the others too."""
        if not message.statistics:
            return "—"
        counts = (message.statistics.deliveries, message.statistics.opens)
        return " / ".join(number_format(each, force_grouping=True) for each in counts)

    @admin.display(description=_("composed at"), ordering="created_at")
    def created_shown(self, message: ScheduledMessage) -> str:
        return minute(message.created_at)

    def get_urls(self) -> list[Any]:
        def own(route: str, view: Any, name: str) -> Any:
            return path(route, self.admin_site.admin_view(view), name=f"django_pushwoosh_scheduledmessage_{name}")

        return [
            own("<int:pk>/confirm/", self.confirm_view, "confirm"),
            own("<int:pk>/cancel/", self.cancel_view, "cancel"),
            own("<int:pk>/retry/<int:entry_pk>/", self.retry_view, "retry"),
            own("<int:pk>/state/", self.state_view, "state"),
            *super().get_urls(),
        ]

    # Composing

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            stored = self._stored(request.POST.get("composer_key", ""))
            if stored is not None and stored.status != DRAFT:
                return self._already_sent(request, stored)
        return self._compose(request, None)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        message = self.get_object(request, unquote(object_id))
        if not self._may_see(request, message):
            raise PermissionDenied
        if message is None:
            messages.warning(request, gettext("There is no message %(id)s; was it deleted?") % {"id": object_id})
            return redirect("admin:index")
        may_write = self._may_write(request, message)
        if message.status == DRAFT and may_write:
            return self._compose(request, message)
        if request.method == "POST":
            if not may_write:
                raise PermissionDenied
            return self._already_sent(request, message)
        return self._message_page(request, message)

    # Who may what, beside Django's own questions

    def _is_own(self, request: HttpRequest, message: ScheduledMessage) -> bool:
        return message.created_by_id is not None and message.created_by_id == request.user.pk

    def _is_authors(self, request: HttpRequest, message: ScheduledMessage | None) -> bool:
        return message is not None and self._is_own(request, message) and self.has_add_permission(request)

    def _may_see(self, request: HttpRequest, message: ScheduledMessage | None) -> bool:
        """Who may look at messages, and who wrote this one: its author has to learn what became of it."""
        return self.has_view_or_change_permission(request, message) or self._is_authors(request, message)

    def _may_write(self, request: HttpRequest, message: ScheduledMessage) -> bool:
        if self._is_authors(request, message):
            return True
        # A form shows its audience whole.
        is_hidden = message.status == DRAFT and is_numbered(message) and not sees_numbers(request)
        return self.has_change_permission(request, message) and not is_hidden

    def _seen(self, request: HttpRequest, pk: int) -> ScheduledMessage:
        message = ScheduledMessage.objects.filter(pk=pk).first()
        if not self._may_see(request, message):
            raise PermissionDenied
        if message is None:
            raise Http404
        return message

    def _compose(self, request: HttpRequest, draft: ScheduledMessage | None) -> HttpResponse:
        preview = ""
        warnings: list[str] = []
        estimate: push.Estimate | None = None
        if request.method == "POST":
            is_sending = "_send" in request.POST
            if is_sending and not self.has_add_permission(request):
                raise PermissionDenied
            form = ComposerForm(request.POST, message=draft, is_draft="_draft" in request.POST)
            if form.is_valid():
                if is_sending or form.is_draft:
                    response = self._store(request, form, draft, is_sending)
                    if response is not None:
                        return response
                elif form.call is not None:
                    preview = form.call.shown()
                    meant = form.meant.put_into(ScheduledMessage())
                    warnings = warnings_about(meant)
                    estimate = push.estimate(meant)
        else:
            form = self._blank_form(request, draft)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Change draft") if draft else gettext("Compose a message"),
            "subtitle": str(draft) if draft else None,
            "opts": self.opts,
            "form": form,
            "errors": form.errors,
            "original": draft,
            "preview": preview,
            "warnings": warnings,
            "estimate": estimate,
            "has_view_permission": self.has_view_permission(request),
            "has_history": self.has_view_or_change_permission(request),
            "may_send": self.has_add_permission(request),
            "may_delete": draft is not None and self.has_delete_permission(request, draft),
            "media": self.media + form.media + Media(js=["django_pushwoosh/composer.js"]),
        }
        return TemplateResponse(request, "admin/django_pushwoosh/scheduledmessage/composer.html", context)

    def _blank_form(self, request: HttpRequest, draft: ScheduledMessage | None) -> ComposerForm:
        if draft is not None:
            return ComposerForm(message=draft, composer_key=draft.composer_key)
        if "copy" not in request.GET:
            return ComposerForm()
        source = self.get_object(request, request.GET["copy"])
        if not self._may_see(request, source):
            raise PermissionDenied
        if source is not None and is_numbered(source) and not sees_numbers(request):
            source.audience = {}
            messages.warning(request, gettext("The audience was not copied: it holds phone numbers. Choose one anew."))
        return ComposerForm(message=source)

    def _store(
        self, request: HttpRequest, form: ComposerForm, draft: ScheduledMessage | None, is_sending: bool
    ) -> HttpResponse | None:
        """Keep what the form says, and queue it if it is to be sent to less than everyone.

        `None` where it cannot be sent after all; the form then says why.
        """
        using = router.db_for_write(ScheduledMessage)
        key: UUID = draft.composer_key if draft is not None else form.cleaned_data["composer_key"]
        try:
            for _attempt in range(2):
                try:
                    with transaction.atomic(using=using):
                        message = self._kept(request, form, key, using)
                        if message.status != DRAFT:
                            return self._already_sent(request, message)
                        if is_sending and not confirmation.is_needed(message):
                            push.submit(message)
                            self.log_change(request, message, gettext("Sent."))
                    break
                except IntegrityError:
                    # The same form was stored a moment ago by another request; the second look finds its row.
                    if self._stored(str(key)) is None:
                        raise
        except Invalid as error:
            form.refuse(error)
            return None
        if not is_sending:
            messages.success(request, gettext("The draft was saved. Nothing was sent."))
        elif confirmation.is_needed(message):
            return redirect("admin:django_pushwoosh_scheduledmessage_confirm", message.pk)
        else:
            messages.success(request, gettext("The message was queued."))
        return self._to_page(request, message)

    def _kept(self, request: HttpRequest, form: ComposerForm, key: UUID, using: str) -> ScheduledMessage:
        """The form's row: a new one, its draft with the new content, or, untouched, what was sent already."""
        rows = ScheduledMessage.objects.using(using)
        # A locking look for a row that is not there would lock the gap (MariaDB, MySQL), and ten of them each other.
        found = rows.filter(composer_key=key).first()
        message = rows.select_for_update().get(pk=found.pk) if found is not None else None
        if message is None:
            message = form.meant.put_into(ScheduledMessage(composer_key=key, created_by_id=request.user.pk))
            message.save(using=using, force_insert=True)
            self.log_addition(request, message, [{"added": {}}])
        elif message.status == DRAFT:
            if not self._may_write(request, message):
                raise PermissionDenied
            form.meant.put_into(message).save(using=using)
            self.log_change(request, message, [{"changed": {"fields": []}}])
        return message

    def _stored(self, key: str) -> ScheduledMessage | None:
        try:
            found = UUID(key)
        except (ValueError, AttributeError, TypeError):
            return None
        using = router.db_for_write(ScheduledMessage)
        return ScheduledMessage.objects.using(using).filter(composer_key=found).first()

    def _already_sent(self, request: HttpRequest, message: ScheduledMessage) -> HttpResponse:
        form = ComposerForm(request.POST, message=message, is_draft=True)
        is_same = form.is_valid() and confirmation.digest_of(
            form.meant.put_into(ScheduledMessage())
        ) == confirmation.digest_of(message)
        if is_same:
            messages.info(request, gettext("This message was already sent; it was not sent a second time."))
        else:
            messages.warning(
                request,
                gettext("This message was already sent, and the form was changed after that. Compose a new message."),
            )
        return self._to_page(request, message)

    def _to_page(self, request: HttpRequest, message: ScheduledMessage) -> HttpResponse:
        if self._may_see(request, message):
            return redirect("admin:django_pushwoosh_scheduledmessage_change", message.pk)
        return redirect("admin:index")

    # Everyone

    def confirm_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A person confirms a push that nothing limits, seeing how many devices are known."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        message = self._seen(request, pk)
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "POST"])
        if message.status != DRAFT:
            messages.info(request, gettext("This message was already sent; it was not sent a second time."))
            return self._to_page(request, message)
        reach = confirmation.reach_of(message)
        if reach is None:
            messages.warning(request, gettext("This draft is not meant for everyone any more; send it from here."))
            return self._to_page(request, message)
        if request.method == "POST":
            try:
                verdict = self._confirmed(request, message)
            except (Invalid, ImproperlyConfigured) as error:
                messages.error(request, gettext("It cannot be sent: %(problem)s") % {"problem": error})
                return self._to_page(request, message)
            if verdict is Verdict.HOLDS:
                return self._to_page(request, message)
            messages.error(request, REFUSED[verdict])
            message.refresh_from_db(using=home_of(message))
            reach = confirmation.reach_of(message) or reach
        is_masked = not sees_numbers(request)
        report = report_on(message, is_masked=is_masked)
        count = confirmation.known_devices(message)
        try:
            problem = ""
            shown = push.call_of(message, message.to, message.composer_key, timezone.now()).shown()
        except Invalid as error:
            problem, shown = str(error), ""
        title, button = ASKED[reach]
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "button": button,
            "reach": reach.value,
            "opts": self.opts,
            "original": message,
            "report": report,
            "count": count,
            "is_countable": confirmation.is_countable(message),
            "blank": confirmation.blank_devices(message),
            "problem": problem,
            "shown": masked(shown) if is_masked else shown,
            "platforms": message.parameters.get("platforms"),
            "token": confirmation.sign(message, count, request.user.pk),
            "may_change": self._may_write(request, message),
            "has_view_permission": self.has_view_permission(request),
            "media": self.media,
        }
        return TemplateResponse(request, "admin/django_pushwoosh/scheduledmessage/confirm.html", context)

    def _confirmed(self, request: HttpRequest, message: ScheduledMessage) -> Verdict:
        using = router.db_for_write(ScheduledMessage)
        with transaction.atomic(using=using):
            # What is checked is what is sent: nobody changes the row in between.
            locked = ScheduledMessage.objects.using(using).select_for_update().get(pk=message.pk)
            count = confirmation.known_devices(locked)
            if locked.status != DRAFT:
                messages.info(request, gettext("This message was already sent; it was not sent a second time."))
                return Verdict.HOLDS
            verdict = confirmation.verdict_on(request.POST.get("token", ""), locked, count, request.user.pk)
            if verdict is Verdict.HOLDS:
                if push.submit(locked):
                    self.log_change(request, locked, gettext("Sent, confirmed."))
                    messages.success(request, gettext("The message was queued."))
                else:
                    messages.info(request, gettext("This message was already sent; it was not sent a second time."))
        return verdict

    # Following

    def _message_page(self, request: HttpRequest, message: ScheduledMessage) -> HttpResponse:
        may_change = self.has_change_permission(request, message)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Message"),
            "subtitle": str(message),
            "opts": self.opts,
            "original": message,
            "may_add": self.has_add_permission(request),
            "may_cancel": may_change,
            "may_delete": self.has_delete_permission(request, message),
            "has_view_permission": self.has_view_permission(request),
            "has_history": self.has_view_or_change_permission(request, message),
            "media": self.media + Media(js=["django_pushwoosh/message.js"]),
            **self._live_context(request, message),
        }
        return TemplateResponse(request, "admin/django_pushwoosh/scheduledmessage/message.html", context)

    def _live_context(self, request: HttpRequest, message: ScheduledMessage) -> dict[str, Any]:
        report = report_on(message, request.GET.get("page", 1), is_masked=not sees_numbers(request))
        context = {
            "report": report,
            "may_retry": self.has_add_permission(request),
            "may_cancel": self.has_change_permission(request, message),
        }
        live = render_to_string("admin/django_pushwoosh/scheduledmessage/live.html", context, request)
        return {**context, "live": live, "version": hashlib.sha256(live.encode()).hexdigest()[:16]}

    def state_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The state as JSON, with the page's live part; the message page asks for it while something moves."""
        message = self._seen(request, pk)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET"])
        context = self._live_context(request, message)
        return JsonResponse(
            {
                "status": message.status,
                "label": message.get_status_display(),
                "words": context["report"].words,
                "tone": context["report"].tone,
                "is_moving": context["report"].is_moving,
                "version": context["version"],
                "html": context["live"],
            }
        )

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        # What a replica has not heard of yet can be cancelled all the same.
        message = get_object_or_404(ScheduledMessage.objects.using(router.db_for_write(ScheduledMessage)), pk=pk)
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "POST"])
        if not is_cancellable(message):
            messages.warning(request, gettext("There is nothing left to cancel."))
            return self._to_page(request, message)
        if request.method == "POST":
            push.cancel(message)
            self.log_change(request, message, gettext("Cancelled."))
            self._tell_cancelled(request, message)
            return self._to_page(request, message)
        return self._ask(
            request,
            message,
            title=gettext("Cancel the message?"),
            words=[
                gettext("What is still queued here never leaves. What Pushwoosh holds already is cancelled there."),
                gettext("What has reached a device stays there."),
            ],
            button=gettext("Cancel the message"),
            is_destructive=True,
        )

    def _tell_cancelled(self, request: HttpRequest, message: ScheduledMessage) -> None:
        using, over = message._state.db, (Dispatch.Status.CANCELLED, Dispatch.Status.FAILED)
        dispatches = message.dispatches.using(using).exclude(status__in=over)
        asked = OutboxEntry.objects.using(using).filter(dispatch__message=message, method="cancelMessage").unsettled()
        being_cancelled = message.dispatches.using(using).filter(IS_BEING_CANCELLED)
        left, on_their_way = dispatches.count(), asked.count() + being_cancelled.count()
        if not left:
            messages.success(request, gettext("The message was cancelled."))
        elif on_their_way:
            messages.success(request, gettext("The message is being cancelled."))
        if left > on_their_way:
            messages.warning(
                request,
                gettext("%(number)d requests have no message code, and cannot be stopped.")
                % {"number": left - on_their_way},
            )

    def retry_view(self, request: HttpRequest, pk: int, entry_pk: int) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        message = self._seen(request, pk)
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "POST"])
        entry = get_object_or_404(OutboxEntry, pk=entry_pk, dispatch__message=message, method__in=SENDING)
        if entry.status not in (OutboxEntry.Status.FAILED, OutboxEntry.Status.UNCERTAIN):
            messages.info(request, gettext("This request is not waiting for a decision any more."))
            return self._to_page(request, message)
        if request.method == "POST":
            if push.retry(entry):
                self.log_change(request, message, gettext("Sent again."))
                messages.success(request, gettext("The message was queued again."))
            return self._to_page(request, message)
        is_uncertain = entry.status == OutboxEntry.Status.UNCERTAIN
        return self._ask(
            request,
            message,
            title=gettext("Send again?"),
            words=[
                gettext(
                    "Nobody knows whether this message arrived. If it did, sending it again makes it arrive twice. "
                    "Look for it in Pushwoosh's message history first."
                )
                if is_uncertain
                else gettext("Pushwoosh refused this request. It is sent again just as it was."),
                entry.told if sees_numbers(request) else masked(entry.told),
            ],
            button=gettext("Send again, it may arrive twice") if is_uncertain else gettext("Send again"),
            is_destructive=is_uncertain,
        )

    def _ask(self, request: HttpRequest, message: ScheduledMessage, **more: Any) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": message,
            "has_view_permission": self.has_view_permission(request, message),
            "back": reverse("admin:django_pushwoosh_scheduledmessage_change", args=[message.pk]),
            "media": self.media,
            **more,
        }
        return TemplateResponse(request, "admin/django_pushwoosh/ask.html", context)


ASKED = {
    Reach.EVERYONE: (_("Send to everyone?"), _("Yes, send to everyone")),
    Reach.GROUP: (_("Send to a whole group of applications?"), _("Yes, send to the whole group")),
    Reach.ACCOUNT: (_("Send beyond the application?"), _("Yes, send account-wide")),
    Reach.EXPRESSION: (_("Send without any condition?"), _("Yes, send to all of them")),
}
REFUSED = {
    Verdict.STALE: _("This confirmation is older than an hour, or is not yours. Look at the numbers again."),
    Verdict.CHANGED: _("The message was changed after you looked at it. Look at it again before you send it."),
    Verdict.DRIFTED: _("The number of devices has changed since you looked. Look at it again before you send."),
}


def state_badge(status: str, label: str) -> SafeString:
    return format_html('<span class="pushwoosh-state" data-status="{}">{}</span>', status, label)
