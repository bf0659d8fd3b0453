"""A double click, a resubmitted form and ten at the same moment send once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from django_pushwoosh.admin.composer import ScheduledMessageAdmin
from django_pushwoosh.models import OutboxEntry, ScheduledMessage

from .conftest import ADD, page_of

pytestmark = pytest.mark.django_db
Fill = Callable[..., dict[str, Any]]


def told(response: Any) -> list[tuple[str, str]]:
    return [(each.level_tag, str(each)) for each in get_messages(response.wsgi_request)]


def test_a_double_click_sends_once(editor: Client, filled: Fill) -> None:
    form = filled()
    editor.post(ADD, form)
    again = editor.post(ADD, form)

    message = ScheduledMessage.objects.get()
    assert again.headers["Location"] == page_of(message)
    assert ("info", "This message was already sent; it was not sent a second time.") in told(again)
    assert OutboxEntry.objects.count() == 1


def test_a_form_that_was_changed_after_it_was_sent_says_so(editor: Client, filled: Fill) -> None:
    form = filled()
    editor.post(ADD, form)
    again = editor.post(ADD, form | {"content": "Other"})
    assert "changed after that" in dict(told(again))["warning"]
    assert ScheduledMessage.objects.get().parameters["content"] == "Hello"
    assert OutboxEntry.objects.count() == 1


def test_a_resubmitted_form_whose_time_has_passed_is_still_known(editor: Client, filled: Fill, clock: Any) -> None:
    form = filled(when="at", send_at="2026-03-02T13:00", time_zone="UTC")
    editor.post(ADD, form)
    clock.advance(hours=2)
    assert "info" in dict(told(editor.post(ADD, form)))
    assert OutboxEntry.objects.count() == 1


def test_the_other_request_stores_the_form_between_looking_and_writing(
    editor: Client, filled: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = filled()
    editor.post(ADD, form)
    kept, stored = ScheduledMessageAdmin._kept, ScheduledMessageAdmin._stored
    looks = []

    def sees_nothing_at_first(self: Any, key: str) -> ScheduledMessage | None:
        looks.append(key)
        return stored(self, key) if len(looks) > 1 else None

    def writes_blindly_at_first(self: Any, request: Any, composed: Any, key: Any, using: str) -> ScheduledMessage:
        if len(looks) == 1:
            composed.meant.put_into(ScheduledMessage(composer_key=key)).save(using=using, force_insert=True)
        return kept(self, request, composed, key, using)

    monkeypatch.setattr(ScheduledMessageAdmin, "_stored", sees_nothing_at_first)
    monkeypatch.setattr(ScheduledMessageAdmin, "_kept", writes_blindly_at_first)
    response = editor.post(ADD, form)
    assert len(looks) == 2
    assert response.headers["Location"] == page_of(ScheduledMessage.objects.get())
    assert OutboxEntry.objects.count() == 1


def test_a_draft_saved_twice_is_one_draft_and_is_sent_once(editor: Client, filled: Fill) -> None:
    form = filled(_send=None, _draft="1")
    editor.post(ADD, form)
    editor.post(ADD, form)
    draft = ScheduledMessage.objects.get()
    assert not OutboxEntry.objects.exists()

    sending = {name: value for name, value in form.items() if name != "_draft"} | {"_send": "1"}
    editor.post(page_of(draft), sending)
    assert "info" in dict(told(editor.post(page_of(draft), sending)))
    assert OutboxEntry.objects.count() == 1


def test_a_key_that_is_none_is_refused(editor: Client, filled: Fill) -> None:
    for key in ("", "not-a-uuid", "\x00"):
        assert "composer_key" in editor.post(ADD, filled(composer_key=key)).context["form"].errors
    assert not ScheduledMessage.objects.exists()


def test_somebody_elses_draft_is_not_changed_by_its_key(
    editor: Client, staff: Callable[..., Client], filled: Fill
) -> None:
    form = filled(_send=None, _draft="1")
    editor.post(ADD, form)
    other = staff("add_scheduledmessage")
    assert other.post(ADD, form | {"content": "Mine now"}).status_code == 403
    assert ScheduledMessage.objects.get().parameters["content"] == "Hello"


TEN_AT_ONCE = """
import threading
import django

django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test import Client

call_command("migrate", verbosity=0)
user = get_user_model().objects.create_superuser("somebody")
session = Client()
session.force_login(user)
form = {
    "composer_key": "6f2b6b3e-6d0f-4c38-9a53-6a2c6f9ed1f0", "application": "TEST0-00001", "content": "Hello",
    "when": "now", "audience": "devices", "devices": "ABC", "_send": "Send",
}
clients = [Client() for _ in range(10)]
for client in clients:
    client.cookies = session.cookies
barrier = threading.Barrier(10)
answers = []


def post(client):
    barrier.wait()
    answers.append(client.post("/admin/django_pushwoosh/scheduledmessage/add/", form).status_code)
    connection.close()


threads = [threading.Thread(target=post, args=[client]) for client in clients]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

from django_pushwoosh.models import Dispatch, OutboxEntry, ScheduledMessage

print(sorted(answers), ScheduledMessage.objects.count(), Dispatch.objects.count(), OutboxEntry.objects.count())
"""


def test_ten_at_the_same_moment_send_once(tmp_path: Path) -> None:
    """On a database in a file, that several connections write to."""
    environment = os.environ | {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    done = subprocess.run(
        [sys.executable, "-c", TEN_AT_ONCE],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == f"{[302] * 10} 1 1 1"
