"""A view that sends messages, and is held to the account's cap."""

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

from django_pushwoosh.gateway.middleware import sends_messages
from example_project.shop.models import Order
from example_project.shop.orders import ship


@sends_messages()
@require_POST
@permission_required("shop.change_order", raise_exception=True)
def ship_order(request: HttpRequest, pk: int) -> HttpResponse:
    ship(get_object_or_404(Order, pk=pk))
    return HttpResponse(status=204)
