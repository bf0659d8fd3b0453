"""What became of a message, in words: the message page's lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.core.paginator import Page, Paginator
from django.db import router
from django.db.models import Prefetch, Q
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext, ngettext

from django_pushwoosh import push
from django_pushwoosh.admin.notices import of_others, paused_by_settings, words_of
from django_pushwoosh.conf import settings
from django_pushwoosh.delivery.statistics import of_dispatches
from django_pushwoosh.models import Attempt, Dispatch, OutboxEntry, Pause, ScheduledMessage
from django_pushwoosh.protocol.addresses import masked
from django_pushwoosh.protocol.answers import CODE_NOT_AVAILABLE, MessagesCreated
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.errors import Invalid
from django_pushwoosh.protocol.parameters import BY_NAME
from django_pushwoosh.protocol.refusals import parted

SENDING = ("createMessage", "createTargetedMessage")
CANCELLING = ("cancelMessage", "deleteMessage")
DISPATCHES_PER_PAGE = 20
CANCELLABLE_FOR = timedelta(days=1)
"""After its time a message may still be on its way for a while, rarely for longer."""

DISPATCH = Dispatch.Status
IS_BEING_CANCELLED = Q(status=DISPATCH.QUEUED, is_unwanted=True)
ENTRY = OutboxEntry.Status


@dataclass
class DispatchLine:
    """A dispatch with what was said and answered."""

    dispatch: Dispatch
    words: str
    told: str
    advice: str
    tone: str
    sent: str
    answer: str
    entries: list[OutboxEntry]
    retryable: OutboxEntry | None
    reported: str

    @property
    def is_uncertain(self) -> bool:
        return self.dispatch.status == DISPATCH.UNCERTAIN


@dataclass
class Report:
    """The message page: the message, one page of its dispatches, and what may be done about it."""

    message: ScheduledMessage
    words: str
    tone: str
    content: list[tuple[str, str]]
    audience: str
    when: str
    lines: list[DispatchLine]
    page: Page[Dispatch]
    notices: list[str]
    warnings: list[str]
    is_moving: bool
    is_cancellable: bool
    forecast: str = ""
    draft: str = ""
    reported: str = ""


def as_text(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2)


def shown_call(method: str, application: str, arguments: dict[str, Any]) -> str:
    """The request's body for people; the token's place is marked."""
    if method not in METHODS:
        return as_text(arguments)
    return Call(METHODS[method], application, arguments).shown()


def report_on(message: ScheduledMessage, page: Any = 1, *, is_masked: bool = True) -> Report:
    """All that is known of a message, in a constant number of queries; phone numbers by their ends only, or whole."""
    show = masked if is_masked else str
    using = message._state.db or router.db_for_read(ScheduledMessage)
    attempts = Prefetch("attempts", Attempt.objects.using(using).order_by("number"))
    entries = OutboxEntry.objects.using(using).defer("arguments", "raw").order_by("pk").prefetch_related(attempts)
    dispatches = message.dispatches.using(using).order_by("number").prefetch_related(Prefetch("entries", entries))
    found = Paginator(dispatches, DISPATCHES_PER_PAGE).get_page(page)
    unsettled = OutboxEntry.objects.using(using).filter(dispatch__message=message).unsettled()
    statistics = of_dispatches(found.object_list, message.application, using=using)
    is_for_nobody = is_sent_to_nobody(message)
    return Report(
        message=message,
        words=_words_for_nobody(message) if is_for_nobody else _words_of_message(message),
        tone="doubtful" if is_for_nobody else "",
        content=content_words(message),
        audience=show(audience_words(message)),
        when=when_words(message),
        lines=[_line(each, message, show, reported_words(statistics[each.pk])) for each in found.object_list],
        page=found,
        notices=list(_notices(message)),
        warnings=[show(each) for each in warnings_about(message)],
        is_moving=unsettled.exists(),
        is_cancellable=is_cancellable(message),
        forecast=forecast_words(message),
        draft=show(as_text(message.parameters)) if message.status == ScheduledMessage.Status.DRAFT else "",
        reported=reported_words(push.statistics_of(message)),
    )


def content_words(message: ScheduledMessage) -> list[tuple[str, str]]:
    """Title and text with their labels, each language on a line of its own."""
    words = []
    for name in ("title", "content"):
        value = message.parameters.get(name)
        if isinstance(value, dict):
            named = {
                gettext("all others") if language == "default" else language: text for language, text in value.items()
            }
            value = "\n".join(f"{language}: {text}" for language, text in named.items())
        if value:
            words.append((gettext(BY_NAME[name].label), str(value)))
    return words


def place_of(path: str) -> str:
    """A parameter's label, with its platform: “iOS: Sound”."""
    row = BY_NAME.get(path.split(".", 1)[0].split("[", 1)[0])
    if row is None:
        return path
    label = gettext(row.label)
    return f"{row.platform.label}: {label}" if row.platform is not None else label


