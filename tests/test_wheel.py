"""The built wheel in an empty environment: three settings, one include(), and the composer opens."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent

SETTINGS = """
INSTALLED_APPS += ["django_pushwoosh"]
MIDDLEWARE += ["django_pushwoosh.gateway.middleware.ThrottleMiddleware"]
PUSHWOOSH = {
    "APPLICATIONS": {"default": {"CODE": "BLANK-00001", "API_TOKEN": "api", "DEVICE_TOKEN": "device"}},
}
"""

URLS = """
from django.urls import include

urlpatterns += [path("push/", include("django_pushwoosh.gateway.urls"))]
"""

OPEN = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "blank.settings"
import django
django.setup()
from django.conf import settings
settings.ALLOWED_HOSTS = ["testserver"]
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_superuser("admin"))
page = client.get("/admin/django_pushwoosh/scheduledmessage/add/")
assert page.status_code == 200, page.status_code
for field in ("ios_badges", "android_priority", "chrome_button_text1", "safari_title", "wns_type"):
    assert f'name="{field}"' in page.content.decode(), field
for asset in page.content.decode().split('"'):
    if asset.startswith("/static/django_pushwoosh/"):
        from django.contrib.staticfiles import finders
        assert finders.find(asset.removeprefix("/static/")), asset
body = '{"request": {"application": "BLANK-00001", "hwid": "phone", "device_type": 3, "tags": {"Age": 3}}}'
answer = client.post("/push/json/1.3/setTags", body, content_type="text/plain")
assert answer.json() == {"status_code": 200, "status_message": "OK", "response": None}, answer.content
from django_pushwoosh.models import Device, OutboxEntry
assert Device.objects.get().tags == {"Age": 3}
assert OutboxEntry.objects.get().method == "setTags"
print("opened")
"""


def environment() -> dict[str, str]:
    """As of somebody who has nothing of this suite's."""
    ours = ("DJANGO_", "DATABASE_", "CELERY_", "PUSHWOOSH_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def run(*command: str | Path, cwd: Path) -> str:
    ran = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment(), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    return ran.stdout


def test_a_blank_project_needs_three_settings_and_one_include(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT, cwd=tmp_path)
    [wheel] = tmp_path.glob("django_pushwoosh-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "django_pushwoosh/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "example_project/"))]

    run(sys.executable, "-m", "venv", "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", wheel, cwd=tmp_path)
    (tmp_path / "site").mkdir()
    site = tmp_path / "site"
    run(python, "-m", "django", "startproject", "blank", site, cwd=tmp_path)
    with (site / "blank" / "settings.py").open("a") as settings:
        settings.write(SETTINGS)
    with (site / "blank" / "urls.py").open("a") as urls:
        urls.write(URLS)

    run(python, "manage.py", "migrate", "--verbosity", "0", cwd=site)
    assert "no issues" in run(python, "manage.py", "check", cwd=site)
    run(python, "manage.py", "makemigrations", "--check", "--dry-run", cwd=site)
    assert run(python, "-W", "error::DeprecationWarning:django_pushwoosh", "-c", OPEN, cwd=site).strip() == "opened"
