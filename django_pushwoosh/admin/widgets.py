"""Inputs that HTML has not: texts per language, conditions on tags, a text that may be empty on purpose.

Without JavaScript they offer spare rows to fill in; with it, buttons add and take away rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from django import forms
from django.utils.translation import gettext_lazy as _

from django_pushwoosh.protocol.filters import WITHOUT_OPERAND, Operator

LANGUAGES = (
    "ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu", "id",
    "it", "ja", "ko", "lt", "lv", "ms", "nb", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "th", "tr", "uk",
    "vi", "zh-Hans", "zh-Hant",
)  # fmt: skip
"""Offered beside the language input; others can be typed."""

OPERATORS = (
    (Operator.EQ, _("is")),
    (Operator.NOTEQ, _("is not")),
    (Operator.IN, _("is one of")),
    (Operator.NOTIN, _("is none of")),
    (Operator.GTE, _("is at least")),
    (Operator.LTE, _("is at most")),
    (Operator.BETWEEN, _("is between")),
    (Operator.ANY, _("is set")),
    (Operator.NOTSET, _("is not set")),
)

MOST_ROWS = 200


class LocalizedRow(NamedTuple):
    """A text and the language it is in; no language means everybody else."""

    language: str
    text: str


class ConditionRow(NamedTuple):
    """A condition as it was typed."""

    tag: str
    operator: str
    value: str


class TextOrEmpty(NamedTuple):
    """A text, and whether an empty one is meant."""

    text: str
    is_empty: bool


def listed(submitted: Mapping[str, Any], name: str) -> list[str]:
    """All values of a name, from a `QueryDict` or a plain dictionary."""
    getlist = getattr(submitted, "getlist", None)
    if getlist is not None:
        return list(getlist(name))
    value = submitted.get(name, [])
    return [value] if isinstance(value, str) else list(value)


def with_newlines(text: str) -> str:
    """Browsers submit CRLF from a textarea; phones are sent what was meant."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


class LocalizedInput(forms.Widget):
    """A text per language: `<name>` holds the texts, `<name>-language` their languages, row by row."""

    template_name = "admin/django_pushwoosh/widgets/localized.html"
    use_fieldset = True
    spare_rows = 2

    def __init__(self, rows: int = 1, is_code: bool = False) -> None:
        super().__init__()
        self.rows = rows
        self.is_code = is_code

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> list[LocalizedRow]:
        texts, languages = listed(data, name), listed(data, f"{name}-language")
        rows = zip_longest(languages[:MOST_ROWS], texts[:MOST_ROWS], fillvalue="")
        return [LocalizedRow(language.strip(), with_newlines(text)) for language, text in rows]

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return name not in data

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        filled = [row for row in value or [] if row.language or row.text.strip()]
        rows = filled or [LocalizedRow("", "")]
        context["widget"].update(
            filled=rows,
            spare=[LocalizedRow("", "")] * self.spare_rows,
            rows=self.rows,
            is_code=self.is_code,
        )
        return context


class ConditionsInput(forms.Widget):
    """Rows of tag, operator and value: `<name>-tag`, `<name>-operator` and `<name>-value`."""

    template_name = "admin/django_pushwoosh/widgets/conditions.html"
    use_fieldset = True
    spare_rows = 2

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> list[ConditionRow]:
        parts = (listed(data, f"{name}-{part}")[:MOST_ROWS] for part in ConditionRow._fields)
        return [
            ConditionRow(tag.strip(), operator.strip(), value.strip())
            for tag, operator, value in zip_longest(*parts, fillvalue="")
        ]

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return f"{name}-tag" not in data

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        filled = [row for row in value or [] if row.tag or row.value]
        context["widget"].update(
            filled=filled or [ConditionRow("", "EQ", "")],
            spare=[ConditionRow("", "EQ", "")] * self.spare_rows,
            operators=OPERATORS,
            without_operand=" ".join(WITHOUT_OPERAND),
        )
        return context


class EmptyOnPurpose(forms.Widget):
    """A text input, or a textarea with `rows`, and a box `<name>-empty` that says an empty value is meant."""

    template_name = "admin/django_pushwoosh/widgets/empty_on_purpose.html"

    def __init__(self, box_label: Any, rows: int = 0, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.box_label = box_label
        self.rows = rows

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> TextOrEmpty:
        return TextOrEmpty(with_newlines(str(data.get(name, ""))), bool(data.get(f"{name}-empty")))

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"].update(
            text=value.text if value else "",
            is_empty=value.is_empty if value else False,
            box_label=self.box_label,
            rows=self.rows,
        )
        return context


def is_filled(value: Any) -> bool:
    """Whether a widget's value says anything."""
    if isinstance(value, LocalizedRow):
        return bool(value.language or value.text.strip())
    if isinstance(value, ConditionRow):
        return bool(value.tag or value.value)
    if isinstance(value, TextOrEmpty):
        return bool(value.text.strip() or value.is_empty)
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, Sequence):
        return any(map(is_filled, value))
    return value is not None and value is not False
