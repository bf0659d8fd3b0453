"""Filter expressions and conditions: built, printed, parsed; hostile text refused where it goes wrong."""

import copy
import enum
import pickle
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_pushwoosh.protocol.errors import InvalidFilter
from django_pushwoosh.protocol.filters import (
    LONGEST_TEXT,
    Application,
    ApplicationSet,
    AppTag,
    AppTagSet,
    Difference,
    Expression,
    Group,
    GroupSet,
    Intersection,
    Operator,
    Tag,
    TagSet,
    Union,
    bound_to,
    clean_conditions,
    condition_list,
    format,
    parse,
    walk,
)
from django_pushwoosh.protocol.platforms import ANDROID, IOS

APP = "00000-00000"
A, B, C, D = (Application(f"{letter * 5}-{letter * 5}") for letter in "ABCD")
DEPTH = 20_000

steady = settings(deadline=None, derandomize=True)

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8) | st.sampled_from(
    ['"', "\\", '\\"', "“", "a ” b", "\n", ") * A(", "true", "7 days ago"]
)
NAMES = TEXTS.filter(str.strip)
CODES = st.from_regex(r"[0-9A-Z]{5}-[0-9A-Z]{5}", fullmatch=True)
PLATFORM_LISTS = st.lists(st.sampled_from(["iOS", "android", "OSX", "Newphone", 'odd"name']), max_size=3).map(tuple)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = INTEGERS | FLOATS
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans())
COMPARISONS = st.one_of(
    st.tuples(st.sampled_from(["EQ", "NOTEQ"]), SCALARS),
    st.tuples(st.sampled_from(["GTE", "LTE"]), TEXTS | NUMBERS),
    st.tuples(st.sampled_from(["IN", "NOTIN"]), st.lists(SCALARS, min_size=1, max_size=4)),
    st.tuples(st.just("BETWEEN"), st.tuples(NUMBERS, NUMBERS).map(sorted)),
    st.tuples(st.sampled_from(["NOTSET", "ANY"]), SCALARS),
)
TAG_SETS = st.builds(lambda name, comparison: TagSet(name, *comparison), NAMES, COMPARISONS)
SETS = st.one_of(
    TAG_SETS,
    st.builds(lambda code, name, comparison: AppTagSet(code, name, *comparison), CODES, NAMES, COMPARISONS),
    st.builds(ApplicationSet, CODES, PLATFORM_LISTS),
    st.builds(GroupSet, CODES, PLATFORM_LISTS),
)
EXPRESSIONS = st.recursive(
    SETS,
    lambda inner: st.builds(
        lambda kind, left, right: kind(left, right), st.sampled_from([Union, Intersection, Difference]), inner, inner
    ),
    max_leaves=12,
)


def refusal(act, *arguments):
    with pytest.raises(InvalidFilter) as caught:
        act(*arguments)
    return caught.value


def attempt(act, *arguments):
    """What `act` returns or how it refuses; any other exception is a failure of the test."""
    try:
        return act(*arguments)
    except InvalidFilter as error:
        return error


# Building and printing


def test_an_expression_reads_in_python_as_it_is_meant():
    young_or_northern = Tag("Age").between(17, 20) | Tag("City").in_(["Oslo", "Bodø"])
    expression = Application(APP, platforms=[IOS, "ANDROID"]) & young_or_northern - AppTag(APP, "Muted").eq(True)
    assert str(expression) == (
        '(A("00000-00000", ["iOS", "Android"]) * ((T("Age", BETWEEN, [17, 20]) + T("City", IN, ["Oslo", "Bodø"]))'
        ' \\ AT("00000-00000", "Muted", EQ, true)))'
    )


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (Tag("Age").eq(30), 'T("Age", EQ, 30)'),
        (Tag("Age").not_eq("x"), 'T("Age", NOTEQ, "x")'),
        (Tag("Age").not_in((1, 2)), 'T("Age", NOTIN, [1, 2])'),
        (Tag("Age").gte(-1), 'T("Age", GTE, -1)'),
        (Tag("Age").lte(1.5), 'T("Age", LTE, 1.5)'),
        (Tag("Name").not_set(), 'T("Name", NOTSET, "")'),
        (Tag("Name").any(), 'T("Name", ANY, "")'),
        (AppTag(APP, "Name").any(), 'AT("00000-00000", "Name", ANY, "")'),
        (AppTag(APP, "Last").gte("90 days ago"), 'AT("00000-00000", "Last", GTE, "90 days ago")'),
        (Group("11111-11111", ["iOS", ANDROID]), 'G("11111-11111", ["iOS", "Android"])'),
        (Tag("Price").eq(Decimal("19.99")), 'T("Price", EQ, 19.99)'),
        (Tag("Price").eq(1e22), 'T("Price", EQ, 10000000000000000000000.0)'),
        (Tag("Since").gte(date(2024, 2, 29)), 'T("Since", GTE, "2024-02-29 00:00")'),
        (
            Tag("Since").lte(datetime(2024, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))),
            'T("Since", LTE, "2024-02-29 23:30")',
        ),
        (Tag('say "hi"\\').eq('"); A("'), 'T("say \\"hi\\"\\\\", EQ, "\\"); A(\\"")'),
        (Tag("City").in_({"b", "c", "a"}), 'T("City", IN, ["a", "b", "c"])'),
    ],
)
def test_each_set_has_its_text(made, text):
    assert str(made) == text
    assert parse(text) == made


