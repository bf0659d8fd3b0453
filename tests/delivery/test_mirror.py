"""The mirror: what calls say about devices, however little they can be trusted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from django_pushwoosh.delivery import mirror
from django_pushwoosh.models import Device, OutboxEntry, UserLink
from django_pushwoosh.protocol.calls import METHODS, Call
from tests.conftest import Clock

pytestmark = pytest.mark.django_db
APPLICATION = "TEST0-00001"


def note(clock: Clock, method: str, **arguments: Any) -> Device | None:
    call = Call(METHODS[method], APPLICATION, {"hwid": "phone", "device_type": 3, **arguments})
    return mirror.note(call, now=clock.now)


def phone() -> Device:
    return Device.objects.get(hwid="phone")


def test_any_call_may_be_the_first_sight_of_a_device(clock: Clock) -> None:
    note(clock, "setTags", tags={"Age": 30})

    assert phone().tags == {"Age": 30}
    assert not phone().is_subscribed


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
    @hypothesis_settings(max_examples=150, deadline=None, derandomize=True)
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
