"""How many devices a message would reach, as far as the mirror knows; and what it does not know."""

from __future__ import annotations

from typing import Any

import pytest

from django_pushwoosh import push
from django_pushwoosh.models import Device, ScheduledMessage, UserLink
from django_pushwoosh.protocol import audience as audiences
from django_pushwoosh.protocol.filters import Tag
from django_pushwoosh.push import Estimate, estimate

APPLICATION = "TEST0-00001"
pytestmark = pytest.mark.django_db


def meant(to: Any, application: str = APPLICATION, **parameters: Any) -> ScheduledMessage:
    return ScheduledMessage(
        application=application,
        parameters={"content": "Hello", **parameters},
        audience=push.audience_of(to).to_json(),
    )


@pytest.fixture
def devices() -> list[Device]:
    """Three phones in Oslo, one of which is unsubscribed; one in Rome; one of which no tag is known."""
    return Device.objects.bulk_create(
        [
            Device(application=APPLICATION, hwid="a", platform=1, push_token="t-a", tags={"City": "Oslo"}),
            Device(application=APPLICATION, hwid="b", platform=3, push_token="t-b", tags={"City": "Oslo"}),
            Device(application=APPLICATION, hwid="c", platform=3, push_token="", tags={"City": "Oslo"}),
            Device(application=APPLICATION, hwid="d", platform=3, push_token="t-d", tags={"City": "Rome"}),
            Device(application=APPLICATION, hwid="e", platform=3, push_token="t-e"),
        ]
    )


def test_a_mirror_that_was_never_filled_does_not_say_none() -> None:
    assert estimate(meant(push.EVERYONE)) == Estimate(None)
    assert estimate(meant(Tag("City").eq("Oslo"))) == Estimate(None)


def test_everyone_is_every_subscribed_device(devices: list[Device]) -> None:
    assert estimate(meant(push.EVERYONE)) == Estimate(4)
    assert estimate(meant(push.EVERYONE, platforms=[1])) == Estimate(1)


def test_what_the_mirror_does_not_know_is_counted_apart(devices: list[Device]) -> None:
    assert estimate(meant(Tag("City").eq("Oslo"))) == Estimate(2, 1)
    assert estimate(meant(Tag("City").in_(["Oslo", "Rome"]))) == Estimate(3, 1)
    assert estimate(meant(audiences.FilterExpression('T("City", EQ, "Rome")'))) == Estimate(1, 1)
    either = audiences.Conditions([["City", "EQ", "Oslo"], ["City", "EQ", "Rome"]], "OR")
    assert estimate(meant(either)) == Estimate(3, 1)


def test_listed_devices_are_looked_up_by_hwid_and_by_token(devices: list[Device]) -> None:
    assert estimate(meant(audiences.Devices(["a", "t-b", "c", "stranger"]))) == Estimate(2, 1)
    # Pushwoosh ignores the platforms of so short a list.
    assert estimate(meant(audiences.Devices(["a", "b"]), platforms=[1])) == Estimate(2)
    many = ["a", "b", *(f"stranger-{number}" for number in range(1200))]
    assert estimate(meant(audiences.Devices(many), platforms=[1])) == Estimate(1, 1200)


def test_users_are_looked_up_by_their_links(devices: list[Device]) -> None:
    for device in devices[:2]:
        UserLink.objects.bulk_create([UserLink(device=device, user_id="ada")])
    assert estimate(meant(audiences.Users(["ada"]))) == Estimate(2)
    assert estimate(meant(audiences.Users(["ada", "d", "a", "nobody"]))) == Estimate(3, 2)


def test_what_is_upstreams_alone_is_unknown(devices: list[Device]) -> None:
    assert estimate(meant(audiences.SavedFilter("Active"))).matching is None
    assert estimate(meant(audiences.ApplicationGroup("AAAAA-AAAAA"))).matching is None
    near = estimate(meant(audiences.Geozone(59.9, 10.7, 500)))
    assert (near.matching, near.not_counted) == (None, ("where the devices are",))


def test_what_a_preset_or_a_cap_changes_is_named(devices: list[Device]) -> None:
    found = estimate(meant(push.EVERYONE, preset="1A2B3-C4D5E", capping_days=1, capping_count=1))
    assert found.matching == 4
    assert [words.split(",")[0] for words in found.not_counted] == [
        "the preset",
        "devices that are left out because they got enough pushes",
    ]
