"""Databases that tests have to themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from tests.processes import ROOT
from tests.servers import POSTGRES_URL


@contextmanager
def own_postgresql(settings: str = "tests.settings") -> Iterator[str]:
    """The address of a PostgreSQL database with the tables of some settings in it; it goes with the block."""
    name = f"own_{uuid.uuid4().hex}"
    with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = f"{POSTGRES_URL.rpartition('/')[0]}/{name}"
        try:
            subprocess.run(
                [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
                cwd=ROOT,
                env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": settings},
                check=True,
            )
            yield url
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
