"""Bulk jobs: taken at once, carried out when their time has come, reported device by device. Source: seed 004."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django_pushwoosh.protocol.envelope import ARGUMENT_ERROR
from django_pushwoosh.protocol.tags import TagType
from django_pushwoosh.sandbox.answering import Asked, Reply
from django_pushwoosh.sandbox.codes import request_id
from django_pushwoosh.sandbox.device_calls import DEVICE_TYPES
from django_pushwoosh.sandbox.options import SmallBulk
from django_pushwoosh.sandbox.state import Device, Job, State, normal_hwid, normal_token
from django_pushwoosh.sandbox.tagging import set_tags

OPERATORS = (None, "set", "append", "remove")
LEAST_DEVICES = 50
TOO_SMALL = "bulkSetTags is for 50 devices and more: use setTags"
IDENTITIES = ("hwid", "user_id", "push_token")


def start(asked: Asked) -> Reply:
    """bulkRegisterDevice and bulkSetTags: the job is taken as it is, mistakes in single devices show in its report.

    Unverified against Pushwoosh: a bulk request may be of any size, also below the 50 that bulkSetTags asks for
    (`small_bulk`).
    """
    state = asked.state
    devices = list(asked.arguments["devices"])
    is_small = asked.method == "bulkSetTags" and len(devices) < LEAST_DEVICES
    if is_small and state.options.small_bulk is SmallBulk.REFUSE:
        return Reply(None, ARGUMENT_ERROR, TOO_SMALL, 400, {"message": TOO_SMALL})
    identity = request_id(len(state.jobs) + 1, asked.now)
    due_at = asked.now + timedelta(seconds=max(0.0, state.options.job_seconds))
    job = Job(
        identity,
        asked.method,
        asked.application,
        asked.now,
        due_at,
        devices,
        asked.arguments.get("create_missing_tags") is True,
    )
    state.jobs[identity] = job
    state.open_jobs.append(job)
    state.at(due_at, lambda at: complete(state, job))
    document = {"request_id": identity, "status": "Pending"}
    if is_small and state.options.small_bulk is SmallBulk.WARN:
        document["warning"] = TOO_SMALL
    return Reply(document=document, is_change=True)


def status(asked: Asked) -> Reply:
    """bulkRegisterDeviceStatus and bulkSetTagsStatus; the request id is the key, no token is asked for."""
    job = asked.state.jobs.get(asked.text("request_id"))
    if job is None or f"{job.method}Status" != asked.method:
        # Unverified against Pushwoosh: how an unknown request id is answered.
        return Reply(http_status=404, status_code=404, status_message="not found", document={"message": "not found"})
    statuses = [each["status"] for each in job.report]
    document: dict[str, Any] = {
        "request_id": job.request_id,
        "status": _status(job, statuses),
        "progress": job.progress(asked.now),
        "devices_success": statuses.count("done"),
    }
    if job.method == "bulkSetTags":
        document["devices_not_found"] = statuses.count("not found")
        document["devices_failed"] = statuses.count("failed")
    if asked.arguments.get("detailed") is True:
        document["devices"] = job.report
    return Reply(document=document)


def _status(job: Job, statuses: list[str]) -> str:
    """Unverified against Pushwoosh: a bulk job fails where each of its devices did."""
    if not job.is_completed:
        return "Pending"
    return "Failed" if set(statuses) == {"failed"} else "Completed"


def complete(state: State, job: Job) -> None:
    """Carry a job out and write its report."""
    carry_out = _register if job.method == "bulkRegisterDevice" else _tag
    job.report = [carry_out(state, job, each) for each in job.devices]
    job.is_completed = True
    state.open_jobs.remove(job)


def _register(state: State, job: Job, given: Mapping[str, Any]) -> dict[str, Any]:
    hwid, token, kind = given.get("hwid"), given.get("push_token"), given.get("platform")
    report = {"hwid": hwid if isinstance(hwid, str) else "", "status": "failed"}
    if not isinstance(hwid, str) or not isinstance(token, str) or not hwid or not token:
        return report
    if not isinstance(kind, int) or isinstance(kind, bool) or kind not in DEVICE_TYPES:
        return report
    changes = _changes(state, job, given)
    if changes is None:
        return report
    # Unverified against Pushwoosh: tags that do not exist are made here; the documents ask for no leave to do so.
    device = state.seen(job.application, normal_hwid(hwid, kind), job.due_at, kind)
    device.platform = kind
    state.subscribe(device, normal_token(token, kind))
    language = changes.pop("language", None)
    if isinstance(language, str):
        # The documents' example writes the system tag Language in lower case.
        changes["Language"] = language
    set_tags(state, device, changes)
    return report | {"status": "done"}


def _tag(state: State, job: Job, given: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: given[name] for name in IDENTITIES if isinstance(given.get(name), str) and given[name]}
    changes = _changes(state, job, given)
    if len(named) != 1 or not changes:
        return {**(named or {"hwid": ""}), "status": "failed"}
    devices = _named(state, job.application, named)
    if not devices:
        return {**named, "status": "not found"}
    results: dict[str, str] = {}
    for device in devices:
        results = set_tags(state, device, changes, create=job.create_missing_tags, relearn=False)
    return {**named, "status": "done", "tags": results}


def _named(state: State, application: str, named: Mapping[str, str]) -> list[Device]:
    if "user_id" in named:
        return state.devices_of_user(application, named["user_id"])
    if "hwid" in named:
        found = state.device(application, named["hwid"])
    else:
        found = state.device_by_token(application, named["push_token"])
    return [found] if found else []


def _changes(state: State, job: Job, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """The tags of one device with its list operator applied to the lists; `None` where they are none."""
    tags, operator = given.get("tags"), given.get("list_operator")
    if tags is None and job.method == "bulkRegisterDevice":
        tags = {}
    if not isinstance(tags, Mapping) or not (operator is None or (isinstance(operator, str) and operator in OPERATORS)):
        return None
    if operator not in ("append", "remove"):
        return dict(tags)
    account = state.account_of(job.application)

    def is_list(name: str, value: Any) -> bool:
        known = state.options.tags.get(name) or state.tag_types.get((account, name))
        return isinstance(value, list) or (known is TagType.LIST and isinstance(value, str | int | float))

    return {
        name: {"operation": operator, "value": value} if is_list(name, value) else value for name, value in tags.items()
    }
