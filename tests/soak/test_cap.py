"""The cap in real minutes: four processes, three windows full and more, counted by the sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.capped import counted, utilisation
from tests.databases import own_postgresql
from tests.delivery.stores import worst_window
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

    arrivals = counted(postgresql, governor=governor, cap=CAP, requests=REQUESTS, speed=1, seconds=300)

    worst, used = worst_window(arrivals), utilisation(arrivals, CAP)
    with capsys.disabled():
        print(f"\n{len(arrivals)} requests, the worst window has {worst}, {used:.2%} of the cap used")
    assert len(arrivals) == REQUESTS
    assert worst == CAP, "never more, and after an idle minute all at once"
    assert used >= 0.98
