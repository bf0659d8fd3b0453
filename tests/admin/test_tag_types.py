"""What a tag's declared type cannot answer is refused before anything is queued; a guess refuses nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from django_pushwoosh import push
from django_pushwoosh.models import OutboxEntry, ScheduledMessage, TagDefinition
from django_pushwoosh.protocol.audience import FilterExpression
from django_pushwoosh.protocol.errors import InvalidFilter
from django_pushwoosh.protocol.filters import Tag
from django_pushwoosh.protocol.tags import TagType

from .conftest import ADD, APPLICATION

pytestmark = pytest.mark.django_db
Fill = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def likes() -> TagDefinition:
    return TagDefinition.objects.create(application=APPLICATION, name="Likes", type=TagType.LIST)


@pytest.mark.parametrize("to", [Tag("Likes").eq("jazz"), FilterExpression('T("Likes", EQ, "jazz")')], ids=str)
def test_a_push_that_asks_what_the_tag_cannot_answer_is_refused(to: Any) -> None:
    with pytest.raises(InvalidFilter, match="“Likes” is a list, which EQ cannot compare"):
        push.send("Hello", to=to)
    assert not ScheduledMessage.objects.exists()
    assert not OutboxEntry.objects.exists()


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
