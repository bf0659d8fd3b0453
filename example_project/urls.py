"""Addresses of the example project."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("example_project.shop.urls")),
    path("", include("django_pushwoosh.gateway.urls")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]
