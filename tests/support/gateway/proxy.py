"""A proxy in front of a gateway, that serves it below a path and can cut what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Below(str):
    """The URL of a gateway behind a proxy."""

    __slots__ = ("_open",)

    _open: set[asyncio.StreamWriter]

    def cut(self) -> None:
        """Cut every connection, as a network does."""
        for each in list(self._open):
            each.transport.abort()


@asynccontextmanager
async def stripping(url: str, prefix: str) -> AsyncIterator[Below]:
    """A proxy that takes a prefix from each request's path, and says so to the gateway.

    Args:
        url: of the gateway, plain HTTP.
        prefix: such as /tools.
    """
    target = urlsplit(url)
    under_way: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(target.hostname, target.port)
        under_way.update((writer, back))
        answering = asyncio.create_task(_pass(there, writer))
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, _, fields = head.partition("\r\n")
                method, path, version = line.split(" ")
                path = path.removeprefix(prefix) or "/"
                back.write(
                    f"{method} {path} {version}\r\nX-Forwarded-Prefix: {prefix}\r\n{fields}".encode(
                        "latin-1"
                    )
                )
                length = [each for each in fields.lower().split("\r\n") if "content-length" in each]
                if length:
                    back.write(await reader.readexactly(int(length[0].partition(":")[2])))
                await back.drain()
        answering.cancel()
        for each in (writer, back):
            under_way.discard(each)
            each.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        found = Below(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{prefix}")
        found._open = under_way
        yield found
    finally:
        found.cut()
        server.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()
