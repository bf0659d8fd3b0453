"""With which token a call goes to Pushwoosh: the caller's own, ours, or none.

A device token is part of every copy of an app, so holding it proves little; not lending ours is what keeps strangers
without the app from reaching beyond one device. Tokens are never stored and never logged.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any

from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from django_pushwoosh.conf import Application, settings
from django_pushwoosh.gateway.authentication import Caller
from django_pushwoosh.gateway.renderers import Refused
from django_pushwoosh.protocol.addresses import is_address
from django_pushwoosh.protocol.calls import METHODS, Call
from django_pushwoosh.protocol.methods import AskedBy

NONE = ("", "null", "(null)")
"""What the SDKs write where the app was given no token."""

BEYOND = frozenset({
    "auth", "applications_group", "conditions", "devices", "devices_filter", "email", "emails", "filter", "hwids",
    "newuserid", "notifications", "olduserid", "push_devices", "sms_phone_number", "to", "user_id", "user_ids",
    "userids", "users", "whatsapp_phone_number",
})  # fmt: skip
"""Names, in small letters, that tell whom else a call could be about than its hwid."""

SECRET_LENGTH = 8
"""What is shorter may be a word of any body."""

_TOKEN = re.compile(r"[!-~]{1,512}")


@dataclass(frozen=True, slots=True)
class Speaker:
    """A caller, as far as one application is concerned.

    `holds_token`: it sent a token that is good as far as we can tell. `own_authorization` goes upstream in place of our
    token, an empty one means none at all. `user` is the Django user, where one is known.
    """

    holds_token: bool
    own_authorization: str | None = field(default=None, repr=False)
    user: Any = field(default=None, repr=False)

    @property
    def can_wait(self) -> bool:
        """Whether its calls can be queued: a token of its own would have to be stored."""
        return not self.own_authorization

    @property
    def is_tokenless(self) -> bool:
        return self.own_authorization == ""


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


def lent(call: Call, application: Application, speaker: Speaker, caller: Caller, *, is_permitted: bool) -> Speaker:
    """The speaker of a call, with the token it goes with; ours only for calls about one device, or to who is trusted.

    Raises `Refused` (401) where Pushwoosh would refuse the call for want of one.
    """
    speaker = replace(speaker, user=caller.django_user)
    if speaker.holds_token or is_permitted or caller.is_trusted or is_about_one_device(call):
        return speaker
    if call.method.token_required and application.device_token:
        raise Refused(
            401, f'{call.method.name} without "hwid" needs the device token: send `Authorization: Token …`, or a hwid.'
        )
    return replace(speaker, own_authorization="")


def is_about_one_device(call: Call) -> bool:
    """Whether a call reaches no further than the device that speaks, the one with its hwid.

    The method's row decides: what has no hwid there is about something else, whatever hwid an SDK sends along with it.
    """
    row = METHODS.get(call.method.name)
    if row is None or row.asked_by is not AskedBy.SDK or not call.hwid:
        return False
    if not any(argument.name == "hwid" for argument in row.arguments):
        return False
    return not is_of_address(call) and not any(name.casefold() in BEYOND for name in call.arguments)


def is_of_address(call: Call) -> bool:
    """Whether the hwid is a person's number or e-mail address: it is no secret, so knowing it proves nothing."""
    return is_address(call.hwid, call.arguments.get("device_type"))


def check_no_secret(call: Call, application: Application) -> None:
    """Raises `Refused` (403) for a body that holds a secret of ours: bodies are stored, and tokens never are."""
    others = (application.device_token, *settings.speakers.secrets)
    secrets = [each for each in others if len(each) >= SECRET_LENGTH]
    if application.api_token:
        secrets.append(application.api_token)
    raw = call.raw or b""
    is_told = any(each.encode() in raw for each in secrets)
    if not is_told and b"\\" in raw:
        # Written with escapes, it is the same.
        meant = json.dumps(call.arguments, ensure_ascii=False)
        is_told = any(each in meant for each in secrets)
    if is_told:
        raise Refused(
            403, "The call carries a token that belongs into no body, such as the server's API token: take it out."
        )
