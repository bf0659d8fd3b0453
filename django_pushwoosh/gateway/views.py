"""The gateway's one view: takes an SDK's call, answers in Pushwoosh's envelope whatever happens.

Nothing of the host's `REST_FRAMEWORK` settings applies here. SDKs send `Token null` where they have no token, which
the host's token authentication would refuse, and they can read no other answer than the envelope.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import InterfaceError, OperationalError, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from django_pushwoosh.conf import CODE, Application, settings
from django_pushwoosh.delivery.discretion import told_without_values
from django_pushwoosh.gateway.authentication import Caller, identify
from django_pushwoosh.gateway.forwarding import forward, needs_permission
from django_pushwoosh.gateway.lending import Speaker, check_no_secret, lent, speaker_of
from django_pushwoosh.gateway.parsers import TooLarge, read
from django_pushwoosh.gateway.renderers import Refused, envelope
from django_pushwoosh.gateway.users import bound
from django_pushwoosh.protocol.calls import METHODS, Call, may_be_an_sdks
from django_pushwoosh.protocol.envelope import ARGUMENT_ERROR, MalformedRequest
from django_pushwoosh.protocol.errors import Invalid
from django_pushwoosh.protocol.methods import AskedBy, Method, unknown_method

logger = logging.getLogger("django_pushwoosh.gateway")

ALLOW = "POST, OPTIONS"
OF_ALL_DEVICES = frozenset({"getTags", "setTags"})
"""Without a hwid these are about all devices of a user."""

_NEGOTIATOR = DefaultContentNegotiation()
_SHAPES = {"tags": dict, "event": str}


class GatewayView(APIView):
    """`POST <any prefix>/<method>`; the last segment of the path is the method."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = []
    parser_classes = []
    renderer_classes = []
    versioning_class = None
    content_negotiation_class = DefaultContentNegotiation
    schema = None
    http_method_names = ["post", "options"]

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Nothing is asked of it: the body is read by `parsers`, and who calls is asked by `authentication`."""
        return Request(request, negotiator=_NEGOTIATOR)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Nothing to negotiate, no version, nobody to log in: `authentication` reads the device token itself."""

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {}

    def post(self, request: Request, method: str = "", **of_the_prefix: Any) -> HttpResponse:
        # DRF's request would read the body by its content type.
        return take(request._request, last_segment(method))

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        """For anyone and without a token; the headers of a preflight come from the host's django-cors-headers."""
        return envelope(200, Allow=ALLOW)

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        """Every error becomes an envelope; DRF's and the host's exception handlers are not asked."""
        name = last_segment(self.kwargs.get("method") or "")
        method = name if name in METHODS else "an unknown method"
        match exc:
            case Refused():
                return exc.render()
            case MethodNotAllowed():
                return envelope(405, "Call this address with POST.", Allow=ALLOW)
            case OperationalError() | InterfaceError():
                logger.error("%s: the database does not work: %s", method, told_without_values(exc))
                return envelope(503, "The gateway cannot store calls at the moment: try again later.")
        logger.error("%s crashed: %s", method, told_without_values(exc))
        return envelope(500, "The gateway failed at this call; its log says where.")


def take(request: HttpRequest, name: str) -> HttpResponse:
    """Check a call, and do what its method's policy says. Raises `Refused`."""
    method = _method(name)
    is_known = name in METHODS
    caller = identify(request)
    is_permitted = is_known and needs_permission(method) and _may_reach_beyond(request, method)
    try:
        incoming = read(request)
        if is_known:
            incoming.check_shape(method)
    except TooLarge as error:
        raise Refused(413, str(error)) from None
    except MalformedRequest as error:
        raise Refused(400, str(error)) from None
    arguments = incoming.arguments
    application = _application(arguments)
    speaker = speaker_of(request, application)
    if not is_known:
        return _unknown(Call(method, application.code, arguments, incoming.raw), application, speaker, caller, request)
    refusal = refusal_of(method, arguments)
    if refusal:
        raise Refused(ARGUMENT_ERROR, refusal)
    call = Call(method, application.code, arguments, incoming.raw, is_replay="HTTP_X_RETRY_COUNT" in request.META)
    check_no_secret(call, application)
    if name in OF_ALL_DEVICES and not call.hwid:
        is_permitted = _may_reach_beyond(request, method, " without a hwid")
    if not is_permitted:
        call = bound(call, caller)
    speaker = lent(call, application, speaker, caller, is_permitted=is_permitted)
    return forward(call, application, speaker, request)


