"""Writes what devices say, or Pushwoosh was told of them, into the models, never echoing it back upstream.

All writes go through querysets, which fire no model signals. Values from SDKs are hostile until proven otherwise:
what does not fit a column is left out or cut, and never fails a call.

A call that is queued is noted in the same transaction; one that is relayed, once Pushwoosh has taken it (but for a
registration's time, see `standing`). A queued call that is sent late is not noted again.

What `note` leaves behind, whichever way it is written:

- **Any call** that names an hwid makes the device known: with its `device_type` (an hwid that is an address tells its
  own; else there is no device yet) and what the call says of language, zone, model and versions. Of a device that is
  known, most calls change nothing.
- **registerDevice** takes these, the platform, `extra` (what has no column, and is not private), tags and link. A push
  token is taken where one comes and never blanked: VoIP and the popup widget register without. With a token the device
  is subscribed; e-mail, SMS and WhatsApp devices always are, for their hwid is their token.
- **applicationOpen** takes the same, but no token, tags or user, and subscribes nobody. **setTags**, **setBadge** and
  **unregisterDevice** do what they say; **deleteDevice** erases the device with its links.
- **registerUser** and registrations alone move the link. Other calls mention a user id too, but SDKs take a new one
  back when its registerUser fails. The hwid as user id, or none in registerUser, means nobody.
- **registerEmail**, **registerEmailUser**, **setEmailTags** are about the address's own device; the phone that speaks
  is not touched. **multiRegisterDevice** registers several devices at once.
- **A replay** tells how things were. Reports of statistics are counted, and that is all. A registration is at most
  `RETRIED_WITHIN` old: where the device has spoken meanwhile, it brings its token and whatever was unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connections, router, transaction
from django.db.models import Q, QuerySet

from django_pushwoosh.delivery import attributes, statistics, tag_mirror
from django_pushwoosh.models import Device, TagDefinition, UserLink, canonical_hwid, is_storable, storable
from django_pushwoosh.models.lookups import Among
from django_pushwoosh.protocol import tags as tag_rules
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.platforms import EMAIL, REACHED_BY_HWID, SMS, WHATSAPP

RETRIED_WITHIN = timedelta(minutes=10)
"""iOS sends a registration up to three times more, each time waiting up to 80 seconds for an answer."""
MOST_AT_ONCE = 20
"""Devices of one call that are noted; a person has one browser that speaks."""

_TELLING = frozenset({"registerDevice", "unregisterDevice", "setTags", "setBadge", "applicationOpen", "registerUser"})
"""What changes a device that is known."""
LINKING = frozenset({"registerUser", "registerDevice"})
"""What says whom a device speaks for."""
_DESCRIBING = frozenset({"registerDevice", "applicationOpen"})
_BEYOND = frozenset({"multiRegisterDevice", "deleteDevice", "deleteUser", "mergeUser"})
"""What changes more than a device that is known, or takes it away."""
_ABOUT_ADDRESS = {"registerEmail": "registerDevice", "registerEmailUser": "registerUser", "setEmailTags": "setTags"}
"""Calls about an e-mail address, and what the address would call if it spoke itself."""


class Erased(QuerySet[Device]):
    """Devices that go because Pushwoosh was told so: nothing more is said upstream of it."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a call says of one device, as if the device had made the call itself."""

    method: str
    hwid: str
    platform: int | None
    arguments: Mapping[str, Any]
    is_replay: bool = False


