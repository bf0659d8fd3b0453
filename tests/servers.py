"""Where the servers are that the tests use, if they run."""

from __future__ import annotations

import os
import random
import socket
from contextlib import suppress
from urllib.parse import urlsplit

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres")
MARIADB_URL = os.environ.get("TEST_MARIADB_URL", "mysql://root@127.0.0.1:3306/test")
REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/15")
AMQP_URL = os.environ.get("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")
_CHANCE = random.SystemRandom()


def answers(url: str) -> bool:
    """Whether anything listens there."""
    parts = urlsplit(url)
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((parts.hostname or "127.0.0.1", parts.port or 0)) == 0


def free_port() -> int:
    """A port that nobody listens on; below those that systems give to clients, one of which could take it meanwhile."""
    while True:
        port = _CHANCE.randrange(20_000, 32_000)
        with socket.socket() as probe:
            # As servers do: a connection of before that has not quite ended is no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
