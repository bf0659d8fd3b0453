"""Measures ours beside the peer and the floor, in one run, round by round, so that a noisy machine hits all alike."""

from __future__ import annotations

import gc
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROUNDS = 9
ROUND_SECONDS = 0.15


@dataclass(frozen=True)
class Benchmark:
    """`goal` bounds the ratio named in `of`: "peer" or "floor"; at most, or at least where `is_minimum`.

    The three are callables that do the work once; figures are CPU seconds of this process.
    """

    name: str
    ours: Callable[[], object]
    peer: Callable[[], object] | None
    floor: Callable[[], object] | None
    of: str
    goal: float


def measured(benchmark: Benchmark) -> dict[str, object]:
    works = {"ours": benchmark.ours, "peer": benchmark.peer, "floor": benchmark.floor}
    present = {name: work for name, work in works.items() if work is not None}
    repeats = {name: _repeats(work) for name, work in present.items()}
    rounds: dict[str, list[float]] = {name: [] for name in present}
    for _ in range(ROUNDS):
        for name, work in present.items():
            rounds[name].append(_cpu_seconds(work, repeats[name]))
    ratios = [ours / other for ours, other in zip(rounds["ours"], rounds[benchmark.of], strict=True)]
    figures = {f"{name}_us": round(median(each) * 1e6, 2) for name, each in rounds.items()}
    ratio = median(ratios)
    return {
        "name": benchmark.name,
        **figures,
        "ratio": round(ratio, 3),
        "of": benchmark.of,
        "goal": benchmark.goal,
        "met": ratio <= benchmark.goal,
    }


def machine() -> str:
    """The machine's state, in words."""
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def report(results: list[dict[str, object]]) -> None:
    print(machine())
    print(f"{'benchmark':52} {'ours µs':>10} {'peer µs':>10} {'floor µs':>10} {'ratio':>7} {'goal':>16}")
    for result in results:
        figures = " ".join(f"{result.get(f'{name}_us', '–'):>10}" for name in ("ours", "peer", "floor"))
        goal = f"≤ {result['goal']} of {result['of']}{'' if result['met'] else ' !'}"
        print(f"{result['name']:52} {figures} {result['ratio']:>7} {goal:>16}")
    target = os.environ.get("BENCH_JSON")
    if target:
        state = {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()}
        Path(target).write_text(json.dumps({"machine": state, "results": results}, indent=2))


def _repeats(work: Callable[[], object]) -> int:
    work()
    count = 1
    while _cpu_seconds(work, count) * count < ROUND_SECONDS / 3 and count < 1_000_000:
        count *= 2
    return count


def _cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    gc.collect()
    started = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - started) / repeats
