"""Saying several changes of a device as one comes to the same, whatever the device was; the sandbox is the judge."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from django_pushwoosh.client import Client
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.coalescing import BULK_METHODS, bulk_method, bulk_row, merged, merged_tags
from django_pushwoosh.protocol.tags import Append, Increment, Remove, TagType, clean_tags
from django_pushwoosh.sandbox import Application, Sandbox, SetClock

APP = "AAAAA-00001"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
KEPT_BY_THE_SANDBOX = {"id", "version", "received_at"}

steady = settings(deadline=None, derandomize=True, max_examples=250)

# Sums of fractions depend on their order; quarters are exact. Beyond 2**53 no counter counts.
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(2**50), 2**50),
    st.integers(-40, 40).map(lambda quarters: quarters / 4),
    st.sampled_from(["", "Oslo", "2026-03-02", "2026-03-02 12:00", "1.2.3", "#pwinc#2", "true", "5"]),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.none(),
    st.integers(-4, 4).map(Increment),
    st.lists(SCALARS, min_size=1, max_size=3).map(Append),
    st.lists(SCALARS, min_size=1, max_size=3).map(Remove),
)
NAMES = st.sampled_from(["Age", "City", "Likes"])
TAGS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=3).map(clean_tags)
LANGUAGE_TAGS = st.one_of(TAGS, st.fixed_dictionaries({"Language": st.sampled_from(["fr", "pt-BR", None])}))
TYPES = st.dictionaries(NAMES, st.sampled_from(TagType))

SETTING_TAGS = LANGUAGE_TAGS.map(lambda tags: Call(METHODS["setTags"], APP, {"hwid": "phone", "tags": tags}))
REGISTERING = st.fixed_dictionaries(
    {"hwid": st.just("phone"), "device_type": st.sampled_from([1, 3])},
    optional={
        "push_token": st.sampled_from(["", "aa", "bb"]),
        "language": st.sampled_from(["", "de", "en-US"]),
        "timezone": st.sampled_from([0, 3600]),
        "userId": st.sampled_from(["", "ada", "grace"]),
        "device_model": st.sampled_from(["", "Pixel", "iPhone"]),
        "app_version": st.sampled_from(["1.0", "2.0"]),
        "idfa": st.sampled_from(["x", "y"]),
        "tags": LANGUAGE_TAGS,
    },
).map(lambda arguments: Call(METHODS["registerDevice"], APP, arguments))
OTHERS = st.sampled_from(
    [
        Call.of("unregisterDevice", APP, hwid="phone"),
        Call.of("registerUser", APP, hwid="phone", userId="ada"),
        Call.of("setBadge", APP, hwid="phone", badge=3),
    ]
)
CHANGES = st.one_of(SETTING_TAGS, REGISTERING, OTHERS)


class Upstream:
    """A Pushwoosh with one application, asked as the worker asks."""

    def __init__(self, types: Mapping[str, TagType] | None = None, **options: Any) -> None:
        self.clock = SetClock(NOON)
        self.sandbox = Sandbox([Application(APP, "api", "device")], self.clock, tags=types or {}, **options)
        self.client = Client(APP, api_token="api", device_token="device", api_root="http://sandbox", transport=self)

    def send(
        self, verb: str, url: str, headers: Mapping[str, str], body: bytes, timeout: tuple[float, float]
    ) -> tuple[int, Mapping[str, str], bytes]:
        return self.sandbox.handle(verb, url.removeprefix("http://sandbox"), headers, body)

    def ask(self, calls: Iterable[Call]) -> None:
        for call in calls:
            assert self.client.ask(call).http_status == 200

    def bulk(self, method: str, rows: list[dict[str, Any]]) -> None:
        more = {"create_missing_tags": True} if method == "bulkSetTags" else {}
        self.ask([Call.of(method, APP, devices=rows, **more)])
        self.clock.advance(seconds=2)
        self.sandbox.advance()

    def devices(self) -> str:
        """All that is known of the devices, as text: JSON's 1 is neither its true nor its 1.0."""
        known = [
            {each.name: getattr(device, each.name) for each in fields(device) if each.name not in KEPT_BY_THE_SANDBOX}
            for device in self.sandbox.devices.values()
        ]
        return json.dumps(known, sort_keys=True, default=str, indent=1)


def said_together(calls: Iterable[Call]) -> list[Call]:
    """As few calls as the worker makes of these: each joins the one before it, if one can say both."""
    said: list[Call] = []
    for call in calls:
        both = merged(said[-1], call) if said else None
        said[-1:] = [*said[-1:], call] if both is None else [both]
    return said


def tagging(**tags: Any) -> Call:
    return Call.of("setTags", APP, hwid="phone", tags=clean_tags(tags))


def registering(**arguments: Any) -> Call:
    return Call.of("registerDevice", APP, hwid="phone", device_type=3, **arguments)


