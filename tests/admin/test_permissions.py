"""Who may do what: every view of ours, for everybody who may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from django_pushwoosh import push
from django_pushwoosh.models import Attempt, BulkJob, Dispatch, OutboxEntry, ScheduledMessage
from django_pushwoosh.protocol.audience import Devices
from django_pushwoosh.protocol.messages import Message

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


def test_what_is_there_and_what_is_not_are_refused_alike(staff: Staff, urls: dict[str, str]) -> None:
    nobody, adder = staff(), staff("add_scheduledmessage")
    missing = 999_999
    message = ScheduledMessage(pk=missing)
    for view, more in (
        ("confirm", ()),
        ("cancel", ()),
        ("state", ()),
        ("change", ()),
        ("history", ()),
        ("retry", (1,)),
    ):
        for client in (nobody, adder):
            assert client.get(page_of(message, view, *more)).status_code == 403, view
    for verb in ("start", "pause", "resume", "abort"):
        assert nobody.post(reverse(f"admin:django_pushwoosh_bulkjob_{verb}", args=[missing])).status_code == 403
    everything = staff(*(f"{verb}_scheduledmessage" for verb in ("add", "change", "view")))
    for view, more in (("confirm", ()), ("cancel", ()), ("state", ()), ("retry", (1,))):
        assert everything.get(page_of(message, view, *more)).status_code == 404, view


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


def test_who_may_only_add_learns_what_became_of_their_own_message(staff: Staff, filled: Fill) -> None:
    adder, other = staff("add_scheduledmessage"), staff("add_scheduledmessage")
    page = adder.post(ADD, filled(), follow=True)
    message = ScheduledMessage.objects.get()
    assert page.redirect_chain == [(page_of(message), 302)]
    shown = page.content.decode()
    assert "was queued" in shown
    assert 'data-status="scheduled"' in shown
    assert "/history/" not in shown
    assert adder.get(page_of(message, "state")).json()["status"] == "scheduled"
    for view in ("change", "state", "cancel", "history"):
        assert other.get(page_of(message, view)).status_code == 403, view
    assert adder.get(page_of(message, "cancel")).status_code == 403
    assert adder.get("/admin/django_pushwoosh/scheduledmessage/").status_code == 403

    OutboxEntry.objects.update(status=OutboxEntry.Status.FAILED)
    retry = page_of(message, "retry", OutboxEntry.objects.get().pk)
    assert other.post(retry).status_code == 403
    assert "queued again" in adder.post(retry, follow=True).content.decode()


def test_who_may_only_add_confirms_and_finishes_what_they_wrote(staff: Staff, filled: Fill) -> None:
    adder, other = staff("add_scheduledmessage"), staff("add_scheduledmessage")
    assert "Send to everyone?" in adder.post(ADD, filled(audience="everyone"), follow=True).content.decode()
    draft = ScheduledMessage.objects.get()
    assert adder.get(page_of(draft)).context["form"]["content"].value()[0].text == "Hello"
    assert other.post(page_of(draft), filled()).status_code == 403
    adder.post(page_of(draft), filled(composer_key=str(draft.composer_key)))
    draft.refresh_from_db()
    assert draft.status == ScheduledMessage.Status.SCHEDULED


def test_the_number_of_an_sms_is_masked_on_its_pages(staff: Staff, editor: Client) -> None:
    message = push.send(Message("Code 1", platforms=[18]), to=Devices(["+14155554567"]))
    Dispatch.objects.update(
        told="+14155554567 is blocked", answer={"response": {"UnknownDevices": {"": ["+14155554567"]}}}
    )
    OutboxEntry.objects.update(told="+14155554567 is blocked", status=OutboxEntry.Status.FAILED)
    entry = OutboxEntry.objects.get()
    Attempt.objects.create(entry=entry, number=1, took_seconds=1, started_at=message.created_at, told="+14155554567?")
    seer = staff("view_scheduledmessage", "add_scheduledmessage", "change_device")
    for view, more in (("change", ()), ("state", ()), ("retry", (entry.pk,))):
        shown = editor.get(page_of(message, view, *more)).content.decode()
        assert "4155554567" not in shown, view
        assert "•••4567" in shown or "\\u2022\\u2022\\u20224567" in shown, view
        assert "+14155554567" in seer.get(page_of(message, view, *more)).content.decode(), view


def test_a_form_does_not_show_the_numbers_of_somebody_elses_message(staff: Staff, editor: Client, filled: Fill) -> None:
    sms = filled(platforms=["18"], audience="devices", devices="+14155554567", _send=None, _draft="1")
    editor.post(ADD, sms)
    draft = ScheduledMessage.objects.get()
    assert "+14155554567" in editor.get(page_of(draft)).content.decode(), "its author typed it"

    other = staff(*(f"{verb}_scheduledmessage" for verb in ("add", "change", "view")))
    page = other.get(page_of(draft)).content.decode()
    assert "4155554567" not in page
    assert 'data-status="draft"' in page
    assert other.post(page_of(draft), sms).status_code == 403
    copied = other.get(ADD, {"copy": draft.pk}).content.decode()
    assert "4155554567" not in copied
    assert "was not copied" in copied
