"""The platforms of Pushwoosh, one row each.

`number` is `device_type` in device calls and an element of `platforms` in messages; `filter_name` is the
platform's name in filter expressions; `prefix` begins the names of its message parameters.
Source: seeds 001 (createMessage, createTargetedMessage) and 002 (registerDevice).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Platform:
    number: int
    key: str
    label: str
    filter_name: str
    prefix: str = ""


IOS = Platform(1, "IOS", "iOS", "iOS", "ios_")
ANDROID = Platform(3, "ANDROID", "Android", "Android", "android_")
MACOS = Platform(7, "OSX", "macOS", "OsX", "mac_")
WINDOWS = Platform(8, "WINDOWS", "Windows", "Windows", "wns_")
AMAZON = Platform(9, "AMAZON", "Amazon", "Amazon", "adm_")
SAFARI = Platform(10, "SAFARI", "Safari", "Safari", "safari_")
CHROME = Platform(11, "CHROME", "Chrome", "Chrome", "chrome_")
FIREFOX = Platform(12, "FIREFOX", "Firefox", "Firefox", "firefox_")
IE11 = Platform(13, "IE11", "Internet Explorer 11", "IE11")
EMAIL = Platform(14, "EMAIL", "E-mail", "EMAIL")
HUAWEI = Platform(17, "HUAWEI_ANDROID", "Huawei", "HUAWEI_ANDROID", "huawei_android_")
SMS = Platform(18, "SMS", "SMS", "SMS")
WHATSAPP = Platform(21, "WHATSAPP", "WhatsApp", "WHATSAPP")

PLATFORMS = (
    IOS, ANDROID, MACOS, WINDOWS, AMAZON, SAFARI, CHROME, FIREFOX, IE11, EMAIL, HUAWEI, SMS, WHATSAPP,
)  # fmt: skip
BY_NUMBER = {platform.number: platform for platform in PLATFORMS}

REACHED_BY_HWID = frozenset({EMAIL.number, SMS.number, WHATSAPP.number})
"""Their hwid is an address or a number, a person's, and serves as the push token."""

DEVICE_PLATFORMS = tuple(platform for platform in PLATFORMS if platform is not IE11)
"""What a device can be; IE11 can only be addressed."""

TARGETS = tuple(platform for platform in PLATFORMS if platform not in (EMAIL, WHATSAPP))
"""What createMessage takes in `platforms`."""


def label_of(number: int) -> str:
    """The platform's name for people; SDKs send numbers that no document lists (150 is old Edge)."""
    platform = BY_NUMBER.get(number)
    return platform.label if platform else f"Platform {number}"
