"""One of several processes that send what counts against the cap, as fast as the governor lets them.

`python -m tests.capped_run '{"api_root": …, "governor": …, "account": …, "cap": …, "count": …, "speed": …}'` makes
`count` requests over HTTP and prints how many have ended, with an answer or without. Time runs `speed` times as fast as
on the wall, for the governor too; at 1 the store's own clock is used.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

CODE = "CAPS0-00001"
API_TOKEN = "api-token"
QUICK_SECONDS = 0.02
SLOW_SECONDS = 2.0
SLOW_SHARE = 0.02
CONNECTIONS = 4
"""As a worker has several: one that waits for a slow answer holds nobody up."""


def clock_at(speed: float) -> Callable[[], datetime]:
    """The same in every process of this machine."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return lambda: start + (datetime.now(UTC) - start) * speed


class Jittery:
    """HTTP, with a network that holds a request up, and its answer: shortly as a rule, up to two seconds at times."""

    def __init__(self, speed: float) -> None:
        from django_pushwoosh.client import RequestsTransport

        self._speed = speed
        self._http = RequestsTransport()
        self._chance = random.Random()

    def send(
        self, verb: str, url: str, headers: Mapping[str, str], body: bytes, timeout: tuple[float, float]
    ) -> tuple[int, Mapping[str, str], bytes]:
        self._delay()
        answer = self._http.send(verb, url, headers, body, timeout)
        self._delay()
        return answer

    def _delay(self) -> None:
        longest = SLOW_SECONDS if self._chance.random() < SLOW_SHARE else QUICK_SECONDS
        time.sleep(self._chance.uniform(0, longest) / self._speed)


jittery: Jittery


def main(given: dict[str, Any]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.conf import settings as django_settings

    from django_pushwoosh.conf import settings
    from django_pushwoosh.delivery import connection
    from django_pushwoosh.delivery.governor import Governor
    from django_pushwoosh.delivery.senders import Senders
    from django_pushwoosh.protocol.calls import Call
    from django_pushwoosh.protocol.errors import CallError, NotSent

    account, speed = given["account"], given["speed"]
    django_settings.PUSHWOOSH = {
        "APPLICATIONS": {"default": {"CODE": CODE, "API_TOKEN": API_TOKEN, "ACCOUNT": account}},
        "ACCOUNTS": {account: {"REQUESTS_PER_MINUTE": given["cap"]}},
        "API_ROOT": given["api_root"],
        "TRANSPORT": "tests.capped_run.jittery",
        "GOVERNOR": given["governor"],
    }
    sys.modules["tests.capped_run"] = sys.modules[__name__]
    globals()["jittery"] = Jittery(speed)
    governor = Governor(now=None if speed == 1 else clock_at(speed))
    application = settings.application()
    call = Call.of("createMessage", CODE, notifications=[{"send_date": "now", "content": "Hello"}])
    print("ready", flush=True)
    sys.stdin.readline()
    begun = ended = 0
    with Senders(lambda left: connection.send(call, left.application), CONNECTIONS) as senders:
        while ended < given["count"]:
            wait = None
            while wait is None and begun < given["count"] and senders.idle:
                try:
                    senders.start(connection.enter(application, is_capped=True, governor=governor))
                    begun += 1
                except NotSent as error:  # by the governor, or by the breaker
                    wait = (error.retry_after or 1.0) / speed
            if not senders.in_flight:
                time.sleep(wait or 0.0)
            for left, made in senders.finished(wait):
                error = made.exception()
                if error is not None and not isinstance(error, CallError):
                    raise error
                connection.leave(left, error, governor=governor)
                ended += 1
    print(ended)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
