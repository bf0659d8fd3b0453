"""The mirror of tags: the short ways leave what the long one does."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_pushwoosh import push
from django_pushwoosh.delivery import mirror, tag_mirror
from django_pushwoosh.models import Device, OutboxEntry, TagDefinition
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.errors import InvalidMessage, InvalidTag
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock

pytestmark = pytest.mark.django_db

APPLICATION = "TEST0-00001"
NAMES = st.sampled_from(["Age", "City", " City", "", "Interests", "naïve \u2028", "x" * 300, 'q"uote', "back\\slash"])
SCALARS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
)
STORED = st.dictionaries(NAMES.filter(str.strip), SCALARS | st.lists(SCALARS, max_size=3), max_size=4)
CHANGES = st.dictionaries(
    NAMES,
    SCALARS
    | st.none()
    | st.lists(SCALARS, max_size=3)
    | st.sampled_from(["#pwinc#1", {"operation": "increment", "value": 2}, {"operation": "append", "value": "a"}, {}]),
    max_size=4,
)


def device(hwid: str, tags: dict[str, Any]) -> Device:
    made = Device(application=APPLICATION, hwid=hwid, platform=3, push_token="token", tags=tag_mirror.storable(tags))
    Device.objects.bulk_create([made])
    return made


def tags_of(hwid: str) -> str:
    return json.dumps(Device.objects.get(hwid=hwid).tags, sort_keys=True)


def numbers_as_json_has_them(arguments: Any) -> Any:
    """PostgreSQL writes 7e16 out as 70000000000000000: the same number of JSON, another type in Python."""
    return json.loads(json.dumps(arguments), parse_float=Decimal, parse_int=Decimal)


@given(before=STORED, changes=CHANGES)
@hypothesis_settings(
    deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_short_ways_leave_what_the_long_one_does(
    sandbox: Sandbox, clock: Clock, before: dict[str, Any], changes: dict[str, Any]
) -> None:
    """On PostgreSQL the first is one statement; elsewhere it goes the long way too."""
    for name in ("short", "long", "many"):
        Device.objects.filter(hwid=name).delete()
        device(name, before)
    OutboxEntry.objects.all().delete()

    def call(hwid: str) -> Call:
        return Call.of("setTags", APPLICATION, hwid=hwid, tags=changes)

    push.queue_call(call("short"))
    mirror.note(call("long"), now=clock.now)
    tag_mirror.note_many(APPLICATION, [("many", changes)], now=clock.now, using="default")

    assert tags_of("short") == tags_of("long") == tags_of("many")
    [entry] = OutboxEntry.objects.all()
    assert numbers_as_json_has_them(entry.call.arguments) == numbers_as_json_has_them(call("short").arguments)
    assert entry.key == push.key_of(call("short"))


def test_tags_near_their_bound_go_the_long_way(sandbox: Sandbox) -> None:
    device("phone", {"Long": "x" * 20_000})
    push.set_tags(hwid="phone", tags={"More": "y" * 20_000})
    push.set_tags(hwid="phone", tags={"Too much": "z" * 40_000})

    assert Device.objects.get().tags == {"Long": "x" * 20_000, "More": "y" * 20_000}
    assert OutboxEntry.objects.count() == 2


def test_a_device_that_the_mirror_does_not_know_is_told_of_all_the_same(sandbox: Sandbox) -> None:
    entry = push.set_tags(hwid="stranger", tags={"Age": 1})
    run_outbox()

    assert OutboxEntry.objects.get().pk == entry.pk
    assert sandbox.devices[APPLICATION, "stranger"].own_tags == {"Age": 1}
    assert not Device.objects.exists()


def test_types_are_learned_by_every_way(sandbox: Sandbox) -> None:
    device("phone", {})
    push.set_tags(hwid="phone", tags={"Age": 1})
    push.set_tags_of_many([("phone", {"City": "Oslo"})])

    assert set(TagDefinition.objects.values_list("name", flat=True)) == {"Age", "City"}


def test_tags_of_many_devices_are_queued_in_the_bulk_lane_and_travel_together(sandbox: Sandbox, clock: Clock) -> None:
    rows = [device(f"phone{number}", {"Age": 0}) for number in range(60)]
    for row in rows:
        push.register_device(row)
    run_outbox()
    clock.advance(seconds=5)
    run_outbox()
    queued = push.set_tags_of_many((row, {"Age": number}) for number, row in enumerate(rows))
    waiting = OutboxEntry.objects.filter(method="setTags")

    assert queued == 60
    assert set(waiting.values_list("lane", "status")) == {(OutboxEntry.Lane.BULK, "queued")}
    assert [each.tags for each in Device.objects.order_by("pk")] == [{"Age": number} for number in range(60)]
    for _ in range(3):
        run_outbox()
        clock.advance(seconds=5)
    assert set(waiting.values_list("status", flat=True)) == {"sent"}
    assert len({entry.bulk_request_id for entry in waiting}) == 1
    assert [sandbox.devices[APPLICATION, row.hwid].own_tags["Age"] for row in rows] == list(range(60))


def test_of_many_devices_all_are_queued_or_none(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    device("one", {})
    monkeypatch.setattr("django_pushwoosh.push.devices.MANY", 1)
    with pytest.raises(InvalidTag):
        push.set_tags_of_many([("one", {"Age": 1}), ("two", {"": 1})])
    other = Device(application="OTHER-00001", hwid="three", platform=3)
    with pytest.raises(InvalidMessage, match="belongs to OTHER-00001"):
        push.set_tags_of_many([("one", {"Age": 1}), (other, {"Age": 1})])

    assert not OutboxEntry.objects.exists()
    assert Device.objects.get().tags == {}
    assert push.set_tags_of_many([]) == 0


def test_a_device_named_twice_ends_as_it_was_named_last(sandbox: Sandbox) -> None:
    device("one", {"Age": 1, "City": "Oslo"})
    push.set_tags_of_many([("one", {"Age": 2, "City": None}), ("one", {"Age": 3})])
    run_outbox()

    assert Device.objects.get().tags == {"Age": 3}
    assert sandbox.devices[APPLICATION, "one"].own_tags == {"Age": 3}
