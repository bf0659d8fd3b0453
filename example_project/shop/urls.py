from django.urls import path

from example_project.shop.views import ship_order

urlpatterns = [path("orders/<int:pk>/ship/", ship_order, name="ship-order")]
