"""What saving and deleting single objects sends upstream.

Fixtures (`raw`), the mirror's own writes, `update()` and `bulk_create()` send nothing.
"""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from django_pushwoosh import push
from django_pushwoosh.models import Device, ScheduledMessage, UserLink

REGISTERED = (
    "platform", "push_token", "language", "utc_offset_seconds", "device_model", "os_version", "app_version",
)  # fmt: skip
SCHEDULED = ("parameters", "audience", "send_at", "time_zone", "in_device_time")


def connect() -> None:
    for signal, receiver, model in (
        (pre_save, remember, Device),
        (post_save, device_saved, Device),
        (post_delete, device_deleted, Device),
        (post_save, link_saved, UserLink),
        (post_delete, link_deleted, UserLink),
        (pre_save, remember, ScheduledMessage),
        (post_save, message_saved, ScheduledMessage),
        (pre_delete, message_deleted, ScheduledMessage),
    ):
        signal.connect(receiver, sender=model, dispatch_uid=f"django_pushwoosh.{receiver.__name__}.{model.__name__}")


def remember(sender: Any, instance: Any, raw: bool, using: str, **_kwargs: Any) -> None:
    """Keep what the database holds, to see what a save changes."""
    instance._before = (
        None if raw or instance.pk is None else sender.objects.using(using).filter(pk=instance.pk).first()
    )


def device_saved(instance: Device, created: bool, raw: bool, **_kwargs: Any) -> None:
    before: Device | None = instance.__dict__.pop("_before", None)
    if raw:
        return
    if created or before is None:
        push.register_device(instance, tags=instance.tags)
        return
    if instance.unsubscribed_at is not None and before.unsubscribed_at is None:
        push.unregister_device(instance)
    elif any(getattr(instance, name) != getattr(before, name) for name in REGISTERED):
        push.register_device(instance)
    removed = {name: None for name in before.tags if name not in instance.tags}
    changed = {name: value for name, value in instance.tags.items() if before.tags.get(name) != value}
    if removed or changed:
        push.set_tags(instance, removed | changed)


def device_deleted(instance: Device, **_kwargs: Any) -> None:
    push.unregister_device(instance)


def link_saved(instance: UserLink, created: bool, raw: bool, using: str, **_kwargs: Any) -> None:
    if raw:
        return
    if instance.is_open:
        push.register_user(instance.device, instance.user_id)
    elif not created and not UserLink.objects.using(using).filter(device=instance.device_id).open().exists():
        push.register_user(instance.device)


def link_deleted(instance: UserLink, origin: Any = None, **_kwargs: Any) -> None:
    # Links that go with their device have nobody left to speak for.
    is_own = origin is instance or getattr(origin, "model", None) is UserLink
    if is_own and instance.is_open:
        push.register_user(instance.device)


def message_saved(instance: ScheduledMessage, created: bool, raw: bool, **_kwargs: Any) -> None:
    before: ScheduledMessage | None = instance.__dict__.pop("_before", None)
    if raw or created or before is None or instance.status != ScheduledMessage.Status.SCHEDULED:
        return
    if any(getattr(instance, name) != getattr(before, name) for name in SCHEDULED):
        push.reschedule(instance)


def message_deleted(instance: ScheduledMessage, **_kwargs: Any) -> None:
    push.withdraw(instance)
