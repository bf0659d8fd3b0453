"""What the demo begins with: an admin, some customers, and about 200 devices of every platform."""

from __future__ import annotations

import random

from django.contrib.auth import get_user_model
from django.db import transaction

from django_pushwoosh import push
from django_pushwoosh.conf import settings
from django_pushwoosh.models import Device
from django_pushwoosh.protocol.platforms import (
    AMAZON,
    ANDROID,
    CHROME,
    EMAIL,
    FIREFOX,
    HUAWEI,
    IOS,
    MACOS,
    SAFARI,
    SMS,
    WHATSAPP,
    WINDOWS,
    Platform,
)
from example_project.shop.models import Order

MODELS = {
    IOS: ("iPhone16,1", "iPhone14,5", "iPad14,3"),
    ANDROID: ("Google Pixel 8", "Samsung SM-S921B", "Fairphone 5"),
    HUAWEI: ("HUAWEI P60",),
    CHROME: ("chrome 138",),
    FIREFOX: ("firefox 141",),
    SAFARI: ("safari 18",),
    MACOS: ("Mac15,3",),
    AMAZON: ("KFTRWI",),
    WINDOWS: ("Surface Laptop",),
}
COUNTS = {
    IOS: 60, ANDROID: 60, CHROME: 24, SAFARI: 10, FIREFOX: 10, HUAWEI: 10,
    MACOS: 6, AMAZON: 6, WINDOWS: 6, SMS: 4, WHATSAPP: 2, EMAIL: 4,
}  # fmt: skip
PEOPLE = (
    "ada", "alan", "barbara", "dennis", "donald", "edsger", "frances", "grace", "hedy", "john", "katherine", "ken",
    "leslie", "linus", "margaret", "niklaus", "radia", "shafi", "tim", "vint",
)  # fmt: skip
CITIES = {"Oslo": ("en", 3600), "Berlin": ("de", 3600), "Paris": ("fr", 3600), "London": ("en", 0), "Porto": ("pt", 0)}


@transaction.atomic
def seed() -> None:
    """Fill an empty database; one that has devices is left as it is."""
    users = get_user_model()
    if not users.objects.filter(username="admin").exists():
        users.objects.create_superuser("admin", "admin@example.com", "admin")
    if Device.objects.exists():
        return
    chance = random.Random(7)
    customers = [users.objects.create_user(name) for name in PEOPLE]
    for number, customer in enumerate(customers):
        Order.objects.create(customer=customer, parcel=f"Parcel {1000 + number}")
    number = 0
    for platform, count in COUNTS.items():
        for _ in range(count):
            number += 1
            device = _device(platform, number, chance)
            if chance.random() < 0.7:
                push.link_user(device, chance.choice(customers))


def _device(platform: Platform, number: int, chance: random.Random) -> Device:
    city = chance.choice(list(CITIES))
    language, offset = CITIES[city]
    if platform in (SMS, WHATSAPP):
        hwid = token = f"+1555010{number:04d}"
    elif platform is EMAIL:
        hwid = token = f"customer{number}@example.com"
    else:
        hwid = f"{chance.getrandbits(128):032X}" if platform is IOS else f"{chance.getrandbits(128):032x}"
        token = f"{chance.getrandbits(256):064x}"
    device = Device(
        application=settings.application().code,
        hwid=hwid,
        platform=platform.number,
        push_token=token,
        language=language,
        utc_offset_seconds=offset,
        device_model=chance.choice(MODELS.get(platform, ("",))),
        app_version=chance.choice(("4.1.0", "4.2.0")),
        tags={
            "City": city,
            "Age": chance.randint(16, 80),
            "Interests": sorted(chance.sample(("books", "music", "sports", "travel"), 2)),
            "Subscriber": chance.random() < 0.5,
        },
    )
    device.save()
    return device
