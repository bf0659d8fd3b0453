"""The statistics hash: read as the SDKs read it, and nothing worse happens whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_pushwoosh.protocol.hashes import LONGEST, LONGEST_CODE, MessageHash, decode, encode

HEX = st.integers(0, 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("x_1_2_1-1", MessageHash(1, 2, "0001-00000001")),
        ("__0_Z-!", MessageHash(0, 0, "003D-00000000")),
        ("s_a_A_plain", MessageHash(10, 36, "plain")),
        ("s_10_zz_1-2-3", MessageHash(62, 35 * 62 + 35, "0001-00000002-00000003")),
        ("s_1_2_4GFfc3-4GFfc3-0", MessageHash(1, 2, "FFFFFFFF-FFFFFFFF-00000000")),
        ("s_1_2_h3-4GFfc3_and_more", MessageHash(1, 2, "0421-FFFFFFFF")),
        ("s_!_?_1-ü", MessageHash(0, 0, "0001-00000000")),
        ("s_1_2_--", MessageHash(1, 2, "0000-00000000-00000000")),
    ],
)
def test_hashes_are_read_as_the_sdks_read_them(text: str, meant: MessageHash) -> None:
    assert decode(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "", "dGVzdGhhc2g=", "too_short", "a_b_c", "a_1_2_", "s_1_2_" + "1-" * 40, "s_1_2_" + "Z" * 12 + "-1",
        "s_" + "9" * 12 + "_2_1-1", "s_1_2_" + "A" * (LONGEST_CODE + 1), "_" * 3 + "1-1" + "_" * LONGEST,
        None, 1, ["s_1_2_1-1"], {"a": 1},
    ],
)  # fmt: skip
def test_what_names_no_message_is_nothing(text: object) -> None:
    assert decode(text) is None


@given(
    campaign=st.integers(0, 2**63),
    message=st.integers(0, 2**63),
    first=st.integers(0, 0xFFFF),
    rest=st.lists(HEX, min_size=1, max_size=3),
)
@hypothesis_settings(derandomize=True, deadline=None)
def test_what_is_written_is_read_again(campaign: int, message: int, first: int, rest: list[int]) -> None:
    code = "-".join([f"{first:04X}", *(f"{each:08X}" for each in rest)])

    assert decode(encode(campaign, message, code)) == MessageHash(campaign, message, code)


@given(st.text(st.characters(), max_size=60) | st.from_regex(r"[0-9a-zA-Z_-]{0,600}", fullmatch=True))
@hypothesis_settings(derandomize=True, deadline=None)
def test_whatever_comes_is_short_or_nothing(text: str) -> None:
    found = decode(text)

    assert found is None or 0 < len(found.code) <= LONGEST_CODE