def test_an_enumeration_gives_its_value():
    class City(str, enum.Enum):  # noqa: UP042 - the kind that prints its name
        OSLO = "oslo"

    assert Tag("City").eq(City.OSLO) == Tag("City").eq("oslo")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Tag("").eq(1), "name"),
        (lambda: Tag("  ").eq(1), "name"),
        (lambda: Tag(5).eq(1), "name"),
        (lambda: Tag("a\x00").eq(1), "NUL"),
        (lambda: Tag("a").eq("\ud800"), "surrogate"),
        (lambda: Tag("a").eq(2**63), "64 bits"),
        (lambda: Tag("a").in_({10**5000}), "64 bits"),
        (lambda: Tag("a").eq(float("nan")), "finite"),
        (lambda: Tag("a").eq(None), "NoneType"),
        (lambda: Tag("a").eq({}), "dict"),
        (lambda: Tag("a").eq([1]), "IN or NOTIN"),
        (lambda: Tag("a").gte([1]), "BETWEEN"),
        (lambda: Tag("a").gte(True), "EQ"),
        (lambda: Tag("a").between(False, True), "EQ"),
        (lambda: Tag("a").gte(datetime(2024, 1, 1)), "time zone"),
        (lambda: Tag("a").in_([]), "at least one"),
        (lambda: Tag("a").in_(iter(())), "at least one"),
        (lambda: Tag("a").in_("abc"), "eq()"),
        (lambda: Tag("a").in_([[1]]), "list"),
        (lambda: TagSet("a", "IN", "abc"), "list"),
        (lambda: TagSet("a", "BETWEEN", [1, 2, 3]), "exactly two"),
        (lambda: TagSet("a", "LIKE", "b"), "NOTSET"),
        (lambda: TagSet("a", None, "b"), "NOTSET"),
        (lambda: Tag("a").between(2, 1), "minimum"),
        (lambda: Tag("a").between(2, 1.5), "minimum"),
        (lambda: Tag("a").between("2024-01-02", "2024-01-01 10:00"), "minimum"),
        (lambda: Tag("a").between("10 days ago", "90 days ago"), "minimum"),
        (lambda: Tag("a").between("1.10", "1.9.5"), "minimum"),
        (lambda: Application("myapp"), "XXXXX-XXXXX"),
        (lambda: Application(None), "XXXXX-XXXXX"),
        (lambda: AppTag("myapp", "a").any(), "XXXXX-XXXXX"),
        (lambda: Group(APP + "\n"), "XXXXX-XXXXX"),
        (lambda: Application(APP, platforms=[]), "empty"),
        (lambda: Application(APP, platforms="iOS"), "list"),
        (lambda: Application(APP, platforms=[1]), "name"),
        (lambda: Application(APP, platforms=[""]), "name"),
        (lambda: Union(A, "A(…)"), "two expressions"),
    ],
)
def test_what_pushwoosh_could_not_compare_is_refused_when_made(make, told):
    assert told in str(refusal(make))


@pytest.mark.parametrize(
    "bounds",
    [
        ("90 days ago", "1 day ago"),
        ("2022-02-28", "2022-02-28 00:00"),
        ("1.9", "1.10"),
        ("zebra", "ant"),
        (1_700_000_000, "today"),
        (3, 3),
    ],
)
def test_bounds_in_order_or_of_unknown_order_are_left_to_pushwoosh(bounds):
    assert Tag("a").between(*bounds).operand == bounds


def test_operators_join_expressions_only():
    for act in (lambda: A | "x", lambda: A & 1, lambda: A - None):
        with pytest.raises(TypeError):
            act()
    assert A != "A"
    assert Union(A, B) == (A | B)
    assert Intersection(A, B) == (A & B)
    assert Difference(A, B) == (A - B)


