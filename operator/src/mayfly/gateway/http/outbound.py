"""HTTP client for addresses that users give (Models, upstreams, webhooks), guarded against SSRF.

A name is resolved once, and the connection goes to the address that was checked, so DNS rebinding
gains nothing. Private, link-local, loopback and cluster ranges are refused, except those that the
installation allows. Redirects are not followed, sizes and times are limited, and connections are
not reused: on a connection that the server has just closed, it would be unknown whether a request
was received.

With a proxy, public addresses and names that only the proxy can resolve are reached through it;
what resolves to a refused address is refused as without. The proxy resolves a name again, so it is
the proxy that has to refuse what a name leads to by then.

    OutboundError          the request failed
    ├── Unsent             nothing was sent: retrying is safe
    │   └── Forbidden      the URL or its address can't be called: retrying is pointless
    ├── Unanswered         it was sent, and its outcome is unknown
    └── TooLong            the answer exceeds the limit
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import httpcore
from typing_extensions import override

from mayfly_runtime.spec import addresses, urls

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Resolves a host and port to addresses; raises OSError if there are none."""

_NO_NAME = re.compile(r"(.*\.)?(localhost|[0-9]+|0x[0-9a-f]*)")
"""Hosts that some programs read as an address, or always as their own machine."""

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 30.0
MAX_BYTES = 16 * 1024 * 1024
PIECE_SECONDS = 60.0
"""A body that sends nothing for this long is considered broken."""


class OutboundError(Exception):
    """An outgoing request failed; the message is for people."""


class Unsent(OutboundError):
    """Nothing was sent."""


class Forbidden(Unsent):
    """The address is not allowed, or the URL names none."""


class Unanswered(OutboundError):
    """It was sent, and no answer came."""


class TooLong(OutboundError):
    """The answer exceeds the limit."""


