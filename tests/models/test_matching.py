"""A filter over the mirror: what surely matches, what possibly does, and never a guess."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from django_pushwoosh.models import Device, UserLink
from django_pushwoosh.protocol.errors import InvalidFilter
from django_pushwoosh.protocol.filters import Application, AppTag, Expression, Group, Operator, Tag, TagSet, parse
from django_pushwoosh.sandbox.audience import evaluate
from django_pushwoosh.sandbox.options import Options
from django_pushwoosh.sandbox.state import Application as SandboxApplication
from django_pushwoosh.sandbox.state import State

APPLICATION, OTHER = "TEST0-00001", "TEST0-00002"
NOW = datetime(2027, 5, 17, 12, tzinfo=UTC)


def device(hwid: str = "phone", application: str = APPLICATION, **attributes: Any) -> Device:
    [made] = Device.objects.bulk_create(
        [Device(**{"application": application, "hwid": hwid, "platform": 3, "push_token": f"t-{hwid}", **attributes})]
    )
    return made


def judge(expression: Expression | str) -> dict[str, str]:
    surely = set(Device.objects.matching(expression, now=NOW).values_list("hwid", flat=True))
    possibly = set(Device.objects.possibly_matching(expression, now=NOW).values_list("hwid", flat=True))
    assert surely <= possibly
    everyone = Device.objects.values_list("hwid", flat=True)
    return {hwid: "yes" if hwid in surely else "unknown" if hwid in possibly else "no" for hwid in everyone}


@pytest.mark.django_db
class TestStories:
    @pytest.mark.parametrize(
        ("value", "condition", "answer"),
        [
            ("Oslo", Tag("x").eq("Oslo"), "yes"),
            ("Oslo", Tag("x").eq("Rome"), "no"),
            ("Oslo", Tag("x").eq("OSLO"), "unknown"),
            ("Ørsta", Tag("x").eq("Ørsta"), "yes"),
            ("Ørsta", Tag("x").eq("Rome"), "no"),
            ("Oslo", Tag("x").in_(["Rome", "Oslo"]), "yes"),
            ("Oslo", Tag("x").not_eq("Rome"), "yes"),
            ("Oslo", Tag("x").not_in(["Rome", "Oslo"]), "no"),
            ("Oslo", Tag("x").not_eq("oslo"), "unknown"),
            ("Oslo", Tag("x").any(), "yes"),
            ("Oslo", Tag("x").not_set(), "no"),
            ("Oslo", Tag("y").eq("Oslo"), "unknown"),
            ("Oslo", Tag("y").not_eq("Oslo"), "unknown"),
            ("Oslo", Tag("y").not_set(), "unknown"),
            (17, Tag("x").eq(17), "yes"),
            (17, Tag("x").eq("17"), "yes"),
            (17, Tag("x").between(17, 20), "yes"),
            (17, Tag("x").gte(18), "no"),
            (17.5, Tag("x").lte(17.5), "yes"),
            (2**53 + 1, Tag("x").eq(2**53), "unknown"),
            (1, Tag("x").eq(True), "no"),
            (True, Tag("x").eq(True), "yes"),
            (True, Tag("x").eq(1), "yes"),
            (True, Tag("x").eq("false"), "no"),
            ("1", Tag("x").eq(1), "yes"),
            ("2027-05-17 09:30", Tag("x").eq("2027-05-17"), "yes"),
            ("2027-05-17 09:30", Tag("x").eq("2027-05-18"), "no"),
            ("2027-05-17 09:30", Tag("x").gte("1 day ago"), "yes"),
            ("2027-05-15", Tag("x").gte("1 day ago"), "no"),
            ("2027-05-17 09:30", Tag("x").between("2027-05-17 09:30", "2027-05-17 09:30"), "yes"),
            ("2027-02-30", Tag("x").gte("2027-01-01"), "unknown"),
            ("1.10", Tag("x").gte("1.9"), "unknown"),
            ("1.10", Tag("x").eq("1.10"), "yes"),
            ("beta", Tag("x").gte("1.9"), "no"),
            (["jazz", "rock"], Tag("x").in_(["jazz"]), "yes"),
            (["jazz", "rock"], Tag("x").in_(["pop"]), "no"),
            (["Jazz", "rock"], Tag("x").in_(["jazz"]), "unknown"),
            (["jazz", "rock"], Tag("x").not_in(["pop"]), "yes"),
            (["jazz, rock"], Tag("x").in_(["rock"]), "no"),
            ([7], Tag("x").in_(["7"]), "unknown"),
            ([], Tag("x").any(), "no"),
            ([], Tag("x").not_set(), "yes"),
        ],
        ids=repr,
    )
    def test_a_tag_is_compared_as_its_value_asks_for(self, value: Any, condition: Expression, answer: str) -> None:
        device(tags={"x": value})
        assert judge(condition) == {"phone": answer}

    @pytest.mark.parametrize(
        "name",
        [
            "a b",
            "a.b",
            "a__b",
            "$",
            "$.x",
            "x'; DROP TABLE y; --",
            "%s",
            "%",
            "0",
            "[0]",
            "a[0]",
            "é",
            "a:b",
            "{}",
            "*",
            "x?",
        ],
    )
    def test_a_name_may_be_anything(self, name: str) -> None:
        device(tags={name: "Oslo", "x": "Rome"})
        assert judge(Tag(name).eq("Rome"))["phone"] in ("no", "unknown")
        # A name that a database's path cannot spell is unknown there, and never another tag.
        assert judge(Tag(name).eq("Oslo"))["phone"] == ("yes" if name.isascii() else judge(Tag(name).any())["phone"])

    @pytest.mark.parametrize("name", ['a"b', "a\\b", 'x" || "', "tab\t", '"$.x"'])
    def test_a_name_that_no_path_can_spell_is_unknown_or_right(self, name: str) -> None:
        device(tags={name: "Oslo", "x": "Rome"})
        assert judge(Tag(name).eq("Oslo"))["phone"] in ("yes", "unknown")
        assert judge(Tag(name).eq("Rome"))["phone"] in ("no", "unknown")

    def test_what_pushwoosh_keeps_by_itself_is_read_from_the_columns(self) -> None:
        device("a", language="en-US", app_version="1.2", os_version="17", device_model="Pixel", opened_at=NOW)
        device("b", platform=1)
        UserLink.objects.bulk_create([UserLink(device=Device.objects.get(hwid="a"), user_id="ada")])
        assert judge(Tag("Language").eq("en")) == {"a": "yes", "b": "unknown"}
        assert judge(Tag("Language").eq("en-GB")) == {"a": "yes", "b": "unknown"}
        assert judge(Tag("Language").in_(["no", "da"])) == {"a": "no", "b": "unknown"}
        assert judge(Tag("Application Version").eq("1.2")) == {"a": "yes", "b": "unknown"}
        assert judge(Tag("Platform").eq("iOS")) == {"a": "no", "b": "yes"}
        assert judge(Tag("User ID").eq("ada")) == {"a": "yes", "b": "no"}
        assert judge(Tag("User ID").eq("b")) == {"a": "no", "b": "yes"}
        assert judge(Tag("Last Application Open").gte("1 day ago")) == {"a": "yes", "b": "unknown"}
        assert judge(Tag("Last Application Open").lte("2027-05-16")) == {"a": "no", "b": "unknown"}
        for name in ("Country", "City", "First Install", "SDK Version"):
            assert judge(Tag(name).eq("x")) == {"a": "unknown", "b": "unknown"}

    def test_a_tag_of_its_own_goes_before_the_column(self) -> None:
        device(language="en", tags={"Language": "no"})
        assert judge(Tag("Language").eq("no")) == {"phone": "yes"}

    def test_applications_and_their_tags_are_told_apart(self) -> None:
        device("a", tags={"Level": 5})
        device("b", OTHER, platform=1, tags={"Level": 5})
        device("c", unsubscribed_at=NOW)
        assert judge(Application(APPLICATION)) == {"a": "yes", "b": "no", "c": "no"}
        assert judge(Application(OTHER, ["iOS"])) == {"a": "no", "b": "yes", "c": "no"}
        assert judge(Application(OTHER, ["Android"])) == {"a": "no", "b": "no", "c": "no"}
        assert judge(AppTag(OTHER, "Level").gte(5)) == {"a": "no", "b": "yes", "c": "no"}
        assert set(judge(Group("AAAAA-AAAAA")).values()) == {"unknown"}

    def test_what_is_unknown_is_neither_added_nor_taken_away_for_sure(self) -> None:
        device("a", tags={"x": 1, "y": 1})
        device("b", tags={"x": 1})
        both, less = Tag("x").eq(1) & Tag("y").eq(1), Tag("x").eq(1) - Tag("y").eq(1)
        assert judge(both) == {"a": "yes", "b": "unknown"}
        assert judge(less) == {"a": "no", "b": "unknown"}
        assert judge(Tag("x").eq(1) | Tag("y").eq(1)) == {"a": "yes", "b": "yes"}
        assert Device.objects.estimate(both, now=NOW) == (1, 1)

    def test_one_query_answers_whatever_its_length(self) -> None:
        device(tags={"x": 7})
        terms = [f'T("x", EQ, {number})' for number in range(400)]
        for text in (" + ".join(terms), " * ".join(f'T("x", NOTEQ, {number})' for number in range(100, 500))):
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert Device.objects.matching(text, now=NOW).count() == 1
            assert len(queries) == 1

    def test_what_is_too_large_for_a_database_is_refused_in_words(self) -> None:
        with pytest.raises(InvalidFilter, match="too many for a query"):
            Device.objects.matching(" + ".join(['T("x", EQ, 1)'] * 2000))
        nested = 'T("x", EQ, 1)'
        for number in range(200):
            nested = f'({nested} {"+*"[number % 2]} T("x", EQ, 1))'
        with pytest.raises(InvalidFilter, match="too deep for a query"):
            Device.objects.matching(nested)
        with pytest.raises(InvalidFilter):
            Device.objects.matching("T(")
        with pytest.raises(InvalidFilter):
            Device.objects.matching(None)  # type: ignore[arg-type]

    def test_the_result_is_a_queryset_like_any_other(self) -> None:
        device("a", tags={"x": 1})
        device("b", tags={"x": 1}, platform=1)
        found = Device.objects.of(APPLICATION).subscribed().matching(Tag("x").eq(1)).filter(platform=1)
        assert [each.hwid for each in found[:5]] == ["b"]


NAMES = st.sampled_from(["x", "y", "Language"])
TEXTS = st.sampled_from(
    ["Oslo", "oslo", "Rome", "17", "true", "1.9", "1.10", "2027-05-17", "2027-05-16 09:30", "é", ""]
)
SCALARS = st.one_of(TEXTS, st.integers(-2, 20), st.booleans(), st.sampled_from([0.5, 17.0]))
VALUES = st.one_of(SCALARS, st.lists(st.one_of(TEXTS, st.integers(0, 3)), max_size=3))
DEVICES = st.lists(
    st.tuples(
        st.sampled_from([APPLICATION, OTHER]), st.sampled_from([1, 3]), st.dictionaries(NAMES, VALUES, max_size=3)
    ),
    min_size=1,
    max_size=5,
)
OPERANDS = st.one_of(SCALARS, st.sampled_from(["1 day ago", "2027-05-17 00:00", 1810544400]))


@st.composite
def leaves(draw: Any) -> Expression:
    if draw(st.integers(0, 5)) == 0:
        return Application(draw(st.sampled_from([APPLICATION, OTHER])), draw(st.sampled_from([None, ["iOS"]])))
    operator = draw(st.sampled_from(list(Operator)))
    operand: Any = draw(OPERANDS)
    if operator in (Operator.IN, Operator.NOTIN):
        operand = [operand, *draw(st.lists(OPERANDS, max_size=2))]
    elif operator is Operator.BETWEEN:
        operand = [operand, draw(OPERANDS)]
    try:
        node = TagSet(draw(NAMES), operator, operand)
    except InvalidFilter:
        return Tag("x").any()
    return AppTag(APPLICATION, node.name)._compared(node.operator, node.operand) if draw(st.booleans()) else node


EXPRESSIONS = st.recursive(
    leaves(),
    lambda inner: st.one_of(
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a - b, inner, inner),
    ),
    max_leaves=5,
)


def everyone(known: list[Any], expression: Expression) -> Iterator[set[str]]:
    """The sandbox's answers, under each reading of what the documents leave open."""
    for case_sensitive in (True, False):
        for unset_matches_negative in (True, False):
            options = Options(case_sensitive=case_sensitive, unset_matches_negative=unset_matches_negative)
            state = State([SandboxApplication(code, "api", "device") for code in (APPLICATION, OTHER)], options)
            for number, (application, platform, tags) in enumerate(known):
                made = state.seen(application, f"d{number}", NOW, platform)
                state.subscribe(made, f"t{number}")
                made.own_tags = dict(tags)
            devices = list(state.devices.values())
            yield {each.hwid for each in evaluate(state, expression, devices, "default", NOW)}


class TestAgreement(TestCase):
    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(DEVICES, EXPRESSIONS)
    def test_the_sandbox_answers_between_the_two_bounds(self, known: list[Any], expression: Expression) -> None:
        Device.objects.bulk_create(
            [
                Device(application=code, hwid=f"d{number}", platform=platform, push_token=f"t{number}", tags=tags)
                for number, (code, platform, tags) in enumerate(known)
            ]
        )
        try:
            surely = set(Device.objects.matching(expression, now=NOW).values_list("hwid", flat=True))
            possibly = set(Device.objects.possibly_matching(expression, now=NOW).values_list("hwid", flat=True))
            for answered in everyone(known, parse(str(expression))):
                assert surely <= answered <= possibly, (surely, answered, possibly, expression, known)
        finally:
            Device.objects.all().delete()
