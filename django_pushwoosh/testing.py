"""For your tests: a sandbox in the process, and the outbox at your command.

::

    @pytest.fixture
    def pushwoosh(settings):
        transport = "django_pushwoosh.sandbox.transport.in_process"
        settings.PUSHWOOSH = {**settings.PUSHWOOSH, "TRANSPORT": transport, "ENGINE": "command"}
        with use_sandbox() as sandbox:
            yield sandbox

    def test_the_customer_is_told(pushwoosh, order):
        ship(order)
        run_outbox()
        assert pushwoosh.pushes[-1].title == "Your order"

    def test_a_failing_gateway_loses_nothing(pushwoosh, order):
        pushwoosh.faults.fail_next("createMessage", with_=faults.bad_gateway())
        ship(order)
        run_outbox()
        assert pushwoosh.pushes == []
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.utils import timezone

from django_pushwoosh.conf import settings
from django_pushwoosh.delivery import connection, entry_points, tag_mirror
from django_pushwoosh.delivery.poller import poll
from django_pushwoosh.delivery.worker import Worker
from django_pushwoosh.sandbox import faults, transport
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.sandbox.state import Application

__all__ = ["faults", "run_outbox", "use_sandbox"]


@contextmanager
def use_sandbox(clock: Callable[[], datetime] = timezone.now, **options: Any) -> Iterator[Sandbox]:
    """A sandbox that knows the settings' applications and answers the in-process transport.

    The options are `Sandbox`'s keywords. A call that a fault delays takes real seconds, unless `sleep` says otherwise.
    """
    applications = [
        Application(code=each.code, api_token=each.api_token, device_token=each.device_token, account=each.account)
        for each in settings.applications.values()
    ]
    sandbox = Sandbox(applications, clock, **options)
    earlier = transport.install(sandbox)
    # What an earlier test did to Pushwoosh is not this one's trouble.
    connection.breaker.cache_clear()
    tag_mirror.forget_known()
    entry_points.forget_known()
    try:
        yield sandbox
    finally:
        transport.install(earlier)


def run_outbox(clock: Callable[[], datetime] = timezone.now) -> int:
    """Deliver what is due, and ask what became of it, as the engines do; how many entries were taken up."""
    taken = Worker(clock=clock).drain()
    poll(now=clock())
    return taken
