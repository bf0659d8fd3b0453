"""Lookups that the tables' sizes ask for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import F
from django.db.models.lookups import In


class Among(In):
    """`IN` for long lists: on PostgreSQL they travel as one array.

    A thousand placeholders cost more to parse, on both sides, than the rows that they name cost to find.
    """

    prepare_rhs = False

    def __init__(self, name: str, values: Collection[Any]) -> None:
        super().__init__(F(name), list(values))

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        sql, parameters = self.process_lhs(compiler, connection)
        return f"{sql} = ANY(%s)", [*parameters, self.rhs]
