"""What the mirrored models share."""

from __future__ import annotations

from typing import Any

from django.db import models, router, transaction


class MirroredModel(models.Model):
    """Saves and deletes in a transaction of its own, together with what that says upstream.

    In autocommit `post_save` fires after the commit; a row without its outbox entry would never be told.
    """

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            return super().delete(*args, **kwargs)
