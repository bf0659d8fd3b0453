"""What people fill in is what is sent, or they are told what to change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from django_pushwoosh.admin.forms import ComposerForm
from django_pushwoosh.models import Dispatch, OutboxEntry, ScheduledMessage, TagDefinition
from django_pushwoosh.protocol.parameters import PARAMETERS

from .conftest import ADD, APPLICATION, page_of

pytestmark = pytest.mark.django_db
Fill = Callable[..., dict[str, Any]]


def errors_of(client: Client, form: dict[str, Any]) -> dict[str, list[str]]:
    response = client.post(ADD, form)
    assert response.status_code == 200
    assert not OutboxEntry.objects.exists()
    return {name: list(texts) for name, texts in response.context["form"].errors.items()}


def notification() -> dict[str, Any]:
    return Dispatch.objects.get().arguments["notifications"][0]


def test_a_push_to_a_condition_carries_the_values_of_each_platform(editor: Client, filled: Fill) -> None:
    form = filled(ios_badges="+1", android_priority="2", chrome_button_text1="Buy", title="News")
    response = editor.post(ADD, form)

    message = ScheduledMessage.objects.get()
    assert response.headers["Location"] == page_of(message)
    assert message.status == ScheduledMessage.Status.SCHEDULED
    assert (
        notification().items()
        >= {
            "content": "Hello",
            "title": "News",
            "ios_badges": "+1",
            "android_priority": 2,
            "chrome_button_text1": "Buy",
            "conditions": [["City", "EQ", "Oslo"]],
            "conditions_operator": "AND",
            "send_date": "now",
        }.items()
    )
    assert OutboxEntry.objects.get().method == "createMessage"


def test_every_offered_parameter_has_a_field_and_takes_its_documented_example() -> None:
    form = ComposerForm()
    offered = {row.name: row for row in PARAMETERS if row.group not in ("schedule", "audience") and not row.deprecated}
    shown = [field.name for section in form.sections() for field in section.fields]
    shown += [field.name for field in form.content_section().fields]
    assert sorted(shown) == sorted([*offered, "extra"])
    for name, row in offered.items():
        field = form.fields[name]
        widget_value = field.prepare_value(row.example)
        if isinstance(widget_value, (int, float)):
            widget_value = str(widget_value)
        assert field.clean(widget_value) == row.kind.clean(row.example), name


def test_texts_are_given_per_language_and_one_for_all_others(editor: Client, filled: Fill) -> None:
    form = filled(content=["Hello", "Hallo\r\nWelt", ""], content__language=["", "de", ""])
    editor.post(ADD, form)
    assert notification()["content"] == {"default": "Hello", "de": "Hallo\nWelt"}


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        ({"content": ""}, "content", "preset"),
        ({"content": ["a", "b"], "content__language": ["de", "de"]}, "content", "twice"),
        ({"content": ["a", "b"], "content__language": ["en", "xx-YY"]}, "content", "language"),
        ({"ios_badges": "many"}, "ios_badges", "+n"),
        ({"android_priority": "9"}, "android_priority", "-2 to 2"),
        ({"android_priority": "high"}, "android_priority", "whole number"),
        ({"android_led": "red"}, "android_led", "#RRGGBB"),
        ({"ios_root_params": '{"a": 1'}, "ios_root_params", "line 1, column"),
        ({"ios_root_params": '{"a": 1, "a": 2}'}, "ios_root_params", "twice"),
        ({"ios_root_params": '{"a": NaN}'}, "ios_root_params", "NaN"),
        ({"ios_root_params": '{"aps": 1}'}, "ios_root_params", "object"),
        ({"ios_root_params": "[" * 100_000}, "ios_root_params", "deeply"),
        ({"ios_sound": "a.wav", "ios_sound__empty": "1"}, "ios_sound", "not both"),
        ({"link": "javascript:alert(1)"}, "link", "http"),
        ({"capping_days": "3"}, "capping_count", "capping_days"),
        ({"wns_content": "PGE+"}, "wns_type", "missing"),
        ({"platforms": ["1", "99"]}, "platforms", "cannot be chosen"),
        ({"extra": '{"content": "x"}'}, "extra", "parameter of its own"),
        ({"ios_thread_id": "a\x00b"}, "ios_thread_id", "NUL"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_at_its_field(
    editor: Client, filled: Fill, fields: dict[str, Any], place: str, words: str
) -> None:
    errors = errors_of(editor, filled(**fields))
    assert list(errors) == [place]
    assert words in " ".join(errors[place])
    assert not ScheduledMessage.objects.exists()


def test_a_field_with_an_error_opens_its_fieldset_and_the_summary_counts(editor: Client, filled: Fill) -> None:
    response = editor.post(ADD, filled(ios_badges="many", ios_ttl="60"))
    sections = {section.slug: section for section in response.context["form"].sections()}
    assert (sections["ios"].is_open, sections["ios"].used) == (True, 2)
    assert not sections["android"].is_open
    assert "iOS: Badge" in response.content.decode()


# Whom it is for


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"audience": ""}, "audience"),
        ({"audience": "nobody"}, "audience"),
        ({"audience": "devices", "devices": " \n "}, "devices"),
        ({"audience": "users", "users": ""}, "users"),
        ({"audience": "conditions"}, "conditions"),
        ({"audience": "filter_expression"}, "devices_filter"),
        ({"audience": "saved_filter"}, "filter"),
        ({"audience": "geozone", "geozone_lat": "1"}, "geozone_lng"),
        ({"audience": "geozone", "geozone_lat": "91", "geozone_lng": "0", "geozone_range": "5"}, "geozone_lat"),
        ({"audience": "application_group", "applications_group": "nope"}, "applications_group"),
    ],
)  # fmt: skip
def test_an_empty_audience_is_an_error_and_never_everyone(
    editor: Client, filled: Fill, fields: dict[str, Any], place: str
) -> None:
    assert list(errors_of(editor, filled(**fields))) == [place]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"audience": "devices", "devices": "ABC\r\n\r\ndef"}, {"devices": ["ABC", "def"]}),
        ({"audience": "users", "users": "user-1"}, {"users": ["user-1"]}),
        ({"audience": "saved_filter", "filter": "Active"}, {"filter": "Active"}),
        (
            {"audience": "geozone", "geozone_lat": "59.9", "geozone_lng": "10.7", "geozone_range": "500"},
            {"geozone": {"lat": 59.9, "lng": 10.7, "range": 500}},
        ),
    ],
)  # fmt: skip
def test_each_audience_is_sent_as_its_own_key(
    editor: Client, filled: Fill, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    editor.post(ADD, filled(**fields))
    assert notification().items() >= expected.items()


def test_a_filter_expression_is_bound_to_the_application(editor: Client, filled: Fill) -> None:
    editor.post(ADD, filled(audience="filter_expression", devices_filter='T("Age", GTE, 18)'))
    sent = Dispatch.objects.get()
    assert sent.method == "createTargetedMessage"
    assert sent.arguments["devices_filter"] == f'(A("{APPLICATION}") * T("Age", GTE, 18))'


def test_a_mistake_in_a_filter_expression_is_pointed_at(editor: Client, filled: Fill) -> None:
    response = editor.post(ADD, filled(audience="filter_expression", devices_filter='T("<b>Age", GTE 18)'))
    shown = response.content.decode()
    assert "<pre>" in shown
    assert "^</pre>" in shown
    assert "&lt;b&gt;Age" in shown
    assert "<b>Age" not in shown


def test_values_take_the_type_of_their_tag(editor: Client, filled: Fill) -> None:
    TagDefinition.objects.create(application=APPLICATION, name="Zip", type=2)
    TagDefinition.objects.create(application=APPLICATION, name="Spent", type=6)
    rows = [
        ("Zip", "EQ", "0150"),
        ("Zip", "IN", '150, "a, b"'),
        ("Spent", "GTE", "9.99"),
        ("Age", "BETWEEN", "17, 20"),
        ("Level", "EQ", "5"),
        ("Level", "EQ", '"5"'),
        ("Phone", "EQ", "+47123"),
        ("VIP", "EQ", "true"),
        ("Seen", "ANY", ""),
    ]
    tags, operators, values = zip(*rows, strict=True)
    form = filled(conditions__tag=tags, conditions__operator=operators, conditions__value=values)
    editor.post(ADD, form)
    assert notification()["conditions"] == [
        ["Zip", "EQ", "0150"],
        ["Zip", "IN", ["150", "a, b"]],
        ["Spent", "GTE", 9.99],
        ["Age", "BETWEEN", [17, 20]],
        ["Level", "EQ", 5],
        ["Level", "EQ", "5"],
        ["Phone", "EQ", "+47123"],
        ["VIP", "EQ", True],
        ["Seen", "ANY", ""],
    ]


def test_a_wrong_condition_is_named_by_its_row(editor: Client, filled: Fill) -> None:
    form = filled(conditions__tag=["A", "B"], conditions__operator=["EQ", "BETWEEN"], conditions__value=["1", "9, 3"])
    [text] = errors_of(editor, form)["conditions"]
    assert text.startswith("Row 2: ")


@pytest.mark.parametrize("operator", ["EQ", "NOTEQ", "IN", "NOTIN", "GTE", "LTE", "BETWEEN"])
def test_a_condition_without_its_value_is_not_sent_to_nearly_everyone(
    editor: Client, filled: Fill, operator: str
) -> None:
    form = filled(conditions__tag=["A", "City"], conditions__operator=["EQ", operator], conditions__value=["1", " "])
    assert errors_of(editor, form) == {"conditions": ['Row 2: Give a value; write "" for an empty one.']}


def test_an_empty_value_is_meant_where_it_is_written(editor: Client, filled: Fill) -> None:
    editor.post(ADD, filled(conditions__operator="NOTEQ", conditions__value='""'))
    assert notification()["conditions"] == [["City", "NOTEQ", ""]]
    copied = editor.get(ADD, {"copy": ScheduledMessage.objects.get().pk}).context["form"]
    assert copied["conditions"].value()[0].value == '""'


@pytest.mark.parametrize("kind", ["devices", "users"])
def test_several_ids_on_a_line_are_not_taken_for_one(editor: Client, filled: Fill, kind: str) -> None:
    for text, lines in (("ada, alan", "Line 1"), ("a\nada alan\nb,c", "Lines 2, 3"), ('"ada","alan"', "Line 1")):
        [told] = errors_of(editor, filled(audience=kind, **{kind: text}))[kind]
        assert told.startswith(lines)
        assert "one id per line" in told


def test_an_id_with_a_blank_is_written_in_quotes(editor: Client, filled: Fill) -> None:
    editor.post(ADD, filled(audience="users", users='"Lovelace, Ada"\nalan\n"a \\"b\\""'))
    assert notification()["users"] == ["Lovelace, Ada", "alan", 'a "b"']
    copied = editor.get(ADD, {"copy": ScheduledMessage.objects.get().pk}).context["form"]
    assert copied["users"].value() == '"Lovelace, Ada"\nalan\n"a \\"b\\""'


def test_two_audiences_at_once_are_refused(editor: Client, filled: Fill) -> None:
    form = filled(audience="everyone", devices="ABC")
    [text] = errors_of(editor, form)["audience"]
    assert "Chosen devices" in text


# When


def at(time: str, zone: str = "Europe/Oslo", **more: str) -> dict[str, str]:
    return {"when": "at", "send_at": time, "time_zone": zone, **more}


def test_a_time_is_meant_in_its_zone(editor: Client, filled: Fill, clock: Any) -> None:
    editor.post(ADD, filled(**at("2026-07-01T09:00")))
    assert ScheduledMessage.objects.get().send_at == datetime(2026, 7, 1, 7, tzinfo=UTC)
    assert notification().items() >= {"send_date": "2026-07-01 09:00", "timezone": "Europe/Oslo"}.items()


def test_on_each_devices_own_clock(editor: Client, filled: Fill, clock: Any) -> None:
    editor.post(ADD, filled(when="device", send_at="2026-07-01T09:00", time_zone="Europe/Oslo"))
    assert notification().items() >= {"send_date": "2026-07-01 09:00", "ignore_user_timezone": False}.items()


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        (at(""), "send_at", "Give the time"),
        (at("soon"), "send_at", "YYYY-MM-DD"),
        (at("2026-03-02T12:59"), "send_at", "is past; it is 2026-03-02 13:00"),
        (at("0001-01-01T00:00"), "send_at", "no such time"),
        (at("2026-03-29T02:30"), "send_at", "2026-03-29 03:30"),
        (at("2026-10-25T02:30"), "send_at", "UTC+02:00 and at UTC+01:00"),
        (at("2026-07-01T09:00", "Europe/Olso"), "time_zone", "Europe/Oslo"),
        (at("2026-07-01T09:00", "../etc/passwd"), "time_zone", "no time zone"),
        (at("2026-07-01T09:00", ""), "time_zone", "Give a time zone"),
        ({"when": "device", "send_at": "2026-03-01T23:00"}, "send_at", "past everywhere"),
        ({"when": "now", "send_at": "2026-07-01T09:00"}, "when", "empty the time"),
    ],
)  # fmt: skip
def test_a_time_that_cannot_be_is_explained(
    editor: Client, filled: Fill, clock: Any, fields: dict[str, str], place: str, words: str
) -> None:
    errors = errors_of(editor, filled(**fields))
    assert list(errors) == [place]
    assert words in errors[place][0]


@pytest.mark.parametrize(("chosen", "hour"), [("0", 0), ("1", 1)])
def test_of_a_doubled_hour_one_is_chosen(editor: Client, filled: Fill, clock: Any, chosen: str, hour: int) -> None:
    editor.post(ADD, filled(**at("2026-10-25T02:30", doubled_hour=chosen)))
    assert ScheduledMessage.objects.get().send_at == datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
    assert notification()["timezone"] == "UTC"


# Drafts and previews


def test_a_draft_may_lack_what_a_push_needs_and_is_finished_later(editor: Client, filled: Fill) -> None:
    form = filled(content="", audience="", title="Title only", ios_sound__empty="1", _send=None, _draft="1")
    editor.post(ADD, form)
    draft = ScheduledMessage.objects.get()
    assert draft.status == ScheduledMessage.Status.DRAFT
    assert draft.parameters == {"title": "Title only", "ios_sound": ""}
    assert draft.audience == {}

    shown = editor.get(page_of(draft)).context["form"]
    assert shown["composer_key"].value() == str(draft.composer_key)
    editor.post(page_of(draft), filled(title="Title only", composer_key=str(draft.composer_key)))
    draft.refresh_from_db()
    assert draft.status == ScheduledMessage.Status.SCHEDULED
    assert notification()["title"] == "Title only"


def test_a_draft_with_a_wrong_value_is_not_kept(editor: Client, filled: Fill) -> None:
    assert "ios_badges" in errors_of(editor, filled(ios_badges="x", _send=None, _draft="1"))
    assert not ScheduledMessage.objects.exists()


def test_what_a_draft_holds_is_what_its_form_shows_and_saves(editor: Client, clock: Any) -> None:
    draft = ScheduledMessage.objects.create(
        application=APPLICATION,
        parameters={
            "content": {"default": "Hi", "de": "Hallo"}, "data": {"a": [1]}, "ios_badges": 0, "ios_silent": 0,
            "platforms": [1, 3], "ios_trim_content": 1, "safari_url_args": [], "extra": {"new_one": True},
            "huawei_android_badges": True, "minimize_link": 0,
        },
        audience={"kind": "conditions", "conditions": [["Zip", "IN", ["0150", "a,b", 7, True]]], "operator": "OR"},
        send_at=datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
        time_zone="Europe/Oslo",
    )  # fmt: skip
    before = (draft.parameters, draft.audience, draft.send_at, draft.time_zone)
    editor.post(page_of(draft), as_submitted(editor.get(page_of(draft)).content.decode()) | {"_draft": "1"})
    draft.refresh_from_db()
    assert (draft.parameters, draft.audience, draft.send_at, draft.time_zone) == before


def test_a_preview_shows_the_json_and_does_nothing(editor: Client, filled: Fill) -> None:
    response = editor.post(ADD, filled(_send=None, _preview="1"))
    assert '"content": "Hello"' in response.context["preview"]
    assert "test-api-token" not in response.content.decode()
    assert not ScheduledMessage.objects.exists()


def test_a_copy_is_a_new_message(editor: Client, filled: Fill) -> None:
    editor.post(ADD, filled(ios_badges="+1"))
    sent = ScheduledMessage.objects.get()
    form = editor.get(ADD, {"copy": sent.pk}).context["form"]
    assert form["ios_badges"].value() == "+1"
    assert form["composer_key"].value() != str(sent.composer_key)


def test_an_sms_must_go_to_one_number(editor: Client, filled: Fill) -> None:
    assert "phone number" in errors_of(editor, filled(platforms=["18"]))["audience"][0]
    editor.post(ADD, filled(platforms=["18"], audience="devices", devices="+4712345678"))
    assert notification()["platforms"] == [18]


def test_without_applications_the_composer_says_so(editor: Client, filled: Fill, settings: Any) -> None:
    settings.PUSHWOOSH = {"APPLICATIONS": {}}
    assert editor.get(ADD).status_code == 200
    assert "names no application" in errors_of(editor, filled(application=""))["application"][0]


def test_one_of_several_applications_is_chosen(editor: Client, filled: Fill, settings: Any) -> None:
    other = {"CODE": "OTHER-00002", "API_TOKEN": "other"}
    settings.PUSHWOOSH = settings.PUSHWOOSH | {"APPLICATIONS": settings.PUSHWOOSH["APPLICATIONS"] | {"other": other}}
    assert not editor.get(ADD).context["form"]["application"].is_hidden
    editor.post(ADD, filled(application="OTHER-00002"))
    assert OutboxEntry.objects.get().application == "OTHER-00002"
    assert "application" in editor.post(ADD, filled(application="WRONG-00003")).context["form"].errors


HOSTILE = (
    "\x00", "9" * 4500, "-1", "{", "[" * 2000, '{"a":' * 1000, "<script>alert(1)</script>", "'\"--", "٣", "\u202e",
    "true", "1e999", "NaN", " ", "\r\n", "default", "../..", "%s%n", "{{ 1 }}", "9" * 25,
)  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
def test_whatever_is_posted_the_answer_is_a_page(editor: Client, filled: Fill, value: str) -> None:
    fields = [name for name in ComposerForm().fields if name != "composer_key"]
    rows = ["content-language", "conditions-tag", "conditions-operator", "conditions-value", "ios_sound-empty"]
    everywhere = {name: [value, value] for name in [*fields, *rows]}
    for audience, button in (
        ("conditions", "_send"),
        ("filter_expression", "_preview"),
        ("geozone", "_draft"),
        (value, "_send"),
    ):
        form = filled(_send=None) | everywhere | {"audience": audience, button: "1", "when": "at"}
        page = editor.post(ADD, form)
        assert page.status_code == 200
        assert "<script>alert" not in page.content.decode()
    assert not OutboxEntry.objects.exists()


def test_the_page_has_no_inline_script_or_style(editor: Client) -> None:
    page = editor.get(ADD).content.decode()
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick=" not in page
    assert all("src=" in tag for tag in page.split("<script")[1:] if "type=" not in tag[:30])


def as_submitted(page: str) -> dict[str, Any]:
    """What a browser would submit from the composer, without JavaScript."""
    from html.parser import HTMLParser

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.form: dict[str, list[str]] = {}
            self.inside = False
            self.textarea: str | None = None
            self.text = ""
            self.select: str | None = None

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            self.inside = self.inside or given.get("id") == "scheduledmessage_form"
            name = given.get("name")
            if not self.inside:
                return
            if tag == "textarea" and name:
                self.textarea, self.text = name, ""
            elif tag == "select":
                self.select = name
            elif tag == "option" and self.select and "selected" in given:
                self.form.setdefault(self.select, []).append(given.get("value") or "")
            elif tag == "input" and name and given.get("type") not in ("submit",):
                if given.get("type") in ("checkbox", "radio") and "checked" not in given:
                    return
                self.form.setdefault(name, []).append(given.get("value") or "")

        def handle_data(self, text: str) -> None:
            self.text += text

        def handle_endtag(self, tag: str) -> None:
            if tag == "textarea" and self.textarea:
                self.form.setdefault(self.textarea, []).append(self.text.removeprefix("\n"))
                self.textarea = None
            elif tag == "select":
                self.select = None
            elif tag == "form":
                self.inside = False

    reader = Reader()
    reader.feed(page)
    return dict(reader.form)
