"""After a broadcast every phone reports that it arrived, while Pushwoosh is there and while it is not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from django_pushwoosh.delivery.retention import purge
from django_pushwoosh.models import Device, OutboxEntry
from django_pushwoosh.sandbox import faults as theirs
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock
from tests.gateway.conftest import Sdk

pytestmark = pytest.mark.django_db

PHONES = 90
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
Status = OutboxEntry.Status


def sizes() -> dict[str, int]:
    return {model.__name__: model.objects.count() for model in apps.get_app_config("django_pushwoosh").get_models()}


def reported(sandbox: Sandbox, since: int = 0) -> list[str]:
    return [request.arguments["hwid"] for request in list(sandbox.requests)[since:]]


def test_a_stampede_is_taken_in_delivered_and_forgotten(
    sdk: Sdk, client: Client, sandbox: Sandbox, clock: Clock, settings: Any
) -> None:
    """Many share an address, as behind a carrier's: nobody is refused, nothing is lost, nothing stays."""
    kept = timedelta(days=1)
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "RETENTION": {"SETTLED": kept, "STATISTICS": kept}}
    Device.objects.bulk_create(
        Device(application="TEST0-00001", hwid=f"phone{number}", platform=3, push_token="token")
        for number in range(PHONES)
    )
    before = sizes()
    for number in range(PHONES):
        if number == PHONES // 2:
            run_outbox()
            outage = sandbox.faults.always(with_=theirs.no_connection())
        client.defaults["REMOTE_ADDR"] = ADDRESSES[number % 3]
        assert sdk.call("messageDeliveryEvent", hwid=f"phone{number}", hash="a_1_2_1-1")["status_code"] == 200
    for _ in range(5):
        run_outbox()
        clock.advance(seconds=90)
    assert OutboxEntry.objects.filter(status=Status.SENT).count() == PHONES // 2
    assert OutboxEntry.objects.unsettled().count() == PHONES - PHONES // 2

    assert reported(sandbox)[: PHONES // 2] == [f"phone{number}" for number in range(PHONES // 2)]
    in_vain = len(sandbox.requests)
    sandbox.faults.remove(outage)
    for _ in range(10):
        clock.advance(minutes=10)
        run_outbox()
    assert set(OutboxEntry.objects.values_list("status", flat=True)) == {Status.SENT}
    arrived = reported(sandbox, in_vain)
    assert sorted(arrived) == sorted(f"phone{number}" for number in range(PHONES // 2, PHONES))

    purge(now=clock.advance(days=2))
    assert sizes() == before
