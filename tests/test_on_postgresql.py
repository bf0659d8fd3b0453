"""The portable part of the suite on PostgreSQL."""

from __future__ import annotations

from tests.portable import holds_on
from tests.servers import POSTGRES_URL


def test_the_suite_holds() -> None:
    holds_on(POSTGRES_URL)
