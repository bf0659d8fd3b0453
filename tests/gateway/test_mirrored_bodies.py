"""What every body of the SDKs leaves in the mirror, written by hand: on an empty one, and over what is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_pushwoosh.models import Device, Statistic, UserLink
from django_pushwoosh.testing import run_outbox
from tests.gateway.conftest import BODIES, HWID, NUMBER

pytestmark = pytest.mark.django_db

WEB_HWID = "TEST0-00001_6d0f3c52-77a1-4b1c-9f0e-b2a4c1d9e803"
IOS_HWID = "9A27F0B4-51C3-4E0D-A6B8-7D20C1E5F396"
ADDRESS = "ada@example.org"
WEB_TOKEN = "https://fcm.googleapis.com/fcm/send/dY1c0t3sT:APA91bExample"
IOS_TOKEN = "a1b2" * 16
IOS = {"userId": "ada", "application": "TEST0-00001", "hwid": IOS_HWID, "v": "7.1.3", "device_type": 1}
IOS_OPEN = {
    "package": "com.example.app", "timezone": "7200", "app_version": "4.2.0", "os_version": "18.5", "language": "nb",
    "device_model": "iPhone16,1", "time_sensitive_notifications": True, "scheduled_summary": False,
    "notificationTypes": 7,
}  # fmt: skip

MORE: dict[str, dict[str, Any]] = {
    "ios registerDevice#anonymous": {**IOS, **IOS_OPEN, "userId": IOS_HWID, "push_token": IOS_TOKEN},
    "ios registerDevice#voip, after the other": {**IOS, "voip_push_token": "c3d4", "push_token": IOS_TOKEN},
    "ios registerDevice#before the first unlock": {"application": "TEST0-00001", "v": "7.1.3", "device_type": 1},
    "ios registerDevice#sms": {**IOS, **IOS_OPEN, "hwid": NUMBER, "push_token": NUMBER, "device_type": 18},
    "ios registerDevice#whatsapp": {
        **IOS, "hwid": f"whatsapp:{NUMBER}", "push_token": f"whatsapp:{NUMBER}", "device_type": 21
    },
    "ios setTags#sms": {**IOS, "hwid": NUMBER, "device_type": 18, "tags": {"Muted": True}},
    "ios setTags#whatsapp": {**IOS, "hwid": NUMBER, "device_type": 21, "tags": {"Muted": True}},
    "ios registerUser#anonymous again": {**IOS, "userId": IOS_HWID},
    "ios registerEmail#anonymous": {
        "userId": IOS_HWID, "application": "TEST0-00001", "v": "7.1.3", "email": ADDRESS, "language": "nb",
    },
    "ios getInApps": {**IOS, "language": "nb"},
    "ios getInboxMessages": IOS,
    "ios inboxStatus": {**IOS, "inbox_code": "174020000012345678", "status": 3, "hash": "1_2_3_1-1"},
    "ios triggerInAppAction": {
        **IOS, "action": "show", "code": "", "messageHash": "1_2_3_1-1", "richMediaCode": "AAAAA-00012",
        "timestampUTC": 1740200000, "timestampCurrent": 1740207200,
    },
    "ios messageDeliveryEvent#of a message": {**IOS, "hash": "s_9_a_1-10", "metaData": '{"uid":"1"}'},
    "ios pushStat#of a message without dashes": {**IOS, "hash": "s_9_a_QUITE0PLAIN"},
    "ios pushStat#without a hash": IOS,
    "ios getNearestZone": {**IOS, "lat": 59.91, "lng": 10.75, "more": 1},
    "ios createTestDevice": {
        **IOS, **IOS_OPEN, "push_token": IOS_TOKEN, "name": "Ada's phone", "description": "", "auto_created": False,
    },
    "ios mergeUser": {**IOS, "oldUserId": "visitor-7", "newUserId": "ada", "merge": True, "ts": 1740200400},
    "ios setTags#badge": {**IOS, "tags": {"badge": 3}},
    "macos registerDevice": {**IOS, "device_type": 7, "push_token": IOS_TOKEN},
}  # fmt: skip

WEB_SEEN = {
    "platform": 11, "language": "en-US", "utc_offset_seconds": 7200, "device_model": "chrome 138",
    "sdk_version": "3.62.13",
}  # fmt: skip
ANDROID_SEEN = {"platform": 3, "sdk_version": "6.10.0"}
ANDROID_TOLD = {
    **ANDROID_SEEN, "language": "en", "utc_offset_seconds": 7200, "device_model": "Google Pixel 8", "os_version": "15",
    "app_version": "4.2.0",
}  # fmt: skip
ANDROID_EXTRA = {"android_package": "com.example.app", "device_name": "Phone", "notificationTypes": 6}
IOS_SEEN = {"platform": 1, "sdk_version": "7.1.3"}
IOS_TOLD = {
    **IOS_SEEN, "language": "nb", "utc_offset_seconds": 7200, "device_model": "iPhone16,1", "os_version": "18.5",
    "app_version": "4.2.0",
}  # fmt: skip
IOS_EXTRA = {
    "package": "com.example.app", "time_sensitive_notifications": False, "scheduled_summary": False,
    "notificationTypes": 7,
}  # fmt: skip
URGENT = {**IOS_EXTRA, "time_sensitive_notifications": True}
MAIL = {"platform": 14}
REGISTERED_MAIL = {"platform": 14, "push_token": ADDRESS}
UNREGISTERED = {"unsubscribed": "unregisterDevice"}
WHATSAPP = f"whatsapp:{NUMBER}"

NOTHING: dict[str, Any] = {}
WEB = {WEB_HWID: WEB_SEEN}
ANDROID = {HWID: ANDROID_SEEN}
PHONE = {IOS_HWID: IOS_SEEN}

LEFT: dict[str, dict[str, Any]] = {
    "web getConfig": WEB,
    "web applicationOpen": {WEB_HWID: {**WEB_SEEN, "opened": True}},
    "web checkDevice": WEB,
    "web unregisterDevice": {WEB_HWID: {**WEB_SEEN, **UNREGISTERED}},
    "web deleteDevice": NOTHING,
    "web getTags": WEB,
    "web getPopupForms": WEB,
    "web getPopupFormContent": WEB,
    "web recordPopupFormEvent": WEB,
    "web registerDevice": {WEB_HWID: {**WEB_SEEN, "push_token": WEB_TOKEN, "user": "ada"}},
    "web registerDevice#ensure (web popups widget, no token)": {WEB_HWID: {**WEB_SEEN, "user": "ada"}},
    "web registerDevice#sms": {NUMBER: {"platform": 18, "push_token": NUMBER, "user": "ada"}},
    "web registerDevice#whatsapp": {WHATSAPP: {"platform": 21, "push_token": WHATSAPP, "user": "ada"}},
    "web setTags": {
        WEB_HWID: {**WEB_SEEN, "tags": {"Name": "Ada", "Age": 31, "Interests": ["a", "b"], "Language": "en-US"}}
    },
    "web setEmailTags": {
        ADDRESS: {**MAIL, "language": "en-US", "utc_offset_seconds": 7200, "tags": {"Name": "Ada"}}
    },
    "web registerUser": {WEB_HWID: {**WEB_SEEN, "user": "ada"}},
    "web registerEmail": {
        ADDRESS: {**REGISTERED_MAIL, "language": "en-US", "utc_offset_seconds": 7200, "user": "ada"}
    },
    "web postEvent": WEB,
    "web messageDeliveryEvent": WEB,
    "web messageDeliveryEvent#nothing known any more (after removeAllDeviceData)": NOTHING,
    "web pushStat": WEB,
    "web getInboxMessages": WEB,
    "web inboxStatus": WEB,
    "web pageVisit": WEB,
    "web setPurchase": WEB,
    "web multiRegisterDevice": {
        WEB_HWID: {**WEB_SEEN, "push_token": WEB_TOKEN, "user": "ada", "tags": {"Age": "25", "Likes": ["shoes"]}},
        ADDRESS: {
            **REGISTERED_MAIL, "language": "en-US", "utc_offset_seconds": 7200, "user": "ada",
            "tags": {"Age": "25", "Likes": ["shoes"]},
        },
        NUMBER: {
            "platform": 18, "push_token": NUMBER, "language": "en-US", "utc_offset_seconds": 7200, "user": "ada",
            "tags": {"Age": "25", "Likes": ["shoes"]},
        },
    },
    "android registerUser#first launch (anonymous)": ANDROID,
    "android registerUser": {HWID: {**ANDROID_SEEN, "user": "ada"}},
    "android applicationOpen": {HWID: {**ANDROID_TOLD, "extra": ANDROID_EXTRA, "opened": True}},
    "android registerDevice": {
        HWID: {
            **ANDROID_TOLD, "push_token": "fEx4mple:APA91bExampleToken", "user": "ada",
            "tags": {"Language": "en", "Age": 25}, "extra": {**ANDROID_EXTRA, "sounds": ["ding"]},
        }
    },
    "android registerDevice#sms": {
        NUMBER: {
            **ANDROID_TOLD, "platform": 18, "push_token": NUMBER, "user": "ada",
            "extra": {**ANDROID_EXTRA, "sounds": []},
        }
    },
    "android registerDevice#whatsapp": {
        WHATSAPP: {
            **ANDROID_TOLD, "platform": 21, "push_token": WHATSAPP, "user": "ada",
            "extra": {**ANDROID_EXTRA, "sounds": []},
        }
    },
    "android unregisterDevice": {HWID: {**ANDROID_SEEN, **UNREGISTERED}},
    "android getTags": ANDROID,
    "android getInboxMessages": ANDROID,
    "android setTags": {
        HWID: {
            **ANDROID_SEEN,
            "tags": {
                "Name": "Ada", "Visits": 1, "Interests": ["c"], "Since": "2026-07-26 10:00",
                "Id": 9223372036854775807,
            },
        }
    },
    "android setEmailTags": {ADDRESS: {**MAIL, "tags": {"Name": "Ada"}}},
    "android registerEmail": {ADDRESS: {**REGISTERED_MAIL, "utc_offset_seconds": 7200, "user": "ada"}},
    "android registerEmailUser": {ADDRESS: {**MAIL, "utc_offset_seconds": 7200, "user": "ada"}},
    "android mergeUser": NOTHING,
    "android postEvent": ANDROID,
    "android pushStat": ANDROID,
    "android messageDeliveryEvent": ANDROID,
    "android getInApps": {HWID: {**ANDROID_SEEN, "language": "en"}},
    "android triggerInAppAction": ANDROID,
    "android richMediaAction": ANDROID,
    "android inboxStatus": ANDROID,
    "android getNearestZone": ANDROID,
    "android getNearestZone#stop": ANDROID,
    "android createTestDevice": {HWID: {**ANDROID_SEEN, "language": "en"}},
    "android setMADID": NOTHING,
    "android setMADID#clear": NOTHING,
    "ios applicationOpen": {IOS_HWID: {**IOS_TOLD, "extra": IOS_EXTRA, "opened": True}},
    "ios registerDevice": {
        IOS_HWID: {
            **IOS_TOLD, "push_token": IOS_TOKEN, "user": "ada",
            "extra": {**IOS_EXTRA, "gateway": "production", "sounds": ["ding.caf"]},
        }
    },
    "ios registerDevice#voip": {
        IOS_HWID: {
            **IOS_SEEN, "utc_offset_seconds": 7200, "user": "ada",
            "extra": {"voip_push_token": "c3d4" * 16, "gateway": "sandbox"},
        }
    },
    "ios unregisterDevice": {IOS_HWID: {**IOS_SEEN, **UNREGISTERED}},
    "ios getTags": PHONE,
    "ios setTags": {IOS_HWID: {**IOS_SEEN, "tags": {"Vip": True, "Visits": 2}}},
    "ios registerUser": {IOS_HWID: {**IOS_SEEN, "user": "ada"}},
    "ios registerEmail": {ADDRESS: {**REGISTERED_MAIL, "language": "nb", "utc_offset_seconds": 7200, "user": "ada"}},
    "ios setEmailTags": {ADDRESS: {**MAIL, "tags": {"Name": "Ada"}}},
    "ios registerEmailUser": {ADDRESS: {**MAIL, "utc_offset_seconds": 7200, "user": "ada"}},
    "ios postEvent": PHONE,
    "ios pushStat": {**PHONE, "opens": {"0001-00000001": 1}},
    "ios messageDeliveryEvent": PHONE,
    "ios setActivityToken": PHONE,
    "ios setActivityToken#stop": PHONE,
    "ios setActivityPushToStartToken": PHONE,
    "ios richMediaAction": PHONE,
    "docs setBadge": NOTHING,
    "ios registerDevice#anonymous": {IOS_HWID: {**IOS_TOLD, "push_token": IOS_TOKEN, "extra": URGENT}},
    "ios registerDevice#voip, after the other": {
        IOS_HWID: {**IOS_SEEN, "push_token": IOS_TOKEN, "user": "ada", "extra": {"voip_push_token": "c3d4"}}
    },
    "ios registerDevice#before the first unlock": NOTHING,
    "ios registerDevice#sms": {
        NUMBER: {**IOS_TOLD, "platform": 18, "push_token": NUMBER, "user": "ada", "extra": URGENT}
    },
    "ios registerDevice#whatsapp": {
        WHATSAPP: {"platform": 21, "push_token": WHATSAPP, "sdk_version": "7.1.3", "user": "ada"}
    },
    "ios setTags#sms": {NUMBER: {"platform": 18, "sdk_version": "7.1.3", "tags": {"Muted": True}}},
    "ios setTags#whatsapp": {WHATSAPP: {"platform": 21, "sdk_version": "7.1.3", "tags": {"Muted": True}}},
    "ios registerUser#anonymous again": PHONE,
    # Nobody has seen a device of this hwid, so that it may be a user's id.
    "ios registerEmail#anonymous": {ADDRESS: {**REGISTERED_MAIL, "language": "nb", "user": IOS_HWID}},
    "ios getInApps": {IOS_HWID: {**IOS_SEEN, "language": "nb"}},
    "ios getInboxMessages": PHONE,
    "ios inboxStatus": PHONE,
    "ios triggerInAppAction": PHONE,
    "ios messageDeliveryEvent#of a message": {**PHONE, "deliveries": {"0001-0000003E": 1}},
    "ios pushStat#of a message without dashes": {**PHONE, "opens": {"QUITE0PLAIN": 1}},
    "ios pushStat#without a hash": PHONE,
    "ios getNearestZone": PHONE,
    "ios createTestDevice": {IOS_HWID: IOS_TOLD},
    "ios mergeUser": NOTHING,
    "ios setTags#badge": {IOS_HWID: {**IOS_SEEN, "tags": {"badge": 3}}},
    "macos registerDevice": {IOS_HWID: {**IOS_SEEN, "platform": 7, "push_token": IOS_TOKEN, "user": "ada"}},
}  # fmt: skip

NAMES = (
    "platform", "push_token", "language", "utc_offset_seconds", "device_model", "os_version", "app_version",
    "sdk_version", "badge", "tags", "extra",
)  # fmt: skip
LINKED = {
    "web registerDevice", "web registerDevice#ensure (web popups widget, no token)", "web registerUser",
    "web multiRegisterDevice", "android registerUser", "android registerDevice", "ios registerDevice",
    "ios registerDevice#voip", "ios registerUser", "ios registerDevice#voip, after the other", "macos registerDevice",
}  # fmt: skip
"""The bodies that say whom their device speaks for; all others may only mention it."""
ANONYMOUS = {
    "android registerUser#first launch (anonymous)", "ios registerDevice#anonymous",
    "ios registerUser#anonymous again",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _everything_is_permitted(settings: Any) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_PERMISSION": lambda request, method: True}


def post(sdk: Any, name: str) -> None:
    body = {"request": MORE[name]} if name in MORE else BODIES[name]
    sdk.post(name.split(" ")[1].split("#")[0], body, authorization="Token null")


def held() -> dict[str, Any]:
    """The mirror, without what is as it is by default."""
    found: dict[str, Any] = {}
    blank = Device()
    for device in Device.objects.all():
        shown = {name: value for name in NAMES if (value := getattr(device, name)) != getattr(blank, name)}
        if device.opened_at is not None:
            shown["opened"] = device.opened_at == timezone.now()
        if device.unsubscribed_at is not None:
            shown["unsubscribed"] = device.unsubscribed_reason
        if link := UserLink.objects.open().filter(device=device).first():
            shown["user"] = link.user_id
        found[device.hwid] = shown
    for report in Statistic.objects.all():
        counted = found.setdefault("opens" if report.kind == Statistic.Kind.OPEN else "deliveries", {})
        counted[report.message_code] = counted.get(report.message_code, 0) + 1
    return found


def test_it_is_told_of_every_body() -> None:
    assert LEFT.keys() == BODIES.keys() | MORE.keys()


@pytest.mark.parametrize("name", LEFT)
def test_a_body_leaves_this_in_an_empty_mirror(name: str, sdk: Any, sandbox: Any) -> None:
    post(sdk, name)
    assert held() == LEFT[name]

    run_outbox()
    assert held() == LEFT[name], "what was queued and is sent later is not noted a second time"


@pytest.mark.parametrize("name", sorted(LEFT.keys() - {"web deleteDevice"}))
def test_over_what_is_known_nothing_is_blanked(name: str, sdk: Any, sandbox: Any, clock: Any) -> None:
    for hwid, kind in ((WEB_HWID, 11), (HWID, 3), (IOS_HWID, 1)):
        sdk.call(
            "registerDevice", hwid=hwid, device_type=kind, push_token=f"token of {hwid}", userId="grace",
            language="fr", v="1.0", os_version="1", tags={"Kept": 1}, package="kept",
        )  # fmt: skip
    clock.advance(hours=1)
    post(sdk, name)
    run_outbox()

    body = MORE.get(name) or BODIES[name].get("request", {})
    spoken = [body.get("hwid"), *(each["hwid"] for each in body.get("push_devices", ()))]
    for device in Device.objects.filter(hwid__in=[WEB_HWID, HWID, IOS_HWID]):
        is_spoken = device.hwid in spoken
        if "unregisterDevice" in name and is_spoken:
            assert not device.is_subscribed
        else:
            told = LEFT[name].get(device.hwid, {}).get("push_token")
            assert device.push_token == (told or f"token of {device.hwid}")
            assert device.is_subscribed
        assert device.tags["Kept"] == 1
        assert device.extra["package"]
        assert device.language
        assert device.sdk_version
        assert device.os_version
        if not is_spoken or "mail" in name.lower():
            assert (device.language, device.sdk_version, device.tags) == ("fr", "1.0", {"Kept": 1})
            assert device.updated_at == clock.now - timedelta(hours=1)
        link = UserLink.objects.open().filter(device=device).first()
        user = None if link is None else link.user_id
        assert user == ("ada" if is_spoken and name in LINKED else None if is_spoken and name in ANONYMOUS else "grace")


def test_the_header_of_a_retry_makes_a_replay(sdk: Any, sandbox: Any, clock: Any) -> None:
    sdk.post("registerUser", {"request": {**IOS, "userId": "grace", "v": "7.2.0"}})
    clock.advance(days=2)
    old = {"request": {**IOS, "hash": "s_9_a_1-10"}}
    for number in ("1", "2"):
        assert sdk.post("pushStat", old, **{"X-Retry-Count": number})["status_code"] == 200
    sdk.post(
        "messageDeliveryEvent", {"request": {**IOS, "hwid": "ERASED", "hash": "s_9_a_1-10"}}, **{"X-Retry-Count": "1"}
    )

    assert held() == {
        IOS_HWID: {"platform": 1, "sdk_version": "7.2.0", "user": "grace"},
        "opens": {"0001-0000003E": 1},
        "deliveries": {"0001-0000003E": 1},
    }
    run_outbox()
    told = sorted(request.method for request in sandbox.requests)
    assert told == ["messageDeliveryEvent", "pushStat", "pushStat", "registerUser"], "Pushwoosh is told each time"


def test_a_deleted_device_goes_with_its_links_and_says_nothing_upstream(sdk: Any, sandbox: Any) -> None:
    post(sdk, "web registerDevice")
    post(sdk, "android registerDevice")
    post(sdk, "web deleteDevice")
    run_outbox()

    assert list(Device.objects.values_list("hwid", flat=True)) == [HWID]
    assert [link.device.hwid for link in UserLink.objects.all()] == [HWID]
    assert [request.method for request in sandbox.requests] == ["registerDevice", "registerDevice", "deleteDevice"]


def test_the_address_of_a_phone_that_speaks_for_nobody_is_nobodys(sdk: Any, sandbox: Any) -> None:
    post(sdk, "ios registerDevice#anonymous")
    post(sdk, "ios registerEmail#anonymous")

    assert Device.objects.count() == 2
    assert not UserLink.objects.exists()


def test_numbers_as_text_are_numbers_where_the_tag_holds_numbers(sdk: Any, sandbox: Any) -> None:
    post(sdk, "android registerDevice")
    post(sdk, "web multiRegisterDevice")

    assert Device.objects.get(hwid=WEB_HWID).tags["Age"] == 25
