"""The bell: never in the caller's way, never lost for good."""

from __future__ import annotations

import threading

import pytest

from django_pushwoosh.delivery.bell import Bell


def test_a_broker_that_hangs_holds_nobody_up() -> None:
    answer = threading.Event()
    bell = Bell(answer.wait, interval=0)

    bell.ring()
    bell.ring()

    assert not bell.wait(0.01)
    answer.set()
    assert bell.wait(5)


def test_many_rings_at_once_are_one_or_two() -> None:
    began, go_on = threading.Event(), threading.Event()
    rung: list[int] = []

    def ring() -> None:
        rung.append(1)
        began.set()
        go_on.wait(5)

    bell = Bell(ring, interval=0)
    bell.ring()
    assert began.wait(5)
    for _ in range(100):
        bell.ring()
    go_on.set()

    assert bell.wait(5)
    assert len(rung) == 2


def test_a_broker_that_refuses_is_asked_again_at_the_next_ring(caplog: pytest.LogCaptureFixture) -> None:
    outcomes = iter([ConnectionError("amqp://user:password@broker refused"), None])
    rung: list[object] = []

    def ring() -> None:
        outcome = next(outcomes)
        rung.append(outcome)
        if outcome is not None:
            raise outcome

    bell = Bell(ring, interval=0)
    bell.ring()
    assert bell.wait(5)
    bell.ring()

    assert bell.wait(5)
    assert len(rung) == 2
    assert "ConnectionError" in caplog.text
    assert "password" not in caplog.text
