"""Values made to hurt, for the property tests of this folder."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

steadily = settings(deadline=None, derandomize=True)
"""The same examples on every run, however slow the machine."""


class Strange:
    """An object that says nothing about itself."""

    def __repr__(self) -> str:
        raise RuntimeError("no one may ask")


def _nested(depth: int) -> Any:
    value: Any = "bottom"
    for level in range(depth):
        value = {"a": value} if level % 2 else [value]
    return value


def _own_child() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def _doubled() -> list[Any]:
    """Sixty lists that hold 2**30 values."""
    value: list[Any] = ["x"]
    for _ in range(30):
        value = [value, value]
    return value


any_text = st.text(alphabet=st.characters(exclude_categories=()), max_size=30)

MONSTERS: dict[str, Any] = {
    "a number of 5000 digits": 10**5000,
    "a negative one": -(10**5000),
    "2**63": 2**63,
    "-2**63": -(2**63),
    "digits without end": "9" * 5000,
    "a long text": "+" * 70_000,
    "braces": "{" * 5000,
    "brackets": "[" * 5000,
    "deep JSON": '{"a":' * 5000,
    "an object without a repr": Strange(),
    "a class": object,
    "a decimal": Decimal("1.5"),
    "a complex number": 1j,
    "the last day": date.max,
    "the last second": datetime.max.replace(tzinfo=UTC),
    "the longest duration": timedelta.max,
    "a set": frozenset({"a"}),
    "a byte array": bytearray(b"a"),
    "a range": range(3),
    "a deep list": _nested(2000),
    "a deep object": {"a": _nested(2000)},
    "a list in itself": _own_child(),
    "a list doubled thirty times": _doubled(),
    "a monster as key": {10**5000: "x", "\ud800": "x", None: "x", "": "x"},
}
"""By name, because a failing test could not print most of them."""


def monster(name: str) -> Any:
    return MONSTERS[name]


TEXTS = [
    "\x00", "\ud800", "é\udfff", "", " ", "\n", "now", "now\n", "0000-00-00 00:00", "+1\n", "#FFFFFF\n", "http://[",
    "http://a:99999999/", "http://\n", "javascript:alert(1)", "../../etc/passwd", "AAAAA-AAAAA\n", "٣", "１２",
    "{", "{}", "+٣", "२०२७-०१-०१", "NaN", '{"a": Infinity}', '{"a": 1e999}', "null",
]  # fmt: skip

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    any_text,
    st.binary(max_size=8),
    st.sampled_from(TEXTS),
    st.sampled_from(sorted(MONSTERS)).map(monster),
)

values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(any_text, st.integers(), st.none(), st.sampled_from(["en", "lat", "aps"])), inner),
    ),
    max_leaves=8,
)
