"""Settings of the test suite: the example project's, with a database and a broker of the tests' own."""

import os

os.environ.setdefault("DATABASE_URL", "sqlite:///:memory:")
if os.environ["DATABASE_URL"].startswith("mysql"):
    import pymysql

    # Django asks for mysqlclient's version; PyMySQL speaks the same interface and needs no compiler.
    pymysql.version_info = (2, 2, 8, "final", 0)
    pymysql.install_as_MySQLdb()
os.environ.setdefault("CELERY_BROKER_URL", "memory://")

from example_project.settings import *  # noqa: F403
from example_project.settings import PUSHWOOSH

SECRET_KEY = "tests"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
PUSHWOOSH = {
    **PUSHWOOSH,
    "APPLICATIONS": {
        "default": {"CODE": "TEST0-00001", "API_TOKEN": "test-api-token", "DEVICE_TOKEN": "test-device-token"},
    },
    "API_ROOT": "http://sandbox.test",
    "TRANSPORT": "django_pushwoosh.sandbox.transport.in_process",
    "USER_ID": "pk",
    # Tests drain the outbox themselves.
    "ENGINE": "command",
    # In the test's own thread, one after the other.
    "CONNECTIONS": 1,
}
