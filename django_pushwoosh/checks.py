"""System checks. Ids are never reused."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string

from django_pushwoosh import tasks
from django_pushwoosh.conf import Speakers, settings
from django_pushwoosh.delivery import strangers
from django_pushwoosh.delivery.slots_redis import client_of
from django_pushwoosh.models import OutboxEntry

OURS = (tasks.drain, tasks.follow, tasks.purge)
SECRET_LENGTH = 16
EARLY = (".CommonMiddleware", ".ThrottleMiddleware", ".LocaleMiddleware", ".FetchFromCacheMiddleware")
"""Middleware that answers some requests itself."""
ORIGINS = (
    "CORS_ALLOW_ALL_ORIGINS",
    "CORS_ALLOWED_ORIGINS",
    "CORS_ALLOWED_ORIGIN_REGEXES",
    "CORS_ORIGIN_ALLOW_ALL",
    "CORS_ORIGIN_WHITELIST",
    "CORS_ORIGIN_REGEX_WHITELIST",
)
"""Settings of django-cors-headers that let some origin read answers."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def register_all() -> None:
    register(check_settings, Tags.compatibility)
    register(check_server_gateway, Tags.security)
    register(check_cors, Tags.urls)
    register(check_databases, Tags.database)
    register(check_strangers, Tags.database)
    # Of a project that has just been started nobody expects a broker.
    register(check_celery, Tags.compatibility, deploy=True)
    register(check_celery_under_load, Tags.compatibility, deploy=True)
    register(check_production, Tags.security, deploy=True)


def check_settings(app_configs: Any, **_kwargs: Any) -> Iterable[CheckMessage]:
    try:
        applications = settings.applications
        settings.account()
        _ = settings.throttle, settings.engine, settings.timeout, settings.relay_timeout, settings.governor
        _ = settings.gateway_policies, settings.relays_unknown_methods, settings.gateway_url
        _ = settings.expire_after, settings.retention, settings.connections, settings.speakers
        _ = settings.gateway_web, settings.server_gateway
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
        elif urlsplit(application.tracking_root).scheme not in ("http", "https"):
            yield Error(f'{where}["TRACKING_ROOT"] must begin with https://.', id="django_pushwoosh.E003")
        if application.transport:
            try:
                import_string(application.transport)
            except ImportError as error:
                yield Error(f'{where}["TRANSPORT"] cannot be imported: {error}', id="django_pushwoosh.E004")
    if settings.governor != "database":
        try:
            client_of(settings.governor)
        except ImproperlyConfigured as error:
            yield Error(str(error), id="django_pushwoosh.E006")
    if not getattr(django_settings, "USE_TZ", True):
        yield Error("django-pushwoosh needs USE_TZ = True.", id="django_pushwoosh.E005")
    yield from _of_speakers(settings.speakers)


def _of_speakers(rules: Speakers) -> Iterable[CheckMessage]:
    """Who may speak at the gateway."""
    for each in rules.authentication:
        try:
            found = import_string(each) if isinstance(each, str) else each
        except Exception as error:
            # An import runs the host's code, which may fail in any way.
            told = f"cannot be imported: {type(error).__name__}: {error}"
        else:
            if isinstance(found, type) and callable(getattr(found, "authenticate", None)):
                continue
            told = "is no authentication class of REST framework's kind."
        yield Error(f'PUSHWOOSH["GATEWAY_AUTHENTICATION"]: {each} {told}', id="django_pushwoosh.E010")
    if not all(rules.secrets) or (rules.is_secret_required and not rules.secrets):
        yield Error(
            'PUSHWOOSH["GATEWAY_SECRET"] is empty, or required and missing: nobody can send it.',
            hint="Leave it out where there is none; the environment it is read from may lack it.",
            id="django_pushwoosh.E011",
        )
    if rules.is_authentication_required and not rules.authentication:
        yield Error(
            'PUSHWOOSH["GATEWAY_AUTHENTICATION_REQUIRED"] refuses every call, for GATEWAY_AUTHENTICATION is empty.',
            id="django_pushwoosh.E012",
        )
    if any(0 < len(each) < SECRET_LENGTH for each in rules.secrets):
        yield Warning(
            f'PUSHWOOSH["GATEWAY_SECRET"] has fewer than {SECRET_LENGTH} characters, and can be guessed.',
            hint='Make one: python -c "import secrets; print(secrets.token_urlsafe())"',
            id="django_pushwoosh.W020",
        )
    if rules.user_ids != "take" and not rules.authentication:
        yield Warning(
            f'PUSHWOOSH["GATEWAY_USER_ID"] is "{rules.user_ids}", and nothing says who calls: no device can be a '
            "user's.",
            hint="Set GATEWAY_AUTHENTICATION too.",
            id="django_pushwoosh.W021",
        )


