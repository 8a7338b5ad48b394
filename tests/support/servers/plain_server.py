"""A loopback server that reads one HTTP/1.1 request per connection, and then closes it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Request:
    """A received request; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer; underscores in header names become hyphens."""
    named = {"Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in named.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body


class PlainServer:
    """Base of servers that answer as a test wants.

    Attributes:
        port: where it listens; 0 until it is serving, unless chosen.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._served: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, request: Request) -> bytes | None:
        """The bytes to send; None to close the connection without an answer."""
        raise NotImplementedError

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Serve until the block ends."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            async with server:
                yield self
        finally:
            for task in self._served:
                task.cancel()
            await asyncio.gather(*self._served, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._served.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                told = await self.answer(await _read(reader))
                if told is not None:
                    writer.write(told)
                    await writer.drain()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Request:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = first.split(" ", 2)
    pairs = (line.partition(": ") for line in lines if line)
    headers = {name.lower(): text for name, _, text in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)
