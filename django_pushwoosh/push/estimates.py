"""How many devices a message would reach, as far as the mirror knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import cast

from django.utils.translation import gettext_lazy as _

from django_pushwoosh.models import Device, ScheduledMessage
from django_pushwoosh.models.devices import DeviceQuerySet
from django_pushwoosh.protocol import audience as audiences
from django_pushwoosh.protocol.conflicts import SMALL
from django_pushwoosh.protocol.errors import InvalidFilter
from django_pushwoosh.protocol.filters import Expression, Intersection, Union

BATCH = 500
MOST_IDS = 20_000
"""Longer lists are not looked up one by one for a page."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """`matching` devices are known to be reached, `unknown` ones may be; `matching` is `None` where nobody can say.

    `not_counted` names, in words, what changes the number and is not in it.
    """

    matching: int | None = None
    unknown: int = 0
    not_counted: tuple[str, ...] = ()


def estimate(message: ScheduledMessage) -> Estimate:
    """Of the subscribed devices that the mirror knows, how many a message reaches.

    A mirror that was never filled says that it does not know, not 0. Raises `InvalidMessage` where the message has no
    audience.
    """
    to = message.to
    devices = Device.objects.using(message._state.db)
    not_counted = tuple(_not_counted(message))
    if not devices.of(message.application).exists():
        return Estimate(None, 0, not_counted)
    known = devices if _is_account_wide(to) else devices.of(message.application)
    try:
        matching, unknown = _counted(_on_platforms(known.subscribed(), message), known, to)
    except InvalidFilter:
        # Too large for one query.
        matching, unknown = None, 0
    return Estimate(matching, unknown, not_counted)


def _counted(reached: DeviceQuerySet, known: DeviceQuerySet, to: audiences.Audience) -> tuple[int | None, int]:
    """Those of `reached` that are meant, and how many that are meant are not even among `known`."""
    match to:
        case audiences.Everyone():
            return reached.count(), 0
        case audiences.Devices(ids=ids) if len(ids) <= MOST_IDS:
            return _counted_by(_of_ids, reached, known, ids)
        case audiences.Users(ids=ids) if len(ids) <= MOST_IDS:
            return _counted_by(_of_users, reached, known, ids)
        case audiences.Conditions(conditions=conditions, operator=operator):
            join: type[Union] | type[Intersection] = Union if operator == audiences.OR else Intersection
            first, *others = conditions
            whole = reduce(join, others, cast(Expression, first))
            return reached.estimate(whole)
        case audiences.FilterExpression(expression=expression):
            return reached.estimate(expression)
    return None, 0


def _counted_by(
    of: Callable[[DeviceQuerySet, list[str]], dict[str, int]],
    reached: DeviceQuerySet,
    known: DeviceQuerySet,
    ids: tuple[str, ...],
) -> tuple[int, int]:
    found = unknown = 0
    for start in range(0, len(ids), BATCH):
        batch = list(ids[start : start + BATCH])
        found += sum(of(reached, batch).values())
        unknown += len(set(batch) - of(known, batch).keys())
    return found, unknown


def _of_ids(devices: DeviceQuerySet, ids: list[str]) -> dict[str, int]:
    """How many devices each hwid or push token stands for."""
    by_hwid = devices.filter(hwid__in=ids).values_list("hwid", flat=True)
    by_token = devices.filter(push_token__in=ids).exclude(hwid__in=ids).values_list("push_token", flat=True)
    return dict(Counter([*by_hwid, *by_token]))


def _of_users(devices: DeviceQuerySet, ids: list[str]) -> dict[str, int]:
    """How many devices each user has; a device without a link is its own user, by its hwid."""
    linked = devices.filter(links__is_open=True, links__user_id__in=ids).values_list("links__user_id", flat=True)
    anonymous = devices.filter(hwid__in=ids).exclude(links__is_open=True).values_list("hwid", flat=True)
    return dict(Counter([*linked, *anonymous]))


def _on_platforms(devices: DeviceQuerySet, message: ScheduledMessage) -> DeviceQuerySet:
    """Pushwoosh looks at `platforms` unless few devices are listed."""
    platforms = message.parameters.get("platforms")
    is_ignored = isinstance(message.to, audiences.Devices) and len(message.to) < SMALL
    return devices.filter(platform__in=platforms) if platforms and not is_ignored else devices


def _is_account_wide(to: audiences.Audience) -> bool:
    return isinstance(to, audiences.FilterExpression) and to.account_wide


def _not_counted(message: ScheduledMessage) -> Iterator[str]:
    if "preset" in message.parameters:
        yield str(_("the preset, which may bring a filter with it"))
    if isinstance(message.to, audiences.Geozone):
        yield str(_("where the devices are"))
    if "capping_days" in message.parameters:
        yield str(_("devices that are left out because they got enough pushes"))
