"""Which function answers which method."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.sandbox import bulk, device_calls, message_calls, message_reports
from django_pushwoosh.sandbox.answering import Asked, Reply
from django_pushwoosh.sandbox.sdk_calls import SDK_CALLS

Handler: TypeAlias = Callable[[Asked], Reply]

HANDLERS: dict[str, Handler] = {
    "createMessage": message_calls.create_message,
    "createTargetedMessage": message_calls.create_targeted_message,
    "cancelMessage": message_calls.cancel_message,
    "deleteMessage": message_calls.delete_message,
    "getMessageDetails": message_reports.get_message_details,
    "getPushHistory": message_reports.get_push_history,
    "bulkRegisterDevice": bulk.start,
    "bulkRegisterDeviceStatus": bulk.status,
    "bulkSetTags": bulk.start,
    "bulkSetTagsStatus": bulk.status,
    "registerDevice": device_calls.register_device,
    "registerEmail": device_calls.register_email,
    "unregisterDevice": device_calls.unregister_device,
    "setTags": device_calls.set_device_tags,
    "getTags": device_calls.get_tags,
    "setBadge": device_calls.set_badge,
    "applicationOpen": device_calls.application_open,
    "pushStat": device_calls.statistics,
    "messageDeliveryEvent": device_calls.statistics,
    "registerUser": device_calls.register_user,
    "deleteUser": device_calls.delete_user,
    "postEvent": device_calls.post_event,
    **SDK_CALLS,
}
"""Every row of table two, and what SDKs call beyond it."""

if missing := METHODS.keys() - HANDLERS.keys():
    raise LookupError(f"The sandbox does not answer {', '.join(sorted(missing))}: add a handler.")