def note(call: Call, *, now: datetime, using: str | None = None, django_user: Any = None) -> Device | None:
    """Bring the mirror up to what a device call says; the device that it is about, if there is one.

    `django_user` is who made it, where that is known: the link gets it, if the device speaks for somebody.
    """
    using = using or router.db_for_write(Device)
    method = call.method.name
    hwid = hwid_of(call)
    report = statistics.told(call, hwid, now)
    if report is not None:
        statistics.note(report, using=using)
    if call.is_replay and method != "registerDevice":
        return None
    match method:
        case "deleteUser":
            _erase(call.application, _of_user(call.arguments.get("user_id")), using)
            return None
        case "mergeUser":
            _merge_users(call, now, using)
            return None
        case "deleteDevice":
            _erase(call.application, Q(hwid=hwid), using)
            return None
        case "setTags" if not hwid:
            _tag_user(call, now, using)
            return None
    # In one order, so that calls about the same devices wait for each other and not crosswise.
    about = sorted((each for each in _said(call, using) if fits(each.hwid, 255)), key=lambda each: each.hwid)
    if not about:
        return None
    if about[0].method not in _TELLING:
        # Nothing changes if it is known: one look, no lock and no transaction.
        known = Device.objects.using(using).of(call.application).filter(hwid=about[0].hwid).first()
        if known is not None:
            return known
    with transaction.atomic(using=using, savepoint=False):
        noted = [_note(call.application, each, now, using, django_user) for each in about]
    return next((device for device in noted if device is not None), None)


def says_nothing_new(call: Call, device: Device | None, user_id: str, *, now: datetime) -> bool:
    """Whether noting a call of a known device would change nothing but a registration's time.

    A registration is held against the row, and against whom the device speaks for.
    """
    method = call.method.name
    if method in _BEYOND or method in _ABOUT_ADDRESS or call.is_replay or method in statistics.KINDS:
        return False
    if method not in _TELLING:
        return True
    if method != "registerDevice" or device is None:
        return False
    said = Said(method, device.hwid, attributes.platform_of(call.arguments, call.hwid), call.arguments)
    changes = _changes(device, said, now)
    is_same = not any(tag_mirror.differs(getattr(device, name), value) for name, value in changes.items())
    named = user_of(call.arguments)
    return is_same and (not named or named == (user_id or device.hwid))


def clause(call: Call, *, now: datetime, using: str) -> tag_mirror.Clause | None:
    """What notes a call in the statement that queues it; `None` if `note` has to.

    Its count is 0 where `note` has to all the same, for the device is unknown.
    """
    hwid, said = hwid_of(call), call.arguments.get("tags")
    if not fits(hwid, 255) or connections[using].vendor != "postgresql":
        return None
    method = call.method.name
    if method == "setTags":
        if call.is_replay or not isinstance(said, dict):
            return None
        return tag_mirror.clause(call.application, hwid, said, now=now, using=using)
    if method in _TELLING or method in _ABOUT_ADDRESS or method in ("deleteDevice", "deleteUser", "mergeUser"):
        return None
    table = connections[using].ops.quote_name(Device._meta.db_table)
    sql = f"found AS (SELECT 1 FROM {table} WHERE application = %s AND hwid = %s)"  # noqa: S608
    parameters: tuple[Any, ...] = (call.application, hwid)
    report = statistics.told(call, hwid, now)
    if report is not None:
        insertion, values = statistics.insertion(report, using)
        sql, parameters = f"{sql}, counted AS ({insertion})", (*parameters, *values)
    return tag_mirror.Clause(sql, parameters, "1" if call.is_replay else "(SELECT count(*) FROM found)", {})


def hwid_of(call: Call) -> str:
    """The hwid of a device call as the mirror knows it; empty if it names none."""
    return canonical_hwid(call.hwid, attributes.platform_of(call.arguments, call.hwid))


def link(
    device: Device, user_id: str, *, now: datetime, django_user: Any = None, using: str | None = None
) -> UserLink | None:
    """Make a device speak for a user id; the earlier link is closed and kept. `None` if it is anonymous again.

    Where the user id stays and only the Django user becomes known, so does the link; another Django user gets another.
    """
    using = using or router.db_for_write(UserLink)
    with transaction.atomic(using=using):
        _locked(device.application, device.hwid, using)
        return _link_locked(device, user_id, now=now, django_user=django_user, using=using)


