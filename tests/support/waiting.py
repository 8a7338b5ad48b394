"""Waits for other processes; a failure shows what was last seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

SECONDS = 20.0
"""Far longer than anything here takes: a slow machine must not make a test fail."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 0.5
PAUSES_GROW_BY = 1.25
"""A look costs the API server and the gateway as much as it costs the test."""


def eventually(
    look: Callable[[], T], seconds: float = SECONDS, accept: Callable[[T], object] = bool
) -> T:
    """Poll `look` until its result is accepted (by default: is true); returns the result."""
    deadline = time.monotonic() + seconds
    pause = FIRST_PAUSE_SECONDS
    while True:
        seen = look()
        if accept(seen):
            return seen
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s; last seen: {seen!r}"
        time.sleep(pause)
        pause = min(pause * PAUSES_GROW_BY, LONGEST_PAUSE_SECONDS)


async def within(seconds: float, result: Awaitable[T]) -> T:
    """Wait for a result, at most this long. A cancel is never lost, as it may be by `wait_for`."""
    async with asyncio.timeout(seconds):
        return await result


async def looks(seconds: float = SECONDS) -> AsyncIterator[None]:
    """Times to poll in this process; too many are a failure."""
    deadline = time.monotonic() + seconds
    pause = 0.01
    while time.monotonic() < deadline:
        yield
        await asyncio.sleep(pause)
        pause = min(pause * PAUSES_GROW_BY, 0.1)
    raise AssertionError(f"not within {seconds:.0f} s")
