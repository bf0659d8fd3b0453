"""What saving and deleting single objects sends upstream.

Fixtures (`raw`), the mirror's own writes, `update()` and `bulk_create()` send nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from django_pushwoosh import push
from django_pushwoosh.conf import settings
from django_pushwoosh.delivery.mirror import Erased
from django_pushwoosh.delivery.retention import OldMessages
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
    instance._before = None
    if raw or instance.pk is None:
        return
    instance._before = sender.objects.using(using).filter(pk=instance.pk).select_for_update().first()
    if sender is ScheduledMessage and instance._before is not None:
        # How far a message is, only push and the worker say; an instance read earlier must not turn it back.
        instance.status = instance._before.status
        instance.queued_at = instance._before.queued_at


def device_saved(
    instance: Device,
    created: bool,
    raw: bool,
    using: str,
    update_fields: Collection[str] | None = None,
    **_kwargs: Any,
) -> None:
    before: Device | None = instance.__dict__.pop("_before", None)
    if raw:
        return
    if created or before is None:
        if instance.unsubscribed_at is None:
            push.register_device(instance, tags=instance.tags, using=using)
        return
    changed = _changed(instance, before, (*REGISTERED, "unsubscribed_at", "tags"), update_fields)
    if "unsubscribed_at" in changed and instance.unsubscribed_at is not None:
        push.unregister_device(instance, using=using)
    elif changed - {"tags"} and instance.unsubscribed_at is None:
        # Who has unsubscribed is not registered again because of a new language.
        push.register_device(instance, using=using)
    if "tags" in changed:
        removed = {name: None for name in before.tags if name not in instance.tags}
        changes = {name: value for name, value in instance.tags.items() if before.tags.get(name) != value}
        push.set_tags(instance, removed | changes, using=using)


def device_deleted(instance: Device, using: str, origin: Any = None, **_kwargs: Any) -> None:
    if not isinstance(origin, Erased) and _is_ours(instance.application):
        push.unregister_device(instance, using=using)


def link_saved(instance: UserLink, created: bool, raw: bool, using: str, **_kwargs: Any) -> None:
    if raw:
        return
    if instance.is_open:
        push.register_user(_device_of(instance, using), instance.user_id, using=using)
    elif not created and not UserLink.objects.using(using).filter(device=instance.device_id).open().exists():
        push.register_user(_device_of(instance, using), using=using)


def link_deleted(instance: UserLink, using: str, origin: Any = None, **_kwargs: Any) -> None:
    # Links that go with their device have nobody left to speak for.
    is_own = origin is instance or getattr(origin, "model", None) is UserLink
    if is_own and instance.is_open:
        device = _device_of(instance, using)
        if _is_ours(device.application):
            push.register_user(device, using=using)


def _device_of(link: UserLink, using: str) -> Device:
    """A link's device in the database where the link is changed; a router may look for it elsewhere."""
    if UserLink._meta.get_field("device").is_cached(link):
        return link.device
    return Device.objects.using(using).get(pk=link.device_id)


def message_saved(
    instance: ScheduledMessage,
    created: bool,
    raw: bool,
    using: str,
    update_fields: Collection[str] | None = None,
    **_kwargs: Any,
) -> None:
    before: ScheduledMessage | None = instance.__dict__.pop("_before", None)
    if raw or created or before is None:
        return
    changed = _changed(instance, before, (*SCHEDULED, "expires_at"), update_fields)
    status = ScheduledMessage.Status
    is_accepted = before.is_ahead and instance.status in (status.SENT, status.LIMITED)
    # What Pushwoosh has accepted does not expire here.
    if (changed and instance.status == status.SCHEDULED) or (changed - {"expires_at"} and is_accepted):
        push.reschedule(instance, before, using=using)


def message_deleted(instance: ScheduledMessage, using: str, origin: Any = None, **_kwargs: Any) -> None:
    # What is deleted for its age was over long ago.
    if not isinstance(origin, OldMessages) and _is_ours(instance.application):
        push.withdraw(instance, using=using)


def _changed(instance: Any, before: Any, names: Iterable[str], saved: Collection[str] | None) -> set[str]:
    """The names among those saved whose values differ from what the database held."""
    return {
        name for name in names if (saved is None or name in saved) and getattr(instance, name) != getattr(before, name)
    }


def _is_ours(application: str) -> bool:
    """Whether the settings still name it; to one that they do not, nothing can be said."""
    return any(each.code == application for each in settings.applications.values())
