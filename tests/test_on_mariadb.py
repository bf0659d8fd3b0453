"""The portable part of the suite on MariaDB."""

from __future__ import annotations

from tests.portable import holds_on
from tests.servers import MARIADB_URL


def test_the_suite_holds() -> None:
    holds_on(MARIADB_URL)
