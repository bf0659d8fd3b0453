"""The mirror: what calls say about devices, however little they can be trusted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from django_pushwoosh import push
from django_pushwoosh.delivery import mirror
from django_pushwoosh.models import Device, OutboxEntry, Statistic, UserLink
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.methods import AskedBy
from tests.conftest import Clock

pytestmark = pytest.mark.django_db
APPLICATION = "TEST0-00001"


def note(clock: Clock, method: str, is_replay: bool = False, **arguments: Any) -> Device | None:
    said = {"hwid": "phone", "device_type": 3, **arguments}
    return mirror.note(Call(METHODS[method], APPLICATION, said, is_replay=is_replay), now=clock.now)


def phone() -> Device:
    return Device.objects.get(hwid="phone")


def test_any_call_may_be_the_first_sight_of_a_device(clock: Clock) -> None:
    note(clock, "setTags", tags={"Age": 30})

    assert phone().tags == {"Age": 30}
    assert not phone().is_subscribed


OF_ONE_DEVICE = sorted(
    name
    for name, method in METHODS.items()
    if method.asked_by is AskedBy.SDK and name not in ("deleteDevice", "deleteUser", "mergeUser", "multiRegisterDevice")
)


@pytest.mark.parametrize("method", sorted(set(OF_ONE_DEVICE) - {"registerEmail", "registerEmailUser", "setEmailTags"}))
def test_every_method_that_names_a_device_makes_it_known(method: str, clock: Clock) -> None:
    note(clock, method, v="6.10.0", language="nb", timezone=3600)
    device = phone()

    assert (device.platform, device.sdk_version, device.language, device.utc_offset_seconds) == (
        3,
        "6.10.0",
        "nb",
        3600,
    )
    assert (device.created_at, device.is_subscribed) == (clock.now, False)


@pytest.mark.parametrize(
    "method",
    [
        "postEvent", "getTags", "checkDevice", "getConfig", "getInApps", "getInboxMessages", "inboxStatus", "pushStat",
        "getNearestZone", "setPurchase", "pageVisit", "createTestDevice", "setActivityToken", "setMADID",
        "triggerInAppAction", "richMediaAction", "recordPopupFormEvent",
    ],
)  # fmt: skip
def test_what_only_asks_or_reports_changes_no_device_and_costs_one_look(
    method: str, clock: Clock, django_assert_num_queries: Any
) -> None:
    note(clock, "registerDevice", push_token="token", v="6.10.0", language="nb", userId="ada")
    before = Device.objects.values().get()
    clock.advance(hours=1)
    with django_assert_num_queries(1):
        note(
            clock, method, v="7.0.0", language="en", userId="grace", push_token="other", lat=59.9, lng=10.7,
            madid="38400000-8cf0-11bd-b23e-10b96e40000d", activity_token="c0ffee", tags={"Age": 1},
        )  # fmt: skip

    assert Device.objects.values().get() == before
    assert UserLink.objects.open().get().user_id == "ada"


@pytest.mark.django_db(transaction=True)
def test_a_relayed_call_of_a_known_device_is_mirrored_by_one_statement(django_assert_num_queries: Any) -> None:
    call = Call(METHODS["getInApps"], APPLICATION, {"hwid": "phone", "device_type": 3, "language": "nb"})
    push.mirror_call(call)
    with django_assert_num_queries(1):
        push.mirror_call(call)


def test_advertising_ids_positions_and_the_secrets_of_web_push_are_kept_nowhere(clock: Clock) -> None:
    private = {
        "idfa": "AAAAAAAA-advertising", "madid": "advertising", "lat": 59.9, "lng": 10.7, "auth_token": "secret",
        "public_key": "secret", "fcm_token": "secret", "fcm_push_set": "secret", "email": "ada@example.org",
    }  # fmt: skip
    for method in OF_ONE_DEVICE:
        note(clock, method, push_token="token", tomorrows_key="kept", **private)

    kept = str([Device.objects.filter(hwid="phone").values(), Statistic.objects.values()])
    assert "tomorrows_key" in kept
    assert not any(str(value) in kept for value in private.values())


def test_an_hwid_that_is_an_address_tells_what_the_device_is(clock: Clock) -> None:
    note(clock, "setTags", hwid="whatsapp:+15551234567", device_type=None, tags={"Age": 1})
    note(clock, "setTags", hwid="ada@example.org", device_type=None, tags={"Age": 1})

    assert sorted(Device.objects.values_list("platform", flat=True)) == [14, 21]


def test_the_same_hwid_in_two_applications_is_two_devices(clock: Clock) -> None:
    """Vendors share one between their apps."""
    for application in (APPLICATION, "OTHER-00001"):
        call = Call(METHODS["setTags"], application, {"hwid": "phone", "device_type": 3, "tags": {"App": application}})
        mirror.note(call, now=clock.now)

    assert dict(Device.objects.values_list("application", "tags")) == {
        APPLICATION: {"App": APPLICATION},
        "OTHER-00001": {"App": "OTHER-00001"},
    }


def test_a_device_whose_system_changes_is_still_one(clock: Clock) -> None:
    """A browser is another one after an update (150 is old Edge), an app store delivers by another service."""
    note(clock, "registerDevice", push_token="old", device_type=150)
    note(clock, "setTags", device_type=3, tags={})
    assert phone().platform == 150
    note(clock, "registerDevice", push_token="new", device_type=11)

    assert (phone().platform, phone().push_token) == (11, "new")


def test_unregistering_twice_keeps_when_and_why(clock: Clock) -> None:
    note(clock, "registerDevice", push_token="token")
    note(clock, "unregisterDevice")
    first = phone().unsubscribed_at
    clock.advance(days=1)
    note(clock, "unregisterDevice")

    assert (phone().unsubscribed_at, phone().unsubscribed_reason) == (first, "unregisterDevice")


def test_a_register_without_a_token_ends_no_unsubscription(clock: Clock) -> None:
    note(clock, "registerDevice", push_token="token")
    note(clock, "unregisterDevice")
    note(clock, "registerDevice", voip_push_token="other")

    assert not phone().is_subscribed
    assert phone().unsubscribed_at is not None


def test_a_device_of_two_users_merged_speaks_for_the_new_one(clock: Clock) -> None:
    note(clock, "registerUser", userId="visitor-7")
    note(clock, "registerUser", hwid="tablet", userId="grace")
    clock.advance(hours=1)
    note(clock, "mergeUser", oldUserId="visitor-7", newUserId="ada", merge=True)

    assert {link.device.hwid: link.user_id for link in UserLink.objects.open()} == {"phone": "ada", "tablet": "grace"}
    assert UserLink.objects.get(user_id="visitor-7").until == clock.now


def test_a_replay_of_days_ago_only_counts(clock: Clock) -> None:
    note(clock, "registerDevice", push_token="token", userId="grace", v="7.1.3")
    before = Device.objects.values().get()
    clock.advance(days=2)
    for method in ("pushStat", "messageDeliveryEvent"):
        note(clock, method, is_replay=True, userId="ada", v="7.0.0", hash="s_1_2_1-1")

    assert Device.objects.values().get() == before
    assert UserLink.objects.open().get().user_id == "grace"
    assert Statistic.objects.count() == 2


def test_a_replay_makes_no_device_for_it_may_have_been_erased_since(clock: Clock) -> None:
    note(clock, "registerDevice", push_token="token")
    note(clock, "deleteDevice")
    note(clock, "pushStat", is_replay=True, hash="s_1_2_1-1")

    assert not Device.objects.exists()
    assert Statistic.objects.count() == 1


def test_a_registration_sent_again_overwrites_nothing_newer(clock: Clock) -> None:
    note(clock, "registerUser", userId="grace")
    note(clock, "applicationOpen", v="7.1.3", language="nb")
    note(clock, "setTags", tags={"Plan": "gold"})
    clock.advance(seconds=16)
    old = {"v": "7.0.0", "language": "en", "os_version": "18.5", "userId": "ada", "tags": {"Plan": "none", "Age": 3}}
    note(clock, "registerDevice", is_replay=True, push_token="token", package="com.example.app", **old)

    device = phone()
    assert (device.push_token, device.is_subscribed) == ("token", True), "what it was sent for"
    assert (device.sdk_version, device.language) == ("7.1.3", "nb"), "newer"
    assert (device.os_version, device.extra) == ("18.5", {"package": "com.example.app"}), "unknown so far"
    assert device.tags == {"Plan": "gold", "Age": 3}
    assert UserLink.objects.open().get().user_id == "grace"


def test_a_registration_sent_again_takes_no_unregistering_back(clock: Clock) -> None:
    note(clock, "registerDevice", push_token="token")
    clock.advance(seconds=5)
    note(clock, "unregisterDevice")
    clock.advance(seconds=5)
    note(clock, "registerDevice", is_replay=True, push_token="token")

    assert not phone().is_subscribed


def test_a_registration_sent_again_of_a_device_long_silent_is_one_like_any(clock: Clock) -> None:
    note(clock, "registerDevice", push_token="old", v="7.0.0", userId="ada")
    note(clock, "unregisterDevice")
    clock.advance(days=3)
    note(clock, "registerDevice", is_replay=True, push_token="new", v="7.1.3", userId="grace")

    assert (phone().push_token, phone().sdk_version, phone().is_subscribed) == ("new", "7.1.3", True)
    assert UserLink.objects.open().get().user_id == "grace"


def test_the_first_word_of_a_device_may_be_one_sent_again(clock: Clock) -> None:
    note(clock, "registerDevice", is_replay=True, push_token="token", v="7.1.3", userId="ada")

    assert (phone().push_token, phone().sdk_version) == ("token", "7.1.3")
    assert UserLink.objects.open().get().user_id == "ada"


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        ({"operation": 0, "value": "31"}, "31"),
        ({"operation": 0, "values": ["x"]}, ["x"]),
        ({"operation": 1, "values": ["b", "c"]}, ["a", "b", "c"]),
        ({"operation": 1, "value": "c"}, ["a", "b", "c"]),
        ({"operation": 2, "values": ["a"]}, ["b"]),
        ({"operation": 2}, None),
        ({"operation": 3, "value": "2"}, ["a", "b"]),
        ({"operation": 4, "value": "2"}, ["a", "b"]),
        ({"operation": True, "value": "2"}, ["a", "b"]),
        ("append", ["a", "b"]),
    ],
)
def test_several_registered_at_once_number_their_operations(operation: Any, after: Any, clock: Clock) -> None:
    note(clock, "setTags", tags={"Likes": ["a", "b"], "Visits": 1})
    browser = {"hwid": "phone", "platform": 11, "push_token": "token"}
    changes = {"Likes": operation, "Visits": {"operation": 3, "value": "2"}}
    note(clock, "multiRegisterDevice", hwid=None, user_id="ada", push_devices=[browser], tags=changes)

    assert phone().tags == {"Visits": 3} | ({} if after is None else {"Likes": after})


def test_of_several_registered_at_once_each_is_a_device(clock: Clock) -> None:
    browsers = [{"hwid": f"browser{number}", "platform": 11, "push_token": "token"} for number in range(30)]
    note(
        clock, "multiRegisterDevice", hwid=None, user_id="browser0", email="ada@example.org", push_devices=browsers,
        sms_phone_number="+15551234567", whatsapp_phone_number="+15551234567",
    )  # fmt: skip

    found = Device.objects.exclude(hwid__startswith="browser").values_list("hwid", "push_token", "platform")
    assert sorted(found) == [
        ("+15551234567", "+15551234567", 18),
        ("ada@example.org", "ada@example.org", 14),
        ("whatsapp:+15551234567", "whatsapp:+15551234567", 21),
    ]
    assert Device.objects.filter(platform=11).count() == mirror.MOST_AT_ONCE
    assert not UserLink.objects.exists(), "the browser's own hwid is nobody"


def test_numbers_are_told_by_the_hwid_whatever_token_an_sdk_gives(clock: Clock) -> None:
    for hwid, token in (("+15551234567", None), ("whatsapp:+15551234567", "+15551234567")):
        note(clock, "registerDevice", hwid=hwid, device_type=21, push_token=token)
        assert Device.objects.get().push_token == "whatsapp:+15551234567"


def test_a_call_that_does_not_say_what_the_device_is_makes_none(clock: Clock) -> None:
    note(clock, "setTags", device_type=None, tags={"Age": 30})

    assert not Device.objects.exists()


def test_the_mirror_says_nothing_upstream(clock: Clock) -> None:
    note(clock, "registerDevice", push_token="token", userId="ada", tags={"Age": 30})
    note(clock, "unregisterDevice")

    assert not OutboxEntry.objects.exists()


def test_a_partial_register_blanks_nothing(clock: Clock) -> None:
    note(clock, "registerDevice", push_token="token", language="de", timezone="7200")
    note(clock, "registerDevice", push_token="", voip_push_token="other")

    assert phone().push_token == "token"
    assert phone().language == "de"
    assert phone().utc_offset_seconds == 7200
    assert phone().extra == {"voip_push_token": "other"}


def test_an_unregistered_device_is_a_state_and_registering_ends_it(clock: Clock) -> None:
    note(clock, "registerDevice", push_token="token")
    note(clock, "unregisterDevice")
    assert phone().unsubscribed_at == clock.now
    assert not phone().is_subscribed

    note(clock, "registerDevice", push_token="new")
    assert phone().is_subscribed
    assert phone().unsubscribed_at is None


def test_opening_the_app_is_no_subscription(clock: Clock) -> None:
    note(clock, "registerDevice", push_token="token")
    note(clock, "unregisterDevice")
    clock.advance(hours=1)
    note(clock, "applicationOpen", app_version="4.2")

    assert phone().opened_at == clock.now
    assert phone().app_version == "4.2"
    assert not phone().is_subscribed


def test_tag_operations_are_applied(clock: Clock) -> None:
    note(clock, "setTags", tags={"Level": 1, "Likes": ["a", "b"], "Old": "x"})
    note(
        clock,
        "setTags",
        tags={
            "Level": {"operation": "increment", "value": 2},
            "Likes": {"operation": "append", "value": ["c"]},
            "Old": None,
        },
    )

    assert phone().tags == {"Level": 3, "Likes": ["a", "b", "c"]}


def test_a_user_id_that_is_the_hwid_is_nobody(clock: Clock) -> None:
    note(clock, "registerUser", userId="phone")
    assert not UserLink.objects.exists()

    note(clock, "registerUser", userId="ada")
    clock.advance(days=1)
    note(clock, "registerUser", userId="")

    [link] = UserLink.objects.all()
    assert link.until - link.since == timedelta(days=1)


def test_a_user_id_of_a_call_that_only_mentions_it_moves_nothing(clock: Clock) -> None:
    note(clock, "registerUser", userId="ada")
    note(clock, "setTags", userId="grace", tags={"Age": 30})

    assert UserLink.objects.open().get().user_id == "ada"


def test_email_calls_do_not_touch_the_phone_they_come_from(clock: Clock) -> None:
    note(clock, "registerDevice", push_token="token", language="de", v="6.10.0", device_model="Pixel 8")
    before = Device.objects.filter(hwid="phone").values().get()
    clock.advance(minutes=1)
    spoken = {"email": "ada@example.org", "v": "6.11.0", "userId": "ada", "tags": {"Age": 30}}
    for method in ("registerEmail", "registerEmailUser", "setEmailTags"):
        note(clock, method, language="English", tz_offset=3600, **spoken)

    assert Device.objects.filter(hwid="phone").values().get() == before
    address = Device.objects.get(hwid="ada@example.org")
    assert (address.platform, address.push_token, address.is_subscribed) == (14, "ada@example.org", True)
    assert (address.tags, address.utc_offset_seconds) == ({"Age": 30}, 3600)
    assert (address.language, address.sdk_version, address.device_model, address.extra) == ("", "", "", {})
    assert UserLink.objects.open().get().device == address


def test_sms_and_whatsapp_devices_of_one_number_are_two(clock: Clock) -> None:
    note(clock, "registerDevice", hwid="+15551234567", device_type=18)
    note(clock, "registerDevice", hwid="+15551234567", device_type=21)
    note(clock, "registerDevice", hwid="whatsapp:+15551234567", device_type=21)

    assert sorted(Device.objects.values_list("platform", flat=True)) == [18, 21]
    assert all(device.is_subscribed for device in Device.objects.all())


def test_tags_of_a_user_reach_all_the_users_devices(clock: Clock) -> None:
    for hwid in ("phone", "tablet"):
        note(clock, "registerUser", hwid=hwid, userId="ada")
    note(clock, "registerUser", hwid="other", userId="grace")
    mirror.note(Call(METHODS["setTags"], APPLICATION, {"userId": "ada", "tags": {"Age": 30}}), now=clock.now)

    assert {device.hwid: device.tags for device in Device.objects.all()} == {
        "phone": {"Age": 30},
        "tablet": {"Age": 30},
        "other": {},
    }


def test_a_deleted_user_takes_the_devices_along(clock: Clock) -> None:
    for hwid, user in (("phone", "ada"), ("tablet", "ada"), ("other", "grace")):
        note(clock, "registerUser", hwid=hwid, userId=user)
    mirror.note(Call(METHODS["deleteUser"], APPLICATION, {"user_id": "ada"}), now=clock.now)

    assert list(Device.objects.values_list("hwid", flat=True)) == ["other"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["\x00", "\ud83d", "#pwinc#9", "x" * 300, 2**80]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)
names = ["hwid", "device_type", "push_token", "language", "timezone", "tags", "userId", "badge", "v", "email", "any"]


class TestHostileCalls(TestCase):
    @hypothesis_settings(max_examples=80, deadline=None, derandomize=True)
    @given(
        method=st.sampled_from(sorted(METHODS)),
        arguments=st.dictionaries(st.sampled_from(names), json_values),
        usual=st.booleans(),
    )
    def test_whatever_an_sdk_sends_the_mirror_holds(self, method: str, arguments: dict[str, Any], usual: bool) -> None:
        from django.utils import timezone

        known = {"hwid": "phone", "device_type": 3} if usual else {}
        mirror.note(Call(METHODS[method], APPLICATION, {**arguments, **known}), now=timezone.now())
        for device in Device.objects.all():
            assert isinstance(device.tags, dict)
