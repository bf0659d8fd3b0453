"""The transport: one attempt, and the truth about what became of it."""

from __future__ import annotations

import gzip
import json
import os
import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from django_pushwoosh.client.transport import ConnectionLost, NotConnected, RequestsTransport
from tests.client.far_side import Answer, Received, far_side

TIMEOUT = (2.0, 2.0)
OK: Answer = (200, {}, b'{"status_code":200,"status_message":"OK"}')


def post(address: str, transport: RequestsTransport | None = None, body: bytes = b"{}") -> tuple[int, bytes]:
    status, _headers, content = (transport or RequestsTransport()).send("POST", address + "/x", {}, body, TIMEOUT)
    return status, content


def test_a_connection_is_used_again() -> None:
    transport = RequestsTransport()
    with far_side(lambda _received: OK) as side:
        for _ in range(3):
            assert post(side.address, transport) == (200, OK[2])
        assert len({received.peer for received in side.received}) == 1


def test_a_refused_connection_has_not_been_sent() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{reserved.getsockname()[1]}"

        with pytest.raises(NotConnected):
            post(address)


def test_an_unknown_host_has_not_been_sent() -> None:
    with pytest.raises(NotConnected):
        post("http://nowhere.invalid")


def test_a_connection_dropped_after_the_request_is_not_tried_again() -> None:
    """Two senders of one message would be one too many."""
    with far_side(lambda _received: None) as side:
        with pytest.raises(ConnectionLost):
            post(side.address)
        assert len(side.received) == 1


def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_the_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/x"

        with pytest.raises(ConnectionLost):
            RequestsTransport().send("POST", address, {}, b"{}", (1.0, 0.1))


def test_an_answer_in_drops_is_waited_for_no_longer_either() -> None:
    """Each drop comes in time; all of them would take for ever."""
    with socket.socket() as dripping:
        dripping.bind(("127.0.0.1", 0))
        dripping.listen()
        ended = threading.Event()

        def drip() -> None:
            peer, _address = dripping.accept()
            with peer, suppress(OSError):
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not ended.wait(0.02):
                    peer.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        address = f"http://127.0.0.1:{dripping.getsockname()[1]}/x"
        started = time.monotonic()
        try:
            with pytest.raises(ConnectionLost, match="slowly"):
                RequestsTransport().send("POST", address, {}, b"{}", (0.1, 0.2))
            assert time.monotonic() - started < 5
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize("is_gzipped", [True, False])
def test_an_answer_in_chunks_is_put_together_and_its_connection_used_again(is_gzipped: bool) -> None:
    content = json.dumps({"status_code": 200, "response": [str(number) for number in range(100_000)]}).encode()
    sent = gzip.compress(content) if is_gzipped else content
    pieces = [sent[at : at + 10_000] for at in range(0, len(sent), 10_000)]
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    more = {"Content-Encoding": "gzip"} if is_gzipped else {}
    transport = RequestsTransport()
    with far_side(
        lambda _received: (200, {"Transfer-Encoding": "chunked", "Content-Length": "", **more}, chunked)
    ) as side:
        assert [post(side.address, transport)[1] == content for _ in range(2)] == [True, True]
        assert len({received.peer for received in side.received}) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_bad_status_is_reported_and_not_repeated(status: int) -> None:
    with far_side(lambda _received: (status, {"Retry-After": "3"}, b"<html>")) as side:
        assert post(side.address) == (status, b"<html>")
        assert len(side.received) == 1


def test_a_redirect_is_reported_and_not_followed() -> None:
    with far_side(lambda _received: (301, {"Location": "/elsewhere"}, b"")) as side:
        assert post(side.address)[0] == 301
        assert len(side.received) == 1


def test_a_truncated_answer_is_lost() -> None:
    with far_side(lambda _received: (200, {"Content-Length": "100"}, b"short")) as side, pytest.raises(ConnectionLost):
        post(side.address)


def test_the_hosts_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    with far_side(lambda _received: OK) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)

        assert post("http://api.example")[0] == 200
        assert proxy.received[0].path == "http://api.example/x"


def test_hosts_without_a_proxy_are_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    with far_side(lambda _received: OK) as proxy, far_side(lambda _received: OK) as side:
        monkeypatch.setenv("http_proxy", proxy.address)
        monkeypatch.setenv("no_proxy", "127.0.0.1")

        assert post(side.address)[0] == 200
        assert proxy.received == []


def test_a_private_certificate_authority_of_the_host_is_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)

    with far_side(lambda _received: OK, tls) as side:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        assert post(side.address)[0] == 200

        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with pytest.raises(NotConnected):
            post(side.address)


def test_a_netrc_does_not_take_the_place_of_our_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    with far_side(lambda _received: OK) as side:
        RequestsTransport().send("POST", side.address, {"Authorization": "Token ours"}, b"{}", TIMEOUT)
        assert side.received[0].headers["Authorization"] == "Token ours"


def test_a_token_that_no_header_can_carry_is_not_shown() -> None:
    with far_side(lambda _received: OK) as side:
        with pytest.raises(NotConnected) as raised:
            RequestsTransport().send("POST", side.address, {"Authorization": "Token secret\n"}, b"{}", TIMEOUT)

        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__
        assert "secret" not in str(raised.value)


def test_a_forked_child_opens_a_connection_of_its_own() -> None:
    transport = RequestsTransport()

    def whose(received: Received) -> Answer:
        return 200, {}, str(received.peer[1]).encode()

    with far_side(whose) as side:
        _status, ours = post(side.address, transport)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, post(side.address, transport)[1])
            os._exit(0)
        os.waitpid(child, 0)
        theirs = os.read(read, 100)
        os.close(read)
        os.close(write)
        assert theirs
        assert theirs != ours
        assert post(side.address, transport)[1] == ours
