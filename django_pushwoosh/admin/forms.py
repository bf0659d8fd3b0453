"""The composer's form, generated from the parameter table; and the forms of the records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Any, cast
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.forms.boundfield import BoundField
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_pushwoosh import push
from django_pushwoosh.admin.fields import (
    ConditionsField,
    ExtraField,
    IdsField,
    LocalTimeField,
    field_for,
    typed,
    words_of,
)
from django_pushwoosh.admin.following import place_of
from django_pushwoosh.admin.widgets import LANGUAGES, is_filled
from django_pushwoosh.conf import settings
from django_pushwoosh.models import ScheduledMessage, TagDefinition
from django_pushwoosh.protocol import audience as audiences
from django_pushwoosh.protocol.audience import EVERYONE, Audience
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.errors import Invalid, InvalidFilter, InvalidMessage, Problem
from django_pushwoosh.protocol.fields import TimeZoneName
from django_pushwoosh.protocol.messages import Message
from django_pushwoosh.protocol.parameters import BY_NAME, GROUPS, PARAMETERS, in_group, of
from django_pushwoosh.protocol.platforms import (
    AMAZON,
    ANDROID,
    CHROME,
    FIREFOX,
    HUAWEI,
    IOS,
    MACOS,
    SAFARI,
    SMS,
    WINDOWS,
)
from django_pushwoosh.protocol.tags import DEFAULT_TAGS

NOW = "now"
AT = "at"
IN_DEVICE_TIME = "device"

PLATFORMS = (IOS, ANDROID, HUAWEI, SAFARI, CHROME, FIREFOX, AMAZON, MACOS, WINDOWS)
COLLAPSED_GROUPS = ("delivery", "inbox", "personalisation")
MOST_TAG_NAMES = 500
LATEST_ZONE = timedelta(hours=12)
"""How far behind UTC the last clocks on earth run."""

AUDIENCE_LABELS = {
    "conditions": _("Devices whose tags meet conditions"),
    "devices": _("Chosen devices"),
    "users": _("Chosen users"),
    "filter_expression": _("A filter expression"),
    "saved_filter": _("A saved filter"),
    "geozone": _("Devices around a place"),
    "application_group": _("All applications of a group"),
    "everyone": _("Everyone"),
}
AUDIENCE_FIELDS = {
    "conditions": ("conditions_operator", "conditions"),
    "devices": ("devices",),
    "users": ("users",),
    "filter_expression": ("devices_filter", "account_wide"),
    "saved_filter": ("filter",),
    "geozone": ("geozone_lat", "geozone_lng", "geozone_range"),
    "application_group": ("applications_group",),
    "everyone": (),
}
"""The inputs of each kind of audience; the first that is filled in says that the kind is meant."""
SPEAKING = {**AUDIENCE_FIELDS, "conditions": ("conditions",), "filter_expression": ("devices_filter",)}

_PLACES = {
    "expression": "devices_filter",
    "applications_group": "applications_group",
    "lat": "geozone_lat",
    "lng": "geozone_lng",
    "range": "geozone_range",
    "geozone.lat": "geozone_lat",
    "geozone.lng": "geozone_lng",
    "geozone.range": "geozone_range",
    "geozone": "geozone_lat",
    "account_wide": "account_wide",
    "to": "audience",
}
_FIRST = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFUSED = object()
"""Stands for a value that its field refused: it is there, though it cannot be sent."""


@cache
def zone_names() -> tuple[str, ...]:
    return tuple(sorted(available_timezones()))


def application_choices() -> list[tuple[str, str]]:
    """The applications of the settings, by code; none where the settings are wrong."""
    try:
        return [(each.code, f"{each.alias} ({each.code})") for each in settings.applications.values()]
    except ImproperlyConfigured:
        return []


@dataclass
class Section:
    """A fieldset of the composer; `used` counts its fields that are filled in."""

    slug: str
    title: str
    fields: list[BoundField]
    note: str = ""
    is_collapsible: bool = True
    used: int = 0
    is_open: bool = False

    def __post_init__(self) -> None:
        self.used = sum(is_filled(each.value()) for each in self.fields)
        self.is_open = bool(self.used) or any(each.errors for each in self.fields)


@dataclass
class Panel:
    """A kind of audience with its inputs."""

    kind: str
    label: str
    fields: list[BoundField]
    is_chosen: bool


@dataclass
class Schedule:
    """When a message leaves; without `at` it leaves at once."""

    at: datetime | None = None
    zone: str = "UTC"
    in_device_time: bool = False


@dataclass
class Meant:
    """What a form says, as the columns of a message."""

    application: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    audience: dict[str, Any] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)
    expires_at: datetime | None = None

    def put_into(self, message: ScheduledMessage) -> ScheduledMessage:
        message.application = self.application
        message.parameters = self.parameters
        message.audience = self.audience
        message.send_at = self.schedule.at
        message.time_zone = self.schedule.zone
        message.in_device_time = self.schedule.in_device_time
        message.expires_at = self.expires_at
        return message


class ComposerForm(forms.Form):
    """A message as people fill it in. Names of fields are names of parameters.

    With `is_draft` what is missing may be missing and the time may have passed; what is given must be right all the
    same. A valid form has `meant`, and unless it is a draft's `call`, which is what will be sent (for the first
    thousand devices).
    """

    composer_key = forms.UUIDField(widget=forms.HiddenInput)
    application = forms.ChoiceField(label=_("Application"))

    audience = forms.ChoiceField(label=_("Whom it is for"), required=False, choices=AUDIENCE_LABELS.items())
    conditions_operator = forms.ChoiceField(
        label=_("Match"),
        required=False,
        initial="AND",
        choices=[("AND", _("all of the conditions")), ("OR", _("any of the conditions"))],
    )
    conditions = ConditionsField(
        label=_("Conditions"),
        help_text=_(
            "For “is one of” and “is between” separate values with commas. A value takes its tag's type where the tag "
            "is defined here; otherwise digits alone are a number, true and false are truth values, and everything "
            'else is text. Put a value in double quotes to make it text; "" is an empty one.'
        ),
    )
    devices = IdsField(label=_("Devices"), help_text=_("Hardware ids or push tokens, one per line."))
    users = IdsField(label=_("Users"), help_text=_("User ids as given to Pushwoosh, one per line."))
    devices_filter = forms.CharField(
        label=_("Filter expression"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField pushwoosh-code", "spellcheck": "false"}),
        help_text=_(
            'For example T("Age", BETWEEN, [17, 20]) * T("City", EQ, "Oslo"). It reaches devices of this application. '
            "Where no tag limits it, you are asked to confirm before it is sent."
        ),
    )
    account_wide = forms.BooleanField(
        label=_("Reach every application of the account"),
        required=False,
        help_text=_(
            "The expression is sent as it stands, and is not held to this application; you are asked to confirm before."
        ),
    )
    filter = forms.CharField(
        label=_("Saved filter"),
        required=False,
        help_text=_("The name of a filter saved in Pushwoosh's Control Panel."),
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    geozone_lat = forms.FloatField(label=_("Latitude"), required=False, widget=forms.NumberInput(attrs={"step": "any"}))
    geozone_lng = forms.FloatField(
        label=_("Longitude"), required=False, widget=forms.NumberInput(attrs={"step": "any"})
    )
    geozone_range = forms.IntegerField(label=_("Range in metres"), required=False)
    applications_group = forms.CharField(
        label=_("Application group"),
        required=False,
        help_text=_("The group's code, XXXXX-XXXXX. You are asked to confirm before it is sent."),
        widget=forms.TextInput(attrs={"placeholder": "XXXXX-XXXXX"}),
    )

    when = forms.ChoiceField(
        label=_("When"),
        initial=NOW,
        widget=forms.RadioSelect,
        choices=[
            (NOW, _("Now")),
            (AT, _("At a time, for all at the same moment")),
            (IN_DEVICE_TIME, _("At a time on each device's own clock")),
        ],
    )
    send_at = LocalTimeField(label=_("Time"))
    time_zone = forms.CharField(
        label=_("Time zone"),
        required=False,
        widget=forms.TextInput(attrs={"list": "pushwoosh-zones", "autocomplete": "off"}),
        help_text=_("For example Europe/Oslo. The clock the time is read on."),
    )
    doubled_hour = forms.ChoiceField(
        label=_("Which of the two"),
        required=False,
        choices=[("", "—"), ("0", _("the first")), ("1", _("the second"))],
        help_text=_("The clock is set back on that day and shows this time twice."),
    )
    expires_at = LocalTimeField(label=_("Not after"))

    def __init__(
        self,
        submitted: Mapping[str, Any] | None = None,
        *,
        message: ScheduledMessage | None = None,
        composer_key: UUID | None = None,
        is_draft: bool = False,
        now: datetime | None = None,
    ) -> None:
        self.is_draft = is_draft
        self.now = now or timezone.now()
        self.meant = Meant()
        self.call: Call | None = None
        self.shows_doubled_hour = False
        initial = initial_of(message) if message is not None else {}
        initial["composer_key"] = composer_key or uuid4()
        initial.setdefault("time_zone", timezone.get_current_timezone_name())
        super().__init__(submitted, initial=initial)
        self._add_parameters(submitted or {})
        self._set_applications()
        self.fields["expires_at"].help_text = _(
            "What has not left by then never will; empty for the usual time. It is read on the clock of the time zone "
            "above, or of %(zone)s where none is given. It holds back nothing that Pushwoosh has accepted already."
        ) % {"zone": timezone.get_current_timezone_name()}
        self.shows_doubled_hour = bool(self["doubled_hour"].value())

    def _add_parameters(self, submitted: Mapping[str, Any]) -> None:
        self.parameter_names: list[str] = []
        for parameter in PARAMETERS:
            if parameter.group in ("schedule", "audience"):
                continue
            is_held = parameter.name in self.initial or parameter.name in submitted
            if parameter.deprecated and not is_held:
                continue
            self.fields[parameter.name] = field_for(parameter)
            self.parameter_names.append(parameter.name)
        self.fields["extra"] = ExtraField()

    def _set_applications(self) -> None:
        self.applications = application_choices()
        chosen = cast(forms.ChoiceField, self.fields["application"])
        chosen.choices = self.applications
        if not self.applications:
            chosen.error_messages["required"] = _("PUSHWOOSH['APPLICATIONS'] names no application to send from.")
        else:
            self.initial.setdefault("application", self.applications[0][0])
        codes = [code for code, _label in self.applications]
        if len(codes) == 1 and self.initial["application"] in codes:
            chosen.widget = forms.HiddenInput()

    # For the template

    def content_section(self) -> Section:
        return Section("content", gettext(GROUPS["content"]), self._bound(in_group("content")), is_collapsible=False)

    def sections(self) -> Iterator[Section]:
        """The collapsible fieldsets, common ones first, then one per platform."""
        for group in COLLAPSED_GROUPS:
            yield Section(group, gettext(GROUPS[group]), self._bound(in_group(group)))
        for platform in PLATFORMS:
            yield Section(platform.key.lower(), platform.label, self._bound(of(platform)))
        yield Section(
            SMS.key.lower(),
            SMS.label,
            [],
            gettext(
                "An SMS has no parameters of its own. Choose SMS alone among the platforms, and exactly one device, "
                "whose id is a phone number such as +4712345678; only the text is sent, in one language."
            ),
        )
        yield Section("further", gettext("Further parameters"), [self["extra"]])

    def panels(self) -> list[Panel]:
        chosen = self["audience"].value()
        return [
            Panel(kind, str(label), [self[name] for name in AUDIENCE_FIELDS[kind]], kind == chosen)
            for kind, label in AUDIENCE_LABELS.items()
        ]

    def languages(self) -> tuple[str, ...]:
        return LANGUAGES

    def zones(self) -> tuple[str, ...]:
        return zone_names()

    def tag_names(self) -> list[str]:
        codes = [code for code, _label in self.applications]
        names = TagDefinition.objects.filter(application__in=codes).order_by("name").values_list("name", flat=True)
        return list(names.distinct()[:MOST_TAG_NAMES])

    def problems(self) -> list[tuple[str, str]]:
        """(id, label) of every field that has an error, for the summary above the form."""
        return [
            (
                self[name].id_for_label or str(self[name].auto_id),
                place_of(name) if name in BY_NAME else str(self[name].label),
            )
            for name in self.errors
            if name in self.fields
        ]

    def _bound(self, parameters: Any) -> list[BoundField]:
        return [self[each.name] for each in parameters if each.name in self.fields]

    # Cleaning

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self.meant = Meant(
            application=cleaned.get("application", ""),
            parameters=self._parameters(),
            audience=self._audience(),
            schedule=self._schedule(),
        )
        self.meant.expires_at = self._expiry(self.meant.schedule)
        if not self.errors and not self.is_draft:
            self._try_out()
        return cleaned

    def _parameters(self) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name in (*self.parameter_names, "extra"):
            value = _REFUSED if name in self.errors else self.cleaned_data.get(name)
            if value is not None:
                given[name] = value
        try:
            return Message.from_json(given).to_json()
        except InvalidMessage as error:
            if not self.is_draft:
                self.refuse(error)
            elif "extra" in given and "extra" not in self.errors:
                # Of a draft that is not yet whole, what has no field of its own is still to be checked.
                self.refuse(InvalidMessage(*(each for each in error.problems if each.path.startswith("extra"))))
            return {name: value for name, value in given.items() if value is not _REFUSED}

    def _audience(self) -> dict[str, Any]:
        kind = self.cleaned_data.get("audience")
        if not kind:
            if not self.is_draft and "audience" not in self.errors:
                self.add_error("audience", _("Choose whom this message is for."))
            return {}
        for other, names in SPEAKING.items():
            if other != kind and any(is_filled(self[name].value()) for name in names):
                self.add_error(
                    "audience",
                    _("“%(other)s” is filled in, and “%(chosen)s” is chosen: empty the one, or choose it.")
                    % {"other": AUDIENCE_LABELS[other], "chosen": AUDIENCE_LABELS[kind]},
                )
        names = AUDIENCE_FIELDS[kind]
        if any(name in self.errors for name in names):
            return {}
        if self.is_draft and names and not any(is_filled(self[name].value()) for name in SPEAKING[kind]):
            return {}
        try:
            return getattr(self, f"_{kind}")().to_json()  # type: ignore[no-any-return]
        except InvalidFilter as error:
            if kind == "filter_expression":
                self.add_error("devices_filter", ValidationError(format_html("<pre>{}</pre>", error.pointed())))
            else:
                self.refuse(error)
        except InvalidMessage as error:
            self.refuse(error)
        return {}

    def _everyone(self) -> Audience:
        return EVERYONE

    def _devices(self) -> Audience:
        return audiences.Devices(self._some("devices", _("Name at least one device.")))

    def _users(self) -> Audience:
        return audiences.Users(self._some("users", _("Name at least one user.")))

    def _conditions(self) -> Audience:
        rows = self._some("conditions", _("Give at least one condition."))
        names = {row.tag for row in rows}
        definitions = TagDefinition.objects.filter(application=self.cleaned_data.get("application"), name__in=names)
        types = {**DEFAULT_TAGS, **dict(definitions.values_list("name", "type"))}
        return audiences.Conditions(typed(rows, types.get), self.cleaned_data.get("conditions_operator") or "AND")

    def _filter_expression(self) -> Audience:
        text = self._some("devices_filter", _("Write a filter expression."))
        return audiences.FilterExpression(text, account_wide=bool(self.cleaned_data.get("account_wide")))

    def _saved_filter(self) -> Audience:
        return audiences.SavedFilter(self._some("filter", _("Give the filter's name.")))

    def _geozone(self) -> Audience:
        missing = _("Give a latitude, a longitude and a range.")
        names = AUDIENCE_FIELDS["geozone"]
        for name in names:
            if self.cleaned_data.get(name) is None:
                raise InvalidMessage(Problem(name, str(missing)))
        lat, lng, metres = (self.cleaned_data[name] for name in names)
        return audiences.Geozone(lat, lng, metres)

    def _application_group(self) -> Audience:
        return audiences.ApplicationGroup(self._some("applications_group", _("Give the group's code.")))

    def _some(self, name: str, missing: Any) -> Any:
        value = self.cleaned_data.get(name)
        if not value:
            raise InvalidMessage(Problem(name, str(missing)))
        return value

    def _schedule(self) -> Schedule:
        when = self.cleaned_data.get("when")
        local: datetime | None = self.cleaned_data.get("send_at")
        if when == NOW:
            if is_filled(self["send_at"].value()):
                self.add_error("when", _("A time is filled in, and “Now” is chosen: empty the time, or choose it."))
            return Schedule()
        if when is None or "send_at" in self.errors:
            return Schedule()
        if local is None:
            self.add_error("send_at", _("Give the time at which it is to be sent."))
            return Schedule()
        if when == IN_DEVICE_TIME:
            return self._on_each_clock(local)
        return self._on_one_clock(local)

    def _on_each_clock(self, local: datetime) -> Schedule:
        # The wall clock's reading is kept as if it were UTC: each device reads it in a zone of its own.
        at = local.replace(tzinfo=UTC)
        if not self.is_draft and local <= (self.now - LATEST_ZONE).replace(tzinfo=None):
            self.add_error("send_at", _("This time is past everywhere; choose a later one."))
        return Schedule(at, "UTC", in_device_time=True)

    def _on_one_clock(self, local: datetime) -> Schedule:
        name = (self.cleaned_data.get("time_zone") or "").strip()
        try:
            zone = ZoneInfo(TimeZoneName().clean(name, ""))
        except (Invalid, ValueError, OSError) as error:
            text = (
                str(error) if isinstance(error, Invalid) and name else _("Give a time zone, for example Europe/Oslo.")
            )
            self.add_error("time_zone", text)
            return Schedule()
        try:
            readings = [local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
            back = readings[0].astimezone(zone).replace(tzinfo=None)
        except (OverflowError, ValueError):
            self.add_error("send_at", _("There is no such time in UTC; choose another year."))
            return Schedule()
        if back != local:
            self.add_error(
                "send_at",
                _("%(time)s does not exist in %(zone)s: the clock is set forward over it. %(next)s does.")
                % {
                    "time": f"{local:%Y-%m-%d %H:%M}",
                    "zone": name,
                    "next": f"{back:%Y-%m-%d %H:%M}",
                },
            )
            return Schedule()
        at = readings[0]
        if readings[0] != readings[1]:
            at = self._one_of_two(local, zone, readings)
        if not self.is_draft and at <= self.now:
            self.add_error(
                "send_at",
                _("%(time)s is past; it is %(now)s in %(zone)s. Choose a later time, or send now.")
                % {
                    "time": f"{local:%Y-%m-%d %H:%M}",
                    "now": f"{self.now.astimezone(zone):%Y-%m-%d %H:%M}",
                    "zone": name,
                },
            )
        return Schedule(at, name)

    def _expiry(self, schedule: Schedule) -> datetime | None:
        """When it is too late, on the clock on which the time is given; of a time that comes twice, the first."""
        local: datetime | None = self.cleaned_data.get("expires_at")
        if local is None:
            return None
        zone = _expiry_zone(schedule.at, schedule.zone, schedule.in_device_time)
        try:
            at = local.replace(tzinfo=zone).astimezone(UTC)
            if at.astimezone(zone).replace(tzinfo=None) == local:
                return at
        except (OverflowError, ValueError):
            pass
        self.add_error(
            "expires_at",
            _("There is no such time as %(time)s in %(zone)s.") % {"time": f"{local:%Y-%m-%d %H:%M}", "zone": zone},
        )
        return None

    def _one_of_two(self, local: datetime, zone: ZoneInfo, readings: list[datetime]) -> datetime:
        offsets = [f"UTC{local.replace(tzinfo=zone, fold=fold):%z}" for fold in (0, 1)]
        offsets = [f"{offset[:-2]}:{offset[-2:]}" for offset in offsets]
        self.fields["doubled_hour"].choices = [  # type: ignore[attr-defined]
            ("", "—"),
            ("0", gettext("the first, at %(offset)s") % {"offset": offsets[0]}),
            ("1", gettext("the second, at %(offset)s") % {"offset": offsets[1]}),
        ]
        self.shows_doubled_hour = True
        chosen = self.cleaned_data.get("doubled_hour")
        if chosen not in ("0", "1"):
            self.add_error(
                "send_at",
                _("%(time)s comes twice in %(zone)s, as the clock is set back: at %(first)s and at %(second)s. Choose.")
                % {
                    "time": f"{local:%Y-%m-%d %H:%M}",
                    "zone": str(zone),
                    "first": offsets[0],
                    "second": offsets[1],
                },
            )
        return readings[chosen == "1"]

    def _try_out(self) -> None:
        """Make the call, without sending it: what audience, time and parameters are to each other shows there."""
        message = self.meant.put_into(ScheduledMessage())
        try:
            part = audiences.split(message.to)[0]
            self.call = push.call_of(message, part, uuid4(), self.now)
        except Invalid as error:
            self.refuse(error)

    def refuse(self, error: Invalid) -> None:
        """Put each problem where it can be mended."""
        for problem in error.problems:
            first = _FIRST.match(problem.path)
            name = _PLACES.get(problem.path) or (first[0] if first else "")
            name = _PLACES.get(name, name)
            if name not in self.fields:
                self.add_error(None, gettext(str(problem)))
            elif name in AUDIENCE_OWN and name not in AUDIENCE_FIELDS.get(self.cleaned_data.get("audience", ""), ()):
                # The inputs of another kind of audience may be hidden.
                self.add_error("audience", words_of(problem, str(self.fields[name].label), name))
            elif name in AUDIENCE_OWN:
                self.add_error(name, _row_words(problem))
            elif name not in self.errors:
                self.add_error(name, words_of(problem, str(self.fields[name].label), name))


AUDIENCE_OWN = frozenset(name for names in AUDIENCE_FIELDS.values() for name in names)
_ROW = re.compile(r"(?:conditions|devices|users)\[([0-9]+)\]")


def _row_words(problem: Problem) -> str:
    row = _ROW.match(problem.path)
    text = gettext(problem.text)
    text = text[:1].upper() + text[1:]
    return gettext("Row %(number)d: %(text)s") % {"number": int(row[1]) + 1, "text": text} if row else text


def initial_of(message: ScheduledMessage) -> dict[str, Any]:
    """What a stored message looks like in the form."""
    initial: dict[str, Any] = {"application": message.application}
    if isinstance(message.parameters, dict):
        known = {name: value for name, value in message.parameters.items() if name in BY_NAME or name == "extra"}
        initial.update(known)
    initial.update(_initial_audience(message.audience))
    if message.send_at is not None:
        initial.update(_initial_schedule(message, message.send_at))
    if message.expires_at is not None:
        zone = _expiry_zone(message.send_at, message.time_zone, message.in_device_time)
        initial["expires_at"] = message.expires_at.astimezone(zone).replace(tzinfo=None)
    return initial


def _expiry_zone(at: datetime | None, name: str, in_device_time: bool) -> tzinfo:
    """The clock on which people read when a message is too late."""
    if at is None or in_device_time:
        return timezone.get_current_timezone()
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return ZoneInfo("UTC")


def _initial_audience(stored: Any) -> dict[str, Any]:
    try:
        meant = audiences.from_json(stored).to_json()
    except Invalid:
        return {}
    kind = meant["kind"]
    names: dict[str, tuple[tuple[str, str], ...]] = {
        "conditions": (("conditions", "conditions"), ("conditions_operator", "operator")),
        "devices": (("devices", "ids"),),
        "users": (("users", "ids"),),
        "filter_expression": (("devices_filter", "expression"), ("account_wide", "account_wide")),
        "saved_filter": (("filter", "name"),),
        "geozone": (("geozone_lat", "lat"), ("geozone_lng", "lng"), ("geozone_range", "range")),
        "application_group": (("applications_group", "code"),),
    }
    return {"audience": kind} | {own: meant[theirs] for own, theirs in names.get(kind, ())}


def _initial_schedule(message: ScheduledMessage, at: datetime) -> dict[str, Any]:
    try:
        zone = ZoneInfo("UTC" if message.in_device_time else message.time_zone)
    except (ValueError, OSError, KeyError):
        zone = ZoneInfo("UTC")
    local = at.astimezone(zone)
    initial: dict[str, Any] = {
        "when": IN_DEVICE_TIME if message.in_device_time else AT,
        "send_at": local.replace(tzinfo=None),
    }
    if not message.in_device_time:
        initial["time_zone"] = zone.key
    if local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset():
        initial["doubled_hour"] = str(local.fold)
    return initial