def test_one_and_true_are_different_operands():
    assert len({Tag("a").eq(1), Tag("a").eq(1.0), Tag("a").eq(True), Tag("a").eq("1"), Tag("a").eq(1)}) == 4


# Parsing


def test_the_documented_examples_are_understood():
    age = Tag("Age")
    assert parse('A("00000-00000", ["iOS"])') == Application(APP, ["iOS"])
    assert parse('T("Age", IN, [17,20])') == age.in_([17, 20])
    assert parse("AT(“XXXXX-XXXXX”, “TagName”, EQ, “VALUE”)") == AppTag("XXXXX-XXXXX", "TagName").eq("VALUE")
    assert parse('T ("Age", EQ, 30)') == age.eq(30)
    assert parse('T ("Name", NOTSET, "")') == Tag("Name").not_set()
    assert parse('AT("7777D-322A7","Last Application Open", BETWEEN, ["2022-02-28", "2022-03-02"])') == AppTag(
        "7777D-322A7", "Last Application Open"
    ).between("2022-02-28", "2022-03-02")
    assert parse('( A("AAAAA-AAAAA") + A("BBBBB-BBBBB") ) \\ A("CCCCC-CCCCC")') == (A | B) - C
    men, girls = Tag("gender").eq("M"), Tag("gender").eq("F")
    assert parse(
        '( A("AAAAA-AAAAA") * T("gender", EQ, "M") ) + ( A("BBBBB-BBBBB") * T("gender", EQ, "F") )'
    ) == A & men | (B & girls)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a + b * c", (A | B) & C),
        ("a * b + c", (A & B) | C),
        ("a * b \\ c", A & (B - C)),
        ("a \\ b \\ c", (A - B) - C),
        ("a \\ b + c \\ d", (A - B) | (C - D)),
        ("a + b + c + d", ((A | B) | C) | D),
        ("a + (b * c)", A | (B & C)),
        ("a \\ (b \\ c)", A - (B - C)),
        ("((a)) * (((b + c)) \\ d)", A & ((B | C) - D)),
    ],
)
def test_union_and_intersection_are_of_one_priority_and_difference_binds_tighter(text, meant):
    spelled = "".join(f'A("{sign.upper() * 5}-{sign.upper() * 5}")' if sign in "abcd" else sign for sign in text)
    assert parse(spelled) == meant
    assert parse(spelled.replace(" ", "")) == meant


@pytest.mark.parametrize(
    "text",
    [
        'T("a",In,[1,2])',
        '\n t ( "a" , in , [ 1 , 2 ] )\t',
        '(((T("a", iN, [1, +2]))))',
        "T(“a”, IN, [1, 2])",
        'T(“a", IN, [1, 2])',
    ],
)
def test_case_white_space_and_curly_quotes_do_not_matter(text):
    assert parse(text) == Tag("a").in_([1, 2])


@pytest.mark.parametrize(
    ("text", "operand"),
    [
        ("TRUE", True),
        ("false", False),
        ("-0", 0),
        ("1e3", 1000.0),
        ("-1.50", -1.5),
        ("9223372036854775807", 2**63 - 1),
        (r'"\"\\"', '"\\'),
        ('"“curly” inside"', "“curly” inside"),
        ("“\\””", "”"),
        ('"line\nbreak"', "line\nbreak"),
        ('""', ""),
    ],
)
def test_operands_are_read_as_what_they_are(text, operand):
    read = parse(f'T("a", EQ, {text})').operand
    assert read == operand
    assert type(read) is type(operand)


@pytest.mark.parametrize("operator", [Operator.NOTSET, Operator.ANY])
@pytest.mark.parametrize("operand", ["", ', ""', ', "x"', ", 5", ", [1, 2]"])
def test_only_presence_goes_without_an_operand_and_drops_one(operator, operand):
    assert parse(f'T("a", {operator}{operand})').condition() == ["a", str(operator), ""]


