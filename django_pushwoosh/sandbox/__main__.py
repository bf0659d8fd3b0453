"""Runs the sandbox: `python -m django_pushwoosh.sandbox --application CODE --api-token … --device-token …`."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

from django_pushwoosh.protocol.errors import PushwooshError
from django_pushwoosh.protocol.tags import TagType
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.sandbox.journal import Journal
from django_pushwoosh.sandbox.options import SWITCHED
from django_pushwoosh.sandbox.record import Record
from django_pushwoosh.sandbox.state import Application

THREADS = 8
MOST_THREADS = 1000
CONNECTIONS = 900
"""Open at once: not more than `select`, and a shell's usual limit of open files, bear. Of waitress's own hundred a few
workers leave none, and a call that waits for one takes effect after its caller has given it up."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Returns the exit status: 0, or 2 with a line that says what to change."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        waitress: Any = importlib.import_module("waitress")
    except ImportError:
        return _fail('The sandbox is served by waitress, which is missing: pip install "django-pushwoosh[sandbox]"')
    journal = record = None
    try:
        applications = _applications(given)
        if given.state:
            journal = Journal(given.state)
        if given.record:
            record = Record(given.record)
        sandbox = Sandbox(
            applications,
            journal=journal,
            record=record,
            control_from_anywhere=given.control_from_anywhere,
            filters=dict(_pair(each, "--filter") for each in given.filter),
            tags=dict(_tag_type(each) for each in given.tag),
            in_apps=dict(_pair(each, "--in-app") for each in given.in_app),
            zones=dict(_zone(each) for each in given.zone),
            popups=dict(_json(each, "--popup") for each in given.popup),
            features=dict(_json(each, "--feature") for each in given.feature),
            **{"requests_per_minute": given.requests_per_minute, **dict(_option(each) for each in given.option)},
        )
        if given.tracing:
            sandbox.start_tracing()
        # A burst of SDKs queues for a moment; that is no news.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        # That is how a lost answer looks to it, and it was asked for.
        logging.getLogger("waitress").addFilter(lambda record: "too few bytes" not in record.getMessage())
        # Signals end the server in order; waitress turns SystemExit in its loop into a shutdown.
        signal.signal(signal.SIGTERM, _stop)
        server: Any = waitress.create_server(
            sandbox.wsgi,
            host=given.host,
            port=given.port,
            threads=given.threads,
            ident="sandbox",
            connection_limit=CONNECTIONS,
        )
    except (PushwooshError, ValueError, OSError) as error:
        if journal is not None:
            journal.close()
        if record is not None:
            record.close()
        return _fail(str(error))
    if given.until_stdin_ends:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        sys.stdout.write(f"The sandbox listens on {', '.join(_addresses(server))} and serves {_codes(applications)}.\n")
        sys.stdout.flush()
        server.run()
    except (KeyboardInterrupt, SystemExit):
        pass
    finally:
        server.close()
        sandbox.close()
        if record is not None:
            record.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m django_pushwoosh.sandbox",
        description="A stand-in for Pushwoosh on this machine. Its phones are shown at its address.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine only)")
    parser.add_argument("--port", type=_port, default=8600, help="the port (default 8600; 0 takes a free one)")
    parser.add_argument(
        "--application", action="append", required=True, metavar="CODE", help="an application; repeat for more"
    )
    parser.add_argument("--api-token", action="append", required=True, help="its API token, in the same order")
    parser.add_argument("--device-token", action="append", required=True, help="its device token, in the same order")
    parser.add_argument(
        "--group", action="append", default=[], metavar="CODE=GROUP", help="puts an application into a group"
    )
    parser.add_argument(
        "--filter", action="append", default=[], metavar="NAME=EXPRESSION", help="a saved filter for createMessage"
    )
    parser.add_argument("--tag", action="append", default=[], metavar="NAME=TYPE", help="declares the type of a tag")
    parser.add_argument(
        "--in-app", action="append", default=[], metavar="EVENT=CODE", help="an event that shows an in-app message"
    )
    parser.add_argument(
        "--zone", action="append", default=[], metavar="NAME=LAT,LNG,METRES", help="a geozone that devices are told of"
    )
    parser.add_argument("--popup", action="append", default=[], metavar="CODE=JSON", help="a popup of the web SDK")
    parser.add_argument(
        "--feature", action="append", default=[], metavar="NAME=JSON", help="what getConfig tells; null takes it away"
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"decides what the documents leave open: {', '.join(sorted(SWITCHED))}",
    )
    parser.add_argument("--state", metavar="FILE", help="keep the state in this file over restarts")
    parser.add_argument(
        "--record", metavar="FILE", help="append each call to this file, with its verdict and the fault that it met"
    )
    parser.add_argument(
        "--threads", type=_threads, default=THREADS, help=f"calls answered side by side (default {THREADS})"
    )
    parser.add_argument("--requests-per-minute", type=int, default=600, help="the cap on messages (default 600)")
    parser.add_argument(
        "--until-stdin-ends",
        action="store_true",
        help="end when the standard input does: with whoever holds it open",
    )
    parser.add_argument(
        "--control-from-anywhere",
        action="store_true",
        help="let other machines use the control page; by default it answers this one only",
    )
    parser.add_argument("--tracing", action="store_true", help="record small immediate messages for the first hour")
    return parser