def check_server_gateway(app_configs: Any, **_kwargs: Any) -> Iterable[CheckMessage]:
    """Where it is mounted: whether somebody may come in, and not everybody."""
    views: Iterator[Any] = (each.callback for _, each in _patterns())
    view = next((each for each in views if hasattr(each, "pushwoosh_closed_because")), None)
    if view is None:
        return
    try:
        closed, wide = view.pushwoosh_closed_because(), view.pushwoosh_wide_because()
    except ImportError as error:
        yield Error(f'PUSHWOOSH["SERVER_GATEWAY"] names what cannot be imported: {error}', id="django_pushwoosh.E008")
        return
    except (ImproperlyConfigured, TypeError, ValueError):
        # Told by the check of the settings.
        return
    if closed:
        yield Error(f"The server gateway is mounted and refuses everybody: {closed}", id="django_pushwoosh.E007")
    elif wide:
        yield Warning(
            f"Whoever can log in may send messages through the server gateway: {wide}",
            hint='Set PUSHWOOSH["SERVER_GATEWAY"]["PERMISSIONS"], be it to the same.',
            id="django_pushwoosh.W016",
        )


def check_cors(app_configs: Any, **_kwargs: Any) -> Iterable[CheckMessage]:
    """Whether browsers may read what the gateway answers to pages of other origins.

    Without `GATEWAY_WEB` nobody said that there are any: then only a django-cors-headers that serves the gateway's
    addresses is looked at, and only for its place.
    """
    found = next((row for row in _patterns() if getattr(row[1].callback, "pushwoosh_gateway", False)), None)
    try:
        web = settings.gateway_web
    except ImproperlyConfigured:
        return
    if found is None:
        return
    middleware = list(django_settings.MIDDLEWARE)
    place = next((number for number, each in enumerate(middleware) if each.endswith(".CorsMiddleware")), None)
    serves = place is not None and _serves(found[0])
    if web and not serves:
        missing = "no CorsMiddleware is in MIDDLEWARE" if place is None else "CORS_… lets no origin read its addresses"
        yield Warning(
            f'PUSHWOOSH["GATEWAY_WEB"] says that pages of other origins call the gateway, and {missing}: browsers keep '
            "every answer from them.",
            hint="Set django-cors-headers up as docs/gateway.md says.",
            id="django_pushwoosh.W017",
        )
        return
    before = [each.rpartition(".")[2] for each in middleware[:place] if each.endswith(EARLY)] if serves else []
    if before:
        yield Warning(
            f"CorsMiddleware stands behind {', '.join(before)}: what those answer themselves has no headers of CORS, "
            "and a page sees no more than “Failed to fetch”.",
            hint="Put corsheaders.middleware.CorsMiddleware first in MIDDLEWARE.",
            id="django_pushwoosh.W017",
        )
    if web == "token" and not _takes_tokens():
        yield Warning(
            "The web SDK's apiToken makes browsers ask for leave to send `authorization` with credentials, and "
            "CORS_ALLOW_HEADERS or CORS_ALLOW_CREDENTIALS does not give it.",
            hint='Set CORS_ALLOW_CREDENTIALS = True, and leave "authorization" in CORS_ALLOW_HEADERS.',
            id="django_pushwoosh.W018",
        )


def _patterns(resolver: URLResolver | None = None, prefix: str | None = "/") -> Iterator[tuple[str | None, URLPattern]]:
    """The project's addresses, each with what stands before it; `None` where that varies."""
    if resolver is None:
        if not getattr(django_settings, "ROOT_URLCONF", None):
            return
        resolver = get_resolver()
    for each in resolver.url_patterns:
        if isinstance(each, URLPattern):
            yield prefix, each
            continue
        route = getattr(each.pattern, "_route", None)
        is_plain = prefix is not None and isinstance(route, str) and "<" not in route
        yield from _patterns(each, f"{prefix}{route}" if is_plain else None)


def _serves(prefix: str | None) -> bool:
    """Whether django-cors-headers lets some origin read the gateway's answers, as far as its settings tell."""
    addresses = getattr(django_settings, "CORS_URLS_REGEX", ".*")
    is_served = prefix is None or re.match(addresses, f"{prefix}json/1.3/registerDevice") is not None
    if is_served and any(getattr(django_settings, name, None) for name in ORIGINS):
        return True
    # A project may decide from request to request.
    signals = sys.modules.get("corsheaders.signals")
    return signals is not None and signals.check_request_enabled.has_listeners()


def _takes_tokens() -> bool:
    headers = getattr(django_settings, "CORS_ALLOW_HEADERS", ("authorization",))
    has_header = any(each.lower() == "authorization" for each in headers)
    return has_header and bool(getattr(django_settings, "CORS_ALLOW_CREDENTIALS", False))


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


def check_strangers(app_configs: Any, databases: Any = None, **_kwargs: Any) -> Iterable[CheckMessage]:
    """With `check --database`: what was written for others, as in a copy of another place's database."""
    for alias in databases or ():
        try:
            with connections[alias].cursor() as cursor:
                tables = connections[alias].introspection.table_names(cursor)
            if OutboxEntry._meta.db_table not in tables:
                continue
            words = strangers.told(strangers.found(alias))
        except (DatabaseError, ImproperlyConfigured):
            # Before the first migration, or told by the check of the settings.
            continue
        if words:
            yield Warning(
                words,
                hint="If this is a copy, leave it so. If a code or an API root was changed here, change it back until "
                "the outbox is empty.",
                id="django_pushwoosh.W007",
            )


