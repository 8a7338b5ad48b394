"""What the fetcher sends, whatever names and ports its URLs have."""

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from typing_extensions import override

from mayfly_runtime.agent import fetch, jobs, messages
from mayfly_runtime.agent.gateway import Address, Gateway

OWN = Gateway(Address(False, "gateway.example", 8080, ""), None, Path("none"), "session")


class Handler(http.server.BaseHTTPRequestHandler):
    """Redirects `/to?<URL>`, and `/raw?<URL>` in plain UTF-8; answers with a file otherwise."""

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers))  # type: ignore[attr-defined]
        path, _, location = self.path.partition("?")
        if path in {"/to", "/raw"}:
            # Headers are sent as Latin-1: the bytes are those that were percent-encoded.
            location = unquote(location, "latin-1") if path == "/raw" else location
            self.send_response(302)
            self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


class Near(fetch.Fetcher):
    """Reaches one server under every name."""

    port = 0

    @override
    def _dial(self, host: str, port: int, *, trusted: bool) -> socket.socket:
        return socket.create_connection(("127.0.0.1", type(self).port))


@pytest.fixture
def seen() -> Iterator[list[tuple[str, dict[str, str]]]]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.seen = []  # type: ignore[attr-defined]
        Near.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.seen  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


def fetcher(folder: Path) -> Near:
    return Near(OWN, ssl.create_default_context, (), folder, 1000, lambda: 30.0)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://files.example/x", "files.example"),
        ("http://files.example:80/x", "files.example"),
        ("http://Files.example:8080/x", "files.example:8080"),
        ("http://bücher.example/x", "xn--bcher-kva.example"),
        ("http://[2606:4700::1]/x", "[2606:4700::1]"),
    ],
)
def test_the_host_header_is_without_the_default_port(seen, tmp_path, url, host):
    assert fetcher(tmp_path).fetch(url).read_bytes() == b"hi"
    ((_, headers),) = seen
    assert headers.get_all("Host") == [host]
    assert headers["Authorization"] is None


def test_credentials_are_sent_to_the_server_they_are_for_and_to_no_other(seen, tmp_path):
    fetcher(tmp_path).fetch("http://bot:s3cret@files.example/to?/x")
    fetcher(tmp_path).fetch("http://bot:s3cret@files.example/to?http://other.example/x")
    fetcher(tmp_path).fetch("http://files.example/to?http://a:b@other.example/x")
    given = [headers["Authorization"] for _, headers in seen]
    ours = "Basic Ym90OnMzY3JldA=="
    assert given == [ours, ours, ours, None, None, "Basic YTpi"]


@pytest.mark.parametrize("path", ["raw", "to"])
def test_a_redirect_is_percent_encoded_once(seen, tmp_path, path):
    saved = fetcher(tmp_path).fetch(f"http://files.example/{path}?/köln.png?x=ü")
    assert saved.name == "köln.png"
    assert seen[-1][0] == "/k%C3%B6ln.png?x=%C3%BC"


def test_whatever_happens_in_a_thread_ends_the_run_in_words(monkeypatch, tmp_path):
    def broken(self, url):
        raise RuntimeError(f"a bug on {url}")

    monkeypatch.setattr(fetch.Fetcher, "fetch", broken)
    told = []
    ended = threading.Event()

    def put(event):
        told.append(event)
        ended.set()

    work = jobs.Jobs(OWN, ssl.create_default_context, "", tmp_path, put)
    work.fetch([(("f",), "http://bot:s3cret@h/x")], messages.Limits())
    assert ended.wait(30)
    assert told == [jobs.FetchFailed("f: could not fetch the file: RuntimeError")]
