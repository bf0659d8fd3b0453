"""A writer: `python -m tests.ordeal.writing GIVEN FILE`.

GIVEN is JSON: `{"seed": …, "name": …, "threads": …, "devices": …, "entries": …, "seconds": …}`, the last three for each
thread. Each thread has devices of its own, so that their order is its order. What it committed, and what it rolled
back, is written to the file in the end: one JSON list of `[verdict, kind, mark]`.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.ordeal.marks import CODE, SEEN, mark

Said = tuple[str, str]
"""Kind and mark of an entry."""

WEIGHTS = {
    "tags": 28,
    "many": 3,
    "increment": 14,
    "append": 8,
    "event": 12,
    "again": 5,
    "message": 12,
    "filtered": 5,
    "targeted": 1,
    "hopeless": 1,
}
ROLLED_BACK = 0.08
MANY = 20


class _Never(Exception):
    """Raised to roll a transaction back."""


class Writer:
    def __init__(self, name: str, seed: int, devices: int, entries: int, seconds: float) -> None:
        self._name = name
        self._chance = random.Random(f"{seed}/{name}")
        self._count = devices
        self._entries = entries
        self._seconds = seconds
        self._numbers: dict[str, int] = {}
        self._devices: dict[str, Any] = {}
        self._messages = 0
        self.written: list[tuple[str, str, str]] = []

    def write(self) -> None:
        from django.db import transaction

        started = time.monotonic()
        for number in range(self._count):
            self._note("committed", self._register(f"{self._name}-{number}"))
        while len(self.written) < self._entries:
            [kind] = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
            is_kept = self._chance.random() >= ROLLED_BACK
            said: list[Said] = []
            try:
                with transaction.atomic():
                    said += getattr(self, f"_{kind}")()
                    if not is_kept:
                        raise _Never
            except _Never:
                self._note("rolled back", said)
            else:
                self._note("committed", said)
            ahead = started + self._seconds * len(self.written) / self._entries - time.monotonic()
            time.sleep(max(0.0, ahead))

    def _note(self, verdict: str, said: list[Said]) -> None:
        self.written += [(verdict, kind, marked) for kind, marked in said]

    def _next(self, hwid: str = "") -> tuple[Any, int, str]:
        hwid = hwid or self._chance.choice(list(self._devices))
        self._numbers[hwid] += 1
        return self._devices[hwid], self._numbers[hwid], mark(hwid, self._numbers[hwid])

    def _register(self, hwid: str) -> list[Said]:
        from django_pushwoosh.models import Device

        self._devices[hwid] = Device.objects.create(application=CODE, hwid=hwid, platform=3, push_token=mark(hwid, 0))
        self._numbers[hwid] = 0
        return [("register", mark(hwid, 0))]

    def _tags(self) -> list[Said]:
        from django_pushwoosh import push

        device, number, marked = self._next()
        push.set_tags(device, self._plain(number))
        return [("tags", marked)]

    def _many(self) -> list[Said]:
        from django_pushwoosh import push

        chosen = [self._next(hwid) for hwid in self._chance.sample(list(self._devices), min(MANY, self._count))]
        push.set_tags_of_many((device, self._plain(number)) for device, number, _ in chosen)
        return [("tags", marked) for _, _, marked in chosen]

    def _increment(self) -> list[Said]:
        from django_pushwoosh import push
        from django_pushwoosh.protocol.tags import Increment

        device, number, marked = self._next()
        push.set_tags(device, {"Count": Increment(1), f"C{number}": Increment(1)})
        return [("increment", marked)]

    def _append(self) -> list[Said]:
        from django_pushwoosh import push
        from django_pushwoosh.protocol.tags import Append

        device, number, marked = self._next()
        push.set_tags(device, {SEEN: Append([str(number)])})
        return [("append", marked)]

    def _event(self) -> list[Said]:
        from django_pushwoosh import push

        device, _, marked = self._next()
        push.post_event("Looked", {"mark": marked}, device=device)
        return [("event", marked)]

    def _again(self) -> list[Said]:
        """The app was removed, and came back with another push token."""
        from django_pushwoosh import push

        device, _, gone = self._next()
        _, _, marked = self._next(device.hwid)
        push.unregister_device(device)
        device.push_token = marked
        push.register_device(device)
        return [("unregister", gone), ("register", marked)]

    def _message(self) -> list[Said]:
        from django_pushwoosh.protocol.audience import Devices

        hwids = self._chance.sample(list(self._devices), self._chance.choice([1, 1, 3]))
        return self._send("message", Devices(hwids))

    def _filtered(self) -> list[Said]:
        from django_pushwoosh.protocol.filters import Tag

        return self._send("message", Tag("Group").eq(f"g{self._chance.randrange(5)}"))

    def _targeted(self) -> list[Said]:
        from django_pushwoosh.protocol.filters import Tag

        return self._send("message", Tag("Group").eq("g1") | Tag("Seq").eq(self._chance.randrange(99)))

    def _hopeless(self) -> list[Said]:
        from django_pushwoosh.protocol.audience import SavedFilter

        return self._send("hopeless", SavedFilter("No such filter"))

    def _send(self, kind: str, to: Any) -> list[Said]:
        from django_pushwoosh import push

        self._messages += 1
        marked = f"{self._name}: message {self._messages}"
        push.send(marked, to=to)
        return [(kind, marked)]

    @staticmethod
    def _plain(number: int) -> dict[str, Any]:
        return {"Seq": number, f"M{number}": number, "Group": f"g{number % 5}"}


def main(given: dict[str, Any], file: Path) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.ordeal.settings")
    import django

    django.setup()
    from django.db import connections

    share = {key: given[key] for key in ("seed", "devices", "entries", "seconds")}
    writers = [Writer(f"{given['name']}-{number}", **share) for number in range(given["threads"])]
    failures: list[BaseException] = []

    def run(write: Callable[[], None]) -> None:
        try:
            write()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[writer.write]) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    file.write_text(json.dumps([each for writer in writers for each in writer.written]))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
