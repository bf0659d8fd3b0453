"""Setting tags: what a tag's type lets in, and what becomes of the rest.

A tag's type is declared with the sandbox, or Pushwoosh's own, or learned from the first value. Source: seed 002,
setTags; seed 004, bulkSetTags, whose report says "ok", "tag not found" or "wrong value. expect :string" for each tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_pushwoosh.protocol.tags import DEFAULT_TAGS, TagType, apply, infer_type, is_operation
from django_pushwoosh.sandbox.state import Device, State, language_tag

DONE = "ok"
NOT_FOUND = "tag not found"


def set_tags(
    state: State, device: Device, changes: Mapping[str, Any], *, create: bool = True, relearn: bool = True
) -> dict[str, str]:
    """Carry out the changes on a device; what became of each tag.

    Unverified against Pushwoosh: setTags makes tags that do not exist (`create`), and a tag whose type was never
    declared follows its last value (`relearn`).
    """
    account = state.account_of(device.application)
    results: dict[str, str] = {}
    for name, change in changes.items():
        declared = declared_type(state, name)
        known = type_of(state, account, name)
        if known is None and not create:
            results[name] = NOT_FOUND
            continue
        if change is None:
            device.own_tags.pop(name, None)
            results[name] = DONE
            continue
        fits, value = (True, change) if known is None else fitted(known, change)
        if not fits and declared is None and relearn and not is_operation(change):
            fits, known, value = True, None, change
        before = device.own_tags.get(name)
        after = apply(device.own_tags, {name: value}) if fits else device.own_tags
        took_nothing = name not in after and before is None and not _is_removal(change)
        if not fits or took_nothing:
            results[name] = f"wrong value. expect :{(known or TagType.STRING).name.lower()}"
            continue
        device.own_tags = after
        if known is None:
            state.tag_types[account, name] = infer_type(after.get(name))
        _mirror_own(device, name)
        results[name] = DONE
    state.changed(device)
    return results


def declared_type(state: State, name: str) -> TagType | None:
    """The type that a tag has for good."""
    return state.options.tags.get(name) or DEFAULT_TAGS.get(name)


def type_of(state: State, account: str, name: str) -> TagType | None:
    """A tag's type at present, if it is known."""
    return declared_type(state, name) or state.tag_types.get((account, name))


def fitted(kind: TagType, change: Any) -> tuple[bool, Any]:
    """Whether a tag of this type takes the change, and the change as it is kept."""
    if is_operation(change):
        wants = infer_type(change)
        is_number = kind in (TagType.INTEGER, TagType.PRICE)
        return (is_number if wants in (TagType.INTEGER, TagType.PRICE) else kind is TagType.LIST), change
    if isinstance(change, Mapping):
        return False, change
    found = infer_type(change)
    match kind:
        case TagType.LIST:
            return True, change if found is TagType.LIST else [change]
        case TagType.STRING | TagType.VERSION if isinstance(change, str):
            return True, change
        case TagType.STRING if isinstance(change, int | float):
            # "You can use numeric values with the string tags, but such values will be converted to a string."
            return True, str(change).lower() if isinstance(change, bool) else str(change)
        case TagType.PRICE:
            return found in (TagType.INTEGER, TagType.PRICE), change
        case TagType.BOOLEAN if found is TagType.INTEGER and change in (0, 1):
            return True, bool(change)
    return found is kind, change


def _is_removal(change: Any) -> bool:
    return isinstance(change, Mapping) and change.get("operation") == "remove"


def _mirror_own(device: Device, name: str) -> None:
    """Two tags are the device's own properties: its language, and (so the iOS SDK tells it) its badge."""
    value = device.own_tags.get(name)
    if name == "Language" and isinstance(value, str):
        device.language = value[:35]
        device.own_tags[name] = language_tag(value)
    elif name == "badge" and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
        device.badge = value
