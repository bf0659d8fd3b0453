"""How many SQL statements a call costs, counted as Django logs them: BEGIN, COMMIT and savepoints too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from django_pushwoosh.models import Device, OutboxEntry, TagDefinition, UserLink
from tests.gateway.conftest import BODIES, HWID, Sdk
from tests.gateway.wire import Wire

pytestmark = pytest.mark.django_db(transaction=True)

IS_POSTGRESQL = connection.vendor == "postgresql"
REGISTRATION = {"push_token": "token", "language": "en", "tags": {"Age": 25}, "userId": "ada", "sounds": ["ding"]}


@pytest.fixture
def queue_first(settings: Any, wire: Wire) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_POLICIES": {"registerDevice": "queue"}}


def statements(work: Callable[[], object]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        work()
    return [query["sql"] for query in captured.captured_queries]


@pytest.mark.usefixtures("queue_first", "wire")
def test_a_registration_that_is_queued(sdk: Sdk) -> None:
    """On PostgreSQL one, whether the device is new, known, or speaks for another; elsewhere a transaction's worth."""
    for said in (REGISTRATION, REGISTRATION, {**REGISTRATION, "userId": "bob"}, {"userId": HWID}):
        found = statements(lambda said=said: sdk.call("registerDevice", **said))
        assert len(found) <= (1 if IS_POSTGRESQL else 15), found

    assert Device.objects.get(hwid=HWID).tags == {"Age": 25}
    assert [entry.method for entry in OutboxEntry.objects.all()] == ["registerDevice"] * 4
    assert list(TagDefinition.objects.values_list("name", flat=True)) == ["Age"]
    assert set(UserLink.objects.values_list("user_id", "is_open")) == {("ada", None), ("bob", None)}


@pytest.mark.usefixtures("queue_first", "wire")
def test_a_registration_that_is_queued_in_somebody_elses_transaction(sdk: Sdk) -> None:
    """A savepoint around it keeps a failure from taking the rest along."""
    with transaction.atomic():
        found = statements(lambda: sdk.call("registerDevice", **REGISTRATION))
    assert len(found) <= (3 if IS_POSTGRESQL else 15), found


@pytest.mark.usefixtures("wire")
@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("getTags", {}),
        ("postEvent", {"event": "Bought", "attributes": {}}),
        ("getInApps", {"language": "en"}),
        ("checkDevice", {}),
    ],
)
def test_a_call_of_a_known_device_that_is_relayed(method: str, said: dict[str, Any], sdk: Sdk, wire: Wire) -> None:
    """One look: whether it has to wait, and whether the mirror knows all that it says."""
    sdk.call("registerDevice", **REGISTRATION)
    found = statements(lambda: sdk.call(method, **said))
    assert [sent.method for sent in wire.sent] == ["registerDevice", method]
    assert len(found) == 1, found


@pytest.mark.usefixtures("wire")
def test_a_known_registration_that_is_relayed(sdk: Sdk, clock: Any) -> None:
    """On PostgreSQL the look notes that the device registered; elsewhere that is noted after the answer."""
    sdk.call("registerDevice", **REGISTRATION)
    now = clock.advance(seconds=5)
    found = statements(lambda: sdk.call("registerDevice", **REGISTRATION))
    assert [sql.partition(" ")[0] for sql in found if sql not in ("BEGIN", "COMMIT")] == (
        ["WITH"] if IS_POSTGRESQL else ["SELECT", "UPDATE"]
    )
    assert Device.objects.get(hwid=HWID).registered_at == now


@pytest.mark.usefixtures("queue_first", "wire")
@pytest.mark.parametrize("name", [name for name in BODIES if "registerDevice" in name])
def test_every_registration_that_sdks_send(name: str, sdk: Sdk) -> None:
    for _ in range(2):
        found = statements(lambda: sdk.post("registerDevice", BODIES[name]))
        assert len(found) <= (3 if IS_POSTGRESQL else 15), found
