"""What the parameters of a message are to each other: contradictions, and what Pushwoosh would silently ignore.

`conflicts` are refused; `warnings` are told, for the message can be sent all the same. Source: seed 001
(createMessage), the notes on each parameter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django_pushwoosh.protocol import personalisation
from django_pushwoosh.protocol.audience import Audience, Devices
from django_pushwoosh.protocol.errors import Problem
from django_pushwoosh.protocol.fields import WEEKS_4, JsonObject, LocalizedText, Seconds, Text, Url, is_web_address
from django_pushwoosh.protocol.parameters import BY_NAME, PARAMETERS, of
from django_pushwoosh.protocol.platforms import (
    ANDROID,
    BY_NUMBER,
    HUAWEI,
    IOS,
    SAFARI,
    SMS,
    WINDOWS,
    Platform,
)

SILENT = {IOS: "ios_silent", ANDROID: "android_silent", HUAWEI: "huawei_android_silent"}
CONTENT = ("content", "preset", "rich_media", "wns_content", "live_activity")
"""What gives a push something to show."""
LARGEST_PAYLOAD = 4096
"""Bytes that a push service takes in one push."""
SMALL = 10
"""From this many devices on, Pushwoosh looks at `platforms`."""
EARLIEST_ZONE = timedelta(hours=14)
"""The clocks that are furthest ahead of UTC."""

_SAFARI = tuple(row.name for row in of(SAFARI))
_NEEDED_BY_SAFARI = ("safari_title", "safari_url_args")
_WINDOWS = tuple(row.name for row in of(WINDOWS))
_TITLES = {row.platform: row.name for row in PARAMETERS if row.platform and row.name.endswith(("_title", "_header"))}

RELATED = frozenset(
    {"platforms", "link", "minimize_link", "inbox_date", "inbox_days", "capping_days", "capping_count"}
    | {*_SAFARI, *_WINDOWS}
)
"""The parameters that `conflicts` can complain of, once there is content."""

PERSONALISED = frozenset(
    row.name
    for row in PARAMETERS
    if isinstance(row.kind, LocalizedText | Text | Url) or (isinstance(row.kind, JsonObject) and row.platform)
)
"""Parameters whose texts Pushwoosh fills in for each device."""


def conflicts(cleaned: Mapping[str, Any], present: Collection[str]) -> Iterator[Problem]:
    """What contradicts. `present` names all parameters that were given, also those whose values were refused."""
    is_silent = any(cleaned.get(name) for name in SILENT.values())
    if not is_silent and not any(name in present for name in CONTENT):
        yield Problem("content", "is missing: a push without text needs a preset, rich media or a silent flag")
    if "inbox_date" in present and "inbox_days" in present:
        yield Problem("inbox_days", "says the same as inbox_date: give one of them")
    if ("capping_days" in present) != ("capping_count" in present):
        given, missing = sorted(("capping_days", "capping_count"), key=present.__contains__, reverse=True)
        yield Problem(missing, f"is missing: {given} counts only together with it")
    link = cleaned.get("link")
    if link and not is_web_address(link) and cleaned.get("minimize_link", 0) != 0:
        yield Problem("minimize_link", "must be 0 for a deep link, which cannot be shortened")
    platforms = cleaned.get("platforms")
    yield from _of_safari(platforms, present)
    yield from _of_windows(platforms, present)
    if platforms == [SMS.number]:
        yield from _of_sms(cleaned, present)


def _of_safari(platforms: list[int] | None, present: Collection[str]) -> Iterator[Problem]:
    is_meant = SAFARI.number in (platforms or ()) or any(name in present for name in _SAFARI)
    if is_meant and "preset" not in present:
        for name in _NEEDED_BY_SAFARI:
            if name not in present:
                empty = '; give [""] where the page takes none' if name == "safari_url_args" else ""
                yield Problem(name, f"is missing: Safari shows no push without it{empty}")


def _of_windows(platforms: list[int] | None, present: Collection[str]) -> Iterator[Problem]:
    if "wns_content" in present and "wns_type" not in present:
        yield Problem("wns_type", "is missing: wns_content needs to say what it is (Tile, Toast, Badge or Raw)")
    if platforms == [WINDOWS.number] and "wns_content" not in present and "preset" not in present:
        yield Problem("wns_content", "is missing: Windows shows no other content")


def _of_sms(cleaned: Mapping[str, Any], present: Collection[str]) -> Iterator[Problem]:
    if "content" in cleaned and not isinstance(cleaned["content"], str):
        yield Problem("content", "of an SMS must be one text, not one per language")
    for name in sorted(present):
        if name not in ("content", "platforms"):
            yield Problem(name, "is not passed on with an SMS, which has only a text: leave it out")


@dataclass(frozen=True, slots=True)
class Sending:
    """A message and all that is said about its sending, as the warnings look at it."""

    parameters: Mapping[str, Any]
    audience: Audience
    send_date: str
    timezone: str | None
    ignore_user_timezone: bool
    now: datetime

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms it was limited to; none where it was not."""
        return tuple(BY_NUMBER[number] for number in self.parameters.get("platforms", ()))

    def may_reach(self, platform: Platform) -> bool:
        return not self.platforms or platform in self.platforms


