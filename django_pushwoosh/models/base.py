"""What the mirrored models share."""

from __future__ import annotations

import re
from typing import Any

from django.db import models, router, transaction

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Whether every database takes the text as it is."""
    return not _UNSTORABLE.search(text)


def storable(value: Any) -> Any:
    """A JSON value from outside without what databases refuse: NUL, lone surrogates, infinities."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, list):
        return [storable(each) for each in value]
    if isinstance(value, dict):
        return {storable(str(key)): storable(each) for key, each in value.items()}
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def home_of(row: models.Model) -> str:
    """The database in which a row is written. Where it was read may be a replica."""
    return router.db_for_write(type(row), instance=row)


class MirroredModel(models.Model):
    """Saves and deletes in a transaction of its own, together with what that says upstream.

    In autocommit `post_save` fires after the commit; a row without its outbox entry would never be told.
    """

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        using = kwargs.get("using") or home_of(self)
        with transaction.atomic(using=using):
            super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        using = kwargs.get("using") or home_of(self)
        with transaction.atomic(using=using):
            return super().delete(*args, **kwargs)
