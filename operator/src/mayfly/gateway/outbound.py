"""The gateway's own calls to servers that users name: webhooks' receivers and models elsewhere.

A name is resolved once, every address is judged, and the connection goes to the judged address:
a name that changes its mind between the check and the call (DNS rebinding) gains nothing. TLS is
still checked against the name. Redirects are answers, not instructions.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from typing_extensions import override

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
CONNECT_SECONDS = 5.0
RESOLVE_SECONDS = 5.0
ADDRESSES = 4
"""Addresses of one name that are tried."""

ANSWER_BYTES = 1024 * 1024


class OutboundError(Exception):
    """A call that was not made, or not answered; the text is for the person who named the URL."""


class Refused(OutboundError):
    """The address is none that the gateway may call."""


@dataclass(frozen=True)
class Answer:
    """What a server said.

    Attributes:
        status: the HTTP code.
        headers: the reply's, names in lower case.
        body: the reply's bytes, all of them.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Walls:
    """Which addresses may be called."""

    def __init__(self, allowed: Sequence[str] = (), denied: Sequence[str] = ()) -> None:
        """Get ready.

        Args:
            allowed: CIDRs that may be called although they are not public.
            denied: public CIDRs that may not be called: a cluster's own.

        Raises:
            ValueError: one is no CIDR.
        """
        self._allowed = [ipaddress.ip_network(each, strict=False) for each in allowed]
        self._denied = [ipaddress.ip_network(each, strict=False) for each in denied]

    def allow(self, address: Address) -> bool:
        """Whether an address may be called."""
        real = _embedded(address)
        if any(_holds(network, each) for network in self._allowed for each in {address, real}):
            return True
        if any(_holds(network, each) for network in self._denied for each in {address, real}):
            return False
        return real.is_global and not real.is_multicast


def _holds(network: Network, address: Address) -> bool:
    return network.version == address.version and address in network


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one leads to, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour or address


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system finds them.

    Raises:
        OSError: it has none.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class _Pinned(httpx.AsyncBaseTransport):
    """Sends a request to an address of its host that was judged."""

    def __init__(self, walls: Walls, verify: ssl.SSLContext) -> None:
        self._walls = walls
        # No connection is kept: the pool knows connections by address, and two names on one
        # address must not share the TLS of one of them.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(verify=verify, limits=limits, trust_env=False)

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        addresses = await self._judged(host, request.url.port or 443)
        for address in addresses[:ADDRESSES]:
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                # Nothing was sent yet: the next address may answer.
                failed = error
        raise failed

    async def _judged(self, host: str, port: int) -> list[Address]:
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                texts = await resolve(host, port)
        except (OSError, UnicodeError, TimeoutError):
            raise OutboundError(f'The name "{host}" has no address.') from None
        addresses = [ipaddress.ip_address(each.partition("%")[0]) for each in texts]
        # All of them must be good: which one a careless resolver puts first is no one's promise.
        wrong = next((each for each in addresses if not self._walls.allow(each)), None)
        if wrong is not None:
            raise Refused(
                f'"{host}" is at {wrong}, which is not a public address; an administrator can '
                f"allow it with outbound.allowCIDRs."
            )
        if not addresses:
            raise OutboundError(f'The name "{host}" has no address.')
        return addresses

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()


class Outbound:
    """Calls servers that users name."""

    def __init__(self, walls: Walls, verify: ssl.SSLContext | None = None) -> None:
        """Get ready.

        Args:
            walls: which addresses may be called.
            verify: whose certificates are good; None for the public authorities.
        """
        self._client = httpx.AsyncClient(
            transport=_Pinned(walls, verify or httpx.create_ssl_context(trust_env=False)),
            follow_redirects=False,
            trust_env=False,
            # A packed answer could unpack to any size.
            headers={"User-Agent": "mayfly", "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        seconds: float,
        limit: int = ANSWER_BYTES,
    ) -> Answer:
        """One request and its whole answer.

        Args:
            method: GET, POST, …
            url: http or https.
            headers: beside the usual ones.
            content: the body.
            seconds: the whole exchange, at most.
            limit: bytes of an answer; a longer one is an error.

        Raises:
            Refused: the address is none that may be called; nothing was sent.
            OutboundError: no whole answer in time.
        """
        try:
            async with (
                asyncio.timeout(seconds),
                self.stream(method, url, headers=headers, content=content, idle=seconds) as got,
            ):
                body = bytearray()
                async for piece in got.aiter_raw():
                    body += piece
                    if len(body) > limit:
                        raise OutboundError(f"The answer has more than {limit} bytes.")
                return Answer(got.status_code, dict(got.headers), bytes(body))
        except TimeoutError:
            raise OutboundError(f"No answer within {seconds:g} s.") from None

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | AsyncIterator[bytes] | None = None,
        idle: float,
    ) -> AsyncIterator[httpx.Response]:
        """One request whose answer is read as it comes; the caller bounds its size and time.

        Args:
            method: GET, POST, …
            url: http or https.
            headers: beside the usual ones.
            content: the body.
            idle: seconds without a byte.

        Raises:
            Refused: the address is none that may be called; nothing was sent.
            OutboundError: no connection, or it broke.
        """
        timeout = httpx.Timeout(idle, connect=min(idle, CONNECT_SECONDS))
        try:
            async with self._client.stream(
                method, url, headers=headers, content=content, timeout=timeout
            ) as response:
                yield response
        except (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict) as error:
            raise OutboundError(_words(error)) from error


def _words(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "No answer in time."
    text = str(error).strip() or type(error).__name__
    return f"The call failed: {text}"[:500]