def warnings(sending: Sending) -> list[Problem]:
    """What Pushwoosh would take, and ignore or read in another way than it looks."""
    return [problem for rule in _WARNINGS for problem in rule(sending)]


def _about_platforms(sending: Sending) -> Iterator[Problem]:
    given = sending.parameters
    if sending.platforms and isinstance(sending.audience, Devices) and len(sending.audience) < SMALL:
        yield Problem("platforms", f"is ignored by Pushwoosh for lists of fewer than {SMALL} devices")
    if not sending.platforms:
        return
    for name in given:
        platform = BY_NAME[name].platform if name in BY_NAME else None
        if platform is not None and platform not in sending.platforms:
            yield Problem(name, f"has no effect: {platform.label} is not among the platforms")
    if "title" in given and all(_TITLES.get(platform) in given for platform in sending.platforms):
        yield Problem("title", "is not shown anywhere: each of the platforms has a title of its own")


def _about_silence(sending: Sending) -> Iterator[Problem]:
    given = sending.parameters
    silent = [platform for platform, name in SILENT.items() if given.get(name)]
    if not silent:
        return
    others = [platform.label for platform in SILENT if platform not in silent and sending.may_reach(platform)]
    if others:
        name = SILENT[silent[0]]
        yield Problem(name, f"does not make the push silent on {' and '.join(others)}")
    for platform in silent:
        for ending in ("title", "subtitle", "header", "sound", "badges"):
            name = f"{platform.prefix}{ending}"
            if name in given:
                yield Problem(name, f"is left out of a silent push ({SILENT[platform]})")


def _about_alerts(sending: Sending) -> Iterator[Problem]:
    given = sending.parameters
    is_critical, level = given.get("ios_critical"), given.get("ios_interruption_level")
    if is_critical and level not in (None, "critical"):
        yield Problem("ios_interruption_level", "contradicts ios_critical: use critical, or leave it out")
    if level == "critical" and not is_critical:
        yield Problem("ios_interruption_level", "critical has its full effect only together with ios_critical")
    if "ios_attachment" in given and not _has_mutable_content(given.get("ios_root_params")):
        yield Problem("ios_attachment", 'needs ios_root_params {"aps": {"mutable-content": 1}} to be shown')
    if given.get("huawei_android_sound_off") and given.get("huawei_android_sound"):
        yield Problem("huawei_android_sound", "is not played: huawei_android_sound_off is set")
    for name in ("android_sound", "huawei_android_sound"):
        if "." in given.get(name, ""):
            yield Problem(name, "is named without its file extension")
    if "ios_trim_content" in given:
        yield Problem("ios_trim_content", "is the former name of apns_trim_content")
    for number in ("1", "2"):
        if f"chrome_button_url{number}" in given and f"chrome_button_text{number}" not in given:
            yield Problem(f"chrome_button_url{number}", f"is ignored without chrome_button_text{number}")
    for name, value in given.items():
        if isinstance(value, int) and value > WEEKS_4 and name in BY_NAME and isinstance(BY_NAME[name].kind, Seconds):
            yield Problem(name, f"is longer than the {WEEKS_4} seconds (28 days) that push services keep a push")


