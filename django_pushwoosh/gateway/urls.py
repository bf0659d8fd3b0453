"""`path("", include("django_pushwoosh.gateway.urls"))` mounts the gateway, under any prefix."""

from __future__ import annotations

from django.urls import re_path

from django_pushwoosh.gateway.views import view

# Everything below the two addresses belongs to the gateway, so that a wrong one gets an envelope too.
urlpatterns = [
    re_path(r"^json/1\.3(?:/(?P<method>[\s\S]*))?\Z", view, name="pushwoosh-gateway"),
    re_path(r"^api/v2/device-api(?:/(?P<method>[\s\S]*))?\Z", view, name="pushwoosh-gateway-v2"),
]