@pytest.mark.parametrize(
    ("text", "position", "told"),
    [
        ("", 0, "the text ends"),
        ("   ", 3, "the text ends"),
        ('T("a", EQ, 1', 12, '")" expected, but the text ends'),
        ('(T("a", EQ, 1)', 14, '")" expected'),
        ('T("a", EQ, 1))', 13, 'Unexpected ")"'),
        ("()", 1, "A set"),
        ('A("AAAAA-AAAAA") A("AAAAA-AAAAA")', 17, "found A"),
        ('A("AAAAA-AAAAA") +', 18, "A set"),
        ('* A("AAAAA-AAAAA")', 0, "found *"),
        ('A("AAAAA-AAAAA") + + A("AAAAA-AAAAA")', 19, "A set"),
        ('(A("AAAAA-AAAAA") / A("AAAAA-AAAAA"))', 18, '")" expected, found /'),
        ('X("a")', 0, "found X"),
        ("A(AAAAA)", 2, "quotes"),
        ('A("AAAAA-AAAAA', 2, "closing quote"),
        ('A("AAAAA-AAAAA\\"', 2, "closing quote"),
        ('A("AAAAA-AAAAA", [])', 18, "quotes"),
        ('A("AAAAA-AAAAA", "iOS")', 17, '"[" expected'),
        ('A("AAAAA-AAAAA", ["iOS",])', 24, "quotes"),
        ('  A("app")', 2, "XXXXX-XXXXX"),
        ('T("a", EQ)', 9, "operand"),
        ('T("a")', 5, '"," expected'),
        ('T("a", LIKE, 1)', 7, "one of EQ"),
        ('T("a", 5, 1)', 7, "An operator"),
        ('T("", EQ, 1)', 0, "empty"),
        ('T("Level", BETWEEN, [1,5)', 24, '"]" expected'),
        ('T("a", BETWEEN, [5, 1])', 0, "minimum"),
        ('T("a", IN, [])', 12, "A value"),
        ('T("a", IN, [[1]])', 12, "A value"),
        ('T("a", EQ, [1])', 0, "IN or NOTIN"),
        ('T("a", EQ, yes)', 11, "found yes"),
        ('T("a", EQ, 1.)', 12, '")" expected'),
        ('T("a", EQ, .5)', 11, "A value"),
        ('T("a", EQ, 17abc)', 13, "found abc"),
        ('T("a", EQ, 9223372036854775808)', 11, "64 bits"),
        ('T("a", EQ, 1e999)', 11, "finite"),
        (f'T("a", EQ, {"9" * 100_000})', 11, "digits"),
        ('T("a", EQ, "\\n")', 12, "backslash"),
        ('T("a", EQ, "\x00")', 0, "NUL"),
        ('T("a", EQ, "\ud800")', 0, "surrogate"),
        ('T("a", EQ, 1) \x00', 14, "found '\\x00'"),
        ("\ud800", 0, "found '\\ud800'"),
        ('T(\\"Age\\", EQ, 30)', 2, "escaped for JSON"),
    ],
)
def test_a_mistake_is_told_with_its_place(text, position, told):
    error = refusal(parse, text)
    assert told in str(error)
    assert (error.source, error.position) == (text, position)


@pytest.mark.parametrize("value", [None, 5, b"A()", ["A"]])
def test_only_text_is_parsed(value):
    assert "is text" in str(refusal(parse, value))


@steady
@given(EXPRESSIONS)
def test_what_is_printed_parses_to_the_same(expression):
    text = format(expression)
    again = parse(text)
    assert again == expression
    assert hash(again) == hash(expression)
    assert str(again) == text
    assert pickle.loads(pickle.dumps(expression)) == expression


@steady
@given(SETS, st.integers(0, 60), st.text(max_size=3))
def test_text_damaged_anywhere_is_refused_politely_or_understood(expression, at, damage):
    text = str(expression)
    assert isinstance(attempt(parse, text[:at] + damage + text[at + 1 :]), Expression | InvalidFilter)


@steady
@given(st.text('ATG()[]"\\+*,“” 15.e-NOTSETANYEQ'))
def test_any_text_is_refused_politely_or_understood(text):
    outcome = attempt(parse, text)
    if isinstance(outcome, InvalidFilter):
        assert outcome.position is not None
        assert outcome.source == text
    else:
        assert parse(str(outcome)) == outcome


# Size and depth


def deep(shape):
    leaf = 'T("a", EQ, 1)'
    return {
        "parentheses": "(" * DEPTH + leaf + ")" * DEPTH,
        "chain": " + ".join([leaf] * DEPTH),
        "differences": "\\".join([leaf] * DEPTH),
        "right-leaning": f"({leaf} * " * DEPTH + leaf + ")" * DEPTH,
    }[shape]


@pytest.mark.parametrize("shape", ["parentheses", "chain", "differences", "right-leaning"])
def test_depth_is_no_matter(shape):
    assert sys.getrecursionlimit() < DEPTH
    expression = parse(deep(shape))
    again = parse(format(expression))
    assert again == expression
    assert hash(again) == hash(expression)
    assert pickle.loads(pickle.dumps(expression)) == copy.deepcopy(expression) == expression
    assert len(repr(expression)) < 1000
    assert list(walk(bound_to(expression, APP)))[-2] == expression
    assert expression != A | B


