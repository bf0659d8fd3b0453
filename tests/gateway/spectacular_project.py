"""Settings of a project with drf-spectacular, which reads its own at import."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as OTHERS
from tests.settings import PUSHWOOSH as GIVEN

INSTALLED_APPS = [*OTHERS, "drf_spectacular"]
REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
SPECTACULAR_SETTINGS = {
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "django_pushwoosh.gateway.schema.add_gateways",
    ],
}
PUSHWOOSH = {**GIVEN, "SERVER_GATEWAY": {"PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"]}}
ROOT_URLCONF = "tests.gateway.spectacular_urls"
