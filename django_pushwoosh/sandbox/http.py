"""The sandbox's HTTP: as a WSGI application, its pages, and what browsers want to hear. Hosts do not matter."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from django_pushwoosh.protocol.envelope import reply
from django_pushwoosh.protocol.seam import ConnectionLost, NotConnected
from django_pushwoosh.sandbox.phones import page
from django_pushwoosh.sandbox.routing import MOST_BYTES

if TYPE_CHECKING:
    from django_pushwoosh.sandbox.app import Sandbox

StartResponse: TypeAlias = Callable[[str, list[tuple[str, str]]], Any]
Answered: TypeAlias = tuple[int, dict[str, str], bytes]

HERE = "127.0.0.1"

_VISIBLE = re.compile(r"[\x21-\x7e, ]{1,512}")

_PAGE_HEADERS = {
    # The pages show what apps sent, and run nothing but their own scripts.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

_REASONS = {
    200: "OK",
    204: "No Content",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    504: "Gateway Time-out",
}

_log = logging.getLogger(__name__)


def serve(sandbox: Sandbox, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
    """Answer one request of a WSGI server."""
    verb = str(environ.get("REQUEST_METHOD", "GET"))
    path = str(environ.get("PATH_INFO", "/")) or "/"
    if environ.get("QUERY_STRING"):
        path = f"{path}?{environ['QUERY_STRING']}"
    headers = {name[5:].replace("_", "-").lower(): str(value) for name, value in environ.items() if name[:5] == "HTTP_"}
    headers["content-type"] = str(environ.get("CONTENT_TYPE", ""))
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    # One byte more than is allowed shows that there is too much, without reading all of it.
    body = environ["wsgi.input"].read(min(max(0, length), MOST_BYTES + 1))
    try:
        remote = str(environ.get("REMOTE_ADDR", ""))
        host = headers.get("host", "")
        root = f"{environ.get('wsgi.url_scheme', 'http')}://{host if _VISIBLE.fullmatch(host) else HERE}"
        status, answered, content = sandbox.handle(verb, path, headers, body, remote=remote, root=root)
    except (ConnectionLost, NotConnected):
        return _dropped(start_response)
    except Exception:
        _log.exception("The sandbox failed to answer %s %s", verb, path.split("?", 1)[0])
        status, answered, content = 500, {"Content-Type": "application/json"}, reply(500, "Internal error", None)
    answered = {**answered, "Content-Length": str(len(content))}
    start_response(f"{status} {_REASONS.get(status, 'Answer')}", list(answered.items()))
    return [b"" if verb == "HEAD" else content]


def static(verb: str, where: str) -> Answered:
    """A page or one of its files."""
    if verb not in ("GET", "HEAD"):
        return plain(405, "Use GET.")
    if where == "/favicon.ico":
        return 204, {}, b""
    name = {"/": "phones.html", "/control": "control.html"}.get(where) or where.removeprefix("/pages/")
    found = page(name) if where in ("/", "/control") or where.startswith("/pages/") else None
    if found is None:
        return plain(
            404,
            "Nothing is here. The phones are at /, the control page is at /control, the API is under /json/1.3/ and "
            "/api/v2/.",
        )
    return 200, {"Content-Type": found[1], "Cache-Control": "no-cache", **_PAGE_HEADERS}, found[0]


def cross_origin(headers: Mapping[str, str]) -> dict[str, str]:
    """What a browser wants to hear: any origin may call the API, with credentials, as the web SDK does."""
    origin = headers.get("origin", "")
    if not _VISIBLE.fullmatch(origin):
        return {}
    asked = headers.get("access-control-request-headers", "")
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
        "Access-Control-Allow-Headers": asked if _VISIBLE.fullmatch(asked) else "authorization, content-type",
        "Access-Control-Max-Age": "86400",
        "Vary": "Origin",
    }


def plain(status: int, text: str) -> Answered:
    return status, {"Content-Type": "text/plain; charset=utf-8"}, text.encode()


def natural(values: list[str] | None, default: int) -> int:
    """A number out of a query, or the default."""
    text = values[-1] if values else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else default


def _dropped(start_response: StartResponse) -> list[bytes]:
    """An answer that promises a byte and ends without it: the server closes the connection, the caller sees it lost.

    WSGI has no other way to hang up; the head of the answer says nothing of what became of the call.
    """
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "1")])
    return [b""]
