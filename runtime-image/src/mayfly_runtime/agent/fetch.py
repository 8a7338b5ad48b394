"""Fetches file inputs: from a URL, a data: URI or the gateway's store into a file.

URLs come from users. At each hop the host is resolved once, checked, and connected to at the
checked address, so that a name can't point elsewhere a moment later. Private, link-local and
loopback addresses are refused, except the gateway's and those that the administrator allows.
"""

import http.client
import ipaddress
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mayfly_runtime.agent.gateway import Gateway, GatewayError
from mayfly_runtime.spec import addresses, data_urls, disposition, urls

MAX_REDIRECTS = 10
_CHUNK_BYTES = 256 * 1024
_MAX_NAME_BYTES = 120
_UNSAFE = re.compile(r"[^\w.\-+ ]")


class FetchError(Exception):
    """A file could not be fetched; the message names the host and the cause."""


@dataclass(frozen=True)
class Fetcher:
    """Fetches files into `folder` until the deadline.

    `left_s` returns the seconds left; `context` is created when the first https URL needs it.
    """

    gateway: Gateway
    context: Callable[[], ssl.SSLContext]
    allowed: tuple[addresses.Network, ...]
    folder: Path
    max_bytes: int
    left_s: Callable[[], float]

    def fetch(self, url: str) -> Path:
        """Fetch a file; stored under its own name, with unsafe characters replaced.

        Raises:
            FetchError: with a message for the author of the input.
        """
        host = "a data: URI"
        try:
            if data_urls.is_data_url(url):
                return self._data(url)
            if url.startswith("mayfly-file:"):
                host = f"the stored file {url[:60]}"
                return self._stored(url)
            first = there = urls.read(url)
            for _ in range(MAX_REDIRECTS + 1):
                host = there.host
                saved = self._remote(there, first)
                if isinstance(saved, Path):
                    return saved
                there = there.joined(saved)
            raise FetchError(f"{first.host}: more than {MAX_REDIRECTS} redirects")
        except TimeoutError:
            raise FetchError(f"{host}: the deadline for fetching inputs passed") from None
        except GatewayError as error:
            raise FetchError(f"{host}: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            raise FetchError(f"{host}: {_cause(error)}") from error
        except urls.URLError as error:
            raise FetchError(str(error)) from None

    def _data(self, url: str) -> Path:
        try:
            found = data_urls.read(url)
        except ValueError as error:
            raise FetchError(str(error)) from None
        target, file = self._create(found.file_name("file"))
        with file:
            file.write(found.data)
        return target

    def _stored(self, url: str) -> Path:
        with self.gateway.get_file(url, self._timeout()) as answer:
            name = disposition.file_name(answer.headers.get("Content-Disposition", ""))
            return self._save(answer, name or url.removeprefix("mayfly-file:"), "the gateway")

    def _remote(self, url: urls.URL, first: urls.URL) -> Path | str:
        """The file of one URL, or where it redirects to.

        Args:
            url: the URL.
            first: the URL that led there: the file has its name where `url` has no better one.
        """
        connection = self._connect(url)
        headers = {"Host": url.authority, "User-Agent": "mayfly-agent", "Accept": "*/*"}
        if url.authorization:
            headers["Authorization"] = url.authorization
        try:
            connection.request("GET", url.target, headers=headers)
            answer = connection.getresponse()
            location = answer.headers.get("Location")
            if answer.status in {301, 302, 303, 307, 308} and location:
                return location
            if answer.status != http.HTTPStatus.OK:
                raise FetchError(f"{url.host} answered {answer.status} {answer.reason}")
            name = disposition.file_name(answer.headers.get("Content-Disposition", ""))
            return self._save(answer, name or _with_suffix(url.name, first.name), url.host)
        finally:
            connection.close()

    def _connect(self, url: urls.URL) -> http.client.HTTPConnection:
        own = self.gateway.address
        is_gateway = (url.scheme == "https", url.host, url.port) == (
            own.secure, own.host, own.port,
        )  # fmt: skip
        sock = self._dial(url.host, url.port, trusted=is_gateway)
        connection = http.client.HTTPConnection(url.host, url.port, timeout=self._timeout())
        try:
            if url.scheme == "https":
                context = self.gateway.context if is_gateway else None
                sock = (context or self.context()).wrap_socket(sock, server_hostname=url.host)
        except OSError:
            sock.close()
            raise
        connection.sock = sock
        return connection

    def _dial(self, host: str, port: int, *, trusted: bool) -> socket.socket:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        failure: OSError | None = None
        for family, kind, protocol, _, address in found:
            ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
            if not (trusted or addresses.is_public(ip) or addresses.within(ip, self.allowed)):
                raise FetchError(
                    f"{host} is at {address[0]}, a private address, which is not allowed"
                )
            sock = socket.socket(family, kind, protocol)
            sock.settimeout(min(self._timeout(), 10))
            try:
                sock.connect(address)
            except OSError as error:
                sock.close()
                failure = error
                continue
            sock.settimeout(self._timeout())
            return sock
        raise failure or OSError("no address")

    def _save(self, answer: http.client.HTTPResponse, name: str, host: str) -> Path:
        if (answer.length or 0) > self.max_bytes:
            raise FetchError(f"{host}: the file has {answer.length} bytes, over {self.max_bytes}")
        target, file = self._create(name)
        size = 0
        with file:
            # Read what is available: a slow server may never fill a whole chunk.
            while data := answer.read1(_CHUNK_BYTES):
                self._timeout()
                size += len(data)
                if size > self.max_bytes:
                    raise FetchError(f"{host}: the file is larger than {self.max_bytes} bytes")
                file.write(data)
        if answer.length:  # http.client does not report a truncated body that is read in pieces
            raise FetchError(f"{host}: the connection broke after {size} bytes")
        return target

    def _create(self, name: str) -> tuple[Path, BinaryIO]:
        """Create a file: unsafe characters are replaced, and a name that exists gets a number."""
        safe = safe_name(name)
        stem, dot, suffix = safe.rpartition(".")
        for number in range(10_000):
            numbered = f"{stem}-{number}{dot}{suffix}" if stem else f"{safe}-{number}"
            target = self.folder / (numbered if number else safe)
            try:
                return target, target.open("xb")
            except FileExistsError:
                continue
        raise FetchError(f"too many files called {safe}")

    def _timeout(self) -> float:
        left = self.left_s()
        if left <= 0:
            raise TimeoutError
        return left


def safe_name(name: str) -> str:
    """A file name without folders, control or shell characters, at most 120 bytes."""
    name = _UNSAFE.sub("_", name.replace("\\", "/").rsplit("/", 1)[-1]).strip(" .")
    stem, dot, suffix = name.rpartition(".")
    while len(name.encode()) > _MAX_NAME_BYTES:
        if len(stem) > 1:
            stem = stem[:-1]
            name = stem + dot + suffix
        else:
            name = name[:-1]
    return name or "file"


def parse_networks(text: str) -> tuple[addresses.Network, ...]:
    """Parse a comma-separated list of CIDRs.

    Raises:
        ValueError: one of them is invalid.
    """
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def _with_suffix(name: str, other: str) -> str:
    """The first name, unless only the other one has a suffix."""
    return other if "." in other and "." not in name else name


def _cause(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "the name can't be resolved"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