def check_celery(app_configs: Any, **_kwargs: Any) -> Iterable[CheckMessage]:
    """What this process sees of Celery's settings that would keep wake-ups and sweeps away."""
    conf = _celery_conf()
    if conf is None:
        return
    if not conf.broker_url and not conf.broker_write_url:
        yield Warning(
            'PUSHWOOSH["ENGINE"] is "celery", and no Celery application with a broker is loaded here: nothing is '
            "woken when something is queued.",
            hint='Import the Celery application in the project’s __init__.py, or set PUSHWOOSH["ENGINE"] = "command".',
            id="django_pushwoosh.W008",
        )
        return
    # Another scheduler (django-celery-beat's) keeps its plan where it cannot be seen from here.
    is_seen = str(conf.beat_scheduler).startswith("celery.beat:")
    planned = {row.get("task") for row in (conf.beat_schedule or {}).values() if isinstance(row, dict)}
    missing = [task.name for task in OURS if task.name not in planned]
    if missing and is_seen:
        yield Warning(
            f"Celery's beat schedule has no {', '.join(missing)}.",
            hint="Without a sweep, what a lost wake-up left behind waits for the next one, and what is to be tried "
            "again is not. See docs/production.md.",
            id="django_pushwoosh.W009",
        )


def check_celery_under_load(app_configs: Any, **_kwargs: Any) -> Iterable[CheckMessage]:
    """What this process sees of Celery's settings that would hurt under load, or when a worker is lost."""
    conf = _celery_conf()
    if conf is None or not (conf.broker_url or conf.broker_write_url):
        return
    if conf.worker_prefetch_multiplier != 1:
        yield Warning(
            "Celery's worker_prefetch_multiplier is not 1: a worker that drains the outbox for long keeps the tasks "
            "that it has fetched beforehand from the others.",
            hint="Set worker_prefetch_multiplier = 1, at least for the worker of django-pushwoosh's queue.",
            id="django_pushwoosh.W010",
        )
    connect, read = _seconds()
    least = 2 * connect + read
    visible = (conf.broker_transport_options or {}).get("visibility_timeout")
    if isinstance(visible, int | float) and visible < least:
        yield Warning(
            f"Celery's visibility_timeout is {visible} s, shorter than one call may take ({least:.0f} s): the broker "
            "hands the same wake-up out again and again.",
            hint="Leave broker_transport_options['visibility_timeout'] at an hour; no task here has an ETA.",
            id="django_pushwoosh.W011",
        )
    app = tasks.drain.app
    shared = [task.name for task in OURS if _queue_of(app, task.name) == conf.task_default_queue]
    if shared and any(name.partition(".")[0] not in ("celery", "django_pushwoosh") for name in app.tasks):
        yield Warning(
            f"{', '.join(shared)} share the queue {conf.task_default_queue!r} with the project's other tasks, and wait "
            "behind them.",
            hint='Set task_routes = {"django_pushwoosh.*": {"queue": "pushwoosh"}} and a worker with -Q pushwoosh.',
            id="django_pushwoosh.W012",
        )
    if conf.worker_cancel_long_running_tasks_on_connection_loss:
        yield Warning(
            "Celery's worker_cancel_long_running_tasks_on_connection_loss ends a drain in the middle of its calls when "
            "the broker is lost; nobody then knows whether they arrived.",
            hint="Set it to False: a wake-up that comes twice does no harm here.",
            id="django_pushwoosh.W013",
        )
    if limited := [task.name for task in OURS if task.time_limit or conf.task_time_limit]:
        yield Warning(
            f"A hard time limit ends {', '.join(limited)} in the middle of a call; nobody then knows whether it "
            "arrived.",
            hint="Exempt the queue: run its worker with --time-limit=0, or set the tasks' time_limit to None by "
            "task_annotations.",
            id="django_pushwoosh.W014",
        )
    if early := [task.name for task in OURS if not (task.acks_late and task.reject_on_worker_lost)]:
        yield Warning(
            f"{', '.join(early)} are acknowledged before they have run; what a lost worker left waits for the sweep.",
            hint="Take acks_late and reject_on_worker_lost of these tasks out of task_annotations.",
            id="django_pushwoosh.W015",
        )


def _queue_of(app: Any, name: str) -> str:
    queue = app.amqp.router.route({}, name).get("queue", "")
    return str(getattr(queue, "name", queue))


def _celery_conf() -> Any:
    """Celery's settings as this process has them, if Celery is the engine."""
    try:
        return tasks.drain.app.conf if settings.engine == "celery" else None
    except ImproperlyConfigured:
        return None


def _seconds() -> tuple[float, float]:
    try:
        return settings.timeout
    except (TypeError, ValueError):
        return 0.0, 0.0


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
            continue
        for name, root in (("API_ROOT", application.api_root), ("TRACKING_ROOT", application.tracking_root)):
            if urlsplit(root).scheme != "https":
                yield Warning(f'{where}["{name}"] is not https: tokens travel in clear.', id="django_pushwoosh.W006")
