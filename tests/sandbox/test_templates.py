"""Liquid: rendered for each device where python-liquid is installed, and never to the sandbox's harm."""

from __future__ import annotations

import importlib
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_pushwoosh.sandbox import templates

from .conftest import NOON

VARIABLES = {
    "Name": "Ann",
    "First Name": "Ann Lee",
    "Level": 7,
    "Interests": ["sport", "news"],
    "shop": {"city": "Oslo"},
}
PIECES = st.sampled_from(
    ["{{", "}}", "{%", "%}", "if", "for i in (1..9)", "endif", "endfor", "Name", "|", "upcase", " ", "'", '"', ":", "x"]
)


def rendered(text: str) -> str:
    return templates.render(text, VARIABLES, NOON)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Hello {{ Name | upcase }}!", "Hello ANN!"),
        ("{{ First_Name }} in {{ shop.city }}", "Ann Lee in Oslo"),
        ("{% if Level > 5 %}Pro{% else %}New{% endif %}", "Pro"),
        ("{% for each in Interests %}{{ each }} {% endfor %}", "sport news "),
        ("{% for i in (1..3) %}{{ i }}{% endfor %}", "123"),
        ("{{ nobody | default: 'friend' }}", "friend"),
        ('{{ "now" | date: "%Y-%m-%d %H:%M" }}', "2026-03-02 12:00"),
        ("{{ 0 | date: '%Y-%m-%d %H:%M' }}", "1970-01-01 00:00"),
        ("{{ nobody }}", ""),
        ("no Liquid {Name|regular|x}", "no Liquid {Name|regular|x}"),
    ],
)
def test_a_template_is_rendered(text, read):
    assert templates.is_installed()
    assert rendered(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "{{ Name",
        "{% if Name %}never closed",
        "{{ Name | no_such_filter }}",
        "{% no_such_tag %}",
        "{% include 'other' %}",
        "{{ 1 | divided_by: 0 }}",
    ],
)
def test_a_wrong_template_stays_as_it_is(text):
    assert rendered(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in (1..1000000000) %}x{% endfor %}",
        "{% for i in (1..1000000000) reversed %}x{% endfor %}",
        "{% assign n = 1000000000 %}{% for i in (1..n) limit: 1 offset: 999999999 %}x{% endfor %}",
        "{{ (1..1000000000) | join: ',' }}",
        "{% assign a = 'xxxxxxxx' %}" + "{% assign a = a | append: a %}" * 60 + "{{ a }}",
        "{% assign a = 9 %}" + "{% assign a = a | times: a %}" * 60 + "{{ a }}",
        "{{ 'x' " + "| replace: 'x', 'xxxxxxxxxx' " * 40 + "}}",
        "{% assign a = 'x,x' | split: ',' %}" + "{% assign a = a | concat: a %}" * 60 + "{{ a | size }}",
        "{% for i in (1..99) %}{% for j in (1..99) %}{% for k in (1..99) %}x{% endfor %}{% endfor %}{% endfor %}",
        "{% if Name %}" * 300,
        "{{ a" + "[a" * 1000 + "]" * 1000 + " }}",
        "{{ " + "(" * 4000 + " }}",
        "{{ x }}" * 5000,
        "{{ 1e400 | ceil }}{{ 5 | round: -99999999999 }}{{ 'now' | date: '%9999999999d' }}{{ 1 | no }}",
    ],
)
def test_a_greedy_template_stays_as_it_is_and_takes_no_time(text):
    start = time.process_time()
    assert rendered(text) == text
    assert time.process_time() - start < 2


def test_huge_variables_are_cut():
    variables = {"a": "x" * 10**6, "b": [[0] * 1000] * 1000, "c": 10**1000}
    assert templates.render("{{ a | size }} {{ b | size }} {{ c }}", variables, NOON) == "4096 1000 "


def test_without_the_extra_templates_pass_through(monkeypatch):
    for cached in (templates._environment, templates._template):
        cached.cache_clear()
    monkeypatch.setitem(sys.modules, "liquid", None)
    try:
        assert not templates.is_installed()
        assert rendered("Hello {{ Name }}") == "Hello {{ Name }}"
    finally:
        monkeypatch.undo()
        for cached in (templates._environment, templates._template):
            cached.cache_clear()
    assert importlib.import_module("liquid")
    assert rendered("Hello {{ Name }}") == "Hello Ann"


@settings(deadline=None, derandomize=True)
@given(st.lists(PIECES, max_size=20).map(" ".join) | st.text())
def test_any_text_is_answered(text):
    assert isinstance(rendered(text), str)