def warnings_about(message: ScheduledMessage) -> list[str]:
    """What Pushwoosh would silently ignore in it; nothing for a draft that is not yet whole."""
    try:
        found = push.warnings(message, message.queued_at)
    except Invalid:
        return []
    return [f"{place_of(each.path)}: {gettext(each.text)}" if each.path else gettext(each.text) for each in found]


def audience_words(message: ScheduledMessage) -> str:
    try:
        return message.to.describe()
    except Invalid:
        return gettext("nobody yet")


def when_words(message: ScheduledMessage) -> str:
    if message.send_at is None:
        return gettext("at once")
    if message.in_device_time:
        return gettext("%(time)s on each device's own clock") % {"time": f"{message.send_at:%Y-%m-%d %H:%M}"}
    try:
        local = message.send_at.astimezone(ZoneInfo(message.time_zone))
    except (ValueError, OSError, KeyError, OverflowError):
        return f"{message.send_at:%Y-%m-%d %H:%M} UTC"
    return f"{local:%Y-%m-%d %H:%M} {message.time_zone}"


def is_cancellable(message: ScheduledMessage) -> bool:
    """Whether cancelling can still stop something: what is queued here, or what Pushwoosh holds."""
    if message.status == ScheduledMessage.Status.DRAFT:
        return False
    using = message._state.db
    dispatches = list(message.dispatches.using(using).only("status", "is_unwanted", "message_code", "message_id"))
    if any(each.status == DISPATCH.QUEUED and not each.is_unwanted for each in dispatches):
        return True
    if OutboxEntry.objects.using(using).filter(dispatch__message=message, method__in=CANCELLING).unsettled().exists():
        return False
    last = (message.send_at or message.queued_at or message.created_at) + CANCELLABLE_FOR
    is_known = any(each.status in (DISPATCH.SENT, DISPATCH.UNCERTAIN) and each.is_known_upstream for each in dispatches)
    return is_known and timezone.now() < last


def known_applications() -> set[str]:
    return {application.code for application in settings.applications.values()}


def reported_words(statistics: push.Statistics) -> str:
    """What devices reported through the gateway, in words; empty where that is nothing."""
    if not statistics:
        return ""
    arrived = ngettext("arrived on %(number)s device", "arrived on %(number)s devices", statistics.deliveries)
    opened = ngettext("opened on %(number)s", "opened on %(number)s", statistics.opens)
    counts = (number_format(each, force_grouping=True) for each in (statistics.deliveries, statistics.opens))
    return ", ".join(words % {"number": count} for words, count in zip((arrived, opened), counts, strict=True))


def _notices(message: ScheduledMessage) -> Sequence[str]:
    notices = []
    if words := paused_by_settings():
        notices.append(words)
    pauses = Pause.objects.filter(application__in=["", message.application]).select_related("paused_by")
    notices += map(words_of, pauses)
    if message.application not in known_applications():
        notices.append(
            gettext("PUSHWOOSH['APPLICATIONS'] has no application %(code)s any more; nothing is sent for it.")
            % {"code": message.application}
        )
    if message.status != ScheduledMessage.Status.DRAFT:
        notices += [each.text for each in of_others(message.pk)]
    return notices


def forecast_words(message: ScheduledMessage) -> str:
    """When a message that waits for the cap is expected to go; empty where it does not wait for that."""
    if message.status != ScheduledMessage.Status.SCHEDULED or message.application not in known_applications():
        return ""
    forecast = push.forecast(message)
    if forecast is None or (not forecast.requests_before and forecast.at <= timezone.now()):
        return ""
    local = timezone.localtime(forecast.at)
    time = {"time": f"{date_format(local, 'DATE_FORMAT')}, {local:%H:%M:%S}"}
    words = (gettext("not before about %(time)s") if forecast.is_least else gettext("at about %(time)s")) % time
    ahead = ngettext(
        "%(number)d request is before it", "%(number)d requests are before it", forecast.requests_before
    ) % {"number": forecast.requests_before}
    return gettext("%(when)s (an estimate; %(ahead)s under the account's cap)") % {"when": words, "ahead": ahead}


def _words_of_message(message: ScheduledMessage) -> str:
    match message.status:
        case ScheduledMessage.Status.DRAFT:
            return gettext("Nothing was sent yet.")
        case ScheduledMessage.Status.SCHEDULED if message.dispatches.filter(IS_BEING_CANCELLED).exists():
            return gettext("It is being cancelled.")
        case ScheduledMessage.Status.SCHEDULED:
            return gettext("It waits to be handed to Pushwoosh.")
        case ScheduledMessage.Status.SENT if message.is_ahead:
            return gettext("Pushwoosh accepted it and keeps it until its time.")
        case ScheduledMessage.Status.SENT:
            return gettext("Pushwoosh accepted it.")
        case ScheduledMessage.Status.LIMITED:
            return gettext("Pushwoosh sent it to one random device only, not to the audience.")
        case ScheduledMessage.Status.FAILED:
            return gettext("Pushwoosh refused it. Change what it names and send it again.")
        case ScheduledMessage.Status.UNCERTAIN:
            return gettext(
                "Nobody knows whether it arrived: no answer came. Look at Pushwoosh before sending it again."
            )
        case ScheduledMessage.Status.CANCELLED:
            return gettext("It was cancelled.")
        case ScheduledMessage.Status.EXPIRED:
            return gettext("It waited too long, and was not sent any more.")
    return ""


