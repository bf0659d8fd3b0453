"""Parsing filters is linear in their length: ten times the terms, ten times the time, flat or nested."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django_pushwoosh.protocol.filters import parse
from tests.benchmarks.harness import Benchmark

TERM = 'T("Age", BETWEEN, [17, 20])'


def _flat(terms: int) -> str:
    return " + ".join([TERM] * terms)


def _nested(terms: int) -> str:
    return "(" * (terms - 1) + TERM + f" * {TERM})" * (terms - 1)


def _ten(text: str) -> Callable[[], object]:
    def work() -> None:
        for _ in range(10):
            parse(text)

    return work


def benchmarks() -> Iterator[Benchmark]:
    for shape in (_flat, _nested):
        for terms in (200, 2000):
            long, short = shape(terms * 10), shape(terms)
            yield Benchmark(
                f"parse {terms * 10} {shape.__name__[1:]} terms (floor: 10 × {terms})",
                lambda long=long: parse(long),
                None,
                _ten(short),
                "floor",
                1.5,
            )
