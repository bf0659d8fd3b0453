"""Which calls about one device can be said as one, so that it comes to the same.

Pure rules about calls that our own side made and that have not left: `merged` says two of them as one, and `bulk_row`
says one of them as a row of a bulk request. What cannot be said so stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_pushwoosh.protocol import tags as tag_rules
from django_pushwoosh.protocol.calls import Call

LEAST_IN_BULK = 50
"""Devices in one bulkSetTags, at the least (seed 004); fewer go one by one."""
MOST_IN_BULK = 1000
"""Ours: the documents name no bound."""

BULK_METHODS = ("bulkRegisterDevice", "bulkSetTags")
_REGISTER_ROW = {"hwid": "hwid", "push_token": "push_token", "device_type": "platform", "tags": "tags"}
"""What a row of bulkRegisterDevice can say, by the argument's name in registerDevice."""


def merged(first: Call, second: Call) -> Call | None:
    """One call that leaves what `first` and then `second` would; `None` where no call says both.

    Both name the same device. Increments add up, appends and removals unite, a later value wins, and of two
    registrations the later one wins field by field: what it leaves out survives.
    """
    if first.method is not second.method or first.raw is not None or second.raw is not None:
        return None
    earlier, later = first.arguments, second.arguments
    match first.method.name:
        case "setTags":
            if earlier.keys() - {"tags"} != later.keys() - {"tags"}:
                return None
        case "registerDevice":
            if any(earlier.get(name) != later.get(name) for name in ("hwid", "device_type")):
                return None
            if any(value == "" and earlier.get(name) for name, value in later.items()):
                # Whether nothing is kept or taken away is Pushwoosh's to say.
                return None
            if "language" in later and "Language" in (earlier.get("tags") or ()):
                # The tag says the same as the field, and in one call it comes after it.
                return None
        case _:
            return None
    arguments = {**earlier, **later}
    if "tags" in earlier and "tags" in later:
        changes = merged_tags(earlier["tags"], later["tags"])
        if changes is None:
            return None
        arguments["tags"] = changes
    return Call(first.method, first.application, arguments)


def merged_tags(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any] | None:
    """Changes of tags that leave what `first` and then `second` would, whatever was there; `None` if none do."""
    changes = dict(first)
    for name, later in second.items():
        if name in changes:
            if not _share_their_fate(changes[name], later):
                return None
            if tag_rules.is_operation(later):
                later = _operation_after(changes[name], later)
                if later is None:
                    return None
        changes[name] = later
    return changes


def _share_their_fate(earlier: Any, later: Any) -> bool:
    """Whether Pushwoosh refuses both values of a tag or neither; else the earlier one would have stayed.

    The two also leave a tag of the same type, by which what comes later is judged.
    """
    if earlier is None or later is None:
        return earlier is later
    if type(earlier) is int and type(later) is int and (earlier in (0, 1)) is not (later in (0, 1)):
        # These are booleans too.
        return False
    return tag_rules.infer_type(earlier) is tag_rules.infer_type(later)


def _operation_after(earlier: Any, later: Any) -> Any:
    """One operation for an operation and the one that follows it."""
    if not isinstance(earlier, Mapping) or not isinstance(later, Mapping):
        return None
    old, new = earlier.get("value"), later.get("value")
    match earlier.get("operation"), later.get("operation"):
        case ("increment", "increment") if type(old) is int and type(new) is int and abs(old + new) < 2**53:
            # Fractions are left alone: their sum depends on the order.
            return {"operation": "increment", "value": old + new}
        case (("append", "append") | ("remove", "remove")) as both:
            united: dict[tuple[bool, Any], Any] = {}
            for each in (*_listed(old), *_listed(new)):
                # JSON's true is not its 1; of 1 and 1.0 the first stays.
                united.setdefault((type(each) is bool, each), each)
            return {"operation": both[0], "value": list(united.values())}
    return None


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def bulk_method(call: Call) -> str:
    """The method by which a call can travel with others of its kind; empty for one that goes by itself.

    createMessage carries many messages. Of what devices say, only what may be said twice: nobody knows whether a
    request whose answer was lost took effect. A registration that says more than a bulk row can (language, time zone,
    user …) goes by itself.
    """
    arguments = call.arguments
    if call.raw is not None:
        return ""
    if call.method.name == "createMessage":
        is_one = arguments.keys() == {"notifications"} and len(arguments["notifications"]) == 1
        return "createMessage" if is_one else ""
    if not call.hwid:
        return ""
    tags = arguments.get("tags")
    if tags is not None and (not isinstance(tags, Mapping) or any(map(_is_bound_to_state, tags.values()))):
        return ""
    match call.method.name:
        case "setTags" if tags and arguments.keys() == {"hwid", "tags"}:
            return "bulkSetTags"
        case "registerDevice" if (
            arguments.get("push_token")
            and arguments.keys() <= _REGISTER_ROW.keys()
            # Among a row's tags this is the device's language.
            and "language" not in (tags or ())
        ):
            return "bulkRegisterDevice"
    return ""


def bulk_row(call: Call) -> dict[str, Any]:
    """A call as a row of the bulk request that can carry it."""
    if call.method.name == "setTags":
        return {"hwid": call.hwid, "list_operator": "set", "tags": call.arguments["tags"]}
    return {_REGISTER_ROW[name]: value for name, value in call.arguments.items()}


def _is_bound_to_state(change: Any) -> bool:
    # Bulk rows know no operations but on lists, and no document says that null takes a tag away there.
    return change is None or isinstance(change, Mapping) or tag_rules.is_operation(change)
