"""Who speaks: the device token in an SDK's `Authorization` header, and when ours is lent to who has none.

A device token is part of every copy of an app, so holding it proves little; not lending it is what keeps strangers
without the app from reaching beyond one device. Tokens are never stored and never logged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from django_pushwoosh.conf import Application
from django_pushwoosh.gateway.renderers import Refused
from django_pushwoosh.protocol.calls import Call

NONE = ("", "null", "(null)")
"""What the SDKs write where the app was given no token."""

_TOKEN = re.compile(r"[!-~]{1,512}")


@dataclass(frozen=True, slots=True)
class Speaker:
    """`holds_token`: it sent a token that is good as far as we can tell.

    `own_authorization` is the header that has to go upstream in place of ours, where we have no token to compare with.
    """

    holds_token: bool
    own_authorization: str | None = field(default=None, repr=False)


def speaker_of(request: HttpRequest, application: Application) -> Speaker:
    """Read the header. Raises `Refused` (401) for a token that is not the application's."""
    scheme, _, token = str(request.META.get("HTTP_AUTHORIZATION", "")).strip().partition(" ")
    token = token.strip()
    # Another scheme (Basic, in front of a staging site) is not meant for Pushwoosh.
    if scheme.lower() != "token" or token in NONE:
        return Speaker(holds_token=False)
    if application.device_token:
        if constant_time_compare(token, application.device_token):
            return Speaker(holds_token=True)
        raise Refused(
            401,
            f"The device token is not that of application {application.code}: check the SDK's API token, "
            "or leave it out.",
        )
    if not _TOKEN.fullmatch(token):
        raise Refused(401, "The device token has characters that no token has: check the SDK's API token.")
    return Speaker(holds_token=True, own_authorization=f"Token {token}")


def check_lending(call: Call, application: Application, speaker: Speaker, *, is_permitted: bool) -> None:
    """Raises `Refused` (401) where our token would open a method to a caller who names no hwid and holds none."""
    if speaker.holds_token or is_permitted or call.hwid or not call.method.token_required:
        return
    if application.device_token:
        raise Refused(
            401, f'{call.method.name} without "hwid" needs the device token: send `Authorization: Token …`, or a hwid.'
        )