def test_depth_of_a_condition_list_is_no_matter():
    conditions, operator = condition_list(parse(deep("right-leaning")))
    assert (len(conditions), operator) == (DEPTH + 1, "AND")


@pytest.mark.parametrize("text", ["(" * DEPTH, ")" * DEPTH, "\\" * DEPTH, '"' * DEPTH, "[" * DEPTH, "T(" * DEPTH])
def test_endless_beginnings_are_refused(text):
    assert refusal(parse, text).position is not None


def test_a_million_characters_is_the_end():
    assert "1,000,000" in str(refusal(parse, " " * (LONGEST_TEXT + 1)))
    assert parse(str(A).ljust(LONGEST_TEXT)) == A
    assert "1,000,000" in str(refusal(Tag("a").eq, "x" * LONGEST_TEXT))
    assert "1,000,000" in str(refusal(Tag("a").in_, range(LONGEST_TEXT)))


def test_an_expression_that_would_print_too_long_cannot_be_made():
    doubled = A
    while not isinstance(twice := attempt(Union, doubled, doubled), InvalidFilter):
        doubled = twice
    assert "1,000,000" in str(twice)
    assert parse(str(doubled)) == doubled


# Conditions


@steady
@given(st.lists(TAG_SETS, min_size=1, max_size=5), st.booleans())
def test_a_chain_of_one_operation_becomes_conditions(sets, is_union):
    expression = sets[0]
    for each in sets[1:]:
        expression = expression | each if is_union else expression & each
    conditions, operator = condition_list(expression)
    assert operator == ("OR" if is_union and len(sets) > 1 else "AND")
    assert clean_conditions(conditions) == sets


@pytest.mark.parametrize(
    "expression",
    [
        A,
        A & Tag("a").any(),
        Group(APP),
        AppTag(APP, "a").any(),
        Tag("a").any() - Tag("b").any(),
        (Tag("a").any() & Tag("b").any()) | Tag("c").any(),
    ],
)
def test_what_conditions_cannot_say_is_referred_to_a_filter_expression(expression):
    assert "filter expression" in str(refusal(condition_list, expression))


def test_conditions_are_cleaned_into_tag_sets():
    assert clean_conditions(
        [["Age", "between", [17, 20]], ("Name", "NOTSET"), ["Name", "ANY", None], Tag("Since").gte(date(2024, 1, 1))]
    ) == [
        Tag("Age").between(17, 20),
        Tag("Name").not_set(),
        Tag("Name").any(),
        Tag("Since").gte("2024-01-01 00:00"),
    ]


def test_every_problem_of_conditions_has_its_path():
    error = refusal(
        clean_conditions,
        [
            ["Age", "LIKE", 1],
            ["", "EQ", None],
            ["Age", "EQ"],
            "Age",
            ["Age", "IN", 5],
            [{}, [], {}],
            ["Age", "EQ", 1, 2],
        ],
    )
    assert [problem.path for problem in error.problems] == [
        "conditions[0][1]",
        "conditions[1][0]",
        "conditions[1][2]",
        "conditions[2]",
        "conditions[3]",
        "conditions[4][2]",
        "conditions[5][0]",
        "conditions[5][1]",
        "conditions[6]",
    ]


@pytest.mark.parametrize("value", [None, {}, "EQ", [], (), 5])
def test_no_conditions_is_not_everyone(value):
    assert refusal(clean_conditions, value).problems[0].path == "conditions"


def test_endless_problems_end():
    assert len(refusal(clean_conditions, [None] * 100_000).problems) == 100


@steady
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=10,
    )
)
def test_any_json_as_conditions_is_refused_politely(value):
    for candidate in (value, [value], [["Age", "IN", value]], [["Age", value, 1]]):
        outcome = attempt(clean_conditions, candidate)
        if isinstance(outcome, InvalidFilter):
            assert all(problem.path.startswith("conditions") for problem in outcome.problems)
        else:
            assert all(isinstance(item, TagSet) for item in outcome)


# Binding and walking


def test_bound_to_an_application_no_branch_escapes():
    bound = bound_to(Tag("a").any() | B, APP)
    assert str(bound) == '(A("00000-00000") * (T("a", ANY, "") + A("BBBBB-BBBBB")))'
    assert "XXXXX-XXXXX" in str(refusal(bound_to, B, "default"))


def test_a_walk_meets_the_operands_before_their_operation():
    assert list(walk((A | B) - C)) == [A, B, A | B, C, (A | B) - C]


def test_expressions_do_not_change():
    with pytest.raises(AttributeError):
        A.code = APP
    assert copy.copy(A) == A
    assert Tag("Since").gte(datetime(2024, 1, 1, tzinfo=UTC)).operand == "2024-01-01 00:00"