# A type that a value teaches outlives the value.
@example({}, [], [tagging(Age=["a"]), tagging(Age=None), tagging(Age=Increment(1))])
# A boolean takes 0 and 1, and no other number.
@example({"Age": TagType.BOOLEAN}, [], [tagging(Age=1), tagging(Age=5)])
@example({}, [tagging(Age=True)], [tagging(Age=5), tagging(Age=1)])
@example({}, [], [tagging(Likes=Append([1])), tagging(Likes=Append([1.0]))])
# The language is a tag as well.
@example({}, [registering()], [registering(tags={"Language": "fr"}), registering(language="de")])
@example({}, [], [registering(device_model="Pixel"), registering(device_model="")])
@given(TYPES, st.lists(CHANGES, max_size=4), st.lists(CHANGES, min_size=2, max_size=6))
@steady
def test_changes_said_together_leave_what_they_leave_one_by_one(
    types: dict[str, TagType], before: list[Call], changes: list[Call]
) -> None:
    one_by_one, together = Upstream(types), Upstream(types)
    one_by_one.ask(before)
    together.ask(before)

    one_by_one.ask(changes)
    together.ask(said_together(changes))

    assert together.devices() == one_by_one.devices()


@given(st.lists(st.integers(-(2**50), 2**50), min_size=2, max_size=6))
@steady
def test_increments_add_up(steps: list[int]) -> None:
    [said] = said_together(tagging(Visits=Increment(step)) for step in steps)

    assert said.arguments["tags"] == {"Visits": {"operation": "increment", "value": sum(steps)}}


def test_increments_that_add_up_beyond_what_json_counts_stay_apart() -> None:
    assert merged(tagging(Visits=Increment(2**53 - 1)), tagging(Visits=Increment(1))) is None


@given(st.sampled_from([Append, Remove]), st.lists(st.lists(SCALARS, min_size=1, max_size=4), min_size=2, max_size=4))
@steady
def test_appends_unite_and_so_do_removals(operation: type[Append | Remove], lists: list[list[Any]]) -> None:
    [said] = said_together(tagging(Likes=operation(values)) for values in lists)

    united = said.arguments["tags"]["Likes"]["value"]
    kinds = [(type(each) is bool, each) for each in united]
    assert len(set(kinds)) == len(kinds)
    assert set(kinds) == {(type(each) is bool, each) for values in lists for each in values}


@pytest.mark.parametrize(("first", "second"), [("Oslo", "Rome"), ([1], ["a", "b"]), (Increment(1), 7), (None, None)])
def test_a_later_value_wins(first: Any, second: Any) -> None:
    [said] = said_together([tagging(Value=first), tagging(Value=second)])

    assert said.arguments["tags"] == {"Value": second}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Increment(1), Append(["a"])),
        (Append(["a"]), Remove(["a"])),
        (Remove(["a"]), Append(["a"])),
        (5, Increment(1)),
        (["a"], Append(["b"])),
        (None, "Oslo"),
        ("Oslo", None),
        # What a tag takes of the two is not ours to say, and the other would stay.
        ("Oslo", 5),
        ("Oslo", "2026-03-02"),
        (1.5, 2),
        (1, 2),
        ("#pwinc#1", "#pwinc#1"),
    ],
)
def test_what_no_one_value_says_stays_apart(first: Any, second: Any) -> None:
    assert merged_tags(clean_tags({"Value": first}), clean_tags({"Value": second})) is None


def test_a_later_registration_wins_field_by_field() -> None:
    first = registering(push_token="one", language="de", tags={"City": "Oslo", "Visits": 1})
    second = registering(push_token="two", app_version="2.0", tags={"City": "Rome"})

    both = merged(first, second)

    assert both is not None
    assert both.arguments == {
        "hwid": "phone",
        "device_type": 3,
        "push_token": "two",
        "language": "de",
        "app_version": "2.0",
        "tags": {"City": "Rome", "Visits": 1},
    }


@given(st.lists(st.one_of(CHANGES, OTHERS), min_size=2, max_size=8))
@steady
def test_nothing_is_said_across_another_method(changes: list[Call]) -> None:
    said = said_together(changes)

    def runs(calls: Iterable[Call]) -> list[str]:
        """The methods in their order, each run of tag changes or registrations as one."""
        names: list[str] = []
        for call in calls:
            if not (names and names[-1] == call.method.name and call.method.name in ("setTags", "registerDevice")):
                names.append(call.method.name)
        return names

    assert runs(said) == runs(changes)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (tagging(Age=1), registering()),
        (registering(), tagging(Age=1)),
        (tagging(Age=1), Call.of("setTags", APP, userId="ada", tags={"Age": 2})),
        (registering(), Call.of("registerDevice", APP, hwid="phone", device_type=1)),
        (Call.of("setBadge", APP, hwid="phone", badge=1), Call.of("setBadge", APP, hwid="phone", badge=2)),
        (Call.of("postEvent", APP, hwid="phone", event="A"), Call.of("postEvent", APP, hwid="phone", event="A")),
    ],
)
def test_what_differs_in_more_than_its_changes_stays_apart(first: Call, second: Call) -> None:
    assert merged(first, second) is None


