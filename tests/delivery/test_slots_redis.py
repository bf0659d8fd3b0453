"""What Redis forgets, and what happens while it is not there. On real servers; some are started here."""

from __future__ import annotations

import logging
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import pytest
import redis
from django.db import DEFAULT_DB_ALIAS

from django_pushwoosh import push
from django_pushwoosh.conf import Account
from django_pushwoosh.delivery import slots_redis
from django_pushwoosh.delivery.governor import STORE_WAIT, Governor
from django_pushwoosh.delivery.slots import hold_for
from django_pushwoosh.delivery.slots_redis import RedisSlots
from django_pushwoosh.models import Device, OutboxEntry, RateSlot
from django_pushwoosh.protocol.errors import RateLimited
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock
from tests.delivery.stores import governor_on
from tests.processes import until
from tests.servers import REDIS_URL, answers, free_port

pytestmark = pytest.mark.django_db

LONGEST = 26.1
HOLD = hold_for(LONGEST).total_seconds()


def burst(governor: Governor, account: Account) -> int:
    """How many requests go at once."""
    for number in range(account.slots + 1):
        try:
            governor.answered(governor.acquire(account, LONGEST))
        except RateLimited:
            return number
    raise AssertionError("more than the cap")


@pytest.mark.usefixtures("shared_redis")
def test_a_new_installation_waits_for_nothing(clock: Clock) -> None:
    account = Account(requests_per_minute=3)

    assert governor_on("redis", clock).wait(account) == 0
    assert burst(governor_on("redis", clock), account) == 3


def test_after_a_flush_everyone_waits_until_nothing_of_before_can_be_counted(
    shared_redis: redis.Redis, clock: Clock
) -> None:
    account = Account(requests_per_minute=3)
    governor = governor_on("redis", clock)
    grant = governor.acquire(account, LONGEST)
    assert burst(governor, account) == 2
    shared_redis.delete(*shared_redis.scan_iter(f"{slots_redis.PREFIX}:*"))

    fresh = governor_on("redis", clock)
    assert fresh.wait(account) == pytest.approx(HOLD)
    assert burst(fresh, account) == 0
    governor.answered(grant)
    clock.advance(seconds=HOLD - 0.1)
    assert burst(governor, account) == burst(fresh, account) == 0
    clock.advance(seconds=0.2)
    assert burst(fresh, account) == 3


@pytest.mark.usefixtures("shared_redis")
def test_moving_from_the_database_to_redis_starts_no_second_burst(clock: Clock) -> None:
    account = Account(requests_per_minute=3)
    assert burst(governor_on("orm", clock), account) == 3

    assert burst(governor_on("redis", clock), account) == 0


def test_what_is_kept_in_redis_is_forgotten_some_day(shared_redis: redis.Redis, clock: Clock) -> None:
    governor_on("redis", clock).acquire(Account(), LONGEST)

    keys = sorted(shared_redis.scan_iter(f"{slots_redis.PREFIX}:*"))
    assert [key.decode().rsplit(":", 1)[1] for key in keys] == ["server", "slots"]
    assert all(HOLD < shared_redis.ttl(key) <= 30 * 24 * 3600 for key in keys)


@pytest.mark.usefixtures("shared_redis")
def test_the_clock_is_the_servers_own(clock: Clock) -> None:
    """This process's clock stands still, and Redis's goes on."""
    governor, account = Governor(slots=RedisSlots(REDIS_URL, DEFAULT_DB_ALIAS)), Account(requests_per_minute=1)
    governor.answered(governor.acquire(account, LONGEST))

    first = governor.wait(account)
    until(lambda: governor.wait(account) < first, 5, "the passing of time")
    assert 55 < first <= 60


@contextmanager
def server(port: int, folder: Path) -> Iterator[redis.Redis]:
    process = Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "3600 1"],
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        until(lambda: answers(f"redis://127.0.0.1:{port}"), 10, "the start of Redis")
        with redis.Redis(port=port) as client:
            yield client
    finally:
        process.terminate()
        process.wait(10)


def test_a_server_that_starts_again_from_an_old_copy_starts_no_second_burst(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server to start")
    port, account = free_port(), Account(requests_per_minute=5)
    governor = Governor(slots=RedisSlots(f"redis://127.0.0.1:{port}/0", DEFAULT_DB_ALIAS, now=clock))
    with server(port, tmp_path) as client:
        governor.unused(governor.acquire(account, LONGEST))
        client.save()
        assert burst(governor, account) == 5
        client.config_set("save", "")

    assert burst(governor, account) == 0
    assert governor.wait(account) == STORE_WAIT
    with server(port, tmp_path) as client:
        assert client.dbsize() == 2, "the copy is from before the burst"
        assert burst(governor, account) == 0
        assert governor.wait(account) == pytest.approx(HOLD)
        clock.advance(seconds=HOLD + 0.1)
        assert burst(governor, account) == 5


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_while_redis_is_silent_nothing_leaves_and_nobody_hangs(
    silent: int, settings: Any, sandbox: Sandbox, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GOVERNOR": f"redis://ann:s3cret@127.0.0.1:{silent}/0"}
    Device.objects.create(application="TEST0-00001", hwid="phone", platform=3, push_token="token")
    push.send("Hello", to=push.EVERYONE)
    started = time.perf_counter()
    run_outbox()

    assert sandbox.pushes == []
    assert time.perf_counter() - started < 10
    entry = OutboxEntry.objects.get(method="createMessage")
    assert entry.status == OutboxEntry.Status.QUEUED
    assert {record.levelno for record in caplog.records if "Redis" in record.getMessage()} == {logging.ERROR}
    assert "s3cret" not in caplog.text + str(vars(entry))

    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GOVERNOR": "database"}
    clock.advance(seconds=STORE_WAIT)
    run_outbox()
    assert len(sandbox.pushes) == 1


def test_an_absent_server_is_not_now(caplog: pytest.LogCaptureFixture) -> None:
    slots = RedisSlots(f"redis://:s3cret@127.0.0.1:{free_port()}/0", DEFAULT_DB_ALIAS)
    governor, account = Governor(slots=slots), Account(requests_per_minute=2)

    with pytest.raises(RateLimited) as refused:
        governor.acquire(account, LONGEST)

    assert refused.value.retry_after == STORE_WAIT
    assert refused.value.answer is None
    assert governor.wait(account) == STORE_WAIT
    assert governor.wait(account, ahead=2) == STORE_WAIT + 60
    governor.pause(account, 10)
    assert "s3cret" not in caplog.text + str(refused.value)
    assert "pause" in caplog.text


def test_a_host_that_is_no_name_is_not_now() -> None:
    governor = Governor(slots=RedisSlots("redis://two..dots:6379/0", DEFAULT_DB_ALIAS))

    with pytest.raises(RateLimited):
        governor.acquire(Account(), LONGEST)


@pytest.mark.usefixtures("shared_redis")
def test_the_setting_chooses_redis(settings: Any) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GOVERNOR": REDIS_URL}
    account = Account(requests_per_minute=4)

    assert burst(Governor(), account) == 4
    assert RateSlot.objects.count() == 1, "a row remembers that the account was used"
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GOVERNOR": "database"}
    assert burst(Governor(), account) == 4
    assert RateSlot.objects.count() == 4