def _link_locked(
    device: Device, user_id: str, *, now: datetime, using: str, django_user: Any = None
) -> UserLink | None:
    """The same, of a device whose row is locked."""
    links = UserLink.objects.using(using).filter(device=device)
    current = links.open().first()
    known = current.django_user_id if current is not None else None
    is_same = django_user is None or known in (None, django_user.pk)
    if current is not None and current.user_id == user_id and is_same:
        if django_user is not None and known is None:
            links.filter(pk=current.pk).update(django_user=django_user)
        return current
    is_nobody = user_id in ("", device.hwid)
    if current is not None or not is_nobody:
        # By it a registration that was held against the row sees that links have changed (`standing.note_registered`),
        # and one that is sent again that the device has spoken.
        Device.objects.using(using).filter(pk=device.pk).update(updated_at=now)
    if current is not None:
        links.filter(pk=current.pk).update(until=now, is_open=None)
    if is_nobody:
        return None
    fresh = UserLink(device=device, user_id=user_id, django_user=django_user, since=now)
    return UserLink.objects.using(using).bulk_create([fresh])[0]


def _said(call: Call, using: str) -> list[Said]:
    """What a call says of which devices."""
    arguments, method = call.arguments, call.method.name
    if method == "multiRegisterDevice":
        return _said_of_several(call, using)
    address = arguments.get("email")
    if method == "registerDevice" and not call.hwid:
        method = "registerEmail"
    if method in _ABOUT_ADDRESS:
        return [_said_of_address(call, method, address, using)] if isinstance(address, str) else []
    platform = attributes.platform_of(arguments, call.hwid)
    return [Said(method, hwid_of(call), platform, arguments, call.is_replay)]


def _said_of_address(call: Call, method: str, address: str, using: str) -> Said:
    """An e-mail call as the address's own. Model, version and hwid in it are those of the phone that speaks."""
    said = call.arguments
    zones = (said.get(name) for name in ("timezone", "tz_offset", "ts_offset"))
    told = {
        "language": attributes.language_code(said.get("language")),
        "timezone": next((zone for zone in zones if zone is not None), None),
        "tags": said.get("tags"),
    }
    user_id = said.get("userId")
    if isinstance(user_id, str) and user_id:
        is_nobody = user_id == call.hwid or _is_device(call.application, user_id, using)
        told["userId"] = address if is_nobody else user_id
    elif method == "registerEmailUser":
        # It names nobody: there is nothing that it could mean.
        method = ""
    present = {name: value for name, value in told.items() if value is not None}
    return Said(_ABOUT_ADDRESS.get(method, ""), address, EMAIL.number, present, call.is_replay)


def _said_of_several(call: Call, using: str) -> list[Said]:
    """multiRegisterDevice: a person's browsers, address and numbers, each registered with the same tags and user."""
    said = call.arguments
    shared = {name: said[name] for name in ("language", "timezone") if said.get(name) is not None}
    if isinstance(said.get("tags"), Mapping):
        shared["tags"] = _typed(call.application, tag_rules.from_numbered(storable(dict(said["tags"]))), using)
    devices: list[tuple[Any, Any, dict[str, Any]]] = [
        (said.get("email"), EMAIL.number, {}),
        (said.get("sms_phone_number"), SMS.number, {}),
        (said.get("whatsapp_phone_number"), WHATSAPP.number, {}),
    ]
    browsers = said.get("push_devices")
    for each in browsers[:MOST_AT_ONCE] if isinstance(browsers, list) else ():
        if isinstance(each, Mapping):
            more = each.get("platformData")
            model = more.get("browser") if isinstance(more, Mapping) else None
            described = {"push_token": each.get("push_token"), "v": each.get("sdk_version"), "device_model": model}
            devices.append((each.get("hwid"), attributes.platform_of({"device_type": each.get("platform")}), described))
    named = {hwid for hwid, _platform, _described in devices if isinstance(hwid, str)}
    user_id = said.get("user_id")
    found = []
    for hwid, platform, described in devices:
        if isinstance(hwid, str):
            own = canonical_hwid(hwid, platform) if hwid else ""
            user = own if isinstance(user_id, str) and user_id in named else user_id
            found.append(Said("registerDevice", own, platform, {**shared, **described, "userId": user}))
    return found


