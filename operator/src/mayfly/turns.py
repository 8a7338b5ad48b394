"""Long work on the event loop in short turns, so that other tasks do not wait for its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

SECONDS = 0.001
"""How long a turn is. A transaction takes several turns of the loop, with `bulk` some twenty."""

T = TypeVar("T")


class Turn:
    """The turn of a task that works for long without waiting for anything."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def pass_on(self) -> None:
        """Let other tasks work, if this turn is over; called after each small piece of work."""
        if time.perf_counter() - self._began >= SECONDS:
            await asyncio.sleep(0)
            self._began = time.perf_counter()


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """Each of some items; other tasks work in between."""
    turn = Turn()
    for item in items:
        yield item
        await turn.pass_on()
