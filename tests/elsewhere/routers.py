"""Where rows are read and written in these tests."""

from __future__ import annotations

from typing import Any

from django.db.models import Model

from tests.elsewhere import ALIAS, REPLICA


class Elsewhere:
    """One other database; what is known to be in a third one stays there."""

    def db_for_read(self, model: type[Model], instance: Model | None = None, **hints: Any) -> str:
        return (instance._state.db if instance is not None else None) or ALIAS

    db_for_write = db_for_read


class AlwaysElsewhere:
    """One other database, whatever is known."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return ALIAS

    db_for_write = db_for_read

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        return True


class PrimaryAndReplica:
    """As Django's documentation has it: whatever is not asked of the primary is read from the replica."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return REPLICA

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return ALIAS

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        return True
