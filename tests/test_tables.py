"""Every row of both tables, walked: taken with its documented example, refused just outside its bounds, offered in the
composer, and documented."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from django_pushwoosh.admin.forms import ComposerForm
from django_pushwoosh.protocol import audience as audiences
from django_pushwoosh.protocol import fields
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.errors import Invalid, InvalidMessage
from django_pushwoosh.protocol.messages import Message
from django_pushwoosh.protocol.methods import Argument, AskedBy, Body, Method
from django_pushwoosh.protocol.parameters import PARAMETERS, Parameter
from django_pushwoosh.protocol.platforms import SAFARI
from django_pushwoosh.sandbox import Application, Sandbox, SetClock

APPLICATION = "AAAAA-00001"
NOON = datetime(2017, 1, 2, 12, tzinfo=UTC)
DOCS = Path(__file__).parent.parent / "docs"

every_parameter = pytest.mark.parametrize("row", PARAMETERS, ids=lambda row: row.name)
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)


def beside(row: Parameter) -> dict[str, Any]:
    """What a message needs beside a parameter, so that the two make sense."""
    needed: dict[str, Any] = {"content": "Hello"}
    if row.platform is SAFARI:
        needed |= {"safari_title": "Title", "safari_url_args": [""]}
    needed |= {
        "capping_days": {"capping_count": 1},
        "capping_count": {"capping_days": 1},
        "wns_content": {"wns_type": "Badge"},
    }.get(row.name, {})
    return needed


def audience_of(name: str, value: Any) -> audiences.Audience:
    match name:
        case "devices":
            return audiences.Devices(value)
        case "users":
            return audiences.Users(value)
        case "filter":
            return audiences.SavedFilter(value)
        case "conditions":
            return audiences.Conditions(value)
        case "conditions_operator":
            return audiences.Conditions([["City", "EQ", "Oslo"]], value)
        case _:
            if not isinstance(value, dict) or set(value) != {"lat", "lng", "range"}:
                raise InvalidMessage(f"{name}: not a geozone")
            return audiences.Geozone(**value)


def call_with(row: Parameter, value: Any) -> Call:
    """A call that says the value where its parameter stands. Raises `Invalid`."""
    message = Message(**{**beside(row), **({row.name: value} if row.group not in ("schedule", "audience") else {})})
    to: audiences.Audience = audiences.EVERYONE
    when: dict[str, Any] = {"transaction_id": "t-1"}
    if row.group == "schedule":
        when["transaction_id" if row.name == "transactionId" else row.name] = value
    elif row.group == "audience":
        to = audience_of(row.name, value)
    elif row.targeted_only:
        to = audiences.FilterExpression('T("City", EQ, "Oslo")')
    return message.call(APPLICATION, to, now=NOON, **when)


def said(call: Call) -> dict[str, Any]:
    request: dict[str, Any] = json.loads(call.encode("api"))["request"]
    return request["notifications"][0] if "notifications" in request else request


def a_text(kind: fields.Text) -> Iterator[Any]:
    yield from ("a\x00b", "\ud800", 5, b"bytes", ["list"], "x" * (kind.max_length + 1))
    if not kind.blank:
        yield from ("", "  ")
    if kind.pattern:
        yield "Ä ?"


def a_localized_text(kind: fields.LocalizedText) -> Iterator[Any]:
    yield from a_text(kind.text)
    yield from ({}, {"english": "Hello"}, {"EN": "Hello"}, {"en": ""}, {"en": 5}, {5: "Hello"})


def a_number(kind: Any) -> Iterator[Any]:
    yield from (kind.minimum - 1, kind.maximum + 1, "5", 1.5, True, 2**64)


OUTSIDE: dict[type[fields.Kind], Callable[[Any], Iterator[Any]]] = {
    fields.Anything: lambda kind: iter([float("nan"), 2**64, "\ud800", object()]),
    fields.Text: a_text,
    fields.LocalizedText: a_localized_text,
    fields.LocalizedBase64: lambda kind: iter(["", "not base64!", {"en": "?"}, {"english": "YQ=="}, 5]),
    fields.Integer: a_number,
    fields.Seconds: a_number,
    fields.Boolean: lambda kind: iter([2, "true", None.__class__, []]),
    fields.Flag: lambda kind: iter([2, -1, "1", []]),
    fields.Badge: lambda kind: iter([-1, 10**9, "+-1", "many", 1.5, "+", []]),
    fields.Url: lambda kind: iter(["javascript:alert(1)", "example", "https://", "https://a b.example", "", 5]),
    fields.Color: lambda kind: iter(["#12345", "#GGGGGG", "", "x", 5]),
    fields.LedColor: lambda kind: iter(["#12345", "red", "#AARRGGBB", "", 5]),
    fields.Choice: lambda kind: iter(["other", 99, True, [], None.__class__]),
    fields.JsonObject: lambda kind: iter([[], "text", {5: 1}, {"a": float("inf")}, {"a": 2**64}, {"a": object()}]),
    fields.JsonObjectOrString: lambda kind: iter([[], "text", "[1]", "{", {"a": object()}, 5]),
    fields.Objects: lambda kind: iter([[], {}, "text", [5]]),
    fields.TextMap: lambda kind: iter([[], {"a": 5}, {"": "x"}, {5: "x"}, "text"]),
    fields.Strings: lambda kind: iter(
        ["text", [5], ["x" * (kind.max_length + 1)], [str(number) for number in range(kind.maximum + 1)]]
        + ([[]] if kind.minimum else [])
    ),
    fields.Code: lambda kind: iter(["AAAAA", "aaaaa-00001", "AAAAA-000011", "", 5]),
    fields.Day: lambda kind: iter(["2027-02-30", "17.05.2027", "2027-05-17 09:00", datetime(2027, 5, 17), 5]),
    fields.SendDate: lambda kind: iter(["soon", "2027-02-30 09:00", "2027-05-17", "2027-05-17T09:00", 5, None]),
    fields.TimeZoneName: lambda kind: iter(["Oslo", "../etc/passwd", "", 5]),
    fields.GeozoneKind: lambda kind: iter(
        [
            {},
            [],
            {"lat": 91, "lng": 0, "range": 1},
            {"lat": 0, "lng": 181, "range": 1},
            {"lat": 0, "lng": 0, "range": 0},
        ]
    ),
    fields.PlatformList: lambda kind: iter([[], [2], ["1"], 1, [True], [14]]),
    fields.Conditions: lambda kind: iter([[], "text", [["City"]], [["City", "LIKE", "x"]], [["Age", "BETWEEN", [1]]]]),
}
"""For each kind the values just outside it."""


@every_parameter
def test_a_parameters_documented_example_is_taken_and_said(row: Parameter) -> None:
    assert said(call_with(row, row.example))[row.name] == row.example


@every_parameter
def test_a_parameter_is_refused_just_outside_its_bounds(row: Parameter) -> None:
    outside = list(OUTSIDE[type(row.kind)](row.kind))
    assert outside
    for value in outside:
        with pytest.raises(Invalid) as refused:
            call_with(row, value)
        named = [problem.path for problem in refused.value.problems]
        assert row.group == "audience" or any(path.startswith(row.name) for path in named), (value, named)


@every_parameter
def test_the_sandbox_takes_a_parameters_example(row: Parameter) -> None:
    sandbox = Sandbox(
        [Application(APPLICATION, "api", "device")], SetClock(NOON), filters={"Active in Norway": 'T("a", ANY)'}
    )
    call = call_with(row, row.example)
    status, _, body = sandbox.handle("POST", call.method.path, {}, call.encode("api"))
    assert (status, json.loads(body)["status_code"]) == (200, 200), body
    assert len(sandbox.messages) == 1


@every_parameter
def test_a_parameter_is_documented_with_its_example(row: Parameter) -> None:
    line = next(
        line for line in (DOCS / "parameters.md").read_text().splitlines() if line.startswith(f"| `{row.name}`")
    )
    assert row.kind.describe().replace("|", "\\|") in line
    assert json.dumps(row.example, ensure_ascii=False).replace("|", "\\|") in line


OFFERED = [row for row in PARAMETERS if not row.deprecated and row.group not in ("schedule", "audience")]


@pytest.mark.django_db
def test_the_composers_page_has_an_input_for_every_parameter(admin_client: Client) -> None:
    page = admin_client.get("/admin/django_pushwoosh/scheduledmessage/add/").content.decode()
    missing = [row.name for row in OFFERED if f'name="{row.name}' not in page]
    assert missing == []
    # Time and audience have inputs of their own.
    for name in ("when", "send_at", "time_zone", "devices", "users", "filter", "conditions-tag", "geozone_lat"):
        assert f'name="{name}"' in page, name


@pytest.mark.parametrize("row", OFFERED, ids=lambda row: row.name)
def test_the_composers_field_gives_the_example(row: Parameter) -> None:
    field = ComposerForm().fields[row.name]
    shown = field.prepare_value(row.example)
    assert field.clean(str(shown) if isinstance(shown, int | float) else shown) == row.kind.clean(row.example)


def test_every_kind_of_value_has_an_outside() -> None:
    kinds = {type(row.kind) for row in PARAMETERS}
    kinds |= {type(argument.kind) for method in METHODS.values() for argument in method.arguments}
    assert kinds <= OUTSIDE.keys()


NOT_ROWS = {
    "application": "the application that sends",
    "applications_group": "the audience ApplicationGroup",
    "auth": "the token, from the settings",
    "notifications": "the list that messages are put into",
    "devices_filter": "the audience FilterExpression",
    "remote_page": "no longer served by Pushwoosh",
}
SEEN_IN_THE_SEEDS = """
    application applications_group auth notifications send_date ignore_user_timezone timezone campaign geozone
    content title subtitle rich_media link minimize_link data transactionId platforms preset send_rate
    template_bindings dynamic_content_placeholders capping_days capping_count inbox_date inbox_image inbox_days
    devices users filter conditions conditions_operator ios_badges ios_sound ios_ttl ios_silent ios_category_id
    ios_root_params apns_trim_content ios_attachment ios_title ios_subtitle ios_thread_id ios_critical
    ios_interruption_level android_root_params android_sound android_header android_icon android_custom_icon
    android_banner android_badges android_gcm_ttl android_vibration android_led android_priority
    android_delivery_priority android_ibc android_silent huawei_android_badges huawei_android_silent
    huawei_android_icon huawei_android_led huawei_android_vibration huawei_android_sound huawei_android_sound_off
    huawei_android_custom_icon huawei_android_gcm_ttl huawei_android_banner huawei_android_root_params
    huawei_android_priority huawei_android_ibc huawei_android_lockscreen huawei_android_delivery_priority
    huawei_android_header safari_title safari_action safari_url_args safari_ttl chrome_icon chrome_gcm_ttl
    chrome_duration chrome_title chrome_image chrome_root_params chrome_button_text1 chrome_button_url1
    chrome_button_text2 chrome_button_url2 firefox_icon firefox_title firefox_root_params adm_root_params adm_sound
    adm_header adm_icon adm_custom_icon adm_banner adm_ttl adm_priority mac_badges mac_sound mac_root_params
    mac_ttl wns_content wns_type wns_tag wns_cache wns_ttl devices_filter page_id rich_page_id
