"""What the tests of this folder share, and which of them a database can run."""

from __future__ import annotations

import os

import pytest

from django_pushwoosh.models import Device
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.testing import run_outbox
from tests.conftest import Clock

# SQLite has one writer at a time, and in memory its threads share a connection: there is nothing to race.
collect_ignore = ["test_row_locks.py"] if os.environ["DATABASE_URL"].startswith("sqlite") else []


@pytest.fixture
def phone(sandbox: Sandbox, clock: Clock) -> Device:
    device = Device.objects.create(application="TEST0-00001", hwid="phone", platform=3, push_token="token")
    run_outbox()
    return device
