"""A probe of which nothing is ever heard, for its worker stumbled, does not shut Pushwoosh out for good."""

from __future__ import annotations

from datetime import UTC, datetime

from django_pushwoosh.delivery.breaker import FAILURES, FIRST_PAUSE, LONGEST_PROBE, Breaker

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def test_a_probe_that_was_forgotten_keeps_the_others_waiting_for_a_while_only() -> None:
    breaker, later = Breaker(), NOON + FIRST_PAUSE
    for _ in range(FAILURES):
        breaker.failed(NOON)

    assert [breaker.enter(later) for _ in range(2)] == [True, False]
    assert breaker.open_until(later) is not None
    assert breaker.open_until(later + LONGEST_PROBE) is None
    assert [breaker.enter(later + LONGEST_PROBE) for _ in range(2)] == [True, False]
