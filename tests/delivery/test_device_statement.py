"""A registration that is noted and queued in one statement leaves what the long way does; collected on PostgreSQL."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_pushwoosh import push
from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import device_statement, mirror, tag_mirror
from django_pushwoosh.models import Device, OutboxEntry, TagDefinition, UserLink
from django_pushwoosh.protocol.calls import METHODS, Call
from tests.conftest import Clock
from tests.processes import until

pytestmark = pytest.mark.django_db

APPLICATION = "TEST0-00001"
NUMBER = "+4790000001"
TEXTS = st.one_of(
    st.none(), st.sampled_from(["", "en", "zh-Hans-CN", "x" * 300, "nul \0", "half \ud800"]), st.integers()
)
SCALARS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.booleans(), st.text(max_size=5))
TAG_NAMES = st.sampled_from(["Age", "City", " City", "", "nul \0", "x" * 300, 'q"uote', "per % cent", "%(now)s"])
TAGS = st.dictionaries(
    TAG_NAMES,
    SCALARS
    | st.none()
    | st.lists(SCALARS, max_size=2)
    | st.sampled_from(["#pwinc#1", {"operation": "append", "value": "a"}, {"a": 1}, "y" * 20_000]),
    max_size=3,
)
USERS = st.sampled_from([None, "", "phone", NUMBER, f"whatsapp:{NUMBER}", "ada", "bob", "u" * 300, "nul \0", 5])
BODIES = st.fixed_dictionaries(
    {"hwid": st.sampled_from(["phone", NUMBER, "ada@example.org", "h" * 300])},
    optional={
        "device_type": st.sampled_from([1, 3, 11, 14, 18, 21, 150, "3", "x", None, -1, True, 2**40]),
        "push_token": st.sampled_from(["token", "other", "", None, 7, "half \ud800"]),
        "language": TEXTS,
        "timezone": st.sampled_from([7200, "7200", "-3600", "x", 10**6, None, True, 1.5]),
        "device_model": TEXTS,
        "os_version": TEXTS,
        "app_version": TEXTS,
        "v": TEXTS,
        "userId": USERS,
        "tags": TAGS | st.sampled_from([None, [], "x"]),
        "sounds": st.lists(st.text(max_size=3), max_size=2),
        "gateway": st.sampled_from(["key", None, "\0", "z" * 60_000, "z" * 70_000]),
        "nested": st.sampled_from([{"a": {"b": [1, None, "\ud800"]}}, 1e300, 10**30]),
    },
)
STORED = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "platform": st.sampled_from([3, 14, 18, 21]),
        "push_token": st.sampled_from(["", "token"]),
        "language": st.just("no"),
        "tags": st.sampled_from([{}, {"Age": 1, "City": "Oslo"}, {"Long": "x" * 9000}, {"Long": "x" * 60_000}]),
        "extra": st.sampled_from([{}, {"sounds": ["old"], "kept": 1}, {"Long": "é" * 8000}]),
        "is_gone": st.booleans(),
        "user": st.sampled_from([None, "ada", "phone"]),
    },
)


def store(hwid: str, stored: dict[str, Any] | None, clock: Clock) -> None:
    if stored is None:
        return
    row = dict(stored)
    is_gone, user = row.pop("is_gone", False), row.pop("user", None)
    gone = {"unsubscribed_at": clock.now - timedelta(days=1), "unsubscribed_reason": "gone"} if is_gone else {}
    device = Device(application=APPLICATION, hwid=hwid, **{"platform": 3, **row}, **gone, badge=4)
    Device.objects.bulk_create([device])
    if user is not None:
        UserLink.objects.bulk_create([UserLink(device=device, user_id=user, since=clock.now - timedelta(days=1))])


def call_of(body: dict[str, Any]) -> Call:
    raw = json.dumps({"request": {"application": APPLICATION, **body}}).encode()
    return Call(METHODS["registerDevice"], APPLICATION, {"application": APPLICATION, **body}, raw)


def all_there_is() -> Any:
    """Every row as it is, but for its key."""
    found: list[Any] = []
    for model in (Device, TagDefinition, OutboxEntry):
        names = [each.attname for each in model._meta.concrete_fields if not each.primary_key]
        found.append(sorted(map(repr, model.objects.values_list(*names))))
    links = UserLink.objects.values_list(
        "device__application", "device__hwid", "user_id", "django_user", "since", "until", "is_open"
    )
    return [*found, sorted(map(repr, links))]


def emptied() -> None:
    for model in (UserLink, Device, TagDefinition, OutboxEntry):
        model.objects.all().delete()
    tag_mirror.forget_known()


@given(stored=STORED, bodies=st.lists(BODIES, min_size=1, max_size=2))
@hypothesis_settings(
    deadline=None, derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_it_leaves_what_the_long_way_does(
    clock: Clock, stored: dict[str, Any] | None, bodies: list[dict[str, Any]]
) -> None:
    left: list[Any] = []
    for way in (push.queue_incoming, push.queue_call):
        emptied()
        for hwid in ("phone", NUMBER, f"whatsapp:{NUMBER}", "ada@example.org"):
            store(hwid, stored, clock)
        for body in bodies:
            way(call_of(body))
        left.append(all_there_is())

    assert left[0] == left[1]


def test_what_sdks_send_is_said_in_one_statement(clock: Clock) -> None:
    """No shape of a registration takes the long way but for what the statement cannot know."""
    told = {
        "device_type": 3,
        "push_token": "token",
        "language": "en",
        "tags": {"Age": 1, "Gone": None},
        "sounds": ["a"],
    }
    for body in (
        told,
        {**told, "userId": "ada"},
        {**told, "userId": "bob", "tags": {"City": "Oslo", "Age": 2}},
        {"device_type": 3, "userId": "phone"},
        {"device_type": 18, "hwid": NUMBER},
        {"device_type": 21, "hwid": NUMBER},
    ):
        assert is_one_statement({"hwid": "phone", **body}, clock)
    assert not is_one_statement({"hwid": "phone", **told, "tags": {"Visits": "#pwinc#1"}}, clock)
    assert is_one_statement({"hwid": "ada@example.org"}, clock)
    assert not is_one_statement({"hwid": "stranger"}, clock)
    assert OutboxEntry.objects.count() == 7
    assert set(UserLink.objects.values_list("user_id", "is_open")) == {("ada", None), ("bob", None)}


def test_more_tags_than_are_learned_are_noted_all_the_same(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    emptied()
    monkeypatch.setattr(tag_mirror, "MOST_TAGS", 2)
    assert is_one_statement({"hwid": "phone", "device_type": 3, "tags": {"One": 1}}, clock)
    assert is_one_statement({"hwid": "phone", "device_type": 3, "tags": {"Two": 1, "Three": 1}}, clock)

    assert list(TagDefinition.objects.values_list("name", flat=True)) == ["One"]
    assert Device.objects.get().tags == {"One": 1, "Two": 1, "Three": 1}


def test_before_the_migration_a_registration_goes_the_long_way(clock: Clock) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER FUNCTION django_pushwoosh_queue_registration RENAME TO not_there_yet")

    push.queue_incoming(call_of({"hwid": "phone", "device_type": 3, "push_token": "token"}))

    assert Device.objects.get().push_token == "token"
    assert OutboxEntry.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("user_id", "left"), [("ada", "ada"), ("bob", "bob"), ("phone", None)])
def test_whoever_waits_for_a_device_sees_its_new_link(user_id: str, left: str | None) -> None:
    """The statement waits for the row, and what it read of the links before is no longer so."""
    push.queue_incoming(call_of({"hwid": "phone", "device_type": 3}))
    device = Device.objects.get()
    ended: list[object] = []

    def register() -> None:
        try:
            push.queue_incoming(call_of({"hwid": "phone", "device_type": 3, "userId": user_id}))
            ended.append(None)
        finally:
            connections.close_all()

    waiting = threading.Thread(target=register)
    with transaction.atomic():
        mirror.link(device, "bob", now=timezone.now())
        waiting.start()
        until(_is_waited_for, 10, "the wait for the row's lock")
    waiting.join(10)

    assert ended == [None]
    assert list(UserLink.objects.open().values_list("user_id", flat=True)) == ([] if left is None else [left])
    assert UserLink.objects.filter(user_id="bob").count() == 1
    assert OutboxEntry.objects.count() == 2


def is_one_statement(body: dict[str, Any], clock: Clock) -> bool:
    call = call_of(body)
    return device_statement.queue(call, settings.application(), push.key_of(call), now=clock.now, using="default")


def _is_waited_for() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        return bool(cursor.fetchone()[0])
