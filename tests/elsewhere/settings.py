"""The suite's settings with all tables on another PostgreSQL database than the default one, and a replica of that.

The replica is the same database over connections of its own.
"""

from tests.elsewhere import ALIAS, REPLICA
from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

_elsewhere = {**DATABASES["default"], "TEST": {"DEPENDENCIES": []}}
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    ALIAS: _elsewhere,
    REPLICA: _elsewhere,
}
DATABASE_ROUTERS = ["tests.elsewhere.routers.Elsewhere"]
