"""Which function answers which method."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.sandbox import (
    bulk,
    device_calls,
    inbox,
    message_calls,
    message_reports,
    sdk_calls,
    shown_by_sdks,
)
from django_pushwoosh.sandbox.answering import Asked, Reply

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
    "checkDevice": sdk_calls.check_device,
    "deleteDevice": sdk_calls.delete_device,
    "createTestDevice": sdk_calls.create_test_device,
    "multiRegisterDevice": sdk_calls.multi_register_device,
    "registerEmailUser": sdk_calls.register_email_user,
    "setEmailTags": sdk_calls.set_email_tags,
    "mergeUser": sdk_calls.merge_user,
    "setActivityToken": sdk_calls.set_activity_token,
    "setActivityPushToStartToken": sdk_calls.set_push_to_start_token,
    "setMADID": sdk_calls.set_advertising_id,
    "getConfig": shown_by_sdks.get_config,
    "getInApps": shown_by_sdks.get_in_apps,
    "getPopupForms": shown_by_sdks.get_popup_forms,
    "getPopupFormContent": shown_by_sdks.get_popup_form_content,
    "getNearestZone": shown_by_sdks.get_nearest_zone,
    "getInboxMessages": inbox.get_inbox_messages,
    "inboxStatus": inbox.inbox_status,
    **dict.fromkeys(
        ("triggerInAppAction", "richMediaAction", "recordPopupFormEvent", "pageVisit", "setPurchase"), sdk_calls.report
    ),
}
"""Every row of table two, and nothing else."""

if HANDLERS.keys() != METHODS.keys():
    raise LookupError(f"The sandbox's handlers and table two differ by {sorted(HANDLERS.keys() ^ METHODS.keys())}.")
