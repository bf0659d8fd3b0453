"""What becomes of a call that was taken: queue it, relay it, or relay it and else queue it.

"Else" means that it was not sent. Where nobody knows whether it was, the method's row decides whether it may go again;
the SDK is told 200 either way, for it would not try again.
"""

from __future__ import annotations

import logging

from django.db import InterfaceError, OperationalError, router, transaction
from django.http import HttpResponse

from django_pushwoosh import push
from django_pushwoosh.conf import Application, settings
from django_pushwoosh.delivery.discretion import told_without_values
from django_pushwoosh.gateway.lending import Speaker
from django_pushwoosh.gateway.renderers import Refused, accepted, passed_on
from django_pushwoosh.models import OutboxEntry, Pause
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.envelope import Answer, read_answer
from django_pushwoosh.protocol.errors import NotSent, OutcomeUnknown, RateLimited
from django_pushwoosh.protocol.methods import Policy
from django_pushwoosh.protocol.refusals import failure_of

logger = logging.getLogger("django_pushwoosh.gateway")


def forward(call: Call, application: Application, speaker: Speaker) -> HttpResponse:
    """Carry a call out by its method's policy. Raises `Refused` (503) where it has to be relayed and cannot be."""
    # A call that goes with the caller's own token cannot wait, for tokens are not stored; nor can one that needs a
    # token where there is none: its refusal belongs to the caller, not into the queue.
    may_queue = speaker.can_wait and bool(application.device_token or not call.method.token_required)
    if call.method.policy is Policy.RELAY:
        may_queue = False
    elif may_queue and (call.method.policy is not Policy.RELAY_ELSE_QUEUE or _has_to_wait(call)):
        return _queued(call, speaker)
    return _relayed(call, speaker, may_queue=may_queue)


def _has_to_wait(call: Call) -> bool:
    if settings.is_paused or push.is_behind(call):
        return True
    return Pause.objects.filter(application__in=("", call.application)).exists()


def _queued(call: Call, speaker: Speaker) -> HttpResponse:
    try:
        with transaction.atomic(using=router.db_for_write(OutboxEntry)):
            push.queue_call(call, django_user=speaker.user, is_tokenless=speaker.is_tokenless)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        # What the mirror cannot digest must still reach Pushwoosh.
        logger.error("%s of %s is queued unmirrored: %s", *_named(call), told_without_values(error))
        push.queue_unmirrored(call, is_tokenless=speaker.is_tokenless)
    return accepted(response_absent=call.method.response_absent)


def _relayed(call: Call, speaker: Speaker, *, may_queue: bool) -> HttpResponse:
    if settings.is_paused:
        raise _unavailable(call, "is not asked at the moment")
    try:
        http_status, _headers, body = push.relay(call, authorization=speaker.own_authorization)
    except NotSent:
        if may_queue:
            return _queued(call, speaker)
        raise _unavailable(call, "cannot be reached") from None
    except OutcomeUnknown:
        return _doubtful(call, speaker, may_queue=may_queue)
    answer = read_answer(http_status, body)
    failure = failure_of(call, answer)
    is_readable = _is_readable(answer, body)
    if failure is None and is_readable:
        _mirror(call, speaker)
    elif may_queue and isinstance(failure, RateLimited):
        return _queued(call, speaker)
    elif not is_readable or (may_queue and isinstance(failure, OutcomeUnknown)):
        return _doubtful(call, speaker, may_queue=may_queue)
    return passed_on(http_status, body)


def _is_readable(answer: Answer, body: bytes) -> bool:
    """Whether an SDK can read it. Over HTML of a proxy, or JSON that is no envelope, it would forget our address."""
    is_answer = 200 <= answer.http_status < 300 or answer.http_status >= 400
    try:
        return is_answer and answer.status_code is not None and bool(body.decode())
    except UnicodeDecodeError:
        return False


def _doubtful(call: Call, speaker: Speaker, *, may_queue: bool) -> HttpResponse:
    if not may_queue:
        raise _unavailable(call, "gave no answer that can be read")
    if call.is_repeatable(repeat_events=settings.repeat_events):
        return _queued(call, speaker)
    logger.warning("%s of %s is left: its outcome is unknown, and it must not be repeated.", *_named(call))
    return accepted(response_absent=call.method.response_absent)


def _mirror(call: Call, speaker: Speaker) -> None:
    try:
        push.mirror_call(call, django_user=speaker.user)
    except Exception as error:
        logger.error("%s of %s could not be mirrored: %s", *_named(call), told_without_values(error))


def _unavailable(call: Call, text: str) -> Refused:
    logger.warning("%s of %s: Pushwoosh %s.", *_named(call), text)
    return Refused(503, f"Pushwoosh {text}: try {call.method.name} again later.")


def _named(call: Call) -> tuple[str, str]:
    return call.method.name, call.application
