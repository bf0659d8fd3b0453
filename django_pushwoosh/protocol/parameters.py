"""Table one: every parameter of a message, one row each.

`Message` cleans by these rows, the composer makes its fieldsets of them, and the documentation prints them. Labels and
help are plain English for whoever writes a push; the admin translates them. Source: seed 001 (createMessage,
createTargetedMessage); `capping_avoid`, `capping_exclude` and Live Activities are from newer pages of Pushwoosh's
documents. What the table does not know passes through `Message(extra={…})`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django_pushwoosh.protocol.fields import (
    Badge,
    Boolean,
    Choice,
    Code,
    Color,
    Conditions,
    Day,
    Flag,
    GeozoneKind,
    Integer,
    JsonObject,
    JsonObjectOrString,
    Kind,
    LedColor,
    LocalizedBase64,
    LocalizedText,
    PlatformList,
    Seconds,
    SendDate,
    Strings,
    Text,
    TextMap,
    TimeZoneName,
    Url,
)
from django_pushwoosh.protocol.platforms import (
    AMAZON,
    ANDROID,
    CHROME,
    FIREFOX,
    HUAWEI,
    IOS,
    MACOS,
    SAFARI,
    WINDOWS,
    Platform,
)

GROUPS = {
    "content": "Content",
    "personalisation": "Personalisation",
    "delivery": "Delivery",
    "inbox": "Inbox",
    "schedule": "Schedule",
    "audience": "Audience",
    "platform": "Platform",
}
"""Groups in the order of a form, with their titles; the rows of a platform are all in "platform"."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; `platform` is `None` where it is for all of them.

    `example` is a documented value, as it is sent. `deprecated` rows are taken, and not offered. `targeted_only` rows
    exist in createTargetedMessage only, which in turn takes no `group="audience"` row.
    """

    name: str
    platform: Platform | None
    kind: Kind
    label: str
    help: str
    example: Any
    group: str = "platform"
    deprecated: bool = False
    targeted_only: bool = False


TEXT = Text(4096)
WORD = Text(255)
SOUND = Text(255, blank=True)
LOCALIZED = LocalizedText()
BADGE = Badge()
BOOLEAN = Boolean()
FLAG = Flag()
URL = Url()
LINK = Url(deep_links=True)
TTL = Seconds()
COLOR = Color()
LED = LedColor()
CODE = Code()
OBJECT = JsonObject()
IDENTIFIERS = Strings()
IMPORTANCE = Integer(-2, 2)
INTERRUPTION_LEVELS = ("passive", "active", "time-sensitive", "critical")
DELIVERY_PRIORITY = Choice(("normal", "high"), ("Normal", "High"))

_IMPORTANCE = "From -2 (hardly noticed) to 2 (urgent); 0 is normal."
_DELIVERY_PRIORITY = "High wakes a device that is saving power; normal waits until it wakes up by itself."
_TTL = "How many seconds an undelivered push is kept for a device that is offline."
_ROOT = "Keys of your own, put at the top level of the payload."
_BADGE = "The number on the app's icon, or +n / -n to add to it or subtract from it."
_SILENT = "Wakes the app without showing anything: text and sound are left out."
_SOUND = "Empty plays the device's own sound."

PARAMETERS: tuple[Parameter, ...] = (
    # For all platforms
    Parameter(
        "content", None, LOCALIZED, "Text", "What the push says. Windows shows `wns_content` instead.",
        example={"en": "Hello", "fr": "Bonjour"}, group="content",
    ),
    Parameter(
        "title", None, LOCALIZED, "Title", "The line above the text. A platform's own title replaces it there.",
        example={"en": "Title", "fr": "Titre"}, group="content",
    ),
    Parameter(
        "subtitle", None, LOCALIZED, "Subtitle",
        "A second line below the title. A platform's own subtitle replaces it.",
        example={"en": "Subtitle", "fr": "Sous-titre"}, group="content",
    ),
    Parameter(
        "link", None, LINK, "Link", "Opened when the push is tapped: a web address, or a deep link into the app.",
        example="https://example.com/sale", group="content",
    ),
    Parameter(
        "minimize_link", None, Choice((0, 2), ("As it is", "Shortened by bit.ly")), "Shorten the link",
        "bit.ly limits how many links it shortens; deep links cannot be shortened.", example=0, group="content",
    ),
    Parameter(
        "data", None, JsonObjectOrString(), "Custom data",
        "JSON for your app, found as `u` in the payload. The whole payload has to stay below 4 KB.",
        example={"key": "value"}, group="content",
    ),
    Parameter(
        "rich_media", None, CODE, "Rich media", "The code of a rich media page that opens with the push.",
        example="1A2B3-C4D5E", group="content",
    ),
    Parameter(
        "preset", None, CODE, "Preset",
        "The code of a push preset. What you fill in here replaces the preset's; a preset may bring a filter with it.",
        example="1A2B3-C4D5E", group="content",
    ),
    Parameter(
        "page_id", None, WORD, "HTML page", "The id of an old HTML page; use rich media instead.",
        example="12345", group="content", deprecated=True, targeted_only=True,
    ),
    Parameter(
        "rich_page_id", None, WORD, "Rich page", "The id of an old rich page; use rich media instead.",
        example="12345", group="content", deprecated=True, targeted_only=True,
    ),
    Parameter(
        "dynamic_content_placeholders", None, TextMap(), "Placeholder values",
        "Values for placeholders in the text such as {firstname}, used for everyone in place of each device's tags.",
        example={"firstname": "John", "lastname": "Doe"}, group="personalisation",
    ),
    Parameter(
        "template_bindings", None, OBJECT, "Template values", "Values for the placeholders of a content template.",
        example={"TemplatePlaceholder": "Value"}, group="personalisation",
    ),
    Parameter(
        "platforms", None, PlatformList(), "Only on these platforms",
        "Leave empty to reach all. Pushwoosh ignores the choice for lists of fewer than 10 devices.",
        example=[1, 3, 11], group="delivery",
    ),
    Parameter(
        "send_rate", None, Integer(100, 1000, unit="pushes a second"), "Speed",
        "Pushes a second, 100 to 1000, to spare your own servers the rush. Empty sends as fast as possible.",
        example=100, group="delivery",
    ),
    Parameter(
        "campaign", None, CODE, "Campaign", "The code of the campaign this push is counted under.",
        example="1A2B3-C4D5E", group="delivery",
    ),
    Parameter(
        "capping_days", None, Integer(1, 30, unit="days"), "Cap: days",
        "Together with the count: a device that got that many pushes within these days is left out.",
        example=30, group="delivery",
    ),
    Parameter(
        "capping_count", None, Integer(1), "Cap: pushes",
        "The most pushes a device may get from the app within those days.", example=10, group="delivery",
    ),
    Parameter(
        "capping_avoid", None, BOOLEAN, "Ignore the global cap",
        "Sends even to devices that reached the account's frequency cap.", example=False, group="delivery",
    ),
    Parameter(
        "capping_exclude", None, BOOLEAN, "Do not count",
        "Leaves this push out of the count for the account's frequency cap.", example=False, group="delivery",
    ),
    Parameter(
        "inbox_date", None, Day(), "Remove from the Inbox on",
        "The push disappears from the app's Inbox as this day begins (UTC). Either this or a number of days.",
        example="2017-02-02", group="inbox",
    ),
    Parameter(
        "inbox_days", None, Integer(1, 30, unit="days"), "Days in the Inbox",
        "How many days, 1 to 30, the push stays in the app's Inbox. Either this or a date.",
        example=5, group="inbox",
    ),
    Parameter(
        "inbox_image", None, URL, "Inbox image",
        "The address of the picture beside the message; alone it puts the push into the Inbox for a day.",
        example="https://example.com/inbox.png", group="inbox",
    ),
    Parameter(
        "send_date", None, SendDate(), "Send", "Now, or a time to the minute.", example="now", group="schedule",
    ),
    Parameter(
        "ignore_user_timezone", None, BOOLEAN, "Everyone at the same moment",
        "Off: each device gets it when its own clock shows the time; where that is past, at once.",
        example=True, group="schedule",
    ),
    Parameter(
        "timezone", None, TimeZoneName(), "Time zone", "The zone the time is meant in; UTC where it is left out.",
        example="America/New_York", group="schedule",
    ),
    Parameter(
        "transactionId", None, WORD, "Transaction id",
        "Unique for each push: Pushwoosh takes a repeated one only once (for 5 minutes; targeted pushes for a day).",
        example="6e22a9af-84e4-46e6-af16-e457a4a6e7e5", group="schedule",
    ),
    Parameter(
        "devices", None, IDENTIFIERS, "Devices",
        "Up to 1000 hardware ids or push tokens. Push tokens of iOS are written in lower case.",
        example=["dec301908b9ba8df85e57a58e40f96f523f4c2068674f5fe2ba25cdc250a2a41"], group="audience",
    ),
    Parameter(
        "users", None, IDENTIFIERS, "Users", "Up to 1000 user ids; all devices of these users are reached.",
        example=["user_3078a"], group="audience",
    ),
    Parameter(
        "filter", None, WORD, "Saved filter", "The name of a filter saved in the Control Panel.",
        example="Active in Norway", group="audience",
    ),
    Parameter(
        "conditions", None, Conditions(), "Conditions", "Conditions on tags, combined by the operator.",
        example=[["Country", "EQ", "BR"], ["Language", "EQ", "pt"]], group="audience",
    ),
    Parameter(
        "conditions_operator", None, Choice(("AND", "OR"), ("All of them", "Any of them")), "Operator",
        "Whether all conditions have to hold, or any of them.", example="AND", group="audience",
    ),
    Parameter(
        "geozone", None, GeozoneKind(), "Geozone", "Devices within a range, in metres, around a point.",
        example={"lat": 22.22, "lng": 33.33, "range": 110}, group="audience",
    ),
    # iOS
    Parameter("ios_title", IOS, LOCALIZED, "Title", "The title on iOS.", example="Title"),
    Parameter("ios_subtitle", IOS, LOCALIZED, "Subtitle", "The line below the title on iOS.", example="SubTitle"),
    Parameter("ios_badges", IOS, BADGE, "Badge", _BADGE, example="+1"),
    Parameter(
        "ios_sound", IOS, SOUND, "Sound", f"A sound file in the app's bundle. {_SOUND}", example="sound file.wav",
    ),
    Parameter("ios_ttl", IOS, TTL, "Time to live", _TTL, example=3600),
    Parameter("ios_silent", IOS, FLAG, "Silent", _SILENT, example=1),
    Parameter(
        "ios_category_id", IOS, Text(20, pattern="[0-9]+", rule="a number in text"), "Category",
        "The id of a category, made in Pushwoosh, whose buttons the push shows.", example="1",
    ),
    Parameter(
        "ios_root_params", IOS, JsonObject(objects=("aps",)), "Root parameters",
        "Keys at the top level of the payload; `aps` is merged. `data` may hold up to 4 KB.",
        example={"aps": {"content-available": "1", "mutable-content": 1}},
    ),
    Parameter(
        "ios_attachment", IOS, URL, "Attachment",
        "The address of a picture, sound or film; needs `aps.mutable-content` 1 in the root parameters.",
        example="https://example.com/photo.jpg",
    ),
    Parameter(
        "apns_trim_content", IOS, FLAG, "Trim the text",
        "Cuts a text that is too long for the payload and adds an ellipsis.", example=1,
    ),
    Parameter(
        "ios_trim_content", IOS, FLAG, "Trim the text (old)", "The former name of `apns_trim_content`.",
        example=1, deprecated=True,
    ),
    Parameter(
        "ios_thread_id", IOS, WORD, "Thread", "Pushes with the same thread are grouped on the lock screen.",
        example="some thread id",
    ),
    Parameter(
        "ios_critical", IOS, BOOLEAN, "Critical alert",
        "Sounds even when the device is muted; the app needs Apple's permission for it.", example=True,
    ),
    Parameter(
        "ios_interruption_level", IOS,
        Choice(INTERRUPTION_LEVELS, ("Passive", "Active", "Time-sensitive", "Critical")),
        "Interruption level", "How far the push may interrupt: passive only joins the list, critical always sounds.",
        example="active",
    ),
    Parameter(
        "live_activity", IOS, OBJECT, "Live Activity", "Starts or updates a Live Activity; passed on as it is.",
        example={"event": "update", "content-state": {"score": "2:1"}},
    ),
    Parameter("live_activity_id", IOS, WORD, "Live Activity id", "Which Live Activity is meant.", example="match-17"),
    # Android
    Parameter("android_header", ANDROID, LOCALIZED, "Title", "The title on Android.", example="header"),
    Parameter("android_badges", ANDROID, BADGE, "Badge", _BADGE, example=5),
    Parameter(
        "android_sound", ANDROID, SOUND, "Sound", f"A sound resource of the app, without its extension. {_SOUND}",
        example="soundfile",
    ),
    Parameter(
        "android_icon", ANDROID, TEXT, "Icon", "The name of an image resource of the app.", example="icon.png",
    ),
    Parameter(
        "android_custom_icon", ANDROID, URL, "Large icon", "The address of an image shown beside the text.",
        example="http://example.com/image.png",
    ),
    Parameter(
        "android_banner", ANDROID, URL, "Banner", "The address of a large image below the text.",
        example="http://example.com/banner.png",
    ),
    Parameter("android_gcm_ttl", ANDROID, TTL, "Time to live", _TTL, example=3600),
    Parameter(
        "android_vibration", ANDROID, FLAG, "Vibrate", "Makes a push of high priority vibrate.", example=0,
    ),
    Parameter(
        "android_led", ANDROID, LED, "Light", "The colour of the notification light, where there is one.",
        example="#FF0011",
    ),
    Parameter("android_priority", ANDROID, IMPORTANCE, "Importance", _IMPORTANCE, example=-1),
    Parameter(
        "android_delivery_priority", ANDROID, DELIVERY_PRIORITY, "Delivery priority", _DELIVERY_PRIORITY,
        example="normal",
    ),
    Parameter(
        "android_ibc", ANDROID, COLOR, "Icon background",
        "The colour behind the small icon: #RRGGBB, #AARRGGBB or a name.",
        example="#AA0011",
    ),
    Parameter("android_silent", ANDROID, FLAG, "Silent", _SILENT, example=1),
    Parameter(
        "android_root_params", ANDROID, OBJECT, "Root parameters",
        f"{_ROOT} `CancelID` with a message id takes back a push that is shown; `pw_channel` names a channel.",
        example={"key": "value", "CancelID": 10191611434},
    ),
    # Huawei
    Parameter("huawei_android_header", HUAWEI, LOCALIZED, "Title", "The title on Huawei.", example="Huawei Header"),
    Parameter(
        "huawei_android_badges", HUAWEI, Badge(or_boolean=True), "Badge",
        "Whether the icon shows a badge, or its number.",
        example=True,
    ),
    Parameter(
        "huawei_android_sound", HUAWEI, SOUND, "Sound", f"A sound resource of the app, without its extension. {_SOUND}",
        example="sound.wav",
    ),
    Parameter("huawei_android_sound_off", HUAWEI, BOOLEAN, "No sound", "Shows the push without a sound.", example=True),
    Parameter(
        "huawei_android_icon", HUAWEI, TEXT, "Icon", "An image: its address, or the name of a resource of the app.",
        example="http://example.com/icon.png",
    ),
    Parameter(
        "huawei_android_custom_icon", HUAWEI, URL, "Large icon", "The address of an image shown beside the text.",
        example="http://example.com/custom_icon.png",
    ),
    Parameter(
        "huawei_android_banner", HUAWEI, URL, "Banner", "The address of a large image below the text.",
        example="http://example.com/banner.png",
    ),
    Parameter("huawei_android_gcm_ttl", HUAWEI, TTL, "Time to live", _TTL, example=2400),
    Parameter(
        "huawei_android_vibration", HUAWEI, FLAG, "Vibrate", "Makes a push of high priority vibrate.", example=1,
    ),
    Parameter(
        "huawei_android_led", HUAWEI, LED, "Light", "The colour of the notification light, where there is one.",
        example="#FF0011",
    ),
    Parameter("huawei_android_priority", HUAWEI, IMPORTANCE, "Importance", _IMPORTANCE, example=0),
    Parameter(
        "huawei_android_delivery_priority", HUAWEI, DELIVERY_PRIORITY, "Delivery priority", _DELIVERY_PRIORITY,
        example="normal",
    ),
    Parameter(
        "huawei_android_ibc", HUAWEI, COLOR, "Icon background",
        "The colour behind the small icon: #RRGGBB, #AARRGGBB or a name.", example="#0011AA",
    ),
    Parameter(
        "huawei_android_lockscreen", HUAWEI, FLAG, "On the lock screen", "Shows the push while the device is locked.",
        example=1,
    ),
    Parameter("huawei_android_silent", HUAWEI, FLAG, "Silent", _SILENT, example=0),
    Parameter("huawei_android_root_params", HUAWEI, OBJECT, "Root parameters", _ROOT, example={"key": "value"}),
    # Safari
    Parameter(
        "safari_title", SAFARI, LOCALIZED, "Title", "The title in Safari, which shows no push without one.",
        example="Title",
    ),
    Parameter("safari_action", SAFARI, TEXT, "Button", "What the button says.", example="Click here"),
    Parameter(
        "safari_url_args", SAFARI, Strings(0, 100, unique=False, max_length=4096, blank=True), "Address arguments",
        "Values for the placeholders in the website's address, in their order; may be an empty list.",
        example=["firstArgument", "secondArgument"],
    ),
    Parameter("safari_ttl", SAFARI, TTL, "Time to live", _TTL, example=3600),
    # Chrome and Firefox
    Parameter("chrome_title", CHROME, LOCALIZED, "Title", "The title in Chrome.", example="Title"),
    Parameter(
        "chrome_icon", CHROME, TEXT, "Icon", "The address of an image, or its path inside the extension.",
        example="https://example.com/icon.png",
    ),
    Parameter(
        "chrome_image", CHROME, URL, "Image", "The address of a large image.", example="https://example.com/image.png",
    ),
    Parameter("chrome_gcm_ttl", CHROME, TTL, "Time to live", _TTL, example=3600),
    Parameter(
        "chrome_duration", CHROME, Seconds(0, 50), "Shown for",
        "Seconds on the screen, up to 50; 0 stays until it is clicked or closed.", example=20,
    ),
    Parameter("chrome_button_text1", CHROME, TEXT, "First button", "What the first button says.", example="Buy"),
    Parameter(
        "chrome_button_url1", CHROME, URL, "First button opens", "Needs the first button's text.",
        example="https://example.com/buy",
    ),
    Parameter("chrome_button_text2", CHROME, TEXT, "Second button", "What the second button says.", example="Later"),
    Parameter(
        "chrome_button_url2", CHROME, URL, "Second button opens", "Needs the second button's text.",
        example="https://example.com/later",
    ),
    Parameter("chrome_root_params", CHROME, OBJECT, "Root parameters", _ROOT, example={"key": "value"}),
    Parameter("firefox_title", FIREFOX, LOCALIZED, "Title", "The title in Firefox.", example="Title"),
    Parameter(
        "firefox_icon", FIREFOX, TEXT, "Icon", "The address of an image, or its path inside the extension.",
        example="https://example.com/icon.png",
    ),
    Parameter("firefox_root_params", FIREFOX, OBJECT, "Root parameters", _ROOT, example={"key": "value"}),
    # Amazon and macOS
    Parameter("adm_header", AMAZON, TEXT, "Title", "The title on Amazon devices.", example="Header"),
    Parameter("adm_sound", AMAZON, SOUND, "Sound", f"A sound file of the app. {_SOUND}", example="push.mp3"),
    Parameter("adm_icon", AMAZON, TEXT, "Icon", "The name of an image resource of the app.", example="icon"),
    Parameter(
        "adm_custom_icon", AMAZON, URL, "Large icon", "The address of an image shown beside the text.",
        example="http://example.com/image.png",
    ),
    Parameter(
        "adm_banner", AMAZON, URL, "Banner", "The address of a large image below the text.",
        example="http://example.com/banner.png",
    ),
    Parameter("adm_ttl", AMAZON, TTL, "Time to live", _TTL, example=3600),
    Parameter("adm_priority", AMAZON, IMPORTANCE, "Importance", _IMPORTANCE, example=-1),
    Parameter("adm_root_params", AMAZON, OBJECT, "Root parameters", _ROOT, example={"key": "value"}),
    Parameter("mac_badges", MACOS, BADGE, "Badge", _BADGE, example=3),
    Parameter("mac_sound", MACOS, SOUND, "Sound", f"A sound file of the app. {_SOUND}", example="sound.caf"),
    Parameter("mac_ttl", MACOS, TTL, "Time to live", _TTL, example=3600),
    Parameter("mac_root_params", MACOS, OBJECT, "Root parameters", _ROOT, example={"content-available": 1}),
    # Windows
    Parameter(
        "wns_content", WINDOWS, LocalizedBase64(), "Content",
        "The notification's XML, or raw content, in base64; Windows shows it in place of the text.",
        example={"en": "PGJhZGdlIHZhbHVlPSJhdmFpbGFibGUiLz4=", "de": "PGJhZGdlIHZhbHVlPSJuZXdNZXNzYWdlIi8+"},
    ),
    Parameter(
        "wns_type", WINDOWS, Choice(("Tile", "Toast", "Badge", "Raw")), "Type",
        "What the content is; needed together with it.", example="Badge",
    ),
    Parameter(
        "wns_tag", WINDOWS, Text(16, pattern="[0-9A-Za-z]+", rule="up to 16 letters and digits"), "Tag",
        "A tile with the same tag replaces the one before: up to 16 letters and digits.", example="myTag",
    ),
    Parameter(
        "wns_cache", WINDOWS, FLAG, "Keep", "Whether Windows keeps the notification for a device that is offline.",
        example=1,
    ),
    Parameter("wns_ttl", WINDOWS, TTL, "Time to live", _TTL, example=600),
)  # fmt: skip
"""All rows, common ones first, then platform by platform, each in the order of a form."""

BY_NAME: dict[str, Parameter] = {parameter.name: parameter for parameter in PARAMETERS}

_BY_PLATFORM: dict[Platform | None, tuple[Parameter, ...]] = {
    platform: tuple(parameter for parameter in PARAMETERS if parameter.platform is platform)
    for platform in dict.fromkeys(parameter.platform for parameter in PARAMETERS)
}


def of(platform: Platform | None) -> tuple[Parameter, ...]:
    """A platform's rows; those for all platforms with `None`. SMS, WhatsApp and IE11 have none of their own."""
    return _BY_PLATFORM.get(platform, ())


def in_group(group: str) -> tuple[Parameter, ...]:
    """The rows of one of `GROUPS`. Raises `KeyError` for another name."""
    GROUPS[group]
    return tuple(parameter for parameter in PARAMETERS if parameter.group == group)
