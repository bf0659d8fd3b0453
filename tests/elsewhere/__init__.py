"""Other databases than the default one: run by `tests/test_on_another_database.py`."""

ALIAS = "elsewhere"
REPLICA = "replica"