@dataclass(frozen=True)
class Answer:
    """An answer, of any status.

    Attributes:
        status: the HTTP status.
        headers: by lower-case name.
        body: complete.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Resolve a name with the machine's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class Ranges:
    """The address ranges that may be reached."""

    def __init__(
        self, allowed: Iterable[addresses.Network], denied: Iterable[addresses.Network]
    ) -> None:
        self._allowed = tuple(allowed)
        self._denied = tuple(denied)

    def allows(self, address: addresses.Address) -> bool:
        """Whether the installation allows an address by name."""
        return addresses.within(address, self._allowed)

    def holds(self, address: addresses.Address) -> bool:
        """Whether an address may be reached."""
        if self.allows(address):
            return True
        return addresses.is_public(address) and not addresses.within(address, self._denied)

    def check(self, host: str, address: str) -> None:
        """Refuse an address that may not be reached.

        Raises:
            Forbidden: `host` is there.
        """
        if not self.holds(ip_address(address)):
            raise Forbidden(
                f"{host} is at {address}, an address that the gateway does not call; the value "
                f"outbound.allowCIDRs can allow it."
            )


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
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name {host} can't be resolved ({error})") from error
        last: Exception = httpcore.ConnectError(f"the name {host} has no address")
        for text in found:
            if self._ranges is not None:
                self._ranges.check(host, text)
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
        allowed: Iterable[addresses.Network] = (),
        denied: Iterable[addresses.Network] = (),
        proxy: str | None = None,
        resolve: Resolve = system_resolve,
    ) -> None:
        """Create the client.

        Args:
            allowed: private networks that may be called nevertheless; never through the proxy.
            denied: further networks that may not be called: the cluster's.
            proxy: the URL of an HTTP proxy for everything else.
            resolve: resolves names.
        """
        self._ranges = Ranges(allowed, denied)
        self._resolve = resolve
        one_use: dict[str, Any] = {"max_connections": None, "max_keepalive_connections": 0}
        checked, unchecked = _Pinned(self._ranges, resolve), _Pinned(None, resolve)
        self._checked = httpcore.AsyncConnectionPool(network_backend=checked, **one_use)
        self._inside = httpcore.AsyncConnectionPool(network_backend=unchecked, **one_use)
        self._proxied = (
            httpcore.AsyncHTTPProxy(proxy, network_backend=unchecked, **one_use) if proxy else None
        )

    async def close(self) -> None:
        """Close every connection."""
        for pool in filter(None, (self._checked, self._inside, self._proxied)):
            await pool.aclose()

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
            url: where to.
            headers: besides Host.
            content: the body.
            inside: allow any address: the name is a Service, which only the cluster's
                administrator or the Model's owner can point elsewhere.
            seconds: the time limit of the whole exchange.
            limit: maximum size of the answer in bytes.

        Raises:
            OutboundError: see the module.
        """
        host = _read(url).authority  # paths and queries may be confidential: signatures, names
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
                        raise TooLong(f"{host} answers with more than {limit} bytes")
                return Answer(status, named, bytes(body))
        except TimeoutError:
            raise Unanswered(f"{host} does not answer within {seconds:.0f} s") from None

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
        """Send a request; yields the answer's status, headers, and body in pieces.

        Raises:
            OutboundError: see the module.
        """
        to = _read(url)
        host = to.authority
        pool = self._inside if inside else await self._way_to(to)
        # httpcore tells the proxy the host as it is here, and puts no brackets around it.
        place = urls.bracketed(to.host) if pool is self._proxied else to.host
        timeouts = {
            "connect": CONNECT_SECONDS,
            "pool": CONNECT_SECONDS,
            "read": PIECE_SECONDS,
            "write": PIECE_SECONDS,
        }
        own = {"Authorization": to.authorization} if to.authorization else {}
        named = {"Host": to.authority, **own, **(headers or {})}
        sent = [(name.encode(), text.encode()) for name, text in named.items()]
        if isinstance(content, bytes) and (content or method not in {"GET", "HEAD"}):
            sent.append((b"Content-Length", b"%d" % len(content)))
        try:
            async with pool.stream(
                method,
                httpcore.URL(scheme=to.scheme, host=place, port=to.port, target=to.target),
                headers=sent,
                content=content,
                extensions={"timeout": timeouts},
            ) as answer:
                told = {
                    name.decode("latin-1").lower(): text.decode("latin-1")
                    for name, text in answer.headers
                }
                yield answer.status, told, answer.aiter_stream()
        except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout) as error:
            raise Unsent(f"{host} can't be reached: {_words(error)}") from error
        except httpcore.ProxyError as error:
            raise Unsent(f"{host} can't be reached: the proxy says {_words(error)}") from error
        except (httpcore.UnsupportedProtocol, httpcore.LocalProtocolError) as error:
            raise Unsent(f"{host} can't be called: {_words(error)}") from error
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise Unanswered(f"{host} gave no answer: {_words(error)}") from error

    async def _way_to(self, to: urls.URL) -> httpcore.AsyncConnectionPool:
        """How to reach what may be private: directly, or through the proxy if there is one.

        Raises:
            Forbidden: the address can't be called.
        """
        if self._proxied is None:
            return self._checked
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                found = await self._resolve(to.host, to.port)
        except (OSError, UnicodeError, TimeoutError):
            found = ()  # a name that only the proxy knows
        for text in found:
            self._ranges.check(to.host, text)
        if found and all(self._ranges.allows(ip_address(text)) for text in found):
            return self._checked
        if _reads_differently(to.host):
            raise Forbidden(f"{to.host} is an address or a name that proxies read differently.")
        return self._proxied


def _reads_differently(host: str) -> bool:
    """Whether a proxy may take a host for another address than we: 010.0.0.1, a.localhost."""
    try:
        ip_address(host)
    except ValueError:
        return _NO_NAME.fullmatch(host) is not None
    return False


def _read(url: str) -> urls.URL:
    try:
        return urls.read(url)
    except urls.URLError as error:
        raise Forbidden(str(error)) from None


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
