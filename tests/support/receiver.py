"""A receiver of webhooks on loopback: keeps what it gets, and answers as told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from support.kube_memory import WAIT_SECONDS


@dataclass(frozen=True)
class Call:
    """One request."""

    headers: dict[str, str]
    body: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def event(self) -> str:
        """The event, by the message's id."""
        return self.headers["webhook-id"].split("-")[1]


class Receiver:
    """The server."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answer: Callable[[Call], int] = lambda _call: 200
        self.port = 0
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def until(self, holds: Callable[[list[Call]], bool]) -> list[Call]:
        """The calls, once they are as wanted."""
        async with self._news:
            there = self._news.wait_for(lambda: holds(self.calls))
            await asyncio.wait_for(there, WAIT_SECONDS)
        return self.calls

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
            headers = {name.lower(): value for name, _, value in lines}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            call = Call(headers, body.decode())
            status = self.answer(call)
            async with self._news:
                self.calls.append(call)
                self._news.notify_all()
            extra = "Location: http://127.0.0.1:1/\r\n" if status == 307 else ""
            writer.write(f"HTTP/1.1 {status} X\r\n{extra}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def end(self) -> None:
        await asyncio.gather(*self._tasks)


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver that answers 200."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver
        await receiver.end()
