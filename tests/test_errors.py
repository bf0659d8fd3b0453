"""What Pushwoosh says when it says no: each row of the table through a real answer, and on the page."""

from __future__ import annotations

import json
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_pushwoosh.protocol import errors, refusals
from django_pushwoosh.protocol.answers import warnings_in
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.envelope import Answer, read_answer
from django_pushwoosh.protocol.errors import (
    BadArgument,
    BadToken,
    CallError,
    NotFound,
    NotSent,
    OutcomeUnknown,
    PushwooshError,
    RateLimited,
    Rejected,
    ServerFailed,
)
from django_pushwoosh.protocol.methods import Shape
from django_pushwoosh.protocol.refusals import (
    DASH,
    ENVELOPE,
    REFUSALS,
    STATUSES,
    WARNINGS,
    Refusal,
    Status,
    condemns,
    failure_of,
    is_lost,
    parted,
    refusal_of,
    told_warnings,
)
from tests.protocol.hostile import steadily

PAGE = (Path(__file__).parent.parent / "docs" / "errors.md").read_text()
CALL = Call.of("applicationOpen", "AAAAA-00001", hwid="phone")
BULK = Call.of("bulkSetTagsStatus", "AAAAA-00001", request_id="abc")
TO_A_GROUP = Call(METHODS["createMessage"], "AAAAA-00001", {"applications_group": "BBBBB-00001"})

SEEDS_TEXTS = [
    "Access denied or application not found", "Application not found", "Application suspended", "Account not found",
    "Account has been suspended", "Suspended account can not use device filtration",
    "API token or application is not set", "Please select at least one platform",
    "Invalid API Token: Account not found", "No application or group code given",
    "API token or application or account is not set", "Errors occurred while compiling filter",
]  # fmt: skip
SEEN_TEXTS = [
    "No notifications", "Cannot parse date", "android_root_params must be key-value object",
    'Invalid devices list. "devices" must be an array.', "Message not found", "No hwid given", "No push token given",
    "Invalid token: 0123abcd", "Invalid device type", "This feature is available for Premium accounts only",
]  # fmt: skip
CONDEMNING = {
    "Access denied or application not found", "Application not found", "Application suspended", "Account not found",
    "Account has been suspended", "API token or application is not set", "Invalid API Token: Account not found",
    "API token or application or account is not set", "Token restrictions forbid this operation",
}  # fmt: skip


def answer(http: int, document: Any) -> Answer:
    return read_answer(http, document if isinstance(document, bytes) else json.dumps(document).encode())


def envelope(code: int, message: str = "", response: Any = None) -> dict[str, Any]:
    return {"status_code": code, "status_message": message, "response": response}


def refused(http: int, document: Any, call: Call = CALL) -> CallError:
    failure = failure_of(call, answer(http, document))
    assert failure is not None
    return failure


def table(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def status_line(row: Status) -> str:
    layers = " and ".join(f"`{layer.value}`" if layer is ENVELOPE else layer.value for layer in row.layers)
    return table(row.label, layers, f"`{row.error.__name__}`", row.text, row.advice, row.condemns or "–")


def refusal_line(row: Refusal) -> str:
    return table(f"`{row.text}`", str(row.status), row.advice, row.condemns or "–", row.source.value)


@pytest.mark.parametrize("text", [*SEEDS_TEXTS, *SEEN_TEXTS])
def test_every_known_text_has_its_row(text: str) -> None:
    assert refusal_of(text) is not None
    error = refused(200, envelope(210, text))

    assert type(error) is BadArgument
    assert text in str(error)
    assert error.advice
    assert str(error).endswith(DASH + error.advice)


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: row.text)
def test_each_refusal_is_told_with_its_advice(row: Refusal) -> None:
    text = row.text.replace("…", "something")
    error = refused(200, envelope(row.status, f"{text}."))

    assert type(error) is row.error
    assert error.advice == row.advice
    assert refusal_of(text.upper()) is row
    assert condemns(error) is (row.text in CONDEMNING) is bool(row.condemns)
    assert error.call is CALL
    assert "AAAAA-00001" in str(error)


