"""A project with our gateway, the peers' device endpoints and the bare views: all in one, so that all stand alike."""

import os
from datetime import timedelta

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS, PUSHWOOSH

CODE = "BENCH-00001"
DEVICE_TOKEN = "benchmark-device-token"

INSTALLED_APPS = [*INSTALLED_APPS, "push_notifications", "fcm_django"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_pushwoosh.gateway.middleware.ThrottleMiddleware",
]
ROOT_URLCONF = "tests.benchmarks.gateway_urls"
# Django's own default, a connection for each request, would cost more than anything that is measured here.
DATABASES = {"default": {**DATABASES["default"], "CONN_MAX_AGE": None}}
if os.environ.get("BENCH_PREPARED"):
    DATABASES["default"]["OPTIONS"] = {"server_side_binding": True, "prepare_threshold": 5}
LOGGING = {"version": 1, "disable_existing_loggers": False}

# A body that registers a device once more updates it, as our gateway does; else the peers would refuse it.
PUSH_NOTIFICATIONS_SETTINGS = {"UPDATE_ON_DUPLICATE_REG_ID": True}
FCM_DJANGO_SETTINGS = {"UPDATE_ON_DUPLICATE_REG_ID": True}

PUSHWOOSH = {
    **PUSHWOOSH,
    "APPLICATIONS": {"default": {"CODE": CODE, "API_TOKEN": "benchmark-api-token", "DEVICE_TOKEN": DEVICE_TOKEN}},
    "API_ROOT": os.environ.get("BENCH_UPSTREAM", "http://127.0.0.1:9"),
    "TRANSPORT": "",
    "ENGINE": "command",
    "CONNECTIONS": 64,
    "GATEWAY_WEB": "",
}
if os.environ.get("BENCH_FORGETS"):
    PUSHWOOSH["RETENTION"] = dict.fromkeys(("SETTLED", "FAILED", "STATISTICS"), timedelta(microseconds=1))
if os.environ.get("BENCH_CACHE"):
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["BENCH_CACHE"],
        }
    }
if os.environ.get("BENCH_QUEUE_FIRST"):
    PUSHWOOSH["GATEWAY_POLICIES"] = {"registerDevice": "queue"}