def test_what_an_sdk_sent_is_said_in_its_own_bytes() -> None:
    ours = tagging(Age=1)
    theirs = Call(ours.method, APP, ours.arguments, b'{"request": {}}')

    assert merged(theirs, ours) is None
    assert merged(ours, theirs) is None
    assert bulk_method(theirs) == ""


ALL_TYPES = st.fixed_dictionaries({name: st.sampled_from(TagType) for name in ("Age", "City", "Likes")})
PLAIN_TAGS = st.dictionaries(NAMES, st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), min_size=1, max_size=3)


@given(ALL_TYPES, st.lists(TAGS, max_size=3), st.lists(st.one_of(TAGS, PLAIN_TAGS), min_size=1, max_size=4))
@steady
def test_a_row_of_bulk_tags_says_what_the_single_call_does(
    types: dict[str, TagType], before: list[dict[str, Any]], changes: list[dict[str, Any]]
) -> None:
    """Of tags whose types are known; what a tag is taken for that nobody declared, Pushwoosh alone knows."""
    phones = [f"phone{number}" for number in range(len(changes))]
    known = [Call.of("registerDevice", APP, hwid=hwid, device_type=3, push_token=f"t{hwid}") for hwid in phones]
    known += [Call(METHODS["setTags"], APP, {"hwid": hwid, "tags": tags}) for hwid in phones for tags in before]
    calls = [
        Call(METHODS["setTags"], APP, {"hwid": hwid, "tags": tags}) for hwid, tags in zip(phones, changes, strict=True)
    ]
    one_by_one, together = Upstream(types), Upstream(types)
    one_by_one.ask(known)
    together.ask(known)

    one_by_one.ask(calls)
    in_bulk = [call for call in calls if bulk_method(call)]
    together.ask(call for call in calls if not bulk_method(call))
    assert {bulk_method(call) for call in in_bulk} <= {"bulkSetTags"}
    if in_bulk:
        together.bulk("bulkSetTags", [bulk_row(call) for call in in_bulk])

    assert together.devices() == one_by_one.devices()


@given(TYPES, st.lists(REGISTERING, min_size=1, max_size=4), st.booleans())
@example({}, [registering(push_token="aa", tags={"language": "fr"})], True)
@steady
def test_a_row_of_bulk_registrations_says_what_the_single_call_does(
    types: dict[str, TagType], calls: list[Call], is_known: bool
) -> None:
    """It happens a moment later, which nobody minds."""
    calls = [Call(call.method, APP, {**call.arguments, "hwid": f"phone{number}"}) for number, call in enumerate(calls)]
    one_by_one, together = Upstream(types, job_seconds=0), Upstream(types, job_seconds=0)
    if is_known:
        for upstream in (one_by_one, together):
            upstream.ask(Call.of("registerDevice", APP, hwid=call.hwid, device_type=3) for call in calls)

    for call in calls:
        one_by_one.ask([call])
        if bulk_method(call):
            together.bulk("bulkRegisterDevice", [bulk_row(call)])
            one_by_one.clock.advance(seconds=2)
        else:
            together.ask([call])

    assert together.devices() == one_by_one.devices()


@pytest.mark.parametrize(
    "call",
    [
        tagging(Visits=Increment(1)),
        tagging(Likes=Append(["a"])),
        tagging(Likes=Remove(["a"])),
        tagging(City="Oslo", Visits="#pwinc#1"),
        # No document says that null takes a tag away in bulk.
        tagging(City=None),
        Call.of("setTags", APP, userId="ada", tags={"City": "Oslo"}),
        registering(),
        registering(push_token="aa", language="de"),
        registering(push_token="aa", timezone=3600),
        registering(push_token="aa", tags={"Visits": {"operation": "increment", "value": 1}}),
        Call.of("unregisterDevice", APP, hwid="phone"),
    ],
)
def test_what_a_row_cannot_say_or_may_not_be_said_twice_goes_by_itself(call: Call) -> None:
    assert bulk_method(call) == ""


def test_what_travels_in_bulk_may_be_said_twice() -> None:
    for call in (tagging(City="Oslo"), registering(push_token="aa", tags={"City": "Oslo"})):
        method = bulk_method(call)
        assert method in BULK_METHODS
        assert Call.of(method, APP, devices=[bulk_row(call)]).is_repeatable(timedelta(days=1))
