"""A gateway that is away for a while: the author's httpx waits for it, and sends nothing twice."""

import json
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

CODE = """
import asyncio, json, sys
from mayfly_runtime.worker import httpx_retries
httpx_retries.PAUSE_SECONDS = 0.05
url = sys.argv[1]
httpx_retries.wait_for(url)
import httpx

def asked(method, path):
    try:
        with httpx.Client(transport=httpx.HTTPTransport()) as client:
            return client.request(method, url + path).text
    except httpx.TransportError as error:
        return type(error).__name__

async def asked_async():
    async with httpx.AsyncClient() as client:
        return (await client.get(url + "/v1/predictions/x")).text

print(json.dumps([eval(each) for each in sys.argv[2:]]))
"""


class Gateway(BaseHTTPRequestHandler):
    """Drops the first request of each kind, answers the others with their number and key."""

    seen: list[tuple[str, str | None]]

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self.seen.append((self.command, self.headers.get("Idempotency-Key")))
        if sum(method == self.command for method, _ in self.seen) == 1:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.command.encode())

    def do_POST(self) -> None:
        self.do_GET()


def ask(*calls: str, seconds_away: float) -> tuple[list[str], list[tuple[str, str | None]]]:
    """What calls to a gateway that comes later return, and what it has seen."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, f"http://127.0.0.1:{port}", *calls],
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(seconds_away)
    seen: list[tuple[str, str | None]] = []
    handler = type("Here", (Gateway,), {"seen": seen})
    with HTTPServer(("127.0.0.1", port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        out, _ = process.communicate(timeout=60)
        server.shutdown()
    assert process.returncode == 0
    return json.loads(out), seen


@pytest.mark.parametrize(
    "call", ["asked('GET', '/v1/predictions/x')", "asyncio.run(asked_async())"]
)
def test_a_poll_waits_for_a_gateway_that_is_away_and_outlives_one_that_dies(call: str) -> None:
    told, seen = ask(call, seconds_away=2)
    assert told == ["GET"]
    assert seen == [("GET", None)] * 2


def test_a_create_is_sent_again_under_the_same_key() -> None:
    told, seen = ask("asked('POST', '/v1/models/a/b/predictions')", seconds_away=0)
    assert told == ["POST"]
    (one, first), (other, second) = seen
    assert (one, other) == ("POST", "POST")
    assert first is not None
    assert first == second


def test_what_may_not_be_sent_twice_is_not() -> None:
    told, seen = ask("asked('POST', '/v1/files')", seconds_away=0)
    assert told == ["RemoteProtocolError"]
    assert seen == [("POST", None)]


def test_other_hosts_are_none_of_its_business() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        elsewhere = f"http://127.0.0.1:{probe.getsockname()[1]}"
    told, _ = ask(f"(globals().update(url={elsewhere!r}), asked('GET', '/x'))[1]", seconds_away=0)
    assert told == ["ConnectError"]
