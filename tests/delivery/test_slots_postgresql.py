"""One statement for each grant, held equal to the ORM's way. Collected where the suite runs on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_pushwoosh.conf import Account
from django_pushwoosh.delivery.governor import SHORTEST_WAIT, Governor
from django_pushwoosh.delivery.slots import Grant
from django_pushwoosh.delivery.slots_postgresql import PostgresqlSlots
from django_pushwoosh.models import RateSlot
from django_pushwoosh.protocol.errors import RateLimited
from tests.conftest import Clock
from tests.delivery.stores import governor_on
from tests.delivery.test_row_locks import together

LONGEST = 20.0
numbers = count()

steps = st.lists(
    st.one_of(
        st.tuples(st.just("acquire"), st.just(0)),
        st.tuples(st.sampled_from(["answered", "unused", "forget"]), st.integers(0, 9)),
        st.tuples(st.just("pause"), st.sampled_from([1, 10, 75, 200])),
        st.tuples(st.just("advance"), st.sampled_from([0.000001, 0.02, 1, 30, 60, 85])),
    ),
    max_size=40,
)


@pytest.mark.django_db
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=steps)
def test_both_ways_do_the_same(steps: list[tuple[str, int]]) -> None:
    """They may choose other slots among the free ones, so slots are compared by when they are free."""
    now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    name = f"equal-{next(numbers)}"
    governors = {store: governor_on(store, lambda: now) for store in ("orm", "postgresql")}
    grants: dict[str, list[Grant]] = {store: [] for store in governors}
    for step, number in steps:
        seen = {}
        for store, governor in governors.items():
            account, held = Account(f"{name}-{store}", requests_per_minute=3), grants[store]
            outcome: object = None
            if step == "acquire":
                try:
                    held.append(governor.acquire(account, LONGEST))
                    outcome = held[-1].held_until
                except RateLimited as refused:
                    outcome = refused.retry_after
            elif step == "pause":
                governor.pause(account, number)
            elif step != "advance" and held:
                grant = held.pop(number % len(held))
                if step != "forget":
                    getattr(governor, step)(grant)
            rows = RateSlot.objects.filter(account=account.name).values_list("free_at", flat=True)
            waits = [governor.wait(account, ahead) for ahead in range(5)]
            seen[store] = (outcome, sorted(max(now, at) for at in rows), waits)
        assert seen["orm"] == seen["postgresql"]
        if step == "advance":
            now += timedelta(seconds=number)


def test_the_suites_database_is_served_by_one_statement(
    db: None, django_assert_num_queries: object, clock: Clock
) -> None:
    governor, account = Governor(), Account(requests_per_minute=2)
    assert isinstance(governor._slots, PostgresqlSlots)
    governor.unused(governor.acquire(account, LONGEST))

    with django_assert_num_queries(2):  # type: ignore[operator]
        governor.answered(governor.acquire(account, LONGEST))


@pytest.mark.django_db(transaction=True)
def test_a_slot_that_another_takes_at_this_moment_is_passed_over() -> None:
    account = Account(requests_per_minute=2)
    Governor().unused(Governor().acquire(account, LONGEST))
    taken: list[int] = []
    refused: list[float | None] = []
    with transaction.atomic():
        [locked] = RateSlot.objects.select_for_update().order_by("free_at")[:1]
        together(lambda: taken.append(Governor().acquire(account, LONGEST).slot))
        together(lambda: refused.append(refusal(account)))

    assert taken == [RateSlot.objects.exclude(pk=locked.pk).get().pk]
    assert refused == [SHORTEST_WAIT], "not at once again, though the slot seems free"


def refusal(account: Account) -> float | None:
    with pytest.raises(RateLimited) as told:
        Governor().acquire(account, LONGEST)
    return told.value.retry_after


@pytest.mark.django_db(transaction=True)
def test_only_the_grants_own_transaction_does_not_wait_for_the_disk() -> None:
    account = Account(requests_per_minute=2)
    Governor().unused(Governor().acquire(account, LONGEST))

    with CaptureQueriesContext(connection) as alone:
        Governor().acquire(account, LONGEST)
    with transaction.atomic():
        Governor().acquire(account, LONGEST)
        assert commits_to_disk()

    assert "synchronous_commit" in alone[0]["sql"]
    assert commits_to_disk()


def commits_to_disk() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        return bool(cursor.fetchone() == ("on",))


@pytest.mark.django_db(transaction=True)
def test_threads_that_compete_get_each_slot_once() -> None:
    account = Account(requests_per_minute=40)
    held: list[int] = []

    def work() -> None:
        governor = Governor()
        for _ in range(40):
            try:
                held.append(governor.acquire(account, LONGEST).slot)
            except RateLimited:
                continue

    together(*[work] * 4)
    assert len(held) == len(set(held)) == 40


@pytest.mark.django_db
def test_slots_that_somebody_else_has_just_made_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that found none at the same moment one makes them all, and there is nothing left to make."""
    fill = PostgresqlSlots.fill

    def fill_late(slots: PostgresqlSlots, account: Account) -> bool:
        fill(slots, account)
        return fill(slots, account)

    monkeypatch.setattr(PostgresqlSlots, "fill", fill_late)

    assert PostgresqlSlots("default").take(Account("fresh"), timedelta(seconds=1)) is not None
