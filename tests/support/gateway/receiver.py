"""A webhook receiver on loopback: stores requests, and answers as configured."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from support.kube_memory import WAIT_SECONDS
from support.servers.plain_server import PlainServer, Request, reply
from support.waiting import within
from typing_extensions import override


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
        """The event, from the message's id."""
        return self.headers["webhook-id"].split("-")[1]


class Receiver(PlainServer):
    """The webhook receiver.

    Attributes:
        calls: every request so far.
        answer_with: the status of the answers.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.calls: list[Call] = []
        self.answer_with: Callable[[Call], int] = lambda _call: 200
        self._news = asyncio.Condition()

    @property
    @override
    def url(self) -> str:
        return f"{super().url}/hook"

    async def until(self, holds: Callable[[list[Call]], bool]) -> list[Call]:
        """Wait until the calls satisfy the condition."""
        async with self._news:
            there = self._news.wait_for(lambda: holds(self.calls))
            await within(WAIT_SECONDS, there)
        return self.calls

    @override
    async def answer(self, request: Request) -> bytes:
        call = Call(request.headers, request.body.decode())
        status = self.answer_with(call)
        async with self._news:
            self.calls.append(call)
            self._news.notify_all()
        elsewhere = {"Location": "http://127.0.0.1:1/"} if status == 307 else {}
        return reply(status, **elsewhere)


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver that answers 200."""
    async with Receiver(port).serving() as receiver:
        yield receiver
