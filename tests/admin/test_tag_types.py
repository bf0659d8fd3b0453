"""What a tag's declared type cannot answer is refused before anything is queued; a guess refuses nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from django_pushwoosh import push
from django_pushwoosh.models import OutboxEntry, ScheduledMessage, TagDefinition
from django_pushwoosh.protocol.audience import FilterExpression
from django_pushwoosh.protocol.errors import InvalidFilter
from django_pushwoosh.protocol.filters import AppTag, Tag
from django_pushwoosh.protocol.tags import TagType

from .conftest import ADD, APPLICATION

pytestmark = pytest.mark.django_db
Fill = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def likes() -> TagDefinition:
    return TagDefinition.objects.create(application=APPLICATION, name="Likes", type=TagType.LIST)


@pytest.mark.parametrize(
    "to",
    [
        Tag("Likes").eq("jazz"),
        Tag("City").eq("Oslo") | Tag("Likes").eq("jazz"),
        FilterExpression('T("Likes", EQ, "jazz")'),
        FilterExpression(Tag("City").eq("Oslo") - AppTag(APPLICATION, "Likes").eq("jazz"), account_wide=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("days", [0, 3])
def test_a_push_that_asks_what_the_tag_cannot_answer_is_refused(to: Any, days: int) -> None:
    with pytest.raises(InvalidFilter, match="“Likes” is a list, which EQ cannot compare"):
        push.schedule("Hello", to=to, at=timezone.now() + timedelta(days=days) if days else None)
    assert not ScheduledMessage.objects.exists()
    assert not OutboxEntry.objects.exists()


def test_a_refusal_names_every_condition_that_has_to_change() -> None:
    with pytest.raises(InvalidFilter) as refused:
        push.send("Hello", to=Tag("Likes").eq("jazz") & Tag("Age").gte(18) & Tag("Likes").gte("a"))
    assert [problem.path for problem in refused.value.problems] == ["conditions[0]", "conditions[2]"]
    assert all("use in_([…])" in problem.text for problem in refused.value.problems)


def test_what_another_application_declared_does_not_count() -> None:
    TagDefinition.objects.update(application="BBBBB-00002")
    push.send("Hello", to=Tag("Likes").eq("jazz"))
    assert OutboxEntry.objects.count() == 1


def test_a_question_that_the_tag_can_answer_is_sent() -> None:
    push.send("Hello", to=Tag("Likes").in_(["jazz"]) - Tag("Likes").in_(["brass"]))
    assert OutboxEntry.objects.count() == 1


def test_a_type_of_a_newer_release_refuses_nothing() -> None:
    TagDefinition.objects.update(type=99)
    push.send("Hello", to=Tag("Likes").eq("jazz"))
    assert TagDefinition.objects.types_of(APPLICATION) == {}


def test_a_type_that_was_only_learned_refuses_nothing(likes: TagDefinition) -> None:
    TagDefinition.objects.update(source=TagDefinition.Source.LEARNED)
    push.send("Hello", to=Tag("Likes").eq("jazz"))
    assert TagDefinition.objects.types_of(APPLICATION) == {}


def test_pushwooshs_own_tags_need_no_declaration() -> None:
    push.send("Hello", to=Tag("Last Application Open").gte("90 days ago"))
    with pytest.raises(InvalidFilter, match="compare it with a date"):
        push.send("Hello", to=Tag("Last Application Open").gte("long ago"))


def test_the_composer_names_the_row(editor: Client, filled: Fill) -> None:
    form = filled(**{"conditions-tag": "Last Application Open", "conditions-operator": "GTE"})
    form["conditions-value"] = "long ago"
    page = editor.post(ADD, form)
    [text] = page.context["form"].errors["conditions"]
    assert text.startswith("Row 1: The tag “Last Application Open” is a date")


def test_the_composer_names_the_expression(editor: Client, filled: Fill) -> None:
    page = editor.post(ADD, filled(audience="filter_expression", devices_filter='T("Likes", EQ, "jazz")'))
    assert "is a list, which EQ cannot compare" in page.context["form"].errors["devices_filter"][0]
