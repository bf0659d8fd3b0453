"""Any calls of the SDKs in any order, replays among them, leave a mirror that holds together."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from django_pushwoosh import push
from django_pushwoosh.delivery import mirror, tag_mirror
from django_pushwoosh.models import Device, OutboxEntry, Statistic, UserLink, canonical_hwid
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.methods import AskedBy
from django_pushwoosh.protocol.platforms import REACHED_BY_HWID
from django_pushwoosh.testing import use_sandbox

APPLICATION = "TEST0-00001"
START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NUMBER = "+4790000001"
SDK_METHODS = sorted(name for name, method in METHODS.items() if method.asked_by is AskedBy.SDK)

hwids = st.sampled_from(["phone", "PHONE", "tablet", NUMBER, f"whatsapp:{NUMBER}", "ada@example.org", "", None, 7])
users = st.sampled_from(["ada", "grace", "phone", "", None, "x" * 300])
numbered = st.fixed_dictionaries({"operation": st.integers(-1, 4)}, optional={"value": st.sampled_from(["1", "a"])})
tags = st.dictionaries(
    st.sampled_from(["Age", "Likes", ""]),
    st.sampled_from(
        [
            1, "a", None, ["a", "b"], {"operation": "increment", "value": 1}, {"operation": "append", "value": ["c"]},
            "y" * 40_000,
        ]
    )
    | numbered,
    max_size=2,
)  # fmt: skip
arguments = st.fixed_dictionaries(
    {},
    optional={
        "hwid": hwids,
        "device_type": st.sampled_from([1, 3, 11, 14, 18, 21, 150, "3", None, -1, True]),
        "push_token": st.sampled_from(["token", "other", "", None]),
        "userId": users,
        "user_id": users,
        "oldUserId": users,
        "newUserId": users,
        "email": st.sampled_from(["ada@example.org", "grace@example.org", "", 5]),
        "sms_phone_number": st.sampled_from([NUMBER, ""]),
        "whatsapp_phone_number": st.sampled_from([NUMBER, f"whatsapp:{NUMBER}"]),
        "push_devices": st.lists(
            st.fixed_dictionaries({}, optional={"hwid": hwids, "platform": st.sampled_from([10, 11, None])}), max_size=3
        ),
        "tags": tags,
        "language": st.sampled_from(["en", "English", "zh-Hans-CN", "x" * 400, ""]),
        "timezone": st.sampled_from([7200, "7200", "soon", 10**9]),
        "hash": st.sampled_from(["s_1_2_1-1", "s_1_2_1-2", "t_1_2_1-1", "dGVzdA==", "", 3]),
        "badge": st.integers(-1, 3),
        "idfa": st.just("an advertising id"),
    },
)
calls = st.tuples(st.sampled_from(SDK_METHODS), arguments, st.booleans(), st.integers(0, 900))


class TestAnyOrder(TestCase):
    @hypothesis_settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.lists(calls, max_size=12))
    def test_the_mirror_holds_together(self, said: list[tuple[str, dict[str, Any], bool, int]]) -> None:
        now = START
        tokens: dict[str, str] = {}
        for method, given_arguments, is_replay, seconds in said:
            now += timedelta(seconds=seconds)
            call = Call(METHODS[method], APPLICATION, given_arguments, is_replay=is_replay)
            mirror.note(call, now=now)
            self._holds_together()
            for device in Device.objects.all():
                if tokens.get(device.hwid) and method != "unregisterDevice":
                    assert device.push_token, f"{method} blanked a token"
            tokens = dict(Device.objects.values_list("hwid", "push_token"))

    def _holds_together(self) -> None:
        devices = list(Device.objects.all())
        assert len({(device.application, device.hwid) for device in devices}) == len(devices)
        for device in devices:
            assert device.hwid == canonical_hwid(device.hwid, device.platform)
            assert len(json.dumps(device.tags)) <= tag_mirror.MOST_BYTES
            assert len(json.dumps(device.extra)) <= tag_mirror.MOST_BYTES
            assert "an advertising id" not in json.dumps(device.extra)
            assert (device.unsubscribed_at is None) == (device.unsubscribed_reason == "")
            assert not (device.push_token and device.unsubscribed_at)
            if device.platform in REACHED_BY_HWID:
                assert device.push_token in ("", device.hwid)
            links = list(UserLink.objects.filter(device=device))
            assert sum(link.is_open is True for link in links) <= 1
            assert all(link.user_id not in ("", device.hwid) for link in links)
            assert all(link.until is None or link.since <= link.until for link in links)
        assert Statistic.objects.count() <= 2 * 3 * len(hwids.elements)  # type: ignore[attr-defined]
        assert not OutboxEntry.objects.exists(), "what was heard is not echoed"

    @hypothesis_settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.lists(calls, max_size=6))
    def test_a_replay_changes_nothing_that_is_known_but_a_token(
        self, said: list[tuple[str, dict[str, Any], bool, int]]
    ) -> None:
        """Told while the device goes on speaking; what it says is newer than whatever is sent again."""
        now = START
        known = {"hwid": "phone", "device_type": 3, "userId": "ada", "language": "nb", "v": "2", "timezone": 3600}
        newest = Call(METHODS["registerDevice"], APPLICATION, {**known, "push_token": "new", "tags": {"Age": 5}})
        mirror.note(newest, now=now)
        for method, given_arguments, _is_replay, _seconds in said:
            told = {**given_arguments, "hwid": "phone", "device_type": 3}
            mirror.note(Call(METHODS[method], APPLICATION, told, is_replay=True), now=now + timedelta(seconds=30))
        device = Device.objects.get(hwid="phone")

        assert (device.language, device.sdk_version, device.utc_offset_seconds) == ("nb", "2", 3600)
        assert device.tags["Age"] == 5
        assert device.push_token in ("new", "token", "other")
        assert device.unsubscribed_at is None
        assert UserLink.objects.open().get(device=device).user_id == "ada"

    @hypothesis_settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.lists(calls, max_size=6))
    def test_queueing_leaves_what_noting_does(self, said: list[tuple[str, dict[str, Any], bool, int]]) -> None:
        left = []
        with use_sandbox():
            for is_queued in (True, False):
                for model in (UserLink, Device):
                    model.objects.all()._raw_delete("default")
                Statistic.objects.all().delete()
                for method, given_arguments, is_replay, _seconds in said:
                    call = Call(METHODS[method], APPLICATION, given_arguments, b"{}", is_replay=is_replay)
                    if is_queued:
                        push.queue_call(call)
                    else:
                        push.mirror_call(call)
                names = ("hwid", "platform", "push_token", "language", "tags", "extra", "badge", "unsubscribed_reason")
                links = UserLink.objects.order_by("pk").values_list("device__hwid", "user_id", "is_open")
                reports = Statistic.objects.order_by("key", "kind").values_list("key", "kind", "message_code")
                left.append((list(Device.objects.order_by("hwid").values_list(*names)), list(links), list(reports)))
        assert left[0] == left[1]