def _note(application: str, said: Said, now: datetime, using: str, django_user: Any) -> Device | None:
    """Note what is said of one device, with its row locked."""
    devices = Device.objects.using(using)
    device = _locked(application, said.hwid, using)
    is_new = device is None
    if device is None:
        if said.platform is None:
            return None
        _create(application, said.hwid, said.platform, now, using)
        device = _locked(application, said.hwid, using)
        if device is None:
            # Somebody deleted it in between.
            return None
    changes = _changes(device, said, now)
    if is_new:
        changes = {**attributes.of(said.arguments), **changes}
    elif said.is_replay:
        changes = _of_a_replay(device, changes, now)
    changes = {name: value for name, value in changes.items() if tag_mirror.differs(getattr(device, name), value)}
    if said.method == "registerDevice":
        # Noted even where it says nothing new: what Pushwoosh did not know of before, it knows now.
        changes["registered_at"] = now
    if changes:
        devices.filter(pk=device.pk).update(**changes, updated_at=now)
        for name, value in changes.items():
            setattr(device, name, value)
    _note_user(device, said, now, using, django_user)
    if "tags" in changes:
        named = said.arguments["tags"]
        learned = {name: value for name, value in device.tags.items() if name in named}
        tag_mirror.learn_types(application, learned, using=using)
    return device


def _create(application: str, hwid: str, platform: int, now: datetime, using: str) -> None:
    """Make a row, or lock the one that somebody else made meanwhile.

    Ignoring the conflict instead, MariaDB and MySQL would share a lock among all who meet there, and then each would
    wait for the others to let go.
    """
    is_named = connections[using].features.supports_update_conflicts_with_target
    Device.objects.using(using).bulk_create(
        [Device(application=application, hwid=hwid, platform=platform, created_at=now)],
        update_conflicts=True,
        update_fields=["hwid"],
        unique_fields=["application", "hwid"] if is_named else None,
    )


def _changes(device: Device, said: Said, now: datetime) -> dict[str, Any]:
    arguments = said.arguments
    changes: dict[str, Any] = {}
    if said.method in _DESCRIBING:
        changes = {**attributes.of(arguments), "extra": attributes.extra_of(device, arguments)}
    if said.method in ("registerDevice", "setTags") and isinstance(arguments.get("tags"), dict):
        changes["tags"] = tag_mirror.changed(device.tags, arguments["tags"])
    match said.method:
        case "registerDevice":
            if said.platform is not None and REACHED_BY_HWID.isdisjoint((said.platform, device.platform)):
                changes["platform"] = said.platform
            token = arguments.get("push_token")
            if device.is_reached_by_hwid:
                # SDKs give a number's token in three forms; Pushwoosh goes by the hwid.
                token = device.hwid
            if isinstance(token, str) and token:
                changes |= {"push_token": storable(token), "unsubscribed_at": None, "unsubscribed_reason": ""}
        case "unregisterDevice":
            changes = {"push_token": ""}
            if device.unsubscribed_at is None or device.push_token:
                changes |= {"unsubscribed_at": now, "unsubscribed_reason": "unregisterDevice"}
        case "setBadge":
            badge = arguments.get("badge")
            if isinstance(badge, int) and not isinstance(badge, bool) and 0 <= badge < 2**31:
                changes["badge"] = badge
        case "applicationOpen":
            changes["opened_at"] = now
    return changes


def _of_a_replay(device: Device, changes: dict[str, Any], now: datetime) -> dict[str, Any]:
    """What a registration that is sent again may change: of what the device said meanwhile, nothing."""
    lately = now - RETRIED_WITHIN
    if max(device.updated_at, device.registered_at or device.updated_at) < lately:
        return changes
    left = {name: value for name, value in changes.items() if name in ("tags", "extra", "push_token")}
    left |= {name: value for name, value in changes.items() if getattr(device, name) in ("", None)}
    for name in ("tags", "extra"):
        if name in left:
            left[name] = tag_mirror.bounded({**left[name], **getattr(device, name)}, getattr(device, name))
    if device.unsubscribed_at is not None and device.unsubscribed_at >= lately:
        # It was unregistered since.
        left.pop("push_token", None)
    elif "push_token" in left:
        left |= {"unsubscribed_at": None, "unsubscribed_reason": ""}
    return left


