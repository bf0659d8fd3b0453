"""Stories of several databases, and a part of the suite with all tables in another one than the default."""

from __future__ import annotations

from tests.portable import passes_on
from tests.servers import POSTGRES_URL

STORIES = ["tests/elsewhere/stories.py"]
ROUTED = ["tests/gateway/test_policies.py", "tests/delivery/test_worker.py", "tests/delivery/test_stops.py"]


def test_the_suite_holds() -> None:
    passes_on(POSTGRES_URL, *STORIES, *ROUTED, "-p", "tests.elsewhere.plugin", settings="tests.elsewhere.settings")
