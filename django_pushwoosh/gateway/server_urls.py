"""`path("server/", include("django_pushwoosh.gateway.server_urls"))` mounts the server gateway; give it a prefix."""

from __future__ import annotations

from django.urls import re_path

from django_pushwoosh.gateway.server import job_view, message_view, method_view

urlpatterns = [
    re_path(r"^json/1\.3(?:/(?P<method>[\s\S]*))?\Z", method_view, name="pushwoosh-server"),
    re_path(r"^api/v2/audience/(?P<method>[^/]+)/(?P<request_id>[^/]+)/?\Z", job_view, name="pushwoosh-server-job"),
    re_path(r"^api/v2/audience(?:/(?P<method>[\s\S]*))?\Z", method_view, name="pushwoosh-server-audience"),
    re_path(r"^messages(?:/(?P<message>[\s\S]*))?\Z", message_view, name="pushwoosh-server-message"),
]
