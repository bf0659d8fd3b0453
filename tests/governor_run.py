"""A greedy sender: `python -m tests.governor_run CAP SECONDS` prints how many grants it got."""

from __future__ import annotations

import os
import sys
import time


def main(cap: int, seconds: float) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django_pushwoosh.conf import Account
    from django_pushwoosh.delivery.governor import Governor
    from django_pushwoosh.protocol.errors import RateLimited

    governor, account = Governor(), Account(requests_per_minute=cap)
    grants = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            governor.answered(governor.acquire(account, 20.0))
            grants += 1
        except RateLimited:
            time.sleep(0.05)
    print(grants)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
