"""The outbox as a state machine: whatever workers, people and deaths do to it, in whatever order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Q
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import bulk, connection, outbox
from django_pushwoosh.models import BulkRequest, OutboxEntry
from django_pushwoosh.protocol.calls import Call

Status = OutboxEntry.Status
LEASE = timedelta(seconds=60)
KEYS = [f"phone{number}" for number in range(6)]
WORKERS = ["ada", "grace", "joan"]
METHODS = [*["setTags"] * 5, "setBadge"]
ENDS = [Status.SENT, Status.FAILED, Status.LEFT]

choices = st.randoms(use_true_random=False)


class Outbox(RuleBasedStateMachine):
    """`held` is what each worker believes to hold; `known` what the rows were after the step before."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
        self.held: dict[str, list[OutboxEntry]] = {worker: [] for worker in WORKERS}
        self.queued = 0
        self.retried: set[int] = set()
        self.heard: set[int] = set()
        self.known: dict[int, OutboxEntry] = {}
        self.patch = pytest.MonkeyPatch()
        # Two devices are many enough here.
        self.patch.setattr(bulk, "LEAST_IN_BULK", 2)
        connection.breaker.cache_clear()
        self.database = transaction.atomic()
        self.database.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.database.__exit__(None, None, None)
        self.patch.undo()

    # What people and programs do

    @rule(
        keys=st.lists(st.sampled_from(KEYS), min_size=3, max_size=12),
        method=st.sampled_from(METHODS),
        seconds=st.sampled_from([0] * 6 + [90]),
    )
    def enqueue(self, keys: list[str], method: str, seconds: int) -> None:
        application = settings.application()
        for key in keys:
            more: dict[str, Any] = {"tags": {"Age": self.queued}} if method == "setTags" else {"badge": self.queued}
            outbox.enqueue(
                Call.of(method, application.code, hwid=key, **more),
                key=outbox.device_key(application.code, key),
                application=application,
                now=self.now + timedelta(seconds=seconds),
            )
            self.queued += 1

    @rule(seconds=st.sampled_from([1, 1, 61, 200]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(pick=choices)
    def cancel(self, pick: Any) -> None:
        if entries := self._all():
            entry = pick.choice(entries)
            cancelled = outbox.cancel(OutboxEntry.objects.filter(pk=entry.pk), now=self.now)
            assert bool(cancelled) is (entry.status == Status.QUEUED)

    @rule(pick=choices)
    def retry(self, pick: Any) -> None:
        if ended := [entry for entry in self._all() if entry.status not in OutboxEntry.UNSETTLED]:
            entry = pick.choice(ended)
            is_queued = outbox.retry(entry, now=self.now)
            assert is_queued is (entry.status != Status.SENT)
            if is_queued:
                self.retried.add(entry.pk)

    # What workers do

    @rule(
        worker=st.sampled_from(WORKERS),
        limit=st.integers(1, 5),
        is_shared=st.booleans(),
    )
    def claim(self, worker: str, limit: int, is_shared: bool) -> None:
        free_before = self._free()
        claimed = outbox.claim(limit, now=self.now, lease=LEASE, owner=worker)
        assert len({entry.key for entry in claimed}) == len(claimed)
        # Exactly the heads of the keys could be had.
        assert {entry.pk for entry in claimed} <= free_before
        assert len(claimed) == min(len(free_before), limit)
        self.held[worker] += claimed
        last = {entry.key: entry for entry in claimed}
        company = outbox.claim_company(claimed, now=self.now, lease=LEASE) if is_shared else {}
        for key, behind in company.items():
            places = [last[key].pk, *(entry.pk for entry in behind)]
            assert places == sorted(places)
            assert {entry.method for entry in behind} == {last[key].method}
            self.held[worker] += behind

    @rule(worker=st.sampled_from(WORKERS))
    def begin(self, worker: str) -> None:
        self._change(worker, lambda entries: outbox.begin(entries, now=self.now, lease=LEASE), lets_go=False)

    @rule(worker=st.sampled_from(WORKERS), status=st.sampled_from(ENDS), count=st.integers(1, 4))
    def settle(self, worker: str, status: OutboxEntry.Status, count: int) -> None:
        self._change(worker, lambda entries: outbox.settle(entries, status, now=self.now), count)

    @rule(worker=st.sampled_from(WORKERS))
    def hear_late(self, worker: str) -> None:
        """An answer comes, perhaps long after the lease was lost: what was taken is known for good."""
        entries = self.held[worker]
        doubted = (*OutboxEntry.UNSETTLED, Status.LEFT, Status.UNCERTAIN)
        before = {entry.pk: entry.status for entry in self._all()}
        sent = outbox.settle_sent(entries, now=self.now)
        assert {entry.pk for entry in sent} == {entry.pk for entry in entries if before[entry.pk] in doubted}
        self.heard |= {entry.pk for entry in sent}
        self.held[worker] = []

    @rule(worker=st.sampled_from(WORKERS), seconds=st.sampled_from([None, 0, 30]), attempts=st.integers(0, 1))
    def release(self, worker: str, seconds: int | None, attempts: int) -> None:
        due_at = None if seconds is None else self.now + timedelta(seconds=seconds)
        doubt = self.now if attempts else None
        self._change(
            worker,
            lambda entries: outbox.release(entries, due_at=due_at, attempts=attempts, in_doubt_since=doubt),
        )

    @rule(worker=st.sampled_from(WORKERS), taker=st.sampled_from(WORKERS))
    def recover(self, worker: str, taker: str) -> None:
        lost = {entry.pk for entry in self._all() if self._is_expired(entry)}
        taken = outbox.expired(10, now=self.now, lease=LEASE)
        assert {entry.pk for entry in taken} <= lost
        self.held[taker] += taken

    # What travels in bulk

    @rule()
    def load(self) -> None:
        loaded = bulk.load(settings.application(), "bulkSetTags", Q(), now=self.now, using="default")
        if loaded is not None:
            carried = list(outbox.carried(loaded.request).order_by("pk"))
            assert loaded.count == len(carried) >= 2
            rows = loaded.call.arguments["devices"]
            assert sorted(row["hwid"] for row in rows) == sorted({entry.call.hwid for entry in carried})
            # The last of a device's changes speaks.
            last = {entry.call.hwid: entry.arguments["tags"] for entry in carried}
            assert {row["hwid"]: row["tags"] for row in rows} == last

    @precondition(lambda self: BulkRequest.objects.filter(settled_at=None).exists())
    @rule(pick=choices, is_report=st.booleans(), fate=st.sampled_from(ENDS))
    def end_bulk(self, pick: Any, is_report: bool, fate: OutboxEntry.Status) -> None:
        request = pick.choice(list(BulkRequest.objects.filter(settled_at=None)))
        assert bulk.end(request, now=self.now)
        # Whoever comes second changes nothing.
        assert not bulk.end(request, now=self.now)
        carried = outbox.carried(request)
        if is_report:
            outbox.settle_carried(carried, fate, now=self.now, told="")
        else:
            outbox.release_carried(carried, now=self.now, told="", in_doubt_since=request.sent_at, is_alone=False)
        assert not outbox.carried(request).exists()

    # What always holds

    @invariant()
    def nothing_is_lost_and_nothing_comes_of_itself(self) -> None:
        entries = self._all()
        assert len(entries) == self.queued
        assert sum(Counter(entry.status for entry in entries).values()) == self.queued

    @invariant()
    def no_entry_is_held_by_two(self) -> None:
        holders = Counter(
            entry.pk
            for worker in self.held
            for entry in {each.pk: each for each in self.held[worker] if self._is_held(each)}.values()
        )
        assert max(holders.values(), default=1) == 1

    @invariant()
    def what_is_sent_has_nothing_unsent_before_it_in_its_key(self) -> None:
        """Unless a person had it retried, long after its turn."""
        before = self.known
        now = {entry.pk: entry for entry in self._all()}
        for pk, entry in now.items():
            was = before.get(pk)
            if entry.status == Status.SENDING and (was is None or was.status == Status.QUEUED):
                earlier = [other for other in now.values() if other.key == entry.key and other.pk < pk]
                # They leave together, or the earlier ones have left.
                assert all(
                    other.status not in OutboxEntry.UNSETTLED
                    or (other.lease_owner, other.bulk_request_id) == (entry.lease_owner, entry.bulk_request_id)
                    or other.pk in self.retried
                    for other in earlier
                ), [(other.pk, other.status) for other in earlier]

    @invariant()
    def what_is_settled_stays_so_unless_it_is_retried_or_heard_of(self) -> None:
        entries = self._all()
        for entry in entries:
            was = self.known.get(entry.pk)
            if was is not None and was.status not in OutboxEntry.UNSETTLED and was.status != entry.status:
                is_reopened = entry.status == Status.QUEUED and entry.pk in self.retried
                assert is_reopened or (entry.status == Status.SENT and entry.pk in self.heard)
                assert was.status != Status.SENT
        self.known = {entry.pk: entry for entry in entries}

    @invariant()
    def each_row_is_of_one_piece(self) -> None:
        for entry in self._all():
            is_sending = entry.status == Status.SENDING
            is_carried = is_sending and entry.bulk_request_id is not None
            assert bool(entry.lease_owner) is (entry.lease_expires_at is not None) is (is_sending and not is_carried)
            assert (entry.settled_at is not None) is (entry.status not in OutboxEntry.UNSETTLED)
            if entry.status == Status.QUEUED:
                assert entry.begun_at is None
                assert entry.bulk_request_id is None

    def _all(self) -> list[OutboxEntry]:
        return list(OutboxEntry.objects.order_by("pk"))

    def _free(self) -> set[int]:
        """What may leave now: the first unsettled entry of each key, if it is queued and due."""
        heads: dict[str, OutboxEntry] = {}
        for entry in self._all():
            if entry.status in OutboxEntry.UNSETTLED:
                heads.setdefault(entry.key, entry)
        return {entry.pk for entry in heads.values() if entry.status == Status.QUEUED and entry.due_at <= self.now}

    def _is_held(self, entry: OutboxEntry) -> bool:
        held = OutboxEntry.objects.filter(pk=entry.pk, status=Status.SENDING, lease_owner=entry.lease_owner)
        return bool(entry.lease_owner) and held.exists()

    def _is_expired(self, entry: OutboxEntry) -> bool:
        expires_at = entry.lease_expires_at
        return entry.status == Status.SENDING and expires_at is not None and expires_at < self.now

    def _change(
        self,
        worker: str,
        change: Callable[[Sequence[OutboxEntry]], list[OutboxEntry]],
        count: int | None = None,
        *,
        lets_go: bool = True,
    ) -> None:
        """Change some of what a worker believes to hold: exactly what it does hold is changed."""
        entries = self.held[worker][:count]
        really = {entry.pk for entry in entries if self._is_held(entry)}
        changed = change(entries)
        assert {entry.pk for entry in changed} == really
        if lets_go:
            self.held[worker] = self.held[worker][len(entries) :]


@pytest.mark.django_db
def test_whatever_happens_the_outbox_keeps_its_word() -> None:
    run_state_machine_as_test(
        Outbox,
        settings=hypothesis_settings(max_examples=40, stateful_step_count=30, deadline=None, derandomize=True),
    )
