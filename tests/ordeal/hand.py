"""What a person does: `python -m tests.ordeal.hand unpause`, or `late SECONDS` to deliver as if it were later."""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta

STEP = timedelta(seconds=15)
PATIENCE_SECONDS = 60.0


def unpause() -> None:
    from django_pushwoosh import push
    from django_pushwoosh.models import Pause

    push.unpause(list(Pause.objects.all()))


def late(most: timedelta) -> None:
    """Deliver what waits, the clock running ahead, so that neither leases nor pauses are sat out."""
    from django.utils import timezone

    from django_pushwoosh.delivery.worker import Worker
    from django_pushwoosh.models import OutboxEntry

    ahead, started = timedelta(), time.monotonic()
    worker = Worker(clock=lambda: timezone.now() + ahead)
    while True:
        worker.drain()
        if not OutboxEntry.objects.unsettled().exists():
            return
        if ahead > most and time.monotonic() - started > PATIENCE_SECONDS:
            raise SystemExit(f"{OutboxEntry.objects.unsettled().count()} entries wait after all that time")
        if ahead <= most:
            ahead += STEP
        # The sandbox's bulk jobs take the time that they take, and the cap's store has a clock of its own.
        time.sleep(0.1)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.ordeal.settings")
    import django

    django.setup()
    if sys.argv[1] == "unpause":
        unpause()
    else:
        late(timedelta(seconds=float(sys.argv[2])))
