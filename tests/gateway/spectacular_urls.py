"""Both gateways, mounted side by side."""

from django.urls import include, path

urlpatterns = [
    path("push/", include("django_pushwoosh.gateway.urls")),
    path("server/", include("django_pushwoosh.gateway.server_urls")),
]
