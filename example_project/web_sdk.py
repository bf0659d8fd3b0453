"""Fetches Pushwoosh's web SDK from the npm registry, for the demo's shop and for the tests in a browser.

The SDK is Pushwoosh's own and no part of this project: it is kept in a folder that git ignores. `python -m
example_project.web_sdk` fetches it; `make web-sdk` does the same.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "web-push-notifications"
VERSION = "3.55.0"
FOLDER = Path(__file__).resolve().parent.parent / ".web-sdk"
SECONDS = 120

SDK = "npm.js"
SERVICE_WORKER = "service-worker.js"


class NotFetched(Exception):
    """The SDK cannot be had here; the text says why."""


def installed() -> Path | None:
    """The folder of the SDK's files, if it was fetched."""
    files = FOLDER / VERSION / "node_modules" / PACKAGE
    return files if (files / SDK).is_file() else None


def install() -> Path:
    """The folder of the SDK's files, fetched where it is not there yet. Raises `NotFetched`."""
    found = installed()
    if found is not None:
        return found
    npm = shutil.which("npm")
    if npm is None:
        raise NotFetched("npm is not here: install it to fetch the web SDK")
    FOLDER.mkdir(exist_ok=True)
    # Into a folder of its own first: two that fetch at once, or one that is interrupted, leave nothing half.
    fresh = Path(tempfile.mkdtemp(dir=FOLDER))
    command = [npm, "install", "--prefix", str(fresh), "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"]
    try:
        done = subprocess.run(
            [*command, f"{PACKAGE}@{VERSION}"], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        if done.returncode:
            raise NotFetched(f"npm could not fetch {PACKAGE} {VERSION}:\n{done.stderr.strip()}")
        with contextlib.suppress(OSError):
            fresh.rename(FOLDER / VERSION)
    except subprocess.TimeoutExpired:
        raise NotFetched(f"the npm registry did not answer within {SECONDS} seconds") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    found = installed()
    if found is None:
        raise NotFetched(f"{PACKAGE} {VERSION} has no {SDK}: remove {FOLDER} and try again")
    return found


if __name__ == "__main__":
    try:
        sys.stdout.write(f"The web SDK {VERSION} is in {install()}.\n")
    except NotFetched as error:
        sys.exit(str(error))
