"""What the control page reads and switches: GET /control.json, and POST /control with `{"do": …}`.

A website that is open in a developer's browser must switch nothing here: what changes something is JSON, comes from
this page itself and from this machine, and is addressed to an IP address or to localhost, which no foreign name can
stand for.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.tags import TagType
from django_pushwoosh.sandbox.faults import CATALOGUE, Rule
from django_pushwoosh.sandbox.options import CHOICES, ENTRIES, SECONDS, SWITCHED, SWITCHES
from django_pushwoosh.sandbox.state import Message, Request

if TYPE_CHECKING:
    from django_pushwoosh.sandbox.app import Sandbox

PATHS = ("/control.json", "/control/switch")
LAST_YEAR = 8999
MOST_BYTES = 20_000
MOST_REQUESTS = 100
MOST_MESSAGES = 20

Answered = tuple[int, dict[str, str], bytes]


class _Bad(ValueError):
    """What was asked for makes no sense."""


def answer(
    sandbox: Sandbox, verb: str, where: str, headers: Mapping[str, str], body: bytes, remote: str
) -> Answered:  # fmt: skip
    """Answer one request of the page."""
    is_switch = where == "/control/switch"
    if verb not in (("POST",) if is_switch else ("GET", "HEAD")):
        return _said(405, {"error": "Method not allowed"})
    objection = _objection(sandbox, headers, remote, is_switch=is_switch)
    if objection:
        return _said(403, {"error": objection})
    if is_switch:
        try:
            _switch(sandbox, body)
        except ValueError as error:
            return _said(400, {"error": str(error)})
        except OSError:
            return _said(500, {"error": "The sandbox's state file cannot be written."})
    return _said(200, document(sandbox))


def document(sandbox: Sandbox) -> dict[str, Any]:
    """All that the page shows."""
    with sandbox.lock:
        return _document(sandbox)


def _document(sandbox: Sandbox) -> dict[str, Any]:
    now, options = sandbox.now, sandbox.options
    requests = list(islice(reversed(sandbox.requests), MOST_REQUESTS))
    return {
        "now": now.isoformat(),
        "is_clock_moved": sandbox.is_clock_moved,
        "is_tracing": sandbox.is_tracing,
        "applications": list(sandbox.applications),
        "methods": sorted(METHODS),
        "catalogue": [{"name": name, "label": label} for name, (label, _) in CATALOGUE.items()],
        "faults": [_fault(rule) for rule in sandbox.faults.rules],
        "options": {name: getattr(options, name) for name in sorted(SWITCHED)},
        "switches": SWITCHES,
        "seconds": SECONDS,
        "choices": {name: [str(each) for each in kind] for name, kind in CHOICES.items()},
        "entries": {table: dict(sorted(getattr(options, table).items())) for table in ENTRIES},
        "tags": {name: int(kind) for name, kind in sorted(options.tags.items())},
        "tag_types": [{"number": int(kind), "name": kind.name.lower()} for kind in TagType],
        "capped": sandbox.counted,
        "messages": [_message(each) for each in sandbox.under_way[-MOST_MESSAGES:]],
        "requests": [_request(each) for each in requests],
    }


def _objection(sandbox: Sandbox, headers: Mapping[str, str], remote: str, *, is_switch: bool) -> str:
    """Why this request may not, or nothing."""
    host = headers.get("host", "")
    if not sandbox.control_from_anywhere and not (_is_loopback(remote) and _is_unmistakable(host)):
        return "The control page answers this machine only, at its IP address or localhost."
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return "Only the sandbox's own page may do this."
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
        return "Only the sandbox's own page may do this."
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if is_switch and kind != "application/json":
        return "Send application/json."
    return ""


def _is_loopback(remote: str) -> bool:
    try:
        address = ipaddress.ip_address(remote)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _is_unmistakable(host: str) -> bool:
    """Whether a Host is an address or localhost; any other name could be made to point here. None is no browser's."""
    if not host:
        return True
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _switch(sandbox: Sandbox, body: bytes) -> None:
    """Carry out what the page asks for. Raises `ValueError` and `OSError`."""
    try:
        if len(body) > MOST_BYTES:
            raise _Bad("Too much.")
        given = json.loads(body)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise _Bad("This is no JSON.") from None
    wanted = given.get("do") if isinstance(given, dict) else None
    action = _ACTIONS.get(wanted) if isinstance(wanted, str) else None
    if action is None:
        raise _Bad(f"There is no such thing to do. There are {', '.join(_ACTIONS)}.")
    with sandbox.lock:
        action(sandbox, given)