def _unknown(
    call: Call, application: Application, speaker: Speaker, caller: Caller, request: HttpRequest
) -> HttpResponse:
    """Relay a method that is in no table: with the caller's own token or none, and never one that a server opens."""
    if "auth" in call.arguments:
        raise Refused(403, f"{call.method.name} is called with a server's token; no app may have one.")
    check_no_secret(call, application)
    call = bound(call, caller)
    own = request.headers.get("Authorization", "") if speaker.holds_token else ""
    return forward(call, application, replace(speaker, own_authorization=own), request)


def refusal_of(method: Method, arguments: Mapping[str, Any]) -> str:
    """What is missing in a call, or makes it unusable; empty if it may go.

    Everything that is merely odd goes as it came: Pushwoosh is to judge it, by rules that may change.
    """
    present = {name: value for name, value in arguments.items() if value is not None and value != ""}
    try:
        method.clean(present)
    except Invalid as error:
        # Whom a call is about: it becomes a key in the database, and order is kept by it.
        about = {"hwid"} if "hwid" in present else {"email", "userId", "user_id"}
        for problem in error.problems:
            name = problem.path.partition("[")[0].partition(".")[0]
            if name not in present or name in about or not isinstance(present[name], _SHAPES.get(name, object)):
                return str(problem)
    return ""


def last_segment(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _method(name: str) -> Method:
    method = METHODS.get(name)
    if method is None and settings.relays_unknown_methods and may_be_an_sdks(name):
        return unknown_method(name)
    if method is None:
        shown = name[:64] or "(none)"
        raise Refused(404, f"The gateway knows no method {shown}: check the address; upper and lower case count.")
    if method.asked_by is not AskedBy.SDK:
        raise Refused(403, f"{name} is not for SDKs: call it from a server, for example by django_pushwoosh.push.")
    return method


def _may_reach_beyond(request: HttpRequest, method: Method, how: str = "") -> bool:
    """True if the host permits it. Raises `Refused` (403) else."""
    may = settings.may_reach_beyond
    # Nothing but a plain True opens: a callable that answers with an object by mistake does not.
    if may is not None and may(request, method.name) is True:
        return True
    raise Refused(
        403,
        f"{method.name}{how} reaches beyond the device that speaks and is refused. To allow it to some callers, set "
        'PUSHWOOSH["GATEWAY_PERMISSION"] to a function (request, method_name) that returns True for them.',
    )


def _application(arguments: Mapping[str, Any]) -> Application:
    code = arguments.get("application")
    known = settings.applications.values()
    found = next((each for each in known if each.code == code), None) if isinstance(code, str) else None
    if found is not None:
        return found
    if "application" not in arguments and len(known) == 1:
        # A browser that was told to forget its user forgets this, too, and its service worker still reports.
        return next(iter(known))
    if code is None or code == "":
        raise Refused(ARGUMENT_ERROR, "Application not found: the call has no `application`; set its code in the SDK.")
    shown = f"{code} is" if isinstance(code, str) and CODE.fullmatch(code) else "`application` has"
    raise Refused(
        ARGUMENT_ERROR,
        f"Application not found: {shown} no code this gateway serves; check the SDK's application code, "
        'and PUSHWOOSH["APPLICATIONS"].',
    )


view = login_not_required(csrf_exempt(GatewayView.as_view()))
view.pushwoosh_gateway = True  # type: ignore[attr-defined]
for alias in connections:
    # A relay waits for Pushwoosh; under ATOMIC_REQUESTS it would hold a transaction open for as long.
    transaction.non_atomic_requests(using=alias)(view)
