"""Holds the labels of the outbox against the sandbox's own books.

The sandbox keeps two: its state file, which replays to exactly what took effect, and its record of every call, with
what the caller heard instead of an answer. What was meant comes from the writers, what is said of it from our tables.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from django_pushwoosh.sandbox import Journal, Sandbox
from django_pushwoosh.sandbox.state import Application
from tests.ordeal.marks import SEEN, mark, marks_of, marks_of_row, number_of

LOSES_THE_ANSWER = frozenset(
    {"lost answer", "lost request", "HTTP 500", "HTTP 502", "HTTP 504", "empty body", "not JSON"}
)
"""Faults after which a caller cannot know whether the call took effect."""
ONCE = frozenset({"increment", "append", "event", "message", "hopeless"})
"""What must not happen twice; the rest may be said twice, and comes to the same."""
ENDS = frozenset({"sent", "failed", "left", "uncertain"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the outbox, with the state of its dispatch if it has one."""

    pk: int
    method: str
    status: str
    hwid: str
    mark: str
    dispatch: str | None
    told: str


@dataclass(slots=True)
class Verdict:
    """What was wrong, one line each, and the counts for people."""

    wrong: list[str] = field(default_factory=list)
    by_status: Counter[str] = field(default_factory=Counter)
    by_fault: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    carried_together: int = 0
    rolled_back: int = 0
    unheard_without_fault: int = 0

    def __str__(self) -> str:
        return (
            f"{self.by_status.total()} entries: {_listed(self.by_status)}; {self.rolled_back} rolled back\n"
            f"{self.calls} calls, {self.carried_together} entries travelled in company; {_listed(self.by_fault)}; "
            f"{self.unheard_without_fault} in doubt over what was killed or cut off\n" + "\n".join(self.wrong[:40])
        )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"


@dataclass(slots=True)
class Effects:
    """What took effect, by the state file: how often each mark, and each device's steps in their order.

    A step is the numbers that one call carried, or none for unregisterDevice.
    """

    times: Counter[str] = field(default_factory=Counter)
    steps: dict[str, list[tuple[int, ...]]] = field(default_factory=lambda: defaultdict(list))

    def note(self, hwid: str, marks: Iterable[str]) -> None:
        said = list(marks)
        self.times.update(said)
        self.steps[hwid].append(tuple(sorted(number_of(each) for each in said)))


def judge(
    written: Iterable[tuple[str, str, str]],
    database: str,
    state: Path,
    record: Path,
    application: Application,
    *,
    may_be_unheard: int,
    **options: Any,
) -> Verdict:
    """Compare what was meant, what is said of it, and what was.

    `may_be_unheard` is how many requests may have gone unheard without a fault of the sandbox: those in flight at
    workers that were killed, and those over whose commit a connection to the database was cut. `options` are the
    sandbox's.
    """
    verdict = Verdict()
    meant: dict[str, str] = {}
    never: set[str] = set()
    for fate, kind, marked in written:
        if fate == "committed":
            meant[marked] = kind
        else:
            never.add(marked)
    verdict.rolled_back = len(never)
    entries = _named(_entries(database), meant, verdict)
    journal = Journal(state)
    lines = [(line.method, line.arguments) for line in journal.replay()]
    journal.close()
    sandbox = Sandbox([application], journal=Journal(state), **options)
    effects = _effects(lines, sandbox)
    calls = [json.loads(line) for line in record.read_text().splitlines()]
    verdict.calls = len(calls)
    verdict.by_fault.update(call["fault"] for call in calls if call["fault"])
    verdict.by_status.update(entry.status for entry in entries.values())

    _nothing_is_missing(meant, never, entries, effects, verdict)
    for marked, kind in meant.items():
        if marked in entries and kind != "unregister":
            _label_is_right(entries[marked], kind, effects.times[marked], verdict)
    _doubts_have_reasons(entries, meant, calls, may_be_unheard, verdict)
    _order_is_kept(meant, entries, effects, verdict)
    _tags_add_up(meant, effects, sandbox, verdict)
    if any(call["http_status"] == 429 and not call["fault"] for call in calls):
        verdict.wrong.append("The cap was broken: the sandbox refused a message over it.")
    sandbox.close()
    return verdict