@pytest.mark.parametrize("row", STATUSES, ids=lambda row: f"{row.label} {row.layers[0].value}")
def test_each_status_has_its_error_and_words_of_its_own(row: Status) -> None:
    number = row.numbers[len(row.numbers) // 3] if row.numbers else 1601
    for layer in row.layers:
        # An envelope takes three digits.
        error = refused(200, envelope(number if row.numbers else 100)) if layer is ENVELOPE else refused(number, [])

        assert type(error) is row.error
        assert row.text in str(error)
        assert error.advice == row.advice != ""
        assert condemns(error) is bool(row.condemns)


def test_no_status_and_no_text_stands_in_the_table_twice() -> None:
    assert len({row.text for row in REFUSALS}) == len(REFUSALS)
    assert len({(row.label, layer) for row in STATUSES for layer in row.layers}) == sum(
        len(row.layers) for row in STATUSES
    )


@pytest.mark.parametrize(
    ("http", "document", "error"),
    [
        (201, envelope(200), ServerFailed),
        (202, b"", ServerFailed),
        (204, b"", ServerFailed),
        (500, envelope(210, "Application not found"), ServerFailed),
        (400, envelope(500), BadArgument),
        (429, envelope(200), RateLimited),
        (200, envelope(100), BadArgument),
        (200, envelope(302), BadArgument),
        (200, envelope(999), ServerFailed),
        (0, b"", ServerFailed),
        (999, b"", ServerFailed),
        (-1, b"", ServerFailed),
    ],
)
def test_the_envelope_wins_inside_a_200_and_http_elsewhere(http: int, document: Any, error: type[CallError]) -> None:
    assert type(refused(http, document)) is error


def test_a_success_is_both_layers_200() -> None:
    assert failure_of(CALL, answer(200, envelope(200, "OK"))) is None
    assert failure_of(CALL, answer(200, envelope(200, WARNINGS[0].text))) is None


@pytest.mark.parametrize(
    "text", ["La aplicación no encontrado", "アプリケーションが見つかりません", "Приложение не найдено", "", "?"]
)
def test_another_language_is_refused_all_the_same(text: str) -> None:
    error = refused(200, envelope(210, text))

    assert type(error) is BadArgument
    assert text in str(error)
    assert error.advice == next(row.advice for row in STATUSES if row.label == "210")
    # It may be about this call alone; what is about all of them comes back with the next one.
    assert not condemns(error)


@pytest.mark.parametrize(
    "text",
    [
        'Event "Application suspended" not found',
        "Tag Account not found is unknown",
        "Access denied or application not found for this tag",
        "Suspended account can not use device filtration",
    ],
)
def test_a_part_of_a_text_gives_advice_and_condemns_nothing(text: str) -> None:
    error = refused(200, envelope(210, text))

    assert error.advice
    assert not condemns(error)


def test_no_text_makes_a_refusal_something_to_repeat() -> None:
    for text in ("Too many requests", "Internal error", "timeout", "rate limit exceeded", "Service unavailable"):
        assert isinstance(refused(200, envelope(210, text)), Rejected)


def test_of_a_group_it_is_the_group_that_is_unknown() -> None:
    document = envelope(210, "Access denied or application not found")

    assert condemns(refused(200, document))
    assert not condemns(refused(200, document, TO_A_GROUP))
    assert condemns(refused(200, envelope(210, "Account not found"), TO_A_GROUP))


def test_a_firewalls_403_is_about_one_request() -> None:
    assert not condemns(refused(403, b"<html>Forbidden</html>"))
    assert condemns(refused(403, envelope(403)))
    assert condemns(refused(401, b""))


def test_a_token_that_was_never_sent_condemns_too() -> None:
    assert condemns(BadToken("no token"))
    assert not condemns(ServerFailed("lost"))


@pytest.mark.parametrize(
    ("http", "document", "error", "text"),
    [
        (400, {"message": "invalid request"}, BadArgument, "invalid request"),
        (200, {"message": "invalid request"}, BadArgument, "invalid request"),
        (400, {"error": "account not found"}, BadArgument, "account not found"),
        (200, {"error": "account not found"}, BadArgument, "account not found"),
        (200, {"error": {"message": "account not found"}}, BadArgument, "account not found"),
        (
            400,
            {"error": "exceeded the maximum date interval. Max interval: 30 days"},
            BadArgument,
            "Max interval: 30 days",
        ),
        (404, {"code": 5, "message": "message not found", "details": []}, NotFound, "message not found"),
        (403, {"code": 7, "message": "permission denied", "details": []}, BadToken, "permission denied"),
        (400, {"code": 9, "message": "no", "details": ["first", {"message": "second"}]}, BadArgument, "first; second"),
        (500, {"code": 13, "message": "internal", "details": []}, ServerFailed, "internal"),
    ],
)
@pytest.mark.parametrize("call", [BULK, TO_A_GROUP], ids=["bare", "enveloped"])
def test_bare_refusals_are_read(http: int, document: Any, error: type[CallError], text: str, call: Call) -> None:
    raised = refused(http, document, call)

    # Where an envelope was promised, a 200 without one is an answer that cannot be read.
    assert type(raised) is (ServerFailed if http == 200 and call is TO_A_GROUP else error)
    assert text in str(raised)


def test_a_bare_document_is_no_refusal_because_it_has_a_message() -> None:
    document = {"request_id": "abc", "status": "Failed", "message": "one device failed"}

    assert failure_of(BULK, answer(200, document)) is None


def test_the_mistakes_in_a_filter_are_listed() -> None:
    listed = {"errors": [{"message": 'Invalid tag set specification. ")" expected.', "type": "syntax"}, None, 7]}
    error = refused(200, envelope(210, "Errors occurred while compiling filter", listed))

    assert '(Invalid tag set specification. ")" expected.)' in str(error)
    assert error.advice == "correct the filter expression"


def test_a_redirect_tells_its_own_words_and_pauses() -> None:
    error = refused(301, {"message": "Application not found"})

    assert "API_ROOT" in str(error)
    assert condemns(error)


@pytest.mark.parametrize(
    "document",
    [
        envelope(210, "x" * 10**6),
        envelope(210, "", {"errors": [{"message": "x" * 10**6}] * 10}),
        {"message": "x" * 10**6, "details": ["x" * 10**6]},
    ],
    ids=["text", "mistakes", "bare"],
)
def test_a_book_is_not_told_whole(document: Any) -> None:
    assert len(str(refused(200, document))) < 5000
    assert len(str(refused(400, document))) < 5000


@pytest.mark.parametrize("row", WARNINGS, ids=lambda row: row.sign)
def test_each_warning_is_told_with_its_advice(row: refusals.Warned) -> None:
    for said in (
        envelope(200, row.text),
        envelope(200, "OK", {"warnings": row.text}),
        envelope(200, "OK", {"warnings": [row.text]}),
        envelope(200, "OK", {"warnings": [{"message": row.text}]}),
        envelope(200, row.text, {"warnings": [row.text]}),
    ):
        assert warnings_in(answer(200, said)) == (row.text,)
    assert told_warnings([row.text]) == f"{row.text}{DASH}{row.advice}"
    assert is_lost([row.text]) is row.is_lost


def test_a_warning_that_nobody_knows_is_told_as_it_is() -> None:
    said = answer(200, envelope(200, "Something changed", {"warnings": [None, 3, "", "And more", {"x": 1}]}))

    assert warnings_in(said) == ("Something changed", "And more")
    assert told_warnings(warnings_in(said)) == "Something changed And more"
    assert not is_lost(warnings_in(said))


def test_a_refusal_warns_of_nothing() -> None:
    assert warnings_in(answer(200, envelope(210, "Application not found"))) == ()


@pytest.mark.parametrize("row", [*REFUSALS, *WARNINGS], ids=lambda row: row.text)
def test_words_and_advice_can_be_shown_apart(row: Refusal | refusals.Warned) -> None:
    assert parted(f"{row.text}{DASH}{row.advice}") == (row.text, row.advice)
    assert parted(f"{row.text}{DASH}{row.advice} And more.") == (f"{row.text} And more.", row.advice)


def test_a_dash_of_theirs_is_no_advice() -> None:
    assert parted("Sorry — try later") == ("Sorry — try later", "")


def test_errors_of_the_network_have_no_advice() -> None:
    assert errors.NoAnswer("lost").advice == ""


def test_the_page_has_the_tree() -> None:
    tree = textwrap.dedent((errors.__doc__ or "").split("::\n\n")[1].split("\n\nNo message")[0])

    assert f"```text\n{tree}\n```" in PAGE
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, PushwooshError):
            assert kind.__name__ in PAGE


