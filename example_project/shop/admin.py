from django.contrib import admin

from example_project.shop.models import Order
from example_project.shop.orders import ship


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["parcel", "customer", "status"]
    actions = ["ship_orders"]

    @admin.action(description="Ship, and tell the customer", permissions=["change"])
    def ship_orders(self, request, queryset):
        for order in queryset.filter(status=Order.Status.PLACED):
            ship(order)
