"""The rows of methods that servers call. Sources: seeds 001 (messages) and 004 (audience)."""

from __future__ import annotations

from datetime import timedelta

from django_pushwoosh.protocol import answers, fields
from django_pushwoosh.protocol.methods import (
    AUDIENCE,
    DETAILED,
    DEVICES,
    MESSAGE,
    REQUEST_ID,
    Argument,
    Body,
    Rate,
    Repeat,
    Shape,
    Token,
    server_method,
)

SERVERS_OWN = frozenset(
    {
        "addTag", "compileFilter", "configureApplication", "createApplication", "createCampaign", "createEvent",
        "createFilter", "createPreset", "createTag", "deleteApplication", "deleteCampaign", "deleteEmail",
        "deleteFilter", "deletePreset", "deleteTag", "exportSegment", "getAllPushHistory", "getApplication",
        "getApplications", "getCampaignStats", "getCampaigns", "getMessageLog", "getMessageStats", "getMsgStats",
        "getPreset", "getResults", "getSubscribersStats", "listFilters", "listPresets", "listTags", "listTestDevices",
        "scheduledRequest", "updateApplication",
    }
)  # fmt: skip
"""Further methods that servers call, which nothing here speaks of: no SDK has any business with them."""

SERVER_METHODS = (
    server_method(
        "createMessage",
        Argument("notifications", fields.Objects(), required=True, help="one object of parameters per message"),
        Argument("applications_group", fields.Code(), help="a group's code, in place of the application's"),
        help="Creates push messages.",
        result=answers.MessagesCreated,
        repeat=Repeat.WINDOW,
        window=timedelta(minutes=5),
        rate=Rate.MESSAGES,
    ),
    server_method(
        "createTargetedMessage",
        Argument("devices_filter", fields.Text(max_length=1_000_000), required=True, help="a filter expression"),
        Argument("send_date", fields.SendDate(), required=True, help="`now` or YYYY-MM-DD HH:mm"),
        help="Creates a push message to the devices of a filter expression, across applications.",
        result=answers.TargetedMessageCreated,
        repeat=Repeat.WINDOW,
        window=timedelta(days=1),
        rate=Rate.MESSAGES,
        application_required=False,
    ),
    server_method(
        "deleteMessage",
        MESSAGE,
        help="Deletes a message that was not sent yet.",
        response_absent=True,
        application_required=False,
    ),
    server_method(
        "cancelMessage",
        MESSAGE,
        help="Cancels a message that is waiting, pending or being processed.",
        response_absent=True,
        application_required=False,
    ),
    server_method(
        "getMessageDetails",
        Argument("message", fields.Anything(), required=True, help="the message's code or id"),
        help="Tells a message's content and state.",
        result=answers.MessageDetails,
        application_required=False,
    ),
    server_method(
        "getPushHistory",
        Argument("limitMessages", fields.Integer(10, 1000), help="rows a page, 10 to 1000"),
        Argument(
            "source",
            fields.Choice(("CP", "API", "GeoZone", "Beacon", "RSS", "AutoPush", "Twitter", "A/B Test")),
            help="where the messages came from",
        ),
        Argument(
            "searchBy",
            fields.Choice(("", "notificationID", "notificationCode", "applicationCode", "campaignCode")),
            help="what `value` is",
        ),
        Argument("value", fields.Anything(), help="what to search for"),
        Argument("lastNotificationID", fields.Integer(0), help="the last id of the page before"),
        help="Lists sent messages with their counts.",
        result=answers.PushHistory,
        application_required=False,
    ),
    server_method(
        "bulkRegisterDevice",
        DEVICES,
        path=AUDIENCE + "bulkRegisterDevice",
        body=Body.FLAT,
        answer=Shape.BARE,
        help="Registers many devices with their tags in one job.",
        result=answers.JobStarted,
        repeat=Repeat.PLAIN_TAGS,
    ),
    server_method(
        "bulkRegisterDeviceStatus",
        REQUEST_ID,
        DETAILED,
        path=AUDIENCE + "bulkRegisterDevice/{request_id}",
        verb="GET",
        token=Token.NONE,
        body=Body.URL,
        answer=Shape.BARE,
        help="Tells how far a bulkRegisterDevice job is.",
        result=answers.JobStatus,
        application_required=False,
    ),
    server_method(
        "bulkSetTags",
        DEVICES,
        Argument("create_missing_tags", fields.Boolean(), help="whether unknown tags come into being"),
        path=AUDIENCE + "bulkSetTags",
        body=Body.FLAT,
        answer=Shape.BARE,
        help="Sets the tags of many devices (50 or more) in one job.",
        result=answers.JobStarted,
        repeat=Repeat.PLAIN_TAGS,
    ),
    server_method(
        "bulkSetTagsStatus",
        REQUEST_ID,
        DETAILED,
        path=AUDIENCE + "bulkSetTags/{request_id}",
        verb="GET",
        token=Token.NONE,
        body=Body.URL,
        answer=Shape.BARE,
        help="Tells how far a bulkSetTags job is.",
        result=answers.JobStatus,
        application_required=False,
    ),
)
