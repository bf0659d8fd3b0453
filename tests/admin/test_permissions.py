"""Who may do what: every view of ours, for everybody who may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from django_pushwoosh import push
from django_pushwoosh.models import BulkJob, OutboxEntry, ScheduledMessage
from django_pushwoosh.protocol.audience import Devices

from .conftest import ADD, APPLICATION, page_of

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
Fill = Callable[..., dict[str, Any]]


@pytest.fixture
def urls() -> dict[str, str]:
    """One address of every view, for an object in the state that the view is about."""
    draft = ScheduledMessage.objects.create(
        application=APPLICATION, parameters={"content": "All"}, audience={"kind": "everyone"}
    )
    sent = push.send("Hello", to=Devices(["A"]))
    failed = push.send("Hello", to=Devices(["B"]))
    OutboxEntry.objects.filter(dispatch__message=failed).update(status=OutboxEntry.Status.FAILED)
    entry = OutboxEntry.objects.get(dispatch__message=failed)
    job = push.bulk_register_devices([{"hwid": "A", "push_token": "t", "platform": 1}], is_started=False)
    return {
        "add": ADD,
        "draft": page_of(draft),
        "message": page_of(sent),
        "confirm": page_of(draft, "confirm"),
        "cancel": page_of(sent, "cancel"),
        "state": page_of(sent, "state"),
        "retry": page_of(failed, "retry", entry.pk),
        **{
            verb: reverse(f"admin:django_pushwoosh_bulkjob_{verb}", args=[job.pk])
            for verb in ("start", "pause", "resume", "abort")
        },
    }


def states() -> list[Any]:
    return [
        *ScheduledMessage.objects.order_by("pk").values_list("pk", "status"),
        *OutboxEntry.objects.order_by("pk").values_list("pk", "status"),
        *BulkJob.objects.values_list("pk", "status"),
    ]


def test_strangers_are_sent_to_the_login(client: Client, urls: dict[str, str]) -> None:
    before = states()
    for url in urls.values():
        for ask in (client.get, client.post):
            assert ask(url).headers["Location"].startswith("/admin/login/")
    assert states() == before


def test_staff_without_permission_is_refused(staff: Staff, urls: dict[str, str]) -> None:
    before, nobody = states(), staff()
    for name, url in urls.items():
        for ask in (nobody.get, nobody.post):
            assert ask(url).status_code == 403, name
    assert states() == before


@pytest.mark.parametrize(
    ("name", "permissions"),
    [
        ("add", ["view_scheduledmessage", "change_scheduledmessage"]),
        ("confirm", ["view_scheduledmessage", "change_scheduledmessage"]),
        ("confirm", ["add_scheduledmessage"]),
        ("cancel", ["view_scheduledmessage", "add_scheduledmessage"]),
        ("retry", ["view_scheduledmessage", "change_scheduledmessage"]),
        ("retry", ["add_scheduledmessage"]),
        ("state", ["add_scheduledmessage"]),
        ("message", ["add_scheduledmessage"]),
        ("start", ["view_bulkjob"]),
        ("abort", ["view_bulkjob", "delete_bulkjob"]),
    ],
)  # fmt: skip
def test_another_permission_does_not_do(staff: Staff, urls: dict[str, str], name: str, permissions: list[str]) -> None:
    before, somebody = states(), staff(*permissions)
    assert somebody.post(urls[name], {"_confirm": "1"}).status_code == 403
    assert states() == before


def test_looking_changes_nothing(staff: Staff, urls: dict[str, str]) -> None:
    before = states()
    everything = staff(
        *(f"{verb}_{model}" for verb in ("add", "change", "view") for model in ("scheduledmessage", "bulkjob"))
    )
    for name, url in urls.items():
        expected = 405 if name in ("start", "pause", "resume") else 200
        assert everything.get(url).status_code == expected, name
    assert states() == before


def test_other_methods_are_not_allowed(staff: Staff, urls: dict[str, str]) -> None:
    everything = staff(
        *(f"{verb}_{model}" for verb in ("add", "change", "view") for model in ("scheduledmessage", "bulkjob"))
    )
    for name in ("confirm", "cancel", "retry", "state", "start", "abort"):
        assert everything.put(urls[name]).status_code == 405, name
        assert everything.delete(urls[name]).status_code == 405, name
    assert everything.post(urls["state"]).status_code == 405


def test_a_post_without_a_csrf_token_is_refused(staff: Staff, urls: dict[str, str], filled: Fill) -> None:
    before = states()
    everything = staff(
        *(f"{verb}_{model}" for verb in ("add", "change", "view") for model in ("scheduledmessage", "bulkjob")),
        enforce_csrf_checks=True,
    )
    for name, url in urls.items():
        if name != "state":
            assert everything.post(url, filled()).status_code == 403, name
    assert states() == before


def test_who_may_only_look_sees_a_draft_and_cannot_change_it(staff: Staff, urls: dict[str, str], filled: Fill) -> None:
    looker = staff("view_scheduledmessage")
    page = looker.get(urls["draft"]).content.decode()
    assert 'data-status="draft"' in page
    assert "<textarea" not in page
    assert looker.post(urls["draft"], filled()).status_code == 403
    page = looker.get(urls["message"]).content.decode()
    assert "cancel-message" not in page
    assert "copy=" not in page


def test_who_may_change_drafts_may_not_send_them(staff: Staff, urls: dict[str, str], filled: Fill) -> None:
    before = states()
    changer = staff("view_scheduledmessage", "change_scheduledmessage")
    assert 'name="_send"' not in changer.get(urls["draft"]).content.decode()
    assert changer.post(urls["draft"], filled()).status_code == 403
    assert states() == before


def test_who_may_only_add_is_led_somewhere_they_may_be(staff: Staff, filled: Fill) -> None:
    adder = staff("add_scheduledmessage")
    response = adder.post(ADD, filled(), follow=True)
    assert response.status_code == 200
    assert "was queued" in response.content.decode()
    sent = adder.post(ADD, filled(audience="everyone"), follow=True)
    assert "Send to everyone?" in sent.content.decode()
