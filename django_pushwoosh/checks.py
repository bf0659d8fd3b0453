"""System checks. Ids are never reused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from django_pushwoosh.conf import settings

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def register_all() -> None:
    register(check_settings, Tags.compatibility)
    register(check_databases, Tags.database)
    register(check_production, Tags.security, deploy=True)


def check_settings(app_configs: Any, **_kwargs: Any) -> Iterable[CheckMessage]:
    try:
        applications = settings.applications
        settings.account()
        _ = settings.throttle, settings.engine, settings.timeout, settings.relay_timeout
    except (ImproperlyConfigured, TypeError, ValueError) as error:
        yield Error(f"The setting PUSHWOOSH is wrong: {error}", id="django_pushwoosh.E001")
        return
    if not applications:
        yield Warning(
            "PUSHWOOSH names no application, so nothing can be sent.",
            hint='Set PUSHWOOSH = {"APPLICATIONS": {"default": {"CODE": …, "API_TOKEN": …, "DEVICE_TOKEN": …}}}.',
            id="django_pushwoosh.W001",
        )
    codes = [application.code for application in applications.values()]
    for code in sorted({code for code in codes if codes.count(code) > 1}):
        yield Error(f"Two aliases of PUSHWOOSH name the application {code}.", id="django_pushwoosh.E002")
    for application in applications.values():
        where = f'PUSHWOOSH["APPLICATIONS"]["{application.alias}"]'
        if not application.api_token:
            yield Warning(f'{where} has no "API_TOKEN": no message can be sent.', id="django_pushwoosh.W002")
        if not application.device_token:
            yield Warning(
                f'{where} has no "DEVICE_TOKEN": user links and events will be refused by Pushwoosh.',
                id="django_pushwoosh.W003",
            )
        if urlsplit(application.api_root).scheme not in ("http", "https"):
            yield Error(f'{where}["API_ROOT"] must begin with https://.', id="django_pushwoosh.E003")
        if application.transport:
            try:
                import_string(application.transport)
            except ImportError as error:
                yield Error(f'{where}["TRANSPORT"] cannot be imported: {error}', id="django_pushwoosh.E004")
    if not getattr(django_settings, "USE_TZ", True):
        yield Error("django-pushwoosh needs USE_TZ = True.", id="django_pushwoosh.E005")


def check_databases(app_configs: Any, databases: Any = None, **_kwargs: Any) -> Iterable[CheckMessage]:
    for alias in databases or ():
        row = django_settings.DATABASES[alias]
        if row["ENGINE"].endswith("sqlite3") and row.get("OPTIONS", {}).get("transaction_mode") != "IMMEDIATE":
            yield Warning(
                f'The SQLite database "{alias}" begins its transactions without a lock, so that writes of several '
                "processes or threads fail with “database is locked”.",
                hint='Set OPTIONS = {"transaction_mode": "IMMEDIATE", "timeout": 20, '
                '"init_command": "PRAGMA journal_mode=WAL;"}.',
                id="django_pushwoosh.W004",
            )


def check_production(app_configs: Any, **_kwargs: Any) -> Iterable[CheckMessage]:
    if django_settings.DEBUG:
        return
    try:
        applications = settings.applications
    except ImproperlyConfigured:
        return
    for application in applications.values():
        where = f'PUSHWOOSH["APPLICATIONS"]["{application.alias}"]'
        if ".sandbox." in application.transport or urlsplit(application.api_root).hostname in LOOPBACK:
            yield Warning(f"{where} speaks to a sandbox, with DEBUG = False.", id="django_pushwoosh.W005")
        elif urlsplit(application.api_root).scheme != "https":
            yield Warning(f'{where}["API_ROOT"] is not https: tokens travel in clear.', id="django_pushwoosh.W006")
