"""Waits for other processes; a failure shows what was last seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

T = TypeVar("T")

SECONDS = 20.0
"""Far longer than anything here takes: a slow machine must not make a test fail."""


def eventually(
    look: Callable[[], T], seconds: float = SECONDS, accept: Callable[[T], object] = bool
) -> T:
    """Poll `look` until its result is accepted (by default: is true); returns the result."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if accept(seen):
            return seen
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s; last seen: {seen!r}"
        time.sleep(0.1)


async def looks(seconds: float = SECONDS) -> AsyncIterator[None]:
    """Times to poll in this process; too many are a failure."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within {seconds:.0f} s")
