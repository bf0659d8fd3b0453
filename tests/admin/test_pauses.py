"""The switch that holds back one application or everything, who may use it, and what lists say of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.test import Client

from django_pushwoosh import push
from django_pushwoosh.models import OutboxEntry, Pause
from django_pushwoosh.protocol.audience import Devices
from django_pushwoosh.testing import run_outbox

from .conftest import APPLICATION, page_of
from .test_records import phone, url

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]


def pause(client: Client, what: str | None, reason: str = "The shop is on fire") -> Any:
    return client.post(url("pause", "add"), {"application": what, "reason": reason} if what else {"reason": reason})


def test_everything_is_paused_by_choice_and_resumed_after_a_question(admin_client: Client, sandbox: Any) -> None:
    assert pause(admin_client, "*").status_code == 302
    paused = Pause.objects.get()
    assert (paused.application, str(paused.paused_by)) == ("", "admin")
    push.set_badge(phone(), 3)
    message = push.send("Hello", to=Devices(["A"]))
    run_outbox()
    assert set(OutboxEntry.objects.values_list("status", flat=True)) == {"queued"}

    resume = url("pause", "resume", paused.pk)
    for address in (url("outboxentry"), url("scheduledmessage"), page_of(message)):
        page = admin_client.get(address).content.decode()
        assert "Everything is paused since" in page, address
        assert "by admin: The shop is on fire" in page, address
    assert resume in admin_client.get(url("outboxentry")).content.decode()

    assert "2 entries of the outbox wait" in admin_client.get(resume).content.decode()
    assert Pause.objects.exists(), "a look changes nothing"
    assert "Resumed: everything." in admin_client.post(resume, follow=True).content.decode()
    assert LogEntry.objects.filter(action_flag=DELETION).count() == 1
    run_outbox()
    assert not OutboxEntry.objects.filter(status="queued").exists()
    assert admin_client.get(resume).status_code == 404


def test_nothing_chosen_is_not_everything(admin_client: Client) -> None:
    for what in (None, "", "OTHER-00001"):
        assert pause(admin_client, what).status_code == 200, what
    assert pause(admin_client, "*", reason="").status_code == 200
    assert not Pause.objects.exists()


def test_what_is_paused_already_is_told_in_the_form(admin_client: Client) -> None:
    for what in ("*", APPLICATION):
        assert pause(admin_client, what).status_code == 302
        assert "already exists" in pause(admin_client, what).content.decode()
    assert Pause.objects.count() == 2


def test_a_reason_is_mended_and_nothing_else(admin_client: Client, django_user_model: Any) -> None:
    pause(admin_client, APPLICATION)
    paused = Pause.objects.get()
    form = {"application": "*", "reason": "Maintenance", "since_0": "2020-01-01", "since_1": "10:00"}
    admin_client.post(url("pause", "change", paused.pk), form)
    changed = Pause.objects.get()
    assert (changed.application, changed.reason, changed.since) == (APPLICATION, "Maintenance", paused.since)


def test_what_pushwoosh_paused_says_so(admin_client: Client) -> None:
    Pause.objects.create(application=APPLICATION, reason="Account suspended")
    for address in (url("outboxentry"), url("pause")):
        assert "Pushwoosh&#x27;s answer" in admin_client.get(address).content.decode()


def test_the_switch_takes_its_own_permissions(staff: Staff) -> None:
    paused = Pause.objects.create(application="", reason="for the test")
    resume = url("pause", "resume", paused.pk)
    looker = staff("view_outboxentry", "change_outboxentry", "view_pause", "change_pause", "view_scheduledmessage")
    for model in ("outboxentry", "scheduledmessage"):
        page = looker.get(url(model)).content.decode()
        assert "Everything is paused" in page
        assert resume not in page
        assert url("pause", "add") not in page
    assert looker.post(resume).status_code == 403
    assert looker.post(url("pause", "resume", 999_999)).status_code == 403, "whether it exists is an answer too"
    assert pause(looker, APPLICATION).status_code == 403
    assert Pause.objects.count() == 1

    keeper = staff("add_pause", "delete_pause", "view_outboxentry")
    page = keeper.get(url("outboxentry")).content.decode()
    assert resume in page
    assert url("pause", "add") in page
    for ask in (keeper.put, keeper.delete):
        assert ask(resume).status_code == 405
    assert staff("delete_pause", enforce_csrf_checks=True).post(resume).status_code == 403
    assert Pause.objects.exists()
    assert keeper.post(resume, follow=True).status_code == 200
    assert not Pause.objects.exists()


def test_who_is_not_logged_in_resumes_nothing(client: Client) -> None:
    paused = Pause.objects.create(application="", reason="for the test")
    assert client.post(url("pause", "resume", paused.pk)).headers["Location"].startswith("/admin/login/")
    assert Pause.objects.exists()


def test_the_switch_of_the_settings_is_told_on_the_lists(admin_client: Client, settings: Any) -> None:
    settings.PUSHWOOSH = {**settings.PUSHWOOSH, "PAUSED": True}
    for model in ("outboxentry", "scheduledmessage"):
        assert "switched off by PUSHWOOSH" in admin_client.get(url(model)).content.decode()
