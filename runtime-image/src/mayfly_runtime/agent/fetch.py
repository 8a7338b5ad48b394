"""Fetches file inputs: from a URL, a data: URI or the gateway's store into a file.

URLs come from users. At each hop the host is resolved once, checked, and connected to at the
checked address, so that a name can't point elsewhere a moment later. Private, link-local and
loopback addresses are refused, except the gateway's and those that the administrator allows.
"""

import base64
import binascii
import http.client
import ipaddress
import mimetypes
import re
import socket
import ssl
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from mayfly_runtime.agent.gateway import Gateway, GatewayError

MAX_REDIRECTS = 10
_CHUNK_BYTES = 256 * 1024
_MAX_NAME_BYTES = 120
_UNSAFE = re.compile(r"[^\w.\-+ ]")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class FetchError(Exception):
    """A file could not be fetched; the message names the host and the cause."""


@dataclass(frozen=True)
class Fetcher:
    """Fetches files into `folder` until the deadline.

    `left_s` returns the seconds left; `context` is created when the first https URL needs it.
    """

    gateway: Gateway
    context: Callable[[], ssl.SSLContext]
    allowed: tuple[IPNetwork, ...]
    folder: Path
    max_bytes: int
    left_s: Callable[[], float]

    def fetch(self, url: str) -> Path:
        """Fetch a file; stored under its own name, with unsafe characters replaced.

        Raises:
            FetchError: with a message for the author of the input.
        """
        try:
            if url.startswith("data:"):
                return self._data(url)
            if url.startswith("mayfly-file:"):
                return self._stored(url)
            return self._remote(url)
        except TimeoutError:
            raise FetchError(f"{_host(url)}: the deadline for fetching inputs passed") from None
        except GatewayError as error:
            raise FetchError(f"the stored file {url[:60]}: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            raise FetchError(f"{_host(url)}: {_cause(error)}") from error

    def _data(self, url: str) -> Path:
        head, comma, body = url[len("data:") :].partition(",")
        if not comma:
            raise FetchError("a data: URI without a comma")
        kind, *words = head.split(";")
        data = urllib.parse.unquote_to_bytes(body)
        if "base64" in words:
            try:
                data = base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError):
                raise FetchError("a data: URI that is not base64") from None
        name = "file" + (mimetypes.guess_extension(kind or "text/plain") or "")
        target, file = self._create(name)
        with file:
            file.write(data)
        return target

    def _stored(self, url: str) -> Path:
        with self.gateway.get_file(url, self._timeout()) as answer:
            name = _disposition_name(answer.headers.get("Content-Disposition", ""))
            return self._save(answer, name or url.removeprefix("mayfly-file:"), "the gateway")

    def _remote(self, url: str) -> Path:
        first = url
        for _ in range(MAX_REDIRECTS + 1):
            parts = urllib.parse.urlsplit(url)
            connection = self._connect(parts)
            try:
                target = parts.path or "/"
                target += f"?{parts.query}" if parts.query else ""
                headers = {"User-Agent": "mayfly-agent", "Accept": "*/*"}
                quoted = urllib.parse.quote(target, safe="/%?=&:;@+$,!*'()~#[]")
                connection.request("GET", quoted, headers=headers)
                answer = connection.getresponse()
                location = answer.headers.get("Location")
                if answer.status in {301, 302, 303, 307, 308} and location:
                    url = urllib.parse.urljoin(url, location)
                    continue
                if answer.status != http.HTTPStatus.OK:
                    raise FetchError(f"{_host(url)} answered {answer.status} {answer.reason}")
                name = urllib.parse.unquote(parts.path.rsplit("/", 1)[-1])
                return self._save(answer, name, _host(url))
            finally:
                connection.close()
        raise FetchError(f"{_host(first)}: more than {MAX_REDIRECTS} redirects")

    def _connect(self, parts: urllib.parse.SplitResult) -> http.client.HTTPConnection:
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise FetchError(f"{parts.netloc}: an invalid port") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise FetchError(f"{parts.geturl()[:60]} is not an http(s) URL")
        own = self.gateway.address
        is_gateway = (parts.scheme == "https", parts.hostname, port) == (
            own.secure, own.host, own.port,
        )  # fmt: skip
        sock = self._dial(parts.hostname, port, trusted=is_gateway)
        connection = http.client.HTTPConnection(parts.hostname, port, timeout=self._timeout())
        try:
            if parts.scheme == "https":
                context = self.gateway.context if is_gateway else None
                sock = (context or self.context()).wrap_socket(sock, server_hostname=parts.hostname)
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
            if not (trusted or is_public(ip) or any(ip in network for network in self.allowed)):
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


def is_public(ip: IPAddress) -> bool:
    """Whether an address is on the public internet, in whatever notation it is written."""
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return is_public(inner)
        if ip in ipaddress.IPv6Network("64:ff9b::/96"):  # NAT64 carries an IPv4 address
            return is_public(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


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


def parse_networks(text: str) -> tuple[IPNetwork, ...]:
    """Parse a comma-separated list of CIDRs.

    Raises:
        ValueError: one of them is invalid.
    """
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def _host(url: str) -> str:
    if url.startswith("data:"):
        return "a data: URI"
    return urllib.parse.urlsplit(url).hostname or url[:60]


def _cause(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "the name can't be resolved"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def _disposition_name(header: str) -> str:
    message = Message()
    message["Content-Disposition"] = header
    return message.get_filename() or ""
