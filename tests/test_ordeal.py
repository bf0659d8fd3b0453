"""Every label is right after an ordeal: scaled down here, and in full in `make soak`."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import own_postgresql
from tests.ordeal.field import Field
from tests.ordeal.marks import marks_of, number_of
from tests.processes import until
from tests.servers import POSTGRES_URL, answers

WRITING = {"seed": 1, "threads": 2, "devices": 40, "entries": 300, "seconds": 5.0}

LIES = [
    ("postEvent", "sent", "failed", "is failed, and took effect"),
    ("unregisterDevice", "sent", "failed", "unregistered out of turn"),
    ("postEvent", "sent", "left", "in doubt though nothing was lost"),
    ("setTags", "sent", "sending", "did not come to its end"),
    ("createMessage", "sent", "uncertain", "is one thing, and its dispatch another"),
]
"""Method, status, another status, and what the judge says of it."""


def test_no_label_is_wrong_after_a_small_ordeal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not answers(POSTGRES_URL):
        pytest.skip(f"no server answers at {POSTGRES_URL}")
    chance = random.Random(1)
    started = time.monotonic()
    with own_postgresql() as database:
        field = Field(database, tmp_path, connections=8, job_seconds=0.2)
        with field.open():
            field.trouble(probability=0.03, jitter=0.2)
            workers = [field.start_worker() for _ in range(2)]
            with field.writing("one", **WRITING) as written:
                for worker in workers:
                    until(lambda: field.is_delivering, 30, "the first deliveries")
                    field.kill(worker, chance)
                    until(field.cut_off, 10, "a connection that could be cut")
                condemned = field.condemn()
                until(lambda: field.is_paused, 20, "the pause")
                field.pardon(condemned)
                field.hand("unpause")
                written(60)
            field.calm()
            assert [worker.end() for worker in workers] == [0, 0]
            if field.is_paused:
                # A refusal was on its way still.
                field.hand("unpause")
            # Leases and pauses are not sat out: the rest is delivered as if it were later.
            field.hand("late", "240")
        verdict = field.verdict()
        seconds = time.monotonic() - started
        missed = [*_statuses_not_noticed(field), *_books_not_noticed(field)]
    with capsys.disabled():
        print(f"\n{verdict}{field.kills} kills, {field.cuts} cuts, {seconds:.0f} s")
    assert verdict.wrong == []
    assert verdict.by_status["sent"] > verdict.by_status.total() / 2
    assert verdict.rolled_back > 0
    assert missed == [], "the judge would not have noticed"


def _statuses_not_noticed(field: Field) -> Iterator[str]:
    """The lies that our own tables could tell without the judge's finding them out."""
    table = "django_pushwoosh_outboxentry"
    for method, status, lie, words in LIES:
        # A device that Pushwoosh did not know cannot be unregistered, and nothing tells: so try some.
        rows = field.asked(f"SELECT id FROM {table} WHERE method = %s AND status = %s LIMIT 5", method, status)
        noticed = False
        for [pk] in rows:
            field.asked(f"UPDATE {table} SET status = %s WHERE id = %s RETURNING id", lie, pk)
            noticed = noticed or any(words in each for each in field.verdict(may_be_unheard=0).wrong)
            field.asked(f"UPDATE {table} SET status = %s WHERE id = %s RETURNING id", status, pk)
            if noticed:
                break
        if not noticed:
            yield words


def _books_not_noticed(field: Field) -> Iterator[str]:
    """What could have happened at the sandbox without the judge's finding it out."""
    header, *lines = (field.folder / "state").read_text().splitlines(keepends=True)
    calls = [json.loads(line) for line in lines]
    twice = next(call for call in calls if "increment" in json.dumps(call["arguments"]))
    [[sent]] = field.asked(
        "SELECT arguments->'attributes'->>'mark' FROM django_pushwoosh_outboxentry"
        " WHERE method = 'postEvent' AND status = 'sent' LIMIT 1"
    )
    never = next(place for place, call in enumerate(calls) if marks_of(call["method"], call["arguments"]) == [sent])
    early, late = _in_order(calls)
    swapped = list(calls)
    swapped[early], swapped[late] = {**calls[late], "at": calls[early]["at"]}, {**calls[early], "at": calls[late]["at"]}
    books = {
        "took effect 2 times": [*calls, {**twice, "at": calls[-1]["at"]}],
        "is sent, and took no effect": [*calls[:never], *calls[never + 1 :]],
        " after ": swapped,
    }
    state = field.folder / "doctored"
    for words, doctored in books.items():
        state.write_text(header + "".join(json.dumps(call) + "\n" for call in doctored))
        if not any(words in each for each in field.verdict(state=state).wrong):
            yield words


def _in_order(calls: list[dict[str, Any]]) -> tuple[int, int]:
    """The places of two calls of one device, of which the later says what was decided later."""
    last: dict[str, tuple[int, int]] = {}
    for place, call in enumerate(calls):
        if call["method"] not in ("setTags", "postEvent"):
            continue
        hwid = call["arguments"]["hwid"]
        numbers = [number_of(each) for each in marks_of(call["method"], call["arguments"])]
        if hwid in last and last[hwid][1] < min(numbers):
            return last[hwid][0], place
        last[hwid] = place, max(numbers)
    raise AssertionError("no device has said two things")
