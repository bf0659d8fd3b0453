"""One method per remote method, named after it in snake case, so that Pushwoosh's pages can be searched here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from django_pushwoosh.client.transport import ConnectionLost, NotConnected, RequestsTransport, Transport
from django_pushwoosh.protocol import answers
from django_pushwoosh.protocol.calls import Call
from django_pushwoosh.protocol.envelope import Answer, read_answer
from django_pushwoosh.protocol.errors import ConnectionFailed, NoAnswer, ServerFailed
from django_pushwoosh.protocol.methods import Body, Token
from django_pushwoosh.protocol.refusals import failure_of

API_ROOT = "https://api.pushwoosh.com"
TIMEOUT = (3.05, 20.0)
"""Seconds to connect, and to wait for a part of the answer."""

JSON = "application/json; charset=utf-8"
SECRET_LENGTH = 8


class Client:
    """Speaks for one application. Each call makes one attempt; `CallError` says what became of a failed one."""

    def __init__(
        self,
        application: str,
        *,
        api_token: str = "",
        device_token: str = "",
        api_root: str = API_ROOT,
        tracking_root: str = "",
        transport: Transport | None = None,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> None:
        self.application = application
        self.api_root = api_root
        self.tracking_root = tracking_root or api_root
        self.timeout = timeout
        self._api_token = api_token
        self._device_token = device_token
        self._transport = transport if transport is not None else RequestsTransport()

    def __repr__(self) -> str:
        return f"Client({self.application!r}, api_root={self.api_root!r})"

    def call(self, call: Call) -> Any:
        """Make a call and read its answer into the type of the method's row."""
        return self.read(call, self.ask(call))

    def ask(self, call: Call, *, authorization: str | None = None) -> Answer:
        """Make a call; the whole answer if it is a success.

        `authorization` takes the place of our device token in the header: what an SDK sent for itself. An empty one
        sends no header.
        """
        status, headers, body = self.send(call, authorization=authorization)
        answer = read_answer(status, body)
        failure = failure_of(call, answer, _retry_after(headers))
        if failure is not None:
            raise failure
        return answer

    def send(
        self, call: Call, *, authorization: str | None = None, more_headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Make a call and return status, headers and bytes, whatever the far side made of it."""
        headers = dict(more_headers or {})
        if call.method.body is not Body.URL:
            headers["Content-Type"] = JSON
        if authorization is None and call.method.token is Token.DEVICE and self._device_token:
            authorization = f"Token {self._device_token}"
        if authorization:
            headers["Authorization"] = authorization
        root = call.root(self.api_root, self.tracking_root)
        try:
            status, answered, body = self._transport.send(
                call.method.verb, call.url(root), headers, call.encode(self._api_token), self.timeout
            )
        except NotConnected as error:
            raise ConnectionFailed(f"{call.method.name}: no connection to {root} ({error})", call=call) from error
        except ConnectionLost as error:
            raise NoAnswer(f"{call.method.name}: no answer from {root} ({error})", call=call) from error
        # A far side may repeat what it was sent; no token gets from here into a log, a page or a table.
        for token in (self._api_token, self._device_token):
            # A short one, as of a sandbox, may be a word of any answer.
            if len(token) >= SECRET_LENGTH:
                body = body.replace(token.encode(), b"***")
        return status, answered, body

    @staticmethod
    def read(call: Call, answer: Answer) -> Any:
        """Read a success into the type of the method's row."""
        try:
            return call.method.result.read(answer)
        except ValueError as error:
            raise ServerFailed(f"{call.method.name}: {error}", call=call, answer=answer) from error

    def _made(self, name: str, **arguments: Any) -> Any:
        return self.call(Call.of(name, self.application, **arguments))

    # Messages (seeds 001)

    def create_message(
        self, notifications: Sequence[Mapping[str, Any]], *, applications_group: str | None = None
    ) -> answers.MessagesCreated:
        """Create push messages; see the parameters' table for what a notification holds."""
        made = self._made("createMessage", notifications=list(notifications), applications_group=applications_group)
        return cast(answers.MessagesCreated, made)

    def create_targeted_message(
        self, devices_filter: str, *, send_date: str = "now", **parameters: Any
    ) -> answers.TargetedMessageCreated:
        made = self._made("createTargetedMessage", devices_filter=devices_filter, send_date=send_date, **parameters)
        return cast(answers.TargetedMessageCreated, made)

    def delete_message(self, message: str) -> answers.Accepted:
        return cast(answers.Accepted, self._made("deleteMessage", message=message))

    def cancel_message(self, message: str) -> answers.Accepted:
        return cast(answers.Accepted, self._made("cancelMessage", message=message))

    def get_message_details(self, message: str | int) -> answers.MessageDetails:
        return cast(answers.MessageDetails, self._made("getMessageDetails", message=message))

    def get_push_history(
        self,
        *,
        limit_messages: int | None = None,
        source: str | None = None,
        search_by: str | None = None,
        value: str | None = None,
        last_notification_id: int | None = None,
    ) -> answers.PushHistory:
        made = self._made(
            "getPushHistory",
            limitMessages=limit_messages,
            source=source,
            searchBy=search_by,
            value=value,
            lastNotificationID=last_notification_id,
        )
        return cast(answers.PushHistory, made)

    # Devices (seeds 002)

    def register_device(
        self, hwid: str, device_type: int, *, push_token: str | None = None, **attributes: Any
    ) -> answers.Accepted:
        """Register or update a device; attributes are `language`, `timezone` (seconds), `tags`, `userId` …"""
        made = self._made("registerDevice", hwid=hwid, device_type=device_type, push_token=push_token, **attributes)
        return cast(answers.Accepted, made)

    def register_email(self, email: str, **attributes: Any) -> answers.Accepted:
        return cast(answers.Accepted, self._made("registerEmail", email=email, **attributes))

    def unregister_device(self, hwid: str) -> answers.Accepted:
        return cast(answers.Accepted, self._made("unregisterDevice", hwid=hwid))

    def set_tags(
        self, tags: Mapping[str, Any], *, hwid: str | None = None, user_id: str | None = None
    ) -> answers.Accepted:
        return cast(answers.Accepted, self._made("setTags", tags=dict(tags), hwid=hwid, userId=user_id))

    def get_tags(self, *, hwid: str | None = None, user_id: str | None = None) -> answers.TagValues:
        return cast(answers.TagValues, self._made("getTags", hwid=hwid, userId=user_id))

    def set_badge(self, hwid: str, badge: int) -> answers.Accepted:
        return cast(answers.Accepted, self._made("setBadge", hwid=hwid, badge=badge))

    def application_open(self, hwid: str, **attributes: Any) -> answers.Accepted:
        return cast(answers.Accepted, self._made("applicationOpen", hwid=hwid, **attributes))

    def push_stat(self, hwid: str, *, hash: str | None = None, user_id: str | None = None) -> answers.Accepted:
        return cast(answers.Accepted, self._made("pushStat", hwid=hwid, hash=hash, userId=user_id))

    def message_delivery_event(self, hwid: str, *, hash: str | None = None) -> answers.Accepted:
        return cast(answers.Accepted, self._made("messageDeliveryEvent", hwid=hwid, hash=hash))

    # Users and events (seeds 003)

    def register_user(self, hwid: str, user_id: str | None = None, **attributes: Any) -> answers.Accepted:
        """Make a device a user's; without a user id it is anonymous again."""
        return cast(answers.Accepted, self._made("registerUser", hwid=hwid, userId=user_id, **attributes))

    def delete_user(self, user_id: str) -> answers.Accepted:
        """Delete a user and all the user's devices in the application."""
        return cast(answers.Accepted, self._made("deleteUser", user_id=user_id))

    def post_event(
        self,
        event: str,
        attributes: Mapping[str, Any] | None = None,
        *,
        hwid: str | None = None,
        user_id: str | None = None,
        **more: Any,
    ) -> answers.EventPosted:
        made = self._made(
            "postEvent", event=event, attributes=dict(attributes or {}), hwid=hwid, userId=user_id, **more
        )
        return cast(answers.EventPosted, made)

    # Audience (seeds 004)

    def bulk_register_device(self, devices: Sequence[Mapping[str, Any]]) -> answers.JobStarted:
        return cast(answers.JobStarted, self._made("bulkRegisterDevice", devices=list(devices)))

    def bulk_register_device_status(self, request_id: str, *, detailed: bool = False) -> answers.JobStatus:
        made = self._made("bulkRegisterDeviceStatus", request_id=request_id, detailed=detailed)
        return cast(answers.JobStatus, made)

    def bulk_set_tags(
        self, devices: Sequence[Mapping[str, Any]], *, create_missing_tags: bool = False
    ) -> answers.JobStarted:
        made = self._made("bulkSetTags", devices=list(devices), create_missing_tags=create_missing_tags)
        return cast(answers.JobStarted, made)

    def bulk_set_tags_status(self, request_id: str, *, detailed: bool = False) -> answers.JobStatus:
        made = self._made("bulkSetTagsStatus", request_id=request_id, detailed=detailed)
        return cast(answers.JobStatus, made)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = next((headers[name] for name in headers if name.lower() == "retry-after"), "")
    return float(value) if value.isdecimal() and len(value) < 6 else None
