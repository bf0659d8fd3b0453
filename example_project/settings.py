"""Settings of the example project. Everything that differs between places comes from the environment."""

from pathlib import Path

import environ

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent
DEMO_FOLDER = Path(env.str("DEMO_FOLDER", default=str(BASE_DIR / ".demo")))

SECRET_KEY = env.str("SECRET_KEY", default="only-for-the-example-project")
DEBUG = env.bool("DEBUG", default=True)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1"])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "django_pushwoosh",
    "example_project.shop",
]

MIDDLEWARE = [
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_pushwoosh.gateway.middleware.ThrottleMiddleware",
]

ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{DEMO_FOLDER / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Several threads and processes write: take the lock when a transaction begins, and wait for it.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"

PUSHWOOSH = {
    "APPLICATIONS": {
        "default": {
            "CODE": env.str("PUSHWOOSH_APPLICATION", default="DEMO0-00001"),
            "API_TOKEN": env.str("PUSHWOOSH_API_TOKEN", default="demo-api-token"),
            "DEVICE_TOKEN": env.str("PUSHWOOSH_DEVICE_TOKEN", default="demo-device-token"),
        },
    },
    "API_ROOT": env.str("PUSHWOOSH_API_ROOT", default="http://127.0.0.1:8600"),
    "USER_ID": "username",
    "GATEWAY_WEB": "token",
}

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="memory://")
CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.1} if CELERY_BROKER_URL == "memory://" else {}
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BEAT_SCHEDULE = {
    "deliver what waits": {"task": "django_pushwoosh.drain", "schedule": 5.0},
    "ask what became of it": {"task": "django_pushwoosh.follow", "schedule": 5.0},
    "delete what is old": {"task": "django_pushwoosh.purge", "schedule": 3600.0},
}

# Pages on any port of this machine may call the gateway, with the device token or without. A site of yours names its
# own origins instead: CORS_ALLOWED_ORIGINS = ["https://shop.example"].
CORS_ALLOWED_ORIGIN_REGEXES = [r"^http://localhost(:\d+)?\Z"]
CORS_URLS_REGEX = r"^/(json/1\.3|api/v2/device-api)/"
CORS_ALLOW_CREDENTIALS = True
CORS_ALLOW_METHODS = ["POST", "OPTIONS"]
CORS_ALLOW_HEADERS = ["authorization", "content-type"]
CORS_PREFLIGHT_MAX_AGE = 86_400
