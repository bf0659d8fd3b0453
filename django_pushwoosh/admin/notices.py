"""Why something waits, said at the top of lists and on the pages of messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import router
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext

from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import strangers
from django_pushwoosh.models import OutboxEntry, Pause


@dataclass(frozen=True, slots=True)
class Notice:
    """Why something waits; with the address of the question whether it shall go on, for who may say so."""

    text: str
    resume_url: str = ""


def held_back(request: HttpRequest) -> list[Notice]:
    """What is paused, since when, by whom and why."""
    said = [Notice(words) for words in [paused_by_settings()] if words]
    may_resume = request.user.has_perm("django_pushwoosh.delete_pause")
    for pause in Pause.objects.select_related("paused_by"):
        url = reverse("admin:django_pushwoosh_pause_resume", args=[pause.pk]) if may_resume else ""
        said.append(Notice(words_of(pause), url))
    return said


def paused_by_settings() -> str:
    if not settings.is_paused:
        return ""
    return gettext("Sending is switched off by PUSHWOOSH['PAUSED']; what is queued waits.")


def words_of(pause: Pause) -> str:
    given = {
        "application": pause.application,
        "since": date_format(timezone.localtime(pause.since), "DATETIME_FORMAT"),
        "by": str(pause.paused_by) if pause.paused_by else gettext("Pushwoosh's answer"),
        "reason": pause.reason,
    }
    if not pause.application:
        return gettext("Everything is paused since %(since)s by %(by)s: %(reason)s") % given
    return gettext("The application %(application)s is paused since %(since)s by %(by)s: %(reason)s") % given


def of_others(message: int | None = None) -> list[Notice]:
    """What the outbox holds for other applications or API roots: all of it, or of one message."""
    found = strangers.found(router.db_for_read(OutboxEntry), message)
    return [
        Notice(
            ngettext(
                "%(number)d entry was written for the application %(application)s at %(api_root)s, which the settings "
                "do not name. It is not sent from here; is this a copy of another place's database?",
                "%(number)d entries were written for the application %(application)s at %(api_root)s, which the "
                "settings do not name. They are not sent from here; is this a copy of another place's database?",
                each.entries,
            )
            % {"number": each.entries, "application": each.application, "api_root": each.api_root}
        )
        for each in found
    ]


def context(request: HttpRequest, said: Sequence[Notice]) -> dict[str, Any]:
    """What the template of a list needs to say it, and to offer the switch."""
    return {"notices": said, "may_pause": request.user.has_perm("django_pushwoosh.add_pause")}