def unknown_devices(dispatch: Dispatch) -> set[str]:
    """The recipients that Pushwoosh's answer says it does not know."""
    response = dispatch.answer.get("response") if isinstance(dispatch.answer, dict) else None
    try:
        return set(MessagesCreated.read(Answer(200, 200, response=response)).unknown_devices)
    except ValueError:
        return set()


def reaches_nobody(dispatch: Dispatch) -> bool:
    """Whether Pushwoosh took a list of devices and knows none of them."""
    notifications = dispatch.arguments.get("notifications") or [{}]
    devices = notifications[0].get("devices") or ()
    return bool(devices) and unknown_devices(dispatch).issuperset(devices)


def is_sent_to_nobody(message: ScheduledMessage) -> bool:
    """Whether all that was sent of a message was for devices that Pushwoosh does not know."""
    if message.status != ScheduledMessage.Status.SENT:
        return False
    sent = message.dispatches.filter(status=DISPATCH.SENT)
    # Lists may be long: they are looked at only where each part was told something.
    if not sent.exists() or sent.filter(told="").exists():
        return False
    return all(map(reaches_nobody, sent.iterator(chunk_size=10)))


def _words_for_nobody(message: ScheduledMessage) -> str:
    if message.is_ahead:
        return gettext("Pushwoosh accepted it and keeps it until its time; so far it knows none of its devices.")
    return gettext("Pushwoosh accepted it, and knows none of its devices: nobody gets it.")


def _line(dispatch: Dispatch, message: ScheduledMessage, show: Callable[[str], str], reported: str) -> DispatchLine:
    entries = list(dispatch.entries.all())
    for attempt in (each for entry in entries for each in entry.attempts.all()):
        attempt.told = show(attempt.told)
        attempt.sent, attempt.answered = show(attempt.sent), show(attempt.answered)
    sending = [entry for entry in entries if entry.method in SENDING]
    retryable = next((entry for entry in sending if entry.status in (ENTRY.FAILED, ENTRY.UNCERTAIN)), None)
    is_sent = dispatch.status == DISPATCH.SENT
    told, advice = parted(dispatch.told)
    return DispatchLine(
        dispatch=dispatch,
        words=show(_words_of(dispatch, told, sending)),
        told=show(told) if is_sent else "",
        advice=gettext(advice) if advice else "",
        tone="doubtful" if is_sent and reaches_nobody(dispatch) else "",
        sent=show(shown_call(dispatch.method, message.application, dispatch.arguments)),
        answer=show(as_text(dispatch.answer)) if dispatch.answer is not None else "",
        entries=entries,
        retryable=retryable,
        reported=reported,
    )


def _words_of(dispatch: Dispatch, told: str, entries: list[OutboxEntry]) -> str:
    match dispatch.status:
        case DISPATCH.QUEUED if dispatch.is_unwanted:
            return gettext(
                "Is being cancelled: it was on its way when it was cancelled, and is stopped as soon as Pushwoosh has "
                "given it a code."
            )
        case DISPATCH.QUEUED:
            return _words_of_waiting(entries)
        case DISPATCH.SENT:
            # What it was told has a place of its own.
            return _words_of_sent(dispatch)
        case DISPATCH.LIMITED:
            words = gettext("Pushwoosh sent it to one random device only.")
        case DISPATCH.FAILED:
            words = gettext("Pushwoosh refused it.")
        case DISPATCH.UNCERTAIN:
            words = gettext("No answer came; it may have arrived, or not.")
        case DISPATCH.EXPIRED:
            # It is told in the same words.
            words = ""
        case _:
            words = gettext("It was cancelled.")
    return f"{words} {told}".strip()


def _words_of_waiting(entries: list[OutboxEntry]) -> str:
    entry = next((each for each in entries if each.status in OutboxEntry.UNSETTLED), None)
    if entry is None or not entry.attempts_made:
        return gettext("Waits to be sent.")
    return gettext("Attempt %(number)d did not get through: %(told)s. The next is due at %(time)s.") % {
        "number": entry.attempts_made,
        "told": entry.told or gettext("no answer"),
        "time": date_format(timezone.localtime(entry.due_at), "H:i:s"),
    }


def _words_of_sent(dispatch: Dispatch) -> str:
    if reaches_nobody(dispatch):
        words = gettext("Pushwoosh accepted it, and knows none of its devices.")
    elif dispatch.message_code == CODE_NOT_AVAILABLE:
        words = gettext(
            "Pushwoosh accepted it, and gave no message code (CODE_NOT_AVAILABLE): it can be neither followed nor "
            "cancelled."
        )
    else:
        words = gettext("Pushwoosh accepted it as %(code)s.") % {"code": dispatch.message_code}
    return words
