"""Wiring only."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PushwooshConfig(AppConfig):
    name = "django_pushwoosh"
    verbose_name = _("Pushwoosh")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django_pushwoosh import checks, receivers, signals, tasks
        from django_pushwoosh.conf import settings
        from django_pushwoosh.delivery.bell import Bell

        checks.register_all()
        receivers.connect()
        bell = Bell(tasks.drain.delay)

        def wake_up(**_kwargs: Any) -> None:
            if settings.engine == "celery":
                bell.ring()

        self.wake_up = wake_up
        signals.entry_queued.connect(wake_up, dispatch_uid="django_pushwoosh.wake_up")
