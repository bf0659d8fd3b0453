"""Logs say what went wrong and where, but nobody's number, address or token."""

from __future__ import annotations

import pytest
from django.db import IntegrityError

from django_pushwoosh import push
from django_pushwoosh.delivery import settling
from django_pushwoosh.models import Device, OutboxEntry
from django_pushwoosh.protocol.envelope import reply
from django_pushwoosh.testing import run_outbox

pytestmark = pytest.mark.django_db
NUMBER = "+14155554567"
WORDS = f'Key (hwid)=({NUMBER}), "ada@example.org" and "push-token-of-ada"'


@pytest.fixture
def sms():
    [device] = Device.objects.bulk_create([Device(application="TEST0-00001", hwid=NUMBER, platform=18)])
    return device


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, reply(210, f"Invalid token: {NUMBER}, +1 (415) 555-4567")),
        (200, {}, reply(210, "No mailbox ada@example.org")),
        (401, {}, reply(401, f"Unauthorized: {NUMBER}")),
        (302, {"Location": f"/{NUMBER}"}, b""),
    ],
)
def test_what_pushwoosh_says_is_logged_without_them(answer, sms, faults, caplog):
    caplog.set_level("DEBUG")
    push.set_badge(sms, 1)
    faults.next(answer)
    run_outbox()
    assert "TEST0-00001" in caplog.text
    for private in ("4155554567", "555-4567", "ada@"):
        assert private not in caplog.text


@pytest.mark.parametrize("error", [RuntimeError(WORDS), IntegrityError(WORDS)])
def test_a_crash_is_logged_by_its_kind_and_place(error, sms, sandbox, caplog, monkeypatch):
    def crash(*args, **kwargs):
        raise error

    monkeypatch.setattr(settling.Settler, "taken", crash)
    push.set_badge(sms, 1)
    run_outbox()
    assert type(error).__name__ in caplog.text
    assert "test_discretion.py" in caplog.text
    for private in (NUMBER, "ada@", "push-token-of-ada"):
        assert private not in caplog.text
    assert OutboxEntry.objects.get().status != OutboxEntry.Status.SENT
