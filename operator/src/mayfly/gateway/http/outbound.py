"""HTTP client for addresses that users give (Models, upstreams, webhooks), guarded against SSRF.

A name is resolved once, and the connection goes to the very address that was checked, so a name
that changes its mind between check and use gains nothing. Refused are private, link-local,
loopback and cluster ranges, but for those that the installation allows. No redirect is followed,
sizes and times are bounded, and no connection is kept: one that its server has just closed could
not be told from a request whose fate is unknown.

    OutboundError          the request did not work
    ├── Unsent             nothing was sent: trying again is harmless
    │   └── Forbidden      the address is not allowed: trying again changes nothing
    ├── Unanswered         sent, but nobody knows what became of it
    └── TooLong            the answer has more bytes than allowed
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any
from urllib.parse import urlsplit

import httpcore
from typing_extensions import override

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a host and port; raises OSError when there are none."""

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 30.0
MAX_BYTES = 16 * 1024 * 1024
PIECE_SECONDS = 60.0
"""A body that says nothing for so long is broken."""

TRANSLATED = tuple(ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"))
"""IPv6 ranges that carry an IPv4 address inside: nobody checks where they lead."""


class OutboundError(Exception):
    """An outgoing request failed; the message is for a person."""


class Unsent(OutboundError):
    """Nothing was sent."""


class Forbidden(Unsent):
    """The address is not allowed."""


class Unanswered(OutboundError):
    """Sent, and no answer came."""


class TooLong(OutboundError):
    """The answer is too long."""


@dataclass(frozen=True)
class Answer:
    """An answer, whatever its code.

    Attributes:
        status: the HTTP code.
        headers: by lower-case name.
        body: whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """The addresses that the machine's resolver gives."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class Ranges:
    """Which addresses may be reached."""

    def __init__(self, allowed: Iterable[Network], denied: Iterable[Network]) -> None:
        self._allowed = tuple(allowed)
        self._denied = tuple(denied)

    def holds(self, address: Address) -> bool:
        """Whether an address may be reached."""
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        address = mapped or address
        if any(address in each for each in self._allowed):
            return True
        if any(address in each for each in (*self._denied, *TRANSLATED)):
            return False
        return address.is_global and not address.is_multicast


class _Pinned(httpcore.AsyncNetworkBackend):
    """Network backend that connects to the address it has checked."""

    def __init__(self, ranges: Ranges | None, resolve: Resolve) -> None:
        self._ranges = ranges
        self._resolve = resolve
        self._plain = httpcore.AnyIOBackend()

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                found = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"resolving the name {host} timed out") from None
        except OSError as error:
            raise httpcore.ConnectError(f"the name {host} can't be resolved ({error})") from error
        last: Exception = httpcore.ConnectError(f"the name {host} has no address")
        for text in found:
            if self._ranges is not None and not self._ranges.holds(ip_address(text)):
                raise Forbidden(
                    f"{host} is at {text}, an address that the gateway does not call; the value "
                    f"outbound.allowCIDRs can allow it."
                )
            try:
                return await self._plain.connect_tcp(
                    text, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last

    @override
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Outbound:
    """HTTP client that pins the address it checked, and follows no redirect."""

    def __init__(
        self,
        *,
        allowed: Iterable[Network] = (),
        denied: Iterable[Network] = (),
        resolve: Resolve = system_resolve,
    ) -> None:
        """Get ready.

        Args:
            allowed: networks that may be called though they are private.
            denied: networks that may not though they look public: the cluster's.
            resolve: gives a name's addresses.
        """
        checked = _Pinned(Ranges(allowed, denied), resolve)
        self._checked = httpcore.AsyncConnectionPool(
            max_connections=None, max_keepalive_connections=0, network_backend=checked
        )
        self._inside = httpcore.AsyncConnectionPool(
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=_Pinned(None, resolve),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._checked.aclose()
        await self._inside.aclose()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | AsyncIterator[bytes] = b"",
        inside: bool = False,
        seconds: float = TOTAL_SECONDS,
        limit: int = MAX_BYTES,
    ) -> Answer:
        """Send a request and read its answer.

        Args:
            method: the HTTP method.
            url: where.
            headers: beside Host.
            content: the body.
            inside: the name is one that the cluster's own administrator or the Model's owner can
                only point at their own: a Service. Any address will do.
            seconds: for everything together.
            limit: bytes of the answer.

        Raises:
            OutboundError: see the module.
        """
        try:
            async with (
                asyncio.timeout(seconds),
                self.stream(method, url, headers=headers, content=content, inside=inside) as got,
            ):
                status, named, pieces = got
                body = bytearray()
                async for piece in pieces:
                    body += piece
                    if len(body) > limit:
                        raise TooLong(f"{_host(url)} answers with more than {limit} bytes")
                return Answer(status, named, bytes(body))
        except TimeoutError:
            raise Unanswered(f"{_host(url)} does not answer within {seconds:.0f} s") from None

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | AsyncIterator[bytes] = b"",
        inside: bool = False,
    ) -> AsyncIterator[tuple[int, dict[str, str], AsyncIterator[bytes]]]:
        """Send a request; the answer's code, headers, and its body in pieces.

        Raises:
            OutboundError: see the module.
        """
        host = _host(url)
        pool = self._inside if inside else self._checked
        timeouts = {
            "connect": CONNECT_SECONDS,
            "pool": CONNECT_SECONDS,
            "read": PIECE_SECONDS,
            "write": PIECE_SECONDS,
        }
        sent = [(b"Host", urlsplit(url).netloc.encode())]
        sent += [(name.encode(), text.encode()) for name, text in (headers or {}).items()]
        if isinstance(content, bytes) and (content or method not in {"GET", "HEAD"}):
            sent.append((b"Content-Length", b"%d" % len(content)))
        try:
            async with pool.stream(
                method, url, headers=sent, content=content, extensions={"timeout": timeouts}
            ) as answer:
                named = {
                    name.decode("latin-1").lower(): text.decode("latin-1")
                    for name, text in answer.headers
                }
                yield answer.status, named, answer.aiter_stream()
        except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout) as error:
            raise Unsent(f"{host} can't be reached: {_words(error)}") from error
        except (httpcore.UnsupportedProtocol, httpcore.LocalProtocolError) as error:
            raise Unsent(f"{host} can't be called: {_words(error)}") from error
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise Unanswered(f"{host} gave no answer: {_words(error)}") from error


def _host(url: str) -> str:
    # Paths and queries may hold what is nobody's business: signatures, names of customers.
    return urlsplit(url).netloc


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
