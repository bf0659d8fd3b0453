"""Messages that others wrote, services of the same company: sent while they wait, or queued.

Each has a transaction id before its first attempt, which is also how one asks about it later. A writer's own id names
the same message for ever: posted twice, it is sent once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from uuid import UUID, uuid4

from django.db import router, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from django_pushwoosh.conf import Application, settings
from django_pushwoosh.delivery import connection, direct, outbox
from django_pushwoosh.models import Dispatch, OutboxEntry, Pause, ScheduledMessage
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.envelope import Answer
from django_pushwoosh.protocol.posted import Posted
from django_pushwoosh.push.messages import call_of, submit_by

SALT = "django_pushwoosh.posting"
NOT_HAPPENED = (Dispatch.Status.FAILED, Dispatch.Status.EXPIRED)
"""What ended so may be posted again under the same id."""


def id_of(posted: Posted, application: Application, writer: str) -> UUID:
    """The transaction id of a message: the writer's own, made ours; or a new one."""
    if not posted.transaction_id:
        return uuid4()
    said = "\n".join((application.code, writer, posted.transaction_id))
    # MariaDB takes no UUID without a version.
    return UUID(bytes=salted_hmac(SALT, said, algorithm="sha256").digest()[:16], version=5)


def is_held_back(application: Application) -> bool:
    """Whether the application is paused, or everything is."""
    using = router.db_for_write(Pause)
    return settings.is_paused or Pause.objects.using(using).filter(application__in=("", application.code)).exists()


def is_capped(call: Call, application: Application) -> bool:
    """Whether a call counts against the account's cap."""
    return outbox.is_capped(call, application)


def post_later(posts: Iterable[tuple[UUID, Posted]], application: Application) -> None:
    """Queue messages, in one transaction. Raises `Invalid`, and `IntegrityError` where an id is taken just now."""
    with transaction.atomic(using=router.db_for_write(ScheduledMessage)):
        for transaction_id, posted in posts:
            _submit(transaction_id, posted, application, outbox.enqueue_all)


def post_now(posts: Sequence[tuple[UUID, Posted]], application: Application) -> Answer:
    """Send messages in one request, and wait for the answer.

    Raises `Invalid` before anything is written; `IntegrityError` where an id is taken just now; `RateLimited` and
    `ConnectionFailed` where nothing was sent; `Rejected`; and `OutcomeUnknown`, after which the messages go on by the
    outbox's rules.
    """
    using = router.db_for_write(OutboxEntry)
    held: list[OutboxEntry] = []

    def hold(entries: Sequence[OutboxEntry], using: str) -> None:
        outbox.enqueue_held(entries, now=timezone.now(), using=using)
        held.extend(entries)

    # Whether it counts against the cap is known once it is written; what waits for the cap is not written at all.
    now = timezone.now()
    calls = [
        call_of(_scheduled(posted, application), posted.audience, transaction_id, now)
        for transaction_id, posted in posts
    ]
    leave = connection.enter(application, is_capped=any(outbox.is_capped(call, application) for call in calls))
    try:
        with transaction.atomic(using=using):
            for transaction_id, posted in posts:
                _submit(transaction_id, posted, application, hold)
    except BaseException:
        connection.unused(leave)
        raise
    return direct.send(held, application, leave)


def ask(call: Call, application: Application) -> tuple[int, bytes]:
    """Pass a call on that creates no message; status and bytes of the answer, whatever it was. Raises `CallError`."""
    status, _headers, body = connection.relay(call, application, authorization=None)
    return status, body


def asked(transaction_ids: Iterable[UUID]) -> list[Dispatch]:
    """The messages with these ids, in their order; ids that nobody knows are left out."""
    ids = list(transaction_ids)
    if not ids:
        return []
    dispatches = Dispatch.objects.using(router.db_for_write(Dispatch)).select_related("message")
    known = {each.transaction_id: each for each in dispatches.filter(transaction_id__in=ids)}
    return [known[each] for each in ids if each in known]


def known(transaction_ids: Iterable[UUID]) -> set[UUID]:
    """Those of the ids under which a message was posted that happened, or may yet."""
    return {each.transaction_id for each in asked(transaction_ids) if each.status not in NOT_HAPPENED}


def _scheduled(posted: Posted, application: Application) -> ScheduledMessage:
    return ScheduledMessage(
        application=application.code,
        parameters=posted.message.to_json(),
        audience=posted.audience.to_json(),
        send_at=posted.send_at,
        time_zone=posted.time_zone,
        in_device_time=posted.in_device_time,
    )


def _submit(
    transaction_id: UUID,
    posted: Posted,
    application: Application,
    enqueue: Callable[[Sequence[OutboxEntry], str], None],
) -> None:
    using = router.db_for_write(ScheduledMessage)
    if posted.transaction_id:
        # What did not happen gives its id up to what is posted in its place.
        gone = Dispatch.objects.using(using).filter(transaction_id=transaction_id, status__in=NOT_HAPPENED)
        gone.update(transaction_id=uuid4())
    scheduled = _scheduled(posted, application)
    scheduled.save(using=using)
    submit_by(scheduled, enqueue, transaction_id)
