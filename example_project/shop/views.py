"""A view that sends messages and is held to the account's cap, and a page that speaks by the web SDK."""

from django.contrib.auth.decorators import permission_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST, require_safe

from django_pushwoosh.conf import settings as pushwoosh
from django_pushwoosh.gateway.middleware import sends_messages
from example_project import web_sdk
from example_project.shop.models import Order
from example_project.shop.orders import ship


@sends_messages()
@require_POST
@permission_required("shop.change_order", raise_exception=True)
def ship_order(request: HttpRequest, pk: int) -> HttpResponse:
    ship(get_object_or_404(Order, pk=pk))
    return HttpResponse(status=204)


@require_safe
def visit(request: HttpRequest) -> HttpResponse:
    gateway = request.build_absolute_uri("/json/1.3/")
    config = {"applicationCode": pushwoosh.application().code, "pushwooshUrl": gateway}
    context = {"gateway": gateway, "config": config, "is_installed": web_sdk.installed() is not None}
    return render(request, "shop/visit.html", context)


@require_safe
def sdk_file(request: HttpRequest, name: str) -> FileResponse:
    """A file of the web SDK. Its service worker has to come from the site's own root."""
    folder = web_sdk.installed()
    if folder is None:
        raise Http404
    return FileResponse((folder / name).open("rb"), content_type="text/javascript")
