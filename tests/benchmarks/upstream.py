"""A bare upstream: answers what delivery asks, after a latency, and keeps nothing but what a report needs.

`python -m tests.benchmarks.upstream PORT LATENCY_SECONDS`. The sandbox does all that Pushwoosh does for a message;
beside it no sender's own cost could be seen.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.processes import running, until
from tests.servers import answers, free_port

LATENCY_SECONDS = 0.02


@contextmanager
def upstream(latency: float = LATENCY_SECONDS, port: int | None = None) -> Iterator[str]:
    """The API root of a bare upstream in a process of its own."""
    port = port or free_port()
    with TemporaryDirectory() as folder:
        command = ["-m", "tests.benchmarks.upstream", str(port), str(latency)]
        with running(command, Path(folder) / "upstream.log"):
            root = f"http://127.0.0.1:{port}"
            until(lambda: answers(root), 20, "the start of the upstream")
            yield root


class Upstream(asyncio.Protocol):
    """One connection; requests one after the other, as HTTP/1.1 keeps it open."""

    def __init__(self, latency: float, jobs: dict[str, list[str]]) -> None:
        self._latency = latency
        self._jobs = jobs
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        if len(body) < length:
            return
        self._received = b""
        verb, path, _version = head.split(b"\r\n", 1)[0].decode().split(" ")
        answer = json.dumps(self._answer(verb, path.partition("?")[0], body)).encode()
        headers = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
        asyncio.get_running_loop().call_later(self._latency, self._transport.write, headers.encode() + answer)

    def _answer(self, verb: str, path: str, body: bytes) -> dict[str, object]:
        if verb == "GET":
            request_id = path.rsplit("/", 1)[1]
            devices = [{"hwid": hwid, "status": "done", "tags": {}} for hwid in self._jobs[request_id]]
            return {"request_id": request_id, "status": "Completed", "progress": 100, "devices": devices}
        if "/audience/" in path:
            request_id = f"job-{len(self._jobs)}"
            self._jobs[request_id] = [device["hwid"] for device in json.loads(body)["devices"]]
            return {"request_id": request_id, "status": "Pending"}
        response = None
        if path.endswith("createMessage"):
            count = body.count(b'"transactionId"')
            response = {"Messages": [f"CODE-{number}" for number in range(count)]}
        return {"status_code": 200, "status_message": "OK", "response": response}


async def serve(port: int, latency: float) -> None:
    jobs: dict[str, list[str]] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(latency, jobs), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
