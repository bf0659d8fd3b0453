"""What is said in logs: what went wrong and where, but nobody's number, name or token."""

from __future__ import annotations

import traceback


def told_without_values(error: BaseException) -> str:
    """An exception for the log: its kind and where. Its words may be a database's, with the row that it refused."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"