def _applications(given: argparse.Namespace) -> list[Application]:
    if not len(given.application) == len(given.api_token) == len(given.device_token):
        raise ValueError("Give each --application its own --api-token and --device-token.")
    groups: dict[str, list[str]] = {}
    for each in given.group:
        code, group = _pair(each, "--group")
        if code not in given.application:
            raise ValueError(f"--group {each}: no --application has the code {code}.")
        groups.setdefault(code, []).append(group)
    return [
        Application(code, api_token, device_token, tuple(groups.get(code, ())))
        for code, api_token, device_token in zip(given.application, given.api_token, given.device_token, strict=True)
    ]


def _pair(text: str, option: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name or not value:
        raise ValueError(f"{option} {text}: write it as NAME=VALUE.")
    return name, value


def _option(text: str) -> tuple[str, Any]:
    name, value = _pair(text, "--option")
    if name not in SWITCHED:
        raise ValueError(f"--option {text}: there are {', '.join(sorted(SWITCHED))}.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _zone(text: str) -> tuple[str, dict[str, float]]:
    name, value = _pair(text, "--zone")
    try:
        latitude, longitude, metres = map(float, value.split(","))
    except ValueError:
        raise ValueError(f"--zone {text}: write it as NAME=LATITUDE,LONGITUDE,METRES.") from None
    return name, {"lat": latitude, "lng": longitude, "range": metres}


def _json(text: str, option: str) -> tuple[str, Any]:
    name, value = _pair(text, option)
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError(f"{option} {text}: the value is no JSON.") from None


def _tag_type(text: str) -> tuple[str, TagType]:
    name, value = _pair(text, "--tag")
    if value.upper() not in TagType.__members__:
        raise ValueError(f"--tag {text}: the types are {', '.join(each.lower() for each in TagType.__members__)}.")
    return name, TagType[value.upper()]


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _threads(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_THREADS:
        raise argparse.ArgumentTypeError(f"threads are a number from 1 to {MOST_THREADS}")
    return int(text)


def _addresses(server: Any) -> list[str]:
    """Where it listens: one address, or several for a host name that has them."""
    listening = getattr(server, "effective_listen", None) or [(server.effective_host, server.effective_port)]
    return [f"http://{f'[{host}]' if ':' in str(host) else host}:{port}" for host, port in listening]


def _codes(applications: Sequence[Application]) -> str:
    return ", ".join(application.code for application in applications)


def _end_with_stdin() -> None:
    # Unbuffered: a lock held on a buffer would break the interpreter's end.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _fail(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
