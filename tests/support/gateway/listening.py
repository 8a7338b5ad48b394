"""A reader of the gateway's event stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
from support.gateway.world import BUILDER, Running
from support.kube_memory import WAIT_SECONDS
from support.waiting import within


@dataclass(frozen=True)
class Event:
    name: str
    data: Any
    id: str


def events(text: str) -> list[Event]:
    """Every whole event of a stream's text, as a browser reads them."""
    found = []
    *blocks, _ = text.split("\n\n")
    for block in blocks:
        lines = [line.partition(": ") for line in block.split("\n") if not line.startswith(":")]
        fields = {name: value for name, _, value in lines if name}
        if "event" in fields:
            told = Event(fields["event"], json.loads(fields["data"]), fields.get("id", ""))
            found.append(told)
    return found


class Listening:
    """A stream that is being read.

    Attributes:
        text: what came so far.
        ended: whether the gateway has ended it.
    """

    def __init__(self) -> None:
        self.text = ""
        self.ended = False
        self._more = asyncio.Event()

    async def read(self, pieces: AsyncIterator[str]) -> None:
        with suppress(httpx.RemoteProtocolError):
            async for piece in pieces:
                self.text += piece
                self._more.set()
        self.ended = True
        self._more.set()

    @property
    def events(self) -> list[Event]:
        return events(self.text)

    def of(self, name: str) -> list[Any]:
        """The data of all events of a name."""
        return [each.data for each in self.events if each.name == name]

    def rows(self, name: str = "rows") -> list[dict[str, Any]]:
        """The summaries of all events of a name."""
        return [each for piece in self.of(name) for each in piece]

    async def until(self, holds: Callable[["Listening"], Any], seconds: float = 20.0) -> Any:
        """Wait until this holds, and return what it returned."""

        async def wait() -> Any:
            while not (found := holds(self)):
                assert not self.ended, self.text
                await self._more.wait()
                self._more.clear()
            return found

        try:
            return await within(seconds, wait())
        except TimeoutError:
            raise AssertionError(f"so far: {self.text}") from None

    async def end(self, seconds: float = 20.0) -> None:
        """Wait until the gateway ends the stream."""

        async def wait() -> None:
            while not self.ended:
                await self._more.wait()
                self._more.clear()

        try:
            await within(seconds, wait())
        except TimeoutError:
            raise AssertionError(f"so far: {self.text}") from None


@asynccontextmanager
async def listening(
    gateway: Running, path: str = "/v1/events", token: str = BUILDER, after: str = "", **query: Any
) -> AsyncIterator[Listening]:
    """Read a stream in the background; `after` is its Last-Event-ID."""
    headers = {"Last-Event-ID": after} if after else {}
    async with (
        gateway.client(token) as caller,
        caller.stream(
            "GET",
            path,
            params={name.rstrip("_"): value for name, value in query.items()},
            headers=headers,
            timeout=httpx.Timeout(WAIT_SECONDS, read=None),
        ) as answer,
    ):
        if answer.status_code != 200:
            await answer.aread()
            raise AssertionError(answer.text)
        found = Listening()
        task = asyncio.create_task(found.read(answer.aiter_text()))
        try:
            yield found
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def whole(gateway: Running, identity: str, after: str = "", **query: Any) -> list[Event]:
    """All events of an ended prediction."""
    async with listening(gateway, of=identity, after=after, **query) as stream:
        await stream.end()
        return stream.events