@pytest.mark.parametrize("row", STATUSES, ids=lambda row: f"{row.label} {row.layers[0].value}")
def test_the_page_has_every_status(row: Status) -> None:
    assert status_line(row) in PAGE.splitlines()


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: row.text)
def test_the_page_has_every_text_with_its_advice(row: Refusal) -> None:
    assert refusal_line(row) in PAGE.splitlines()


@pytest.mark.parametrize("row", WARNINGS, ids=lambda row: row.sign)
def test_the_page_has_every_warning_with_its_advice(row: refusals.Warned) -> None:
    assert table(f"`{row.text}`", row.advice) in PAGE.splitlines()


def test_the_page_has_nothing_that_the_table_has_not() -> None:
    tables = PAGE.split("## Two layers of status")[1].split("## What pauses an application")[0].splitlines()
    rules = [number for number, line in enumerate(tables) if line.startswith("| ---")]
    headings = {number - 1 for number in rules}
    rows = [
        line
        for number, line in enumerate(tables)
        if line.startswith("| ") and number not in headings and number not in rules
    ]

    warnings = [table(f"`{row.text}`", row.advice) for row in WARNINGS]
    assert rows == [*map(status_line, STATUSES), *map(refusal_line, REFUSALS), *warnings]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
known = st.sampled_from(
    ["status_code", "status_message", "response", "message", "error", "code", "details", "errors", "warnings",
     "Messages", "UnknownDevices", "messageCode", "rows", "result", "request_id", "devices", "progress", "status"]
)  # fmt: skip
documents = st.recursive(
    json_values, lambda inner: st.dictionaries(known, inner | json_values, max_size=6), max_leaves=10
)
texts = st.sampled_from([row.text for row in REFUSALS])
likely = st.fixed_dictionaries(
    {},
    optional={
        "status_code": st.sampled_from([200, 210, 403, 404, 429, 500, "210", -1, 10**30, None, True]) | json_values,
        "status_message": texts | json_values,
        "response": documents,
        "message": texts | json_values,
        "error": texts | json_values,
        "details": json_values,
    },
)
bodies = st.one_of(
    st.binary(max_size=200),
    documents.map(lambda value: json.dumps(value).encode()),
    likely.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b"[" * 100_000, b'{"a":' * 100_000, b"<html><h1>502 Bad Gateway</h1>", b"\xef\xbb\xbf{}", b"1" * 9999]
    ),
)
usual = st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 408, 418, 429, 500, 502, 504])


@steadily
@given(name=st.sampled_from(sorted(METHODS)), status=usual | st.integers(), body=bodies, group=st.booleans())
def test_no_answer_breaks_the_verdict(name: str, status: int, body: bytes, group: bool) -> None:
    method = METHODS[name]
    call = Call(method, "AAAAA-00001", {"applications_group": "BBBBB-00001"} if group else {})
    said = read_answer(status, body)
    failure = failure_of(call, said)

    warnings = warnings_in(said)
    assert all(isinstance(text, str) and text for text in warnings)
    told_warnings(warnings)
    if failure is None:
        assert said.status_code == 200 or (method.answer is not Shape.ENVELOPE and 200 <= status < 300)
        # The client makes a ServerFailed of it.
        with suppress(ValueError):
            method.result.read(said)
    else:
        assert isinstance(failure, NotSent | Rejected | OutcomeUnknown)
        assert failure.answer is said
        assert str(failure).startswith(f"{name} for AAAAA-00001: ")
        assert isinstance(condemns(failure), bool)
        words, advice = parted(str(failure))
        assert words
        assert failure.advice in str(failure)
        assert (failure.advice == "") is (advice == "")
