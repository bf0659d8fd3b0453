"""Addresses of the project that is measured: ours, the peers', and bare views that do the least there is to do."""

from __future__ import annotations

import json
from typing import Any

import requests
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from fcm_django.api.rest_framework import FCMDeviceViewSet
from push_notifications.api.rest_framework import APNSDeviceViewSet, GCMDeviceViewSet
from rest_framework.routers import DefaultRouter

from django_pushwoosh.models import Device

router = DefaultRouter()
router.register("apns", APNSDeviceViewSet)
router.register("gcm", GCMDeviceViewSet)
router.register("fcm", FCMDeviceViewSet)

COLUMNS = {
    "application": "application",
    "hwid": "hwid",
    "platform": "device_type",
    "push_token": "push_token",
    "language": "language",
    "utc_offset_seconds": "timezone",
    "device_model": "device_model",
    "os_version": "os_version",
    "app_version": "app_version",
    "sdk_version": "v",
}
UPDATED = ", ".join(f"{name} = EXCLUDED.{name}" for name in [*COLUMNS, "tags", "updated_at"])
UPSERT = (
    f"INSERT INTO {Device._meta.db_table} ({', '.join(COLUMNS)}, tags, created_at, updated_at, badge, extra,"
    f" unsubscribed_reason) VALUES ({', '.join(['%s'] * len(COLUMNS))}, %s, %s, %s, 0, '{{}}', '')"
    f" ON CONFLICT (application, hwid) DO UPDATE SET {UPDATED}"
)
OK = b'{"status_code":200,"status_message":"OK","response":null}'
session = requests.Session()


@csrf_exempt
def upsert(request: HttpRequest) -> HttpResponse:
    """Writes what a registration says into the row of its device: one statement, nothing checked, nothing queued."""
    said: dict[str, Any] = json.loads(request.body)["request"]
    now = timezone.now()
    values = [said[name] for name in COLUMNS.values()]
    with connection.cursor() as cursor:
        cursor.execute(UPSERT, [*values, json.dumps(said["tags"]), now, now])
    return HttpResponse(OK, content_type="application/json")


@csrf_exempt
def post(request: HttpRequest, method: str) -> HttpResponse:
    """Posts the same bytes to the same place, and answers what came back."""
    answer = session.post(
        f"{settings.PUSHWOOSH['API_ROOT']}/json/1.3/{method}",
        data=request.body,
        headers={
            "Content-Type": "application/json; charset=utf-8",
            "Authorization": f"Token {settings.DEVICE_TOKEN}",
        },
    )
    return HttpResponse(answer.content, status=answer.status_code, content_type="application/json")


urlpatterns = [
    path("bare/upsert", upsert),
    path("bare/post/<str:method>", post),
    path("peers/", include(router.urls)),
    path("", include("django_pushwoosh.gateway.urls")),
]
