"""The cap in real minutes: four processes, three windows full and more, counted by the sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from django_pushwoosh.sandbox import faults
from tests.capped import counted, utilisation
from tests.databases import own_postgresql
from tests.delivery.stores import worst_window
from tests.ordeal.field import EACH_KIND
from tests.servers import POSTGRES_URL, REDIS_URL, answers

CAP = 600
REQUESTS = 1_880


@pytest.fixture
def postgresql() -> Iterator[str]:
    """A database of this test's own, with the tables in it."""
    if not answers(POSTGRES_URL):
        pytest.skip(f"no server answers at {POSTGRES_URL}")
    with own_postgresql() as url:
        yield url


@pytest.mark.parametrize("governor", ["database", REDIS_URL], ids=["postgresql", "redis"])
def test_four_processes_use_the_cap_and_never_break_it(
    governor: str, postgresql: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if not answers(REDIS_URL):
        pytest.skip(f"no server answers at {REDIS_URL}")

    used = _used(postgresql, governor, capsys)

    assert used >= 0.98


def test_faults_of_every_kind_take_little_of_the_cap(postgresql: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a hundred requests, five meet each: what is lost keeps its slot for as long as it may be on its way.

    Not 429, which is no fault: everyone is to wait then.
    """
    troubles = [faults.CATALOGUE[name][1]() for name in EACH_KIND if name != "too_many_requests"]

    used = _used(postgresql, "database", capsys, troubles)

    assert used >= 0.95


def _used(
    database: str, governor: str, capsys: pytest.CaptureFixture[str], troubles: Sequence[faults.Fault] = ()
) -> float:
    """The share of the cap that was used, none of whose windows was overfull."""
    arrivals = counted(database, governor=governor, cap=CAP, requests=REQUESTS, speed=1, seconds=400, faults=troubles)
    worst, used = worst_window(arrivals), utilisation(arrivals, CAP)
    with capsys.disabled():
        print(f"\n{len(arrivals)} requests, the worst window has {worst}, {used:.2%} of the cap used")
    assert len(arrivals) == REQUESTS
    assert worst == CAP, "never more, and after an idle minute all at once"
    return used