def _note_user(device: Device, said: Said, now: datetime, using: str, django_user: Any) -> None:
    if said.method not in LINKING:
        return
    user_id = user_of(said.arguments)
    if said.method == "registerUser" and said.arguments.get("userId") in (None, ""):
        # registerUser without a user id means the hwid; registerDevice without one says nothing about the user.
        user_id = device.hwid
    if not user_id:
        return
    if said.is_replay:
        lately = now - RETRIED_WITHIN
        if UserLink.objects.using(using).filter(Q(since__gte=lately) | Q(until__gte=lately), device=device).exists():
            return
    _link_locked(device, user_id, now=now, django_user=django_user, using=using)


def user_of(arguments: Mapping[str, Any]) -> str:
    """Whom a call says that its device speaks for; empty where it says nothing that can be kept."""
    user_id = arguments.get("userId")
    return user_id if isinstance(user_id, str) and fits(user_id, 255) else ""


def _typed(application: str, changes: dict[str, Any], using: str) -> dict[str, Any]:
    """Values that came as text, as numbers where the tag is known to hold numbers."""
    texts = [name for name, value in changes.items() if isinstance(value, str)]
    if not texts:
        return changes
    known = TagDefinition.objects.using(using).filter(Among("name", texts), application=application)
    numbers = set(known.filter(type=tag_rules.TagType.INTEGER).values_list("name", flat=True))
    return {name: tag_rules.as_number(value) if name in numbers else value for name, value in changes.items()}


def _tag_user(call: Call, now: datetime, using: str) -> None:
    user_id, changes = call.arguments.get("userId"), call.arguments.get("tags")
    if not isinstance(user_id, str) or not isinstance(changes, dict):
        return
    with transaction.atomic(using=using):
        devices = Device.objects.using(using).of(call.application)
        for device in devices.filter(_of_user(user_id)).order_by("pk").select_for_update():
            tags = tag_mirror.changed(device.tags, changes)
            devices.filter(pk=device.pk).update(tags=tags, updated_at=now)


def _merge_users(call: Call, now: datetime, using: str) -> None:
    """Make the devices of one user id speak for another."""
    new = call.arguments.get("newUserId")
    if not isinstance(new, str) or not fits(new, 255):
        return
    with transaction.atomic(using=using):
        devices = Device.objects.using(using).of(call.application).filter(_of_user(call.arguments.get("oldUserId")))
        for device in devices.order_by("pk").select_for_update():
            _link_locked(device, new, now=now, using=using)


def _of_user(user_id: Any) -> Q:
    """The devices that speak for a user id; none for what cannot be one."""
    if not isinstance(user_id, str) or not fits(user_id, 255):
        return Q(pk__in=[])
    return Q(links__user_id=user_id, links__is_open=True)


def _erase(application: str, which: Q, using: str) -> None:
    with transaction.atomic(using=using):
        devices = Device.objects.using(using).of(application).filter(which)
        gone = list(devices.order_by("pk").values_list("pk", flat=True))
        if gone:
            Erased(Device, using=using).filter(Among("pk", gone)).delete()


def _is_device(application: str, hwid: str, using: str) -> bool:
    return fits(hwid, 255) and Device.objects.using(using).of(application).filter(hwid=hwid).exists()


def _locked(application: str, hwid: str, using: str) -> Device | None:
    # SQLite has no row locks; its immediate transactions are locks of the whole file.
    return Device.objects.using(using).filter(application=application, hwid=hwid).select_for_update().first()


def fits(text: str, length: int) -> bool:
    return 0 < len(text) <= length and is_storable(text)
