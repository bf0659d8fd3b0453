"""Carries calls over the network.

A transport makes one attempt and reports what came back. Retrying belongs to the worker alone: an attempt that
urllib3 repeated on its own would pass the governor unseen, and could send a message twice.
"""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Mapping
from functools import lru_cache

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError
from urllib3.util import Retry

from django_pushwoosh import __version__
from django_pushwoosh.protocol.seam import ConnectionLost as ConnectionLost
from django_pushwoosh.protocol.seam import NotConnected as NotConnected
from django_pushwoosh.protocol.seam import Transport as Transport

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""Answers beyond this are cut off and thus unreadable; the largest documented one, 1,000 rows of history, is 2 MB."""


PIECE_BYTES = 256 * 1024


class RequestsTransport:
    """HTTP by `requests`, with one Session per process and thread.

    The host's egress proxies (`HTTPS_PROXY`, `NO_PROXY` …) and certificate authorities (`REQUESTS_CA_BUNDLE`,
    `CURL_CA_BUNDLE`) are read once per Session and root, not once per call; a `.netrc` is never read, for its
    credentials would take the place of ours.
    """

    def __init__(self, pool_size: int = 10) -> None:
        self._pool_size = pool_size
        self._local = threading.local()

    def send(
        self, verb: str, url: str, headers: Mapping[str, str], body: bytes, timeout: tuple[float, float]
    ) -> tuple[int, Mapping[str, str], bytes]:
        session = self._session()
        # A connection is tried twice; each piece of an answer may take as long as the whole.
        until = time.monotonic() + 2 * timeout[0] + timeout[1]
        try:
            if any("\n" in value or "\r" in value for value in headers.values()):
                # Older versions of requests overlook one at the end, and what then refuses it shows the whole value.
                raise requests.exceptions.InvalidHeader
            # Prepared by itself: what a Session would merge into it at every call, cookies above all, we have none of.
            request = self._addressed(verb, url).copy()
            request.prepare_headers({**session.headers, **headers})
            request.prepare_body(body or None, None)
            request.prepare_auth(None)
            with session.send(
                request,
                timeout=timeout,
                proxies=self._proxies(url),
                verify=session.verify,
                allow_redirects=False,
                stream=True,
            ) as answer:
                return answer.status_code, answer.headers, _content(answer, until)
        except ConnectionLost:
            raise
        except requests.exceptions.InvalidHeader:
            # Its text, and its chain, would show the token.
            raise NotConnected("a token has characters that no header can carry") from None
        except requests.ConnectTimeout as error:
            raise NotConnected(_named(error)) from error
        except requests.ConnectionError as error:
            # The exceptions' texts hold addresses, never headers or bodies; their names are enough for people.
            raise (NotConnected if _never_connected(error) else ConnectionLost)(_named(error)) from error
        except (requests.RequestException, OSError, ValueError) as error:
            raise ConnectionLost(_named(error)) from error
        except Exception as error:
            # urllib3's own errors surface while a streamed body is read.
            if type(error).__module__.startswith("urllib3"):
                raise ConnectionLost(_named(error)) from error
            raise

    @staticmethod
    @lru_cache(maxsize=128)
    def _addressed(verb: str, url: str) -> requests.PreparedRequest:
        """A request without headers and body. To read an address takes as long as to fill the rest in."""
        request = requests.PreparedRequest()
        request.prepare_method(verb)
        request.prepare_url(url, None)
        request.prepare_headers(None)
        request.prepare_cookies(None)
        return request

    def _session(self) -> requests.Session:
        # A socket shared with a forked child would mix two conversations.
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.pid = os.getpid()
            self._local.session = self._new_session()
            self._local.proxies = {}
        session: requests.Session = self._local.session
        return session

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        session.headers.clear()
        session.headers["User-Agent"] = f"django-pushwoosh/{__version__}"
        session.headers["Accept-Encoding"] = "gzip"
        retry = Retry(total=None, connect=1, read=False, status=False, other=False, redirect=False, backoff_factor=0.1)
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=self._pool_size, max_retries=retry)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session

    def _proxies(self, url: str) -> dict[str, str]:
        root = url.split("/", 3)[2]
        known: dict[str, dict[str, str]] = self._local.proxies
        if root not in known:
            known[root] = dict(get_environ_proxies(url))
        return known[root]


def _content(answer: requests.Response, until: float) -> bytes:
    content = bytearray()
    while len(content) < MAX_ANSWER_BYTES and (piece := answer.raw.read1(PIECE_BYTES, decode_content=True)):
        content += piece
        if time.monotonic() > until:
            raise ConnectionLost("the answer comes too slowly")
    return bytes(content[:MAX_ANSWER_BYTES])


def _never_connected(error: requests.ConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    if isinstance(error, requests.exceptions.SSLError):
        # Only a refused certificate is sure to have come before the request; other failures may come while it is read.
        return any(isinstance(each, ssl.SSLCertVerificationError) for each in getattr(reason, "args", ()))
    return isinstance(error, requests.exceptions.ProxyError) or isinstance(
        reason, (NewConnectionError, NameResolutionError)
    )


def _named(error: BaseException) -> str:
    return type(error).__name__
