"""What becomes of a call that was taken: queue it, relay it, or relay it and else queue it.

"Else" means that it was not sent. Where nobody knows whether it was, the method's row decides whether it may go again;
the SDK is told 200 either way, for it would not try again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from django_pushwoosh import push
from django_pushwoosh.conf import Application, settings
from django_pushwoosh.delivery.discretion import told_without_values
from django_pushwoosh.gateway.addresses import forwarded_for, own_address
from django_pushwoosh.gateway.lending import Speaker
from django_pushwoosh.gateway.renderers import Refused, accepted, passed_on, with_entry_point
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.envelope import Answer, read_answer
from django_pushwoosh.protocol.errors import NotSent, OutcomeUnknown, RateLimited
from django_pushwoosh.protocol.methods import Method, Policy, Shape
from django_pushwoosh.protocol.refusals import failure_of

logger = logging.getLogger("django_pushwoosh.gateway")


PAGE_VISIT = "pageVisit"


def needs_permission(method: Method) -> bool:
    """Whether a method is refused unless the host permits it. What its row refuses, no setting opens to everybody."""
    return Policy.REFUSED in (method.policy, settings.policy_of(method))


def forward(call: Call, application: Application, speaker: Speaker, request: HttpRequest) -> HttpResponse:
    """Carry a call out by its method's policy. Raises `Refused` (503) where it has to be relayed and cannot be."""
    # A call that goes with the caller's own token cannot wait, for tokens are not stored; nor can one that needs a
    # token where there is none: its refusal belongs to the caller, not into the queue.
    may_queue = speaker.can_wait and bool(application.device_token or not call.method.token_required)
    policy = _policy_of(call.method)
    if policy is Policy.RELAY or not may_queue:
        return _relayed(call, speaker, request, may_queue=False)
    if policy is not Policy.RELAY_ELSE_QUEUE or settings.is_paused:
        return _queued(call, speaker)
    standing = push.standing_of(call)
    if standing.has_to_wait:
        return _queued(call, speaker)
    try:
        return _relayed(call, speaker, request, standing, may_queue=True)
    except BaseException:
        _mirrored(call, lambda: push.mirror_refusal(standing))
        raise


def _policy_of(method: Method) -> Policy:
    """How a call that may go goes: where a setting or the row refuses others, the other of the two tells."""
    named = settings.policy_of(method)
    return method.policy if named is Policy.REFUSED else named


def _queued(call: Call, speaker: Speaker) -> HttpResponse:
    failure = push.queue_incoming(call, django_user=speaker.user, is_tokenless=speaker.is_tokenless)
    if failure is not None:
        logger.error("%s of %s is queued unmirrored: %s", *_named(call), told_without_values(failure))
    return accepted(response_absent=call.method.response_absent)


def _relayed(
    call: Call, speaker: Speaker, request: HttpRequest, standing: push.Standing | None = None, *, may_queue: bool
) -> HttpResponse:
    if settings.is_paused:
        raise _unavailable(call, "is not asked at the moment")
    try:
        http_status, _headers, body = push.relay(
            call, authorization=speaker.own_authorization, more_headers=forwarded_for(request)
        )
    except NotSent:
        if may_queue:
            return _queued(call, speaker)
        raise _unavailable(call, "cannot be reached") from None
    except OutcomeUnknown:
        return _doubtful(call, speaker, may_queue=may_queue)
    answer = read_answer(http_status, body)
    failure = failure_of(call, answer)
    is_readable = _is_readable(answer, body)
    if failure is None and (is_readable or call.method.answer is Shape.ANY):
        if call.method.name in METHODS:
            _mirrored(call, lambda: push.mirror_call(call, standing, django_user=speaker.user))
        if not is_readable:
            # It succeeded, but in words that no SDK reads.
            return accepted()
    elif may_queue and isinstance(failure, RateLimited):
        return _queued(call, speaker)
    elif not is_readable or (may_queue and isinstance(failure, OutcomeUnknown)):
        return _doubtful(call, speaker, may_queue=may_queue)
    elif standing is not None:
        _mirrored(call, lambda: push.mirror_refusal(standing))
    return passed_on(http_status, _led_here(body, call, request, is_success=failure is None))


def _led_here(body: bytes, call: Call, request: HttpRequest, *, is_success: bool) -> bytes:
    """An answer that has page visits reported here; where Pushwoosh wants them is remembered."""
    body, told = with_entry_point(body, lambda: own_address(request, PAGE_VISIT))
    if told is not None and is_success:
        try:
            push.note_entry_point(told, call.application)
        except Exception as error:
            logger.error("The address for page visits of %s is lost: %s", call.application, told_without_values(error))
    return body


def _is_readable(answer: Answer, body: bytes) -> bool:
    """Whether an SDK can read it. Over HTML of a proxy, or JSON that is no envelope, it would forget our address."""
    is_answer = 200 <= answer.http_status < 300 or answer.http_status >= 400
    try:
        # JSON in UTF-16 is JSON as well, and may even be UTF-8 with many zeros.
        return is_answer and answer.status_code is not None and "\0" not in body.decode()
    except UnicodeDecodeError:
        return False


def _doubtful(call: Call, speaker: Speaker, *, may_queue: bool) -> HttpResponse:
    if not may_queue:
        raise _unavailable(call, "gave no answer that can be read")
    if call.is_repeatable(repeat_events=settings.repeat_events):
        return _queued(call, speaker)
    logger.warning("%s of %s is left: its outcome is unknown, and it must not be repeated.", *_named(call))
    return accepted(response_absent=call.method.response_absent)


def _mirrored(call: Call, mirror: Callable[[], None]) -> None:
    try:
        mirror()
    except Exception as error:
        logger.error("%s of %s could not be mirrored: %s", *_named(call), told_without_values(error))


def _unavailable(call: Call, text: str) -> Refused:
    logger.warning("%s of %s: Pushwoosh %s.", *_named(call), text)
    return Refused(503, f"Pushwoosh {text}: try {call.method.name} again later.")


def _named(call: Call) -> tuple[str, str]:
    return call.method.name, call.application