def _entries(database: str) -> Iterator[Entry]:
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT e.id, e.method, e.status, e.arguments, d.status, e.told FROM django_pushwoosh_outboxentry e"
            " LEFT JOIN django_pushwoosh_dispatch d ON d.id = e.dispatch_id ORDER BY e.id"
        ).fetchall()
    for pk, method, status, arguments, dispatch, told in rows:
        [marked] = marks_of(method, arguments) or [""]
        yield Entry(pk, method, status, arguments.get("hwid", ""), marked, dispatch, told)


def _named(entries: Iterable[Entry], meant: Mapping[str, str], verdict: Verdict) -> dict[str, Entry]:
    """The entries by their marks; the n-th unregisterDevice of a device is the n-th that was meant."""
    gone: dict[str, list[str]] = defaultdict(list)
    for marked, kind in meant.items():
        if kind == "unregister":
            gone[marked.rpartition("#")[0]].append(marked)
    named: dict[str, Entry] = {}
    for entry in entries:
        marked = entry.mark
        if entry.method == "unregisterDevice":
            marked = gone[entry.hwid].pop(0) if gone[entry.hwid] else f"{entry.hwid}: one too many"
        if marked in named:
            verdict.wrong.append(f"{marked} has two entries, {named[marked].pk} and {entry.pk}")
        named[marked] = entry
    return named


def _effects(lines: Iterable[tuple[str, Mapping[str, Any]]], sandbox: Sandbox) -> Effects:
    effects = Effects()
    jobs = iter(sandbox.jobs.values())
    for method, arguments in lines:
        if method in ("setTags", "registerDevice", "postEvent"):
            effects.note(arguments["hwid"], marks_of(method, arguments))
        elif method == "unregisterDevice":
            effects.note(arguments["hwid"], ())
        elif method in ("bulkSetTags", "bulkRegisterDevice"):
            job = next(jobs)
            for row, told in zip(job.devices, job.report, strict=True):
                if told["status"] == "done":
                    effects.note(row["hwid"], marks_of_row(row))
    effects.times.update(message.parameters["content"] for message in sandbox.messages)
    return effects


def _nothing_is_missing(
    meant: Mapping[str, str], never: set[str], entries: Mapping[str, Entry], effects: Effects, verdict: Verdict
) -> None:
    verdict.wrong += [f"{each} was committed, and has no entry" for each in meant if each not in entries]
    verdict.wrong += [f"{each} has an entry, and was not committed" for each in entries if each not in meant]
    verdict.wrong += [f"{each} took effect, and was not committed" for each in effects.times if each not in meant]
    verdict.wrong += [f"{each} was rolled back, and is there" for each in never & (entries.keys() | effects.times)]


def _label_is_right(entry: Entry, kind: str, times: int, verdict: Verdict) -> None:
    if entry.status not in ENDS:
        verdict.wrong.append(f"{entry} did not come to its end")
    if entry.status == "sent" and times == 0:
        verdict.wrong.append(f"{entry} is sent, and took no effect")
    if entry.status == "failed" and times > 0:
        verdict.wrong.append(f"{entry} is failed, and took effect")
    if kind in ONCE and times > 1:
        verdict.wrong.append(f"{entry} took effect {times} times")
    if entry.status == ("left" if entry.dispatch is not None else "uncertain"):
        verdict.wrong.append(f"{entry}: messages wait for a person, and nothing else does")
    if entry.dispatch is not None and entry.dispatch != entry.status:
        verdict.wrong.append(f"{entry} is one thing, and its dispatch another")


