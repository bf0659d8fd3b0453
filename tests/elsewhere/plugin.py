"""Lets tests ask the other database alone, but where they name their databases themselves."""

from __future__ import annotations

import pytest

from tests.elsewhere import ALIAS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        mark = item.get_closest_marker("django_db")
        if mark is not None and "databases" not in mark.kwargs:
            item.add_marker(pytest.mark.django_db(**mark.kwargs, databases=[ALIAS]), append=False)
