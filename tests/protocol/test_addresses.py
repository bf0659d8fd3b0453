"""Numbers and e-mail addresses are told apart by their ends only, however they are written."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from django_pushwoosh.protocol.addresses import is_address, masked, masked_address


@pytest.mark.parametrize(
    ("hwid", "shown"),
    [
        ("+14155554567", "+1•••4567"),
        ("+1 (415) 555-4567", "+1•••4567"),
        ("+1.415.555.4567", "+1•••4567"),
        ("+1\u00a0415\u2011555\u20114567", "+1•••4567"),
        ("14155554567", "1•••4567"),
        ("(415) 555-4567", "4•••4567"),
        ("whatsapp:+14155554567", "whatsapp:+1•••4567"),
        ("whatsapp:14155554567", "whatsapp:1•••4567"),
        ("whatsapp:+1 415 555 4567", "whatsapp:+1•••4567"),
        ("ada@example.org", "a•••@example.org"),
        ("12345", "•••"),
        ("+", "+•••"),
        ("", "•••"),
    ],
)
def test_an_address_is_shown_by_its_ends(hwid, shown):
    assert masked_address(hwid) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("device:A:+1 (415) 555-4567", "device:A:+1•••4567"),
        ("device:A:whatsapp:+14155554567", "device:A:whatsapp:+1•••4567"),
        ("device:A:415 555 4567", "device:A:4•••4567"),
        ("user:A:ada.l@example.org", "user:A:a•••@example.org"),
        ('{"hwid": "+1 (415) 555-4567"}', '{"hwid": "+1•••4567"}'),
        ('{"hwid": "(415) 555-4567"}', '{"hwid": "4•••4567"}'),
        ('{"hwid": "\\u002b14155554567"}', '{"hwid": "\\u002b1•••4567"}'),
        ('{"email": "ada@example.org", "n": 1}', '{"email": "a•••@example.org", "n": 1}'),
        ("Unknown: +14155554567, +47 900 00 001.", "Unknown: +1•••4567, +4•••0001."),
        ("No mailbox <ada@example.org>", "No mailbox <a•••@example.org>"),
    ],
)
def test_addresses_in_a_text_are_shown_by_their_ends(text, shown):
    assert masked(text) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        '{"at": "2026-03-02 12:00"}', '{"at": "2026-03-02"}', '{"v": "7.1.3"}', '{"lat": "59.9138688"}',
        '{"address": "192.168.100.100"}', "device:A:0E3B6C5D-7C0A-4B57-9E0E-5B1C6D0F2A77",
        '{"timestampUTC": 1753500000}', "setTags for TEST0-00001: 210 No hwid given", "a + b", "@", "@x", "",
    ],
)  # fmt: skip
def test_what_is_none_stays(text):
    assert masked(text) == text


def test_who_is_named_by_an_address():
    for hwid in ("ada@example.org", "+4790000001", "whatsapp:4790000001", "WhatsApp:+47"):
        assert is_address(hwid)
    for platform in (14, 18, 21, "18"):
        assert is_address("90000001", platform)
    for platform in (1, 3, None, "", [18], {}):
        assert not is_address("90000001", platform)


DIGITS = st.lists(st.integers(0, 9), min_size=8, max_size=15).map(lambda digits: "".join(map(str, digits)))


@bounded(max_examples=300, derandomize=True, database=None, deadline=None)
@given(
    digits=DIGITS,
    cuts=st.lists(st.sampled_from(["", " ", "-", ".", " (", ") ", "/", "\u00a0"]), min_size=15, max_size=15),
    prefix=st.sampled_from(["+", "whatsapp:+", "whatsapp:"]),
    around=st.sampled_from(["%s", "device:A:%s", '{"hwid":"%s"}', "Device %s is unknown.", "SMS %s"]),
)
def test_no_number_can_be_read(digits, cuts, prefix, around):
    written = prefix + "".join(cut + digit for cut, digit in zip(cuts, digits, strict=False))
    for shown in (masked(around % written), masked_address(written)):
        assert digits[1:-4] not in re.sub(r"[^0-9]", "", shown) or len(set(digits)) < 3
        assert len(re.findall(r"[0-9]", shown)) == 5


@bounded(max_examples=200, derandomize=True, database=None, deadline=None)
@given(st.text())
def test_any_text_can_be_masked(text):
    assert isinstance(masked(text), str)
    assert isinstance(json.loads(masked(json.dumps({"a": text}))), dict)
    masked_address(text)


@pytest.mark.parametrize(
    "text", ["a" * 300_000, "+1" * 150_000, "1 " * 150_000, '"1' * 150_000, "a@" * 150_000, "+(" * 150_000]
)
def test_a_long_text_takes_no_longer_than_long(text):
    started = time.process_time()
    masked(text)
    assert time.process_time() - started < 2
