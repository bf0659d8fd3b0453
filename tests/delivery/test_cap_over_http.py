"""The cap as a far side counts it that the governor knows nothing of; `tests/soak` has the same in real minutes."""

from __future__ import annotations

import pytest

from tests.capped import counted
from tests.delivery.stores import STORES, worst_window
from tests.servers import REDIS_URL, answers

CAP = 60
REQUESTS = 148
"""Two windows full, and a part of the third."""


@pytest.mark.parametrize("place", [each for each in ("database", "redis") if each in ("database", *STORES)])
def test_four_processes_never_send_more_than_the_cap_in_a_minute(place: str, shared_url: str) -> None:
    """Fifteen times as fast as in life, so that a minute takes four seconds."""
    if place == "redis" and not answers(REDIS_URL):
        pytest.skip(f"no server answers at {REDIS_URL}")
    governor = REDIS_URL if place == "redis" else place

    arrivals = counted(shared_url, governor=governor, cap=CAP, requests=REQUESTS, speed=15, seconds=60)

    assert len(arrivals) == REQUESTS
    assert worst_window(arrivals) == CAP, "never more, and after an idle minute all at once"
