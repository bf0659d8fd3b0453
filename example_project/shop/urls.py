from django.urls import path

from example_project import web_sdk
from example_project.shop import views

urlpatterns = [
    path("shop/", views.visit, name="shop"),
    path("shop/web-sdk.js", views.sdk_file, {"name": web_sdk.SDK}, name="web-sdk"),
    path("shop/orders/<int:pk>/ship/", views.ship_order, name="ship-order"),
    path("pushwoosh-service-worker.js", views.sdk_file, {"name": web_sdk.SERVICE_WORKER}),
]
