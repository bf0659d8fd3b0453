"""A mirror that fails never fails the call: whatever the method, the policy and the kind of failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DataError, OperationalError, connection

from django_pushwoosh.models import Device, OutboxEntry, Statistic, UserLink
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.methods import Policy
from django_pushwoosh.testing import run_outbox
from tests.gateway.conftest import BODIES, HWID, PHONE

pytestmark = pytest.mark.django_db

TABLES = [model._meta.db_table for model in (Device, UserLink, Statistic)]
NOTHING_KNOWN = "web messageDeliveryEvent#nothing known any more (after removeAllDeviceData)"
TAKEN = sorted(BODIES.keys() - {NOTHING_KNOWN})
CODED = {**PHONE, "hash": "s_1_2_1-1"}


@pytest.fixture(autouse=True)
def _everything_is_permitted(settings: Any) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "GATEWAY_PERMISSION": lambda request, method: True}


def refused_by_the_server(execute: Callable[..., Any], many: Any, context: Any) -> Any:
    """A statement that the database itself refuses; on PostgreSQL its transaction is broken from then on."""
    return execute("SELECT * FROM a_table_that_is_not_there", (), many, context)


def deadlock(*_args: Any) -> Any:
    raise OperationalError(1213, "Deadlock found when trying to get lock; try restarting transaction")


def full(*_args: Any) -> Any:
    raise OperationalError("could not extend file: No space left on device")


def bad_value(*_args: Any) -> Any:
    raise DataError("value too long")


@contextmanager
def failing(
    how: Callable[..., Any], verbs: tuple[str, ...] = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
) -> Iterator[None]:
    """Have the mirror's statements fail, those of the outbox not."""

    def wrapped(execute: Callable[..., Any], sql: str, params: Any, many: Any, context: Any) -> Any:
        if sql.startswith(verbs) and any(table in sql for table in TABLES):
            return how(execute, many, context)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(wrapped):
        yield


KINDS = pytest.mark.parametrize("how", [refused_by_the_server, deadlock, full, bad_value], ids=lambda how: how.__name__)


def method_of(name: str) -> str:
    return name.split(" ")[1].split("#")[0]


@pytest.mark.parametrize("name", TAKEN)
def test_whatever_the_method_the_call_goes_on(name: str, sdk: Any, wire: Any) -> None:
    method = method_of(name)
    with failing(refused_by_the_server):
        answer = sdk.post(method, BODIES[name], authorization="Token null")
    assert answer["status_code"] == 200
    run_outbox()

    assert [sent.method for sent in wire.sent] == [method], "once, and not lost"
    assert not OutboxEntry.objects.unsettled().exists()


@pytest.mark.parametrize("name", [name for name in TAKEN if METHODS[method_of(name)].policy is Policy.RELAY_ELSE_QUEUE])
def test_where_the_call_has_to_wait_too(name: str, sdk: Any, wire: Any, faults: Any) -> None:
    faults.next("unreachable")
    with failing(refused_by_the_server):
        assert sdk.post(method_of(name), BODIES[name], authorization="Token null")["status_code"] == 200

    assert OutboxEntry.objects.unsettled().count() == 1


@KINDS
@pytest.mark.parametrize("verb", ["SELECT", "INSERT", "UPDATE", "WITH"])
@pytest.mark.parametrize("method", ["registerDevice", "setTags", "messageDeliveryEvent", "applicationOpen"])
def test_a_failure_on_the_way_leaves_all_or_nothing(verb: str, method: str, how: Any, sdk: Any, sandbox: Any) -> None:
    more = {"push_token": "token", "tags": {"Age": 1}, "userId": "ada"}
    with failing(how, (verb,)):
        assert sdk.call(method, **CODED, **more)["status_code"] == 200
    known = Device.objects.filter(hwid=HWID).first()

    if known is not None and method in ("registerDevice", "setTags"):
        assert known.tags == {"Age": 1}
    assert UserLink.objects.exists() == (known is not None and method == "registerDevice")
    if known is None:
        assert not Statistic.objects.exists()


def test_the_log_says_that_it_failed_and_nothing_that_is_private(sdk: Any, sandbox: Any, caplog: Any) -> None:
    with failing(bad_value):
        sdk.call("setTags", tags={"Secret": "s3cret"})
        sdk.call("getTags")

    assert "setTags of TEST0-00001 is queued unmirrored: DataError" in caplog.text
    assert "getTags of TEST0-00001 could not be mirrored: DataError" in caplog.text
    assert "s3cret" not in caplog.text
    assert HWID not in caplog.text


def test_a_database_that_takes_no_entries_either_is_503(sdk: Any, sandbox: Any) -> None:
    def nothing_goes(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        if "pushwoosh" in sql:
            raise OperationalError("No space left on device")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(nothing_goes):
        assert sdk.call("setTags", tags={})["status_code"] == 503