"""
"""Every key of a message in the examples and tables of seed 001."""


def test_the_table_has_every_parameter_of_the_documents() -> None:
    assert set(SEEN_IN_THE_SEEDS.split()) <= {row.name for row in PARAMETERS} | NOT_ROWS.keys()


EXAMPLES: dict[str, Any] = {
    "notifications": [{"content": "Hello", "send_date": "now"}],
    "devices_filter": f'A("{APPLICATION}")',
    "send_date": "now",
    "email": "ada@example.com",
    "tags": {"City": "Oslo"},
    "badge": 3,
    "event": "Purchase",
    "attributes": {"price": 9},
    "hwid": "phone",
    "userId": "ada",
    "user_id": "ada",
    "oldUserId": "ada",
    "newUserId": "grace",
    "inbox_code": "5",
    "status": 2,
    "code": "ABCDE-12345",
    "device_type": 3,
    "devices": [
        {"hwid": f"phone-{number}", "platform": 3, "push_token": "t", "tags": {"City": "Oslo"}} for number in range(50)
    ],
}


BESIDE = {
    "createTargetedMessage": {"content": "Hello"},
    "registerDevice": {"device_type": 3},
    "multiRegisterDevice": {"push_devices": [{"hwid": "browser", "platform": 11}]},
}
"""What the sandbox asks for beyond the row."""


def example(argument: Argument, sandbox: Sandbox) -> Any:
    if argument.name == "message":
        return next(iter(sandbox.messages)).code
    if argument.name == "request_id":
        return next(iter(sandbox.jobs))
    return EXAMPLES[argument.name]


def arguments_of(method: Method, sandbox: Sandbox) -> dict[str, Any]:
    wanted = {argument.name: argument for argument in method.arguments}
    names = [name for name, argument in wanted.items() if argument.required] + list(method.one_of[:1])
    return {name: example(wanted[name], sandbox) for name in names} | BESIDE.get(method.name, {})


@pytest.fixture
def sandbox() -> Sandbox:
    """With a message that waits, and with both kinds of bulk jobs."""
    sandbox = Sandbox([Application(APPLICATION, "api", "device")], SetClock(NOON))
    ask(
        sandbox,
        Call.of("createMessage", APPLICATION, notifications=[{"content": "x", "send_date": "2027-05-17 09:00"}]),
    )
    return sandbox


def ask(sandbox: Sandbox, call: Call) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "application/json"}
    if call.method.asked_by is AskedBy.SDK:
        headers["Authorization"] = "Token device"
    path = call.url("https://sandbox.example").removeprefix("https://sandbox.example")
    status, _, body = sandbox.handle(call.method.verb, path, headers, call.encode("api"))
    return status, json.loads(body)


@every_method
def test_the_sandbox_answers_every_method(method: Method, sandbox: Sandbox) -> None:
    if method.body is Body.URL:
        ask(sandbox, Call.of(method.name.removesuffix("Status"), APPLICATION, devices=EXAMPLES["devices"]))
    status, document = ask(sandbox, Call.of(method.name, APPLICATION, **arguments_of(method, sandbox)))
    assert (status, document.get("status_code", 200)) == (200, 200), document


@every_method
def test_a_method_refuses_what_lacks_an_argument_or_has_a_wrong_one(method: Method, sandbox: Sandbox) -> None:
    if method.body is Body.URL:
        ask(sandbox, Call.of(method.name.removesuffix("Status"), APPLICATION, devices=EXAMPLES["devices"]))
    good = arguments_of(method, sandbox)
    for argument in method.arguments:
        if argument.required:
            with pytest.raises(Invalid, match=argument.name):
                Call.of(
                    method.name, APPLICATION, **{name: value for name, value in good.items() if name != argument.name}
                )
        for value in OUTSIDE[type(argument.kind)](argument.kind):
            if value is not None:
                with pytest.raises(Invalid, match=argument.name):
                    Call.of(method.name, APPLICATION, **{**good, argument.name: value})
    if method.one_of:
        with pytest.raises(Invalid, match=method.one_of[0]):
            Call.of(
                method.name, APPLICATION, **{name: value for name, value in good.items() if name not in method.one_of}
            )


@every_method
def test_a_method_is_documented_with_its_arguments(method: Method) -> None:
    page = (DOCS / "calls.md").read_text()
    section = page.partition(f"\n## {method.name}\n")[2].partition("\n## ")[0]
    assert f"{method.verb} {method.path}" in section
    assert all(f"| `{argument.name}` |" in section for argument in method.arguments)
    assert method.body is not Body.URL or "{request_id}" in section
