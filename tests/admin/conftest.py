"""People at the admin, and what they fill in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from django_pushwoosh.models import ScheduledMessage

APPLICATION = "TEST0-00001"
ADD = "/admin/django_pushwoosh/scheduledmessage/add/"


@pytest.fixture
def staff(django_user_model: Any) -> Callable[..., Client]:
    """A client logged in as a member of staff with these permissions and no others."""

    def log_in(*permissions: str, **options: Any) -> Client:
        users = django_user_model.objects
        user = users.create_user(f"staff-{users.count()}", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client(**options)
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def editor(staff: Callable[..., Client]) -> Client:
    """Somebody who may compose, send, change and look."""
    return staff(*(f"{verb}_scheduledmessage" for verb in ("add", "change", "view", "delete")))


@pytest.fixture
def filled() -> Callable[..., dict[str, Any]]:
    """A composed form, to conditions unless told otherwise."""

    def fill(**fields: Any) -> dict[str, Any]:
        form: dict[str, Any] = {
            "composer_key": str(uuid4()),
            "application": APPLICATION,
            "content": "Hello",
            "when": "now",
            "_send": "Send",
        }
        if "audience" not in fields:
            form |= {
                "audience": "conditions",
                "conditions-tag": "City",
                "conditions-operator": "EQ",
                "conditions-value": "Oslo",
                "conditions_operator": "AND",
            }
        form |= {name.replace("__", "-"): value for name, value in fields.items()}
        return {name: value for name, value in form.items() if value is not None}

    return fill


def page_of(message: ScheduledMessage, view: str = "change", *more: Any) -> str:
    return reverse(f"admin:django_pushwoosh_scheduledmessage_{view}", args=[message.pk, *more])