def _has_mutable_content(root: Any) -> bool:
    aps = root.get("aps") if isinstance(root, Mapping) else None
    return isinstance(aps, Mapping) and aps.get("mutable-content") in (1, "1")


def _about_capping(sending: Sending) -> Iterator[Problem]:
    if sending.parameters.get("capping_avoid") and "capping_days" in sending.parameters:
        yield Problem("capping_days", "holds all the same: capping_avoid lifts only the account's global cap")


def _about_time(sending: Sending) -> Iterator[Problem]:
    if sending.send_date == "now":
        if not sending.ignore_user_timezone:
            yield Problem("ignore_user_timezone", "has no effect on a push that is sent now")
        if sending.timezone:
            yield Problem("timezone", "has no effect on a push that is sent now")
        return
    if sending.ignore_user_timezone:
        return
    if sending.timezone:
        yield Problem("timezone", "has no effect: each device gets the push by its own clock")
    if datetime.fromisoformat(sending.send_date).replace(tzinfo=UTC) < sending.now.astimezone(UTC) + EARLIEST_ZONE:
        yield Problem("send_date", "is past already in some time zones: devices there get the push at once")


def _about_texts(sending: Sending) -> Iterator[Problem]:
    given = sending.parameters
    names: set[str] = set()
    is_liquid = False
    for path, text in texts_of(given):
        yield from personalisation.warnings(text, path)
        names.update(each.name for each in personalisation.placeholders(text))
        is_liquid = is_liquid or "{{" in text or "{%" in text
    if "preset" in given or "rich_media" in given or is_liquid:
        # What those hold is not known here.
        return
    for name in given.get("dynamic_content_placeholders", ()):
        if name not in names:
            yield Problem(f"dynamic_content_placeholders.{name}", f"is used in no text: write {{{name}|regular|…}}")
    if "template_bindings" in given:
        yield Problem("template_bindings", "has no effect: no text has a placeholder {{ … }} of a template")


def _about_size(sending: Sending) -> Iterator[Problem]:
    for platform in sending.platforms or (IOS, ANDROID):
        names = (*_PAYLOAD, *(row.name for row in of(platform)))
        payload = {name: _longest(name, sending.parameters[name]) for name in names if name in sending.parameters}
        size = len(json.dumps(payload, ensure_ascii=False).encode())
        if size > LARGEST_PAYLOAD:
            yield Problem("", f"the payload for {platform.label} has about {size} bytes; {LARGEST_PAYLOAD} can be sent")


_PAYLOAD = ("content", "title", "subtitle", "data", "link")


def _longest(name: str, value: Any) -> Any:
    """Of a text in several languages, the one that takes most room."""
    if isinstance(value, Mapping) and isinstance(BY_NAME[name].kind, LocalizedText):
        return max(value.values(), key=len)
    return value


_WARNINGS: tuple[Callable[[Sending], Iterator[Problem]], ...] = (
    _about_platforms,
    _about_silence,
    _about_alerts,
    _about_capping,
    _about_time,
    _about_texts,
    _about_size,
)


def texts_of(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text of a message that Pushwoosh fills in for each device, with its path."""
    for name, value in parameters.items():
        if name in PERSONALISED:
            pending = [(name, value)]
            while pending:
                path, each = pending.pop()
                if isinstance(each, str):
                    if "{" in each:
                        yield path, each
                elif isinstance(each, Mapping):
                    pending.extend((f"{path}.{key}", item) for key, item in each.items())
                elif isinstance(each, list):
                    pending.extend((f"{path}[{index}]", item) for index, item in enumerate(each))