def _add_fault(sandbox: Sandbox, given: Mapping[str, Any]) -> None:
    name, times, probability = given.get("fault"), given.get("times"), given.get("probability", 1.0)
    if not isinstance(name, str) or name not in CATALOGUE:
        raise _Bad(f"There is no such fault. There are {', '.join(CATALOGUE)}.")
    methods, applications = _texts(given, "methods"), _texts(given, "applications")
    fault = CATALOGUE[name][1]()
    if times is not None:
        sandbox.faults.fail_next(*methods, times=times, with_=fault, applications=applications)
    else:
        sandbox.faults.always(
            *methods, with_=fault, probability=probability, random=_chance(given), applications=applications
        )


def _slow(sandbox: Sandbox, given: Mapping[str, Any]) -> None:
    seconds, jitter = given.get("seconds"), given.get("jitter", 0)
    if not isinstance(seconds, int | float):
        raise _Bad("seconds is a number.")
    sandbox.faults.slow(*_texts(given, "methods"), seconds=seconds, jitter=jitter, random=_chance(given))


def _remove_fault(sandbox: Sandbox, given: Mapping[str, Any]) -> None:
    number = given.get("number")
    if not isinstance(number, int) or isinstance(number, bool):
        raise _Bad("number is a fault's number.")
    sandbox.faults.remove(number)


def _move_clock(sandbox: Sandbox, given: Mapping[str, Any]) -> None:
    seconds = given.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds != seconds:
        raise _Bad("seconds is a number.")
    sandbox.move_clock(seconds=seconds)


def _set_tag_type(sandbox: Sandbox, given: Mapping[str, Any]) -> None:
    name, kind = given.get("name"), given.get("type")
    if not isinstance(name, str) or isinstance(kind, bool) or not (kind is None or isinstance(kind, int)):
        raise _Bad("name is a tag's name, and type a number from 1 to 7 or null.")
    sandbox.set_tag_type(name.strip(), None if kind is None else TagType(kind))


def _set_entry(sandbox: Sandbox, given: Mapping[str, Any]) -> None:
    table, name = given.get("table"), given.get("name")
    if not isinstance(table, str) or not isinstance(name, str):
        raise _Bad("table and name are texts.")
    sandbox.set_entry(table, name.strip(), given.get("value"))


def _set_option(sandbox: Sandbox, given: Mapping[str, Any]) -> None:
    name = given.get("name")
    sandbox.set_option(name if isinstance(name, str) else "", given.get("value"))


_ACTIONS: Mapping[str, Callable[[Sandbox, Mapping[str, Any]], object]] = {
    "add_fault": _add_fault,
    "slow": _slow,
    "remove_fault": _remove_fault,
    "clear_faults": lambda sandbox, given: sandbox.faults.clear(),
    "move_clock": _move_clock,
    "return_to_clock": lambda sandbox, given: sandbox.return_to_clock(),
    "start_tracing": lambda sandbox, given: sandbox.start_tracing(),
    "stop_tracing": lambda sandbox, given: sandbox.stop_tracing(),
    "set_option": _set_option,
    "set_tag_type": _set_tag_type,
    "set_entry": _set_entry,
    "fail_message": lambda sandbox, given: sandbox.fail_message(str(given.get("message"))),
}


def _texts(given: Mapping[str, Any], name: str) -> list[str]:
    value = given.get(name, [])
    if not isinstance(value, list) or len(value) > 100 or not all(isinstance(each, str) for each in value):
        raise _Bad(f"{name} is a list of names.")
    return value


def _chance(given: Mapping[str, Any]) -> Random:
    """Chance that can be repeated: it scripts faults, and keeps no secret."""
    seed = given.get("seed", 1)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise _Bad("seed is a whole number.")
    return Random(seed)  # noqa: S311


def _fault(rule: Rule) -> dict[str, Any]:
    return {
        "number": rule.number,
        "name": rule.fault.name,
        "seconds": rule.fault.seconds,
        "jitter": rule.fault.jitter,
        "methods": sorted(rule.methods),
        "applications": sorted(rule.applications),
        "left": rule.left,
        "probability": rule.probability,
        "hits": rule.hits,
    }


def _message(message: Message) -> dict[str, Any]:
    return {
        "code": message.code,
        "status": message.status,
        "due_at": message.due_at.isoformat(),
        "queued": len(message.queue),
    }


def _request(request: Request) -> dict[str, Any]:
    return {
        "at": request.at.isoformat(),
        "method": request.method,
        "application": request.application,
        "http_status": request.http_status,
        "status_code": request.status_code,
        "verdict": request.verdict,
        "fault": request.fault,
    }


def _said(status: int, content: Mapping[str, Any]) -> Answered:
    headers = {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return status, headers, json.dumps(content).encode("ascii")
