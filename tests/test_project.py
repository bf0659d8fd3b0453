"""What holds for the whole project: its imports, its migrations, its checks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

ROOT = Path(__file__).parent.parent


def test_imports_keep_their_contracts() -> None:
    ran = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout
    assert "0 broken" in ran.stdout


@pytest.mark.django_db
@pytest.mark.parametrize("auto_field", ["django.db.models.AutoField", "django.db.models.BigAutoField"])
def test_migrations_do_not_drift(settings: Any, auto_field: str) -> None:
    settings.DEFAULT_AUTO_FIELD = auto_field

    call_command("makemigrations", "django_pushwoosh", check=True, dry_run=True, verbosity=0)


def test_the_package_imports_without_settings() -> None:
    """Importing has no side effects; `__version__` needs nothing."""
    code = "import django_pushwoosh, sys; assert 'django' not in sys.modules; print(django_pushwoosh.__version__)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "0.1.0", ran.stderr


def test_the_client_and_the_sandbox_need_no_django() -> None:
    code = (
        "import sys, django_pushwoosh.client, django_pushwoosh.sandbox.app;"
        "assert not {'django', 'celery', 'rest_framework'} & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
