"""The page about the sandbox says what the code does."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest

import django_pushwoosh.sandbox
from django_pushwoosh.sandbox import faults
from django_pushwoosh.sandbox.__main__ import _parser
from django_pushwoosh.sandbox.options import SWITCHED, Options

MARK = "Unverified against Pushwoosh"
PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"
CODE = Path(django_pushwoosh.sandbox.__file__).parent


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text()


def section(page: str, title: str) -> str:
    return page.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_every_unverified_decision_has_its_line(page):
    marked = Counter({file.stem: count for file in CODE.glob("*.py") if (count := file.read_text().count(MARK))})
    listed = Counter(re.findall(r"\| `(\w+)` \|$", section(page, MARK), re.MULTILINE))
    assert sum(listed.values()) > 30
    assert listed == marked


def test_every_option_is_listed_with_its_default(page):
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section(page, "Options"), re.MULTILINE))
    defaults = {each.name: each.default for each in fields(Options) if each.name in SWITCHED}
    assert rows.keys() == defaults.keys()
    for name, default in defaults.items():
        told = str(default).lower() if isinstance(default, bool) else f"{default:g}" if default in (0, 2) else default
        assert rows[name] == str(told), name


def test_every_option_of_the_command_is_listed(page):
    options = {each for action in _parser()._actions for each in action.option_strings if each.startswith("--")}
    listed = set(re.findall(r"(?<=`)--[a-z-]+", section(page, "Run it")))
    assert options - {"--help"} == listed


def test_every_fault_is_listed(page):
    listed = set(re.findall(r"`(\w+)\(", section(page, "Faults")))
    made = {
        name
        for name in vars(faults)
        if callable(getattr(faults, name))
        and getattr(getattr(faults, name), "__annotations__", {}).get("return") == "Fault"
    }
    assert made - {"delay"} <= listed
