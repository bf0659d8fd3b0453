"""Devices that are named by a person's number or address: shown whole only to who may change devices."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from django_pushwoosh import push
from django_pushwoosh.models import OutboxEntry, UserLink
from tests.admin.test_records import Staff, phone, url

pytestmark = pytest.mark.django_db

NAMED = [
    ("+1 (415) 555-4567", 18, "+1•••4567"),
    ("415.555.4567", 18, "4•••4567"),
    ("whatsapp:+14155554567", 21, "whatsapp:+1•••4567"),
    # What an SDK says of the platform may be wrong.
    ("whatsapp:14155554567", 3, "whatsapp:1•••4567"),
    ("+14155554567", 3, "+1•••4567"),
    ("ada.lovelace@example.org", 14, "a•••@example.org"),
    ("ada.lovelace@example.org", 3, "a•••@example.org"),
]


@pytest.mark.parametrize(("hwid", "platform", "shown"), NAMED)
def test_however_it_is_written_it_is_masked(
    hwid: str, platform: int, shown: str, staff: Staff, admin_client: Client
) -> None:
    device = phone(hwid, platform=platform, push_token=hwid, extra={"hwid": hwid}, tags={"Phone": hwid})
    # In the middle of a text, digits without a sign of what they are may be anything.
    is_told = not hwid[0].isdigit()
    UserLink.objects.bulk_create([UserLink(device=device, user_id=hwid if is_told else "42")])
    push.set_badge(device, 1)
    entry = OutboxEntry.objects.get()
    OutboxEntry.objects.update(told=f"The device {hwid} is unknown" if is_told else "")
    looker = staff("view_device", "view_userlink", "view_outboxentry")
    pages = [
        url("device"), url("device", "change", device.pk), url("device", "history", device.pk),
        url("userlink"), url("userlink", "change", device.links.get().pk), url("outboxentry"),
        url("outboxentry", "change", entry.pk),
    ]  # fmt: skip
    for page in pages[:-3] + pages[-2:]:
        answer = looker.get(page)
        # The one is drawn at random, the others are whatever the database has come to: they may hold any digits.
        text = answer.content.decode().replace(str(answer.context["csrf_token"]), "")
        text = re.sub(rf'(?<=[/"])({device.pk}|{entry.pk}|{device.links.get().pk})(?=[/"])', "", text)
        assert hwid not in text, page
        assert "555" not in text, page
        assert "lovelace" not in text, page
        assert shown in text or shown.encode("ascii", "backslashreplace").decode() in text, page
    assert hwid in admin_client.get(url("device")).content.decode()
    assert str(device).endswith(shown)


@pytest.mark.parametrize(("hwid", "platform", "shown"), NAMED)
def test_a_search_does_not_guess_it(hwid: str, platform: int, shown: str, staff: Staff, admin_client: Client) -> None:
    device = phone(hwid, platform=platform)
    push.set_badge(device, 1)
    looker = staff("view_device", "view_outboxentry")
    for model in ("device", "outboxentry"):
        for part in (hwid.split()[0], hwid[-4:]):
            assert looker.get(url(model), {"q": part}).context["cl"].queryset.count() == 0
            assert admin_client.get(url(model), {"q": part}).context["cl"].queryset.count() == 1
