"""The kinds of values on the wire: each cleans a value and describes, in words, what it takes.

`clean` gives the value as it is sent, or raises `Invalid` with a `Problem` for everything that has to change; the
value it gives is its own copy, so what a caller changes later changes nothing here. No kind guesses: a `bool` is not
a number, a `str` is not a list, and NUL, lone surrogates, numbers beyond 64 bits, NaN and bottomless nesting are
refused wherever they hide, because no JSON peer agrees on what they mean.
"""

from django_pushwoosh.protocol.fields.base import (
    DEEPEST,
    LARGEST_INTEGER,
    LONGEST_IDENTIFIER,
    LONGEST_TEXT,
    MOST_PROBLEMS,
    MOST_TARGETS,
    MOST_VALUES,
    MOST_VALUES_IN_BULK,
    WEEKS_4,
    Anything,
    Kind,
    cleaned_list,
    closest,
    shown,
)
from django_pushwoosh.protocol.fields.numbers import (
    Badge,
    Boolean,
    Flag,
    Integer,
    Number,
    Seconds,
)
from django_pushwoosh.protocol.fields.structures import (
    Conditions,
    GeozoneKind,
    JsonObject,
    JsonObjectOrString,
    Objects,
    PlatformList,
)
from django_pushwoosh.protocol.fields.texts import (
    Choice,
    Code,
    Color,
    LedColor,
    LocalizedBase64,
    LocalizedText,
    Strings,
    Text,
    TextMap,
    Url,
    is_web_address,
    language_key,
)
from django_pushwoosh.protocol.fields.times import (
    Day,
    SendDate,
    TimeZoneName,
)

__all__ = [
    "DEEPEST",
    "LARGEST_INTEGER",
    "LONGEST_IDENTIFIER",
    "LONGEST_TEXT",
    "MOST_PROBLEMS",
    "MOST_TARGETS",
    "MOST_VALUES",
    "MOST_VALUES_IN_BULK",
    "WEEKS_4",
    "Anything",
    "Badge",
    "Boolean",
    "Choice",
    "Code",
    "Color",
    "Conditions",
    "Day",
    "Flag",
    "GeozoneKind",
    "Integer",
    "JsonObject",
    "JsonObjectOrString",
    "Kind",
    "LedColor",
    "LocalizedBase64",
    "LocalizedText",
    "Number",
    "Objects",
    "PlatformList",
    "Seconds",
    "SendDate",
    "Strings",
    "Text",
    "TextMap",
    "TimeZoneName",
    "Url",
    "cleaned_list",
    "closest",
    "is_web_address",
    "language_key",
    "shown",
]
