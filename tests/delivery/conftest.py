"""Which tests of this folder a database can run."""

import os

# SQLite has one writer at a time, and in memory its threads share a connection: there is nothing to race.
collect_ignore = ["test_row_locks.py"] if os.environ["DATABASE_URL"].startswith("sqlite") else []
