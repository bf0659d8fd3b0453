"""A form field for each kind of value in the parameter table; what is cleaned is what goes on the wire."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_pushwoosh.admin.widgets import (
    ConditionRow,
    ConditionsInput,
    EmptyOnPurpose,
    LocalizedInput,
    LocalizedRow,
    TextOrEmpty,
    is_filled,
    with_newlines,
)
from django_pushwoosh.protocol import fields as kinds
from django_pushwoosh.protocol.errors import Invalid, InvalidMessage, Problem
from django_pushwoosh.protocol.fields import Kind
from django_pushwoosh.protocol.filters import WITHOUT_OPERAND
from django_pushwoosh.protocol.parameters import Parameter
from django_pushwoosh.protocol.tags import TagType

WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
PLAIN_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
DECIMAL = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")
CODE_WORD = re.compile(r"`([^`]+)`")
ITEM = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"\s*|([^,]*))(?:,|$)', re.DOTALL)
SEVERAL = re.compile(r"[,\s]")
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
MOST_LINES = 5
"""Lines that a problem names; of more it says that there are some."""


def help_of(parameter: Parameter) -> SafeString:
    """The parameter's help in the reader's language, with its code words set as code."""
    text = CODE_WORD.sub(r"<code>\1</code>", escape(gettext(parameter.help)))
    return mark_safe(f'{text} <code class="pushwoosh-name">{escape(parameter.name)}</code>')  # noqa: S308 (escaped)


def words_of(problem: Problem, label: str, name: str) -> str:
    """A problem as a sentence about the field: "Badge must be …"."""
    place = problem.path.removeprefix(name).lstrip(".")
    subject = f"{label} ({place})" if place else label
    return f"{subject} {gettext(problem.text)}"


def read_json(text: str) -> Any:
    """JSON as typed. Raises `ValidationError` that says where it goes wrong."""

    def refuse(name: str) -> Any:
        raise ValidationError(gettext("%(name)s is no JSON value.") % {"name": name})

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValidationError(gettext("A key stands twice in one object; keep one of them."))
        return found

    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ValidationError(
            gettext("This is no valid JSON: line %(line)d, column %(column)d: %(text)s.")
            % {"line": error.lineno, "column": error.colno, "text": error.msg}
        ) from None
    except (ValueError, RecursionError):
        raise ValidationError(gettext("This JSON holds a number that is too long, or is nested too deeply.")) from None


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


class ParameterField(forms.Field):
    """A row of the parameter table. Empty means left out: `clean` gives `None`, or the value for the wire."""

    widget = forms.TextInput

    def __init__(self, parameter: Parameter) -> None:
        self.parameter = parameter
        super().__init__(
            required=False,
            label=gettext(parameter.label),
            help_text=help_of(parameter),
            widget=self.make_widget(parameter.kind),
        )
        example = parameter.example
        if isinstance(self.widget, (forms.TextInput, forms.Textarea)) and "placeholder" not in self.widget.attrs:
            shown = example if isinstance(example, str) else json.dumps(example, ensure_ascii=False)
            self.widget.attrs["placeholder"] = shown

    def make_widget(self, kind: Kind) -> forms.Widget:
        return forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"})

    def read(self, value: Any) -> Any:
        """From the widget's value to the wire's, `None` where nothing was given."""
        return (value or "").strip() or None

    def clean(self, value: Any) -> Any:
        value = self.read(value)
        if value is None:
            return None
        name = self.parameter.name
        try:
            return self.parameter.kind.clean(value, name)
        except Invalid as error:
            raise ValidationError([words_of(each, str(self.label), name) for each in error.problems]) from None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return is_filled(data)


class LocalizedField(ParameterField):
    """One text for all, or one per language; beside others, the text without a language is for everybody else."""

    def make_widget(self, kind: Kind) -> forms.Widget:
        return LocalizedInput(
            rows=3 if self.parameter.name in ("content", "wns_content") else 1,
            is_code=isinstance(kind, kinds.LocalizedBase64),
        )

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str):
            return [LocalizedRow("", value)]
        if isinstance(value, Mapping):
            return [LocalizedRow("" if language == "default" else language, text) for language, text in value.items()]
        return value

    def read(self, value: list[LocalizedRow] | None) -> Any:
        rows = [row for row in value or [] if is_filled(row)]
        if not rows:
            return None
        if len(rows) == 1 and not rows[0].language:
            return rows[0].text
        texts: dict[str, str] = {}
        for row in rows:
            language = row.language or "default"
            if language in texts:
                raise ValidationError(
                    gettext("%(label)s is given twice for %(language)s; name a language for each text.")
                    % {"label": self.label, "language": row.language or gettext("all others")}
                )
            texts[language] = row.text
        return texts


class IntegerField(ParameterField):
    def make_widget(self, kind: Kind) -> forms.Widget:
        bounds = {
            side: bound
            for side, bound in (("min", getattr(kind, "minimum", None)), ("max", getattr(kind, "maximum", None)))
            if bound is not None and abs(bound) < 2**31 - 1
        }
        return forms.NumberInput(attrs={"class": "vIntegerField", "step": 1, **bounds})

    def read(self, value: Any) -> Any:
        text = str(value if value is not None else "").strip()
        return int(text) if WHOLE.fullmatch(text) else text or None


class TruthField(ParameterField):
    """Yes, no, or left to Pushwoosh."""

    WORDS = {"true": True, "false": False}

    def make_widget(self, kind: Kind) -> forms.Widget:
        return forms.Select(choices=[("", "—"), ("true", _("Yes")), ("false", _("No"))])

    def prepare_value(self, value: Any) -> Any:
        return ("true" if value else "false") if isinstance(value, (bool, int)) else value

    def read(self, value: Any) -> Any:
        return self.WORDS.get(value, value) if value else None


class ChoiceField(ParameterField):
    def make_widget(self, kind: Kind) -> forms.Widget:
        choices = cast(kinds.Choice, kind).choices
        return forms.Select(choices=[("", "—"), *((str(value), gettext(label)) for value, label in choices)])

    def read(self, value: Any) -> Any:
        options = cast(kinds.Choice, self.parameter.kind).options
        return {str(option): option for option in options}.get(value, value) if value else None


class BadgeField(ParameterField):
    WORDS = {"true": True, "false": False}

    def prepare_value(self, value: Any) -> Any:
        return str(value).lower() if isinstance(value, bool) else value

    def read(self, value: Any) -> Any:
        text = str(value if value is not None else "").strip()
        kind = self.parameter.kind
        if isinstance(kind, kinds.Badge) and kind.or_boolean and text.lower() in self.WORDS:
            return self.WORDS[text.lower()]
        return text or None


class JsonField(ParameterField):
    def make_widget(self, kind: Kind) -> forms.Widget:
        return forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField pushwoosh-code", "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, str) else as_json(value)

    def read(self, value: Any) -> Any:
        text = (value or "").strip()
        return read_json(text) if text else None


class DayField(ParameterField):
    def make_widget(self, kind: Kind) -> forms.Widget:
        return forms.TextInput(attrs={"type": "date", "class": "pushwoosh-day"})


class PlatformsField(ParameterField):
    def make_widget(self, kind: Kind) -> forms.Widget:
        choices = cast(kinds.PlatformList, kind).choices
        return forms.CheckboxSelectMultiple(choices=[(str(number), label) for number, label in choices])

    def prepare_value(self, value: Any) -> Any:
        return [str(each) for each in value] if isinstance(value, (list, tuple)) else value

    def read(self, value: Any) -> Any:
        return [int(each) if WHOLE.fullmatch(each) else each for each in value or []] or None


class TextFieldOrEmpty(ParameterField):
    """Text that may be empty on purpose, which is not the same as left out."""

    def make_widget(self, kind: Kind) -> forms.Widget:
        return EmptyOnPurpose(_("send it empty"), attrs={"class": "vTextField", "autocomplete": "off"})

    def prepare_value(self, value: Any) -> Any:
        return TextOrEmpty(value, value == "") if isinstance(value, str) else value

    def read(self, value: TextOrEmpty | None) -> Any:
        if value is None:
            return None
        text = value.text.strip()
        if text and value.is_empty:
            raise ValidationError(gettext("Either give a value or send it empty, not both."))
        return text or ("" if value.is_empty else None)


class LinesField(ParameterField):
    """A list of texts, one per line."""

    def make_widget(self, kind: Kind) -> forms.Widget:
        return EmptyOnPurpose(_("send an empty list"), rows=3, attrs={"class": "vLargeTextField pushwoosh-code"})

    def prepare_value(self, value: Any) -> Any:
        is_list = isinstance(value, list)
        return TextOrEmpty("\n".join(map(str, value)), not value) if is_list else value

    def read(self, value: TextOrEmpty | None) -> Any:
        if value is None:
            return None
        if value.text.strip() and value.is_empty:
            raise ValidationError(gettext("Either give a value or send it empty, not both."))
        # An empty line in the middle is an empty value: these fill places in their order.
        lines = [line.strip() for line in value.text.rstrip().split("\n")] if value.text.strip() else []
        return lines or ([] if value.is_empty else None)


_FIELDS: tuple[tuple[type[Kind], type[ParameterField]], ...] = (
    (kinds.LocalizedText, LocalizedField),
    (kinds.LocalizedBase64, LocalizedField),
    (kinds.Integer, IntegerField),
    (kinds.Seconds, IntegerField),
    (kinds.Boolean, TruthField),
    (kinds.Flag, TruthField),
    (kinds.Choice, ChoiceField),
    (kinds.Badge, BadgeField),
    (kinds.JsonObject, JsonField),
    (kinds.JsonObjectOrString, JsonField),
    (kinds.TextMap, JsonField),
    (kinds.Day, DayField),
    (kinds.PlatformList, PlatformsField),
    (kinds.Strings, LinesField),
)


def field_for(parameter: Parameter) -> ParameterField:
    """The form field of a row of the parameter table."""
    kind = parameter.kind
    if isinstance(kind, kinds.Text) and kind.blank:
        return TextFieldOrEmpty(parameter)
    found = next((field for of, field in _FIELDS if isinstance(kind, of)), ParameterField)
    return found(parameter)


class ExtraField(forms.CharField):
    """Parameters that the table does not know, as a JSON object."""

    def __init__(self) -> None:
        super().__init__(
            required=False,
            label=_("Further parameters"),
            help_text=_("A JSON object of parameters that this form does not have; they are passed on as they are."),
            widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField pushwoosh-code", "spellcheck": "false"}),
        )

    def prepare_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, str) else as_json(value)

    def clean(self, value: Any) -> Any:
        text = (value or "").strip()
        return read_json(text) if text else None


class IdsField(forms.Field):
    """Ids, one per line; `clean` gives a list without blank lines.

    A line that holds a comma or a blank is most likely several ids, which together would be one that nobody has: it is
    refused, unless it is in double quotes.
    """

    widget = forms.Textarea

    def __init__(self, **more: Any) -> None:
        widget = forms.Textarea(attrs={"rows": 5, "class": "vLargeTextField pushwoosh-code", "spellcheck": "false"})
        super().__init__(required=False, widget=widget, **more)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(_id_text, value)) if isinstance(value, (list, tuple)) else value

    def clean(self, value: Any) -> list[str]:
        ids, several = [], []
        for number, line in enumerate(with_newlines(value or "").split("\n"), start=1):
            text = line.strip()
            is_quoted = QUOTED.fullmatch(text) is not None
            if is_quoted:
                text = _unquoted(text)[0]
            if not is_quoted and SEVERAL.search(text):
                several.append(number)
            elif text or is_quoted:
                ids.append(text)
        if several:
            shown = ", ".join(map(str, several[:MOST_LINES])) + (" …" if several[MOST_LINES:] else "")
            raise ValidationError(
                ngettext(
                    "Line %(lines)s holds a comma or a blank: write one id per line, and put an id that has one in "
                    "double quotes.",
                    "Lines %(lines)s hold a comma or a blank: write one id per line, and put an id that has one in "
                    "double quotes.",
                    len(several),
                )
                % {"lines": shown}
            )
        return ids


def _id_text(text: str) -> str:
    return _quoted(text) if not text or SEVERAL.search(text) or QUOTED.fullmatch(text) else text


class ConditionsField(forms.Field):
    """Rows of conditions. `clean` gives the filled rows as typed; `typed` turns them into values."""

    def __init__(self, **more: Any) -> None:
        super().__init__(required=False, widget=ConditionsInput(), **more)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)) and not any(isinstance(row, ConditionRow) for row in value):
            return [
                ConditionRow(str(tag), str(operator), "" if operator in WITHOUT_OPERAND else _operand_text(operand))
                for tag, operator, operand in value
            ]
        return value

    def clean(self, value: Any) -> list[ConditionRow]:
        return [row for row in value or [] if is_filled(row)]


def typed(rows: Iterable[ConditionRow], type_of: Callable[[str], int | None]) -> list[list[Any]]:
    """Conditions as `[tag, operator, operand]`, each value of its tag's type as far as that is known.

    Where a tag has no definition, digits alone are a whole number, true and false are truth values, and everything
    else is text; quotes make text of anything. Raises `InvalidMessage` for a value that was left out: "is not" nothing
    would be nearly everyone.
    """
    conditions = []
    for number, row in enumerate(rows):
        if not row.value and row.operator not in WITHOUT_OPERAND:
            raise InvalidMessage(Problem(f"conditions[{number}]", gettext('Give a value; write "" for an empty one.')))
        tag_type = type_of(row.tag)
        operand: Any
        if row.operator in ("IN", "NOTIN", "BETWEEN"):
            operand = [_value(text, is_quoted, tag_type) for text, is_quoted in _items(row.value)]
        else:
            text, is_quoted = _unquoted(row.value)
            operand = _value(text, is_quoted, tag_type)
        conditions.append([row.tag, row.operator, operand])
    return conditions


def _value(text: str, is_quoted: bool, tag_type: int | None) -> Any:
    if is_quoted or tag_type in (TagType.STRING, TagType.LIST, TagType.DATE, TagType.VERSION):
        return text
    if tag_type in (TagType.INTEGER, TagType.PRICE):
        if WHOLE.fullmatch(text):
            return int(text)
        return float(text) if DECIMAL.fullmatch(text) else text
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if tag_type is None and PLAIN_WHOLE.fullmatch(text):
        return int(text)
    return text


def _unquoted(text: str) -> tuple[str, bool]:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL), True
    return text, False


def _quoted(text: str) -> str:
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'


def _items(text: str) -> list[tuple[str, bool]]:
    """The values of a list separated by commas; quotes keep a comma inside a value."""
    items: list[tuple[str, bool]] = []
    position = 0
    while position < len(text):
        match = ITEM.match(text, position)
        if match is None:  # text behind a closing quote
            end = text.find(",", position)
            end = len(text) if end < 0 else end
            items.append((text[position:end].strip(), False))
            position = end + 1
            continue
        quoted, plain = match[1], match[2]
        if quoted is not None:
            items.append((re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL), True))
        elif plain.strip():
            items.append((plain.strip(), False))
        position = max(match.end(), position + 1)
    return items


def _operand_text(operand: Any) -> str:
    if isinstance(operand, (list, tuple)):
        return ", ".join(_operand_text(each) for each in operand)
    if isinstance(operand, str):
        is_plain = operand and operand == operand.strip() and not re.search(r'[",\\]', operand)
        is_mistaken = PLAIN_WHOLE.fullmatch(operand) or operand.lower() in ("true", "false")
        if is_plain and not is_mistaken:
            return operand
        return _quoted(operand)
    return json.dumps(operand)


class LocalTimeField(forms.Field):
    """A minute on a clock whose zone is said elsewhere; `clean` gives a naive datetime."""

    FORMS = ("%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")

    def __init__(self, **more: Any) -> None:
        super().__init__(required=False, widget=forms.TextInput(attrs={"type": "datetime-local"}), **more)

    def prepare_value(self, value: Any) -> Any:
        return value.strftime("%Y-%m-%dT%H:%M") if isinstance(value, datetime) else value

    def clean(self, value: Any) -> datetime | None:
        text = (value or "").strip()
        if not text:
            return None
        for form in self.FORMS:
            try:
                return datetime.strptime(text, form)
            except ValueError:
                continue
        raise ValidationError(_("Write the time as YYYY-MM-DD HH:MM."))