def _doubts_have_reasons(
    entries: Mapping[str, Entry],
    meant: Mapping[str, str],
    calls: list[dict[str, Any]],
    may_be_unheard: int,
    verdict: Verdict,
) -> None:
    """What is left or uncertain had an answer lost on it; and what went unheard otherwise is no more than can be."""
    unheard: dict[str, int] = {}
    lost: set[str] = set()
    lost_at: Counter[str] = Counter()
    for number, call in enumerate(calls):
        carried = marks_of(call["method"], call["arguments"])
        verdict.carried_together += len(carried) if len(carried) > 1 else 0
        if call["fault"] in LOSES_THE_ANSWER:
            lost.update(carried)
            if call["method"] == "unregisterDevice":
                lost_at[call["arguments"]["hwid"]] += 1
        elif not call["fault"]:
            unheard |= dict.fromkeys(carried, number)
    requests: set[object] = set()
    for marked, entry in entries.items():
        if entry.status not in ("left", "uncertain") or marked in lost:
            continue
        if meant.get(marked) == "unregister" and lost_at[entry.hwid]:
            continue
        requests.add(unheard.get(marked, marked))
    verdict.unheard_without_fault = len(requests)
    if len(requests) > may_be_unheard:
        verdict.wrong.append(
            f"{len(requests)} requests are in doubt though nothing was lost on them; at most {may_be_unheard} can be:"
            f" {sorted(map(str, requests))[:20]}"
        )


def _order_is_kept(meant: Mapping[str, str], entries: Mapping[str, Entry], effects: Effects, verdict: Verdict) -> None:
    gone: dict[str, set[int]] = defaultdict(set)
    for marked, kind in meant.items():
        if kind == "unregister":
            gone[marked.rpartition("#")[0]].add(number_of(marked))
    for hwid, steps in effects.steps.items():
        verdict.wrong += [f"{hwid}: {each} in {steps}" for each in _disorder(steps)]
        seen: set[int] = set()
        for place, step in enumerate(steps):
            if step:
                continue
            before = max((max(each) for each in steps[:place] if each), default=-1)
            after = min((min(each) for each in steps[place:] if each), default=10**9)
            between = {number for number in gone[hwid] if before < number < after}
            seen |= between
            if not any(entries[mark(hwid, number)].status != "failed" for number in between):
                verdict.wrong.append(f"{hwid}: unregistered out of turn, between {before} and {after}")
        for number in gone[hwid] - seen:
            # To a device that Pushwoosh does not know yet it says OK, and nothing happens.
            is_known = any(step and step[0] < number for step in steps)
            if is_known and entries[mark(hwid, number)].status == "sent":
                verdict.wrong.append(f"{entries[mark(hwid, number)]} is sent, and took no effect in its turn")


def _disorder(steps: list[tuple[int, ...]]) -> Iterator[str]:
    """Where a device's changes took effect out of order.

    What is in doubt may go again while it is unsettled, with all that was said along with it; never what is behind it.
    """
    together: dict[int, int] = {}
    latest = -1
    for step in steps:
        if not step:
            continue
        for number in step:
            if number < latest and together.get(number, -1) < latest:
                yield f"{number} after {latest}"
                return
        latest = max(latest, *step)
        for number in step:
            together[number] = max(together.get(number, -1), step[-1])


def _tags_add_up(meant: Mapping[str, str], effects: Effects, sandbox: Sandbox, verdict: Verdict) -> None:
    """What the devices have in the end is what took effect, once each."""
    due: Counter[str] = Counter()
    for marked, kind in meant.items():
        if kind == "increment":
            due[marked.rpartition("#")[0]] += min(1, effects.times[marked])
    for (_, hwid), device in sandbox.devices.items():
        if device.own_tags.get("Count", 0) != due[hwid]:
            verdict.wrong.append(f"{hwid} counts {device.own_tags.get('Count', 0)}, and {due[hwid]} took effect")
        seen = device.own_tags.get(SEEN, [])
        if len(seen) != len(set(seen)):
            verdict.wrong.append(f"{hwid} has something twice in its list: {seen}")
