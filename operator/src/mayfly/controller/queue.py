"""The work queue: one entry a key, never two workers on one, asked again while busy means again.

The semantics are controller-runtime's: events only say that a key may need a look, so any number
of them between two looks is one look.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from mayfly.clock import Monotonic

Subject = Literal["run", "pipeline", "runtime"]

BACKOFF_FIRST = 0.1
BACKOFF_LIMIT = 30.0


@dataclass(frozen=True, order=True)
class Key:
    """Something to look at."""

    subject: Subject
    namespace: str
    name: str


@dataclass(order=True)
class _Later:
    due: float
    key: Key = field(compare=False)


class WorkQueue:
    """Keys that want a look."""

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._ready: deque[Key] = deque()
        self._queued: dict[Key, float] = {}
        self._busy: set[Key] = set()
        self._again: set[Key] = set()
        self._later: list[_Later] = []
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def busy(self) -> int:
        """Keys that are being looked at."""
        return len(self._busy)

    @property
    def later(self) -> int:
        """Keys that are to be looked at at some later time."""
        return len(self._due)

    @property
    def failing(self) -> int:
        """Keys whose last look failed."""
        return len(self._failures)

    @property
    def oldest_seconds(self) -> float:
        """How long the longest-waiting key has waited."""
        if not self._ready:
            return 0.0
        return self._monotonic() - self._queued[self._ready[0]]

    def add(self, key: Key) -> None:
        """Have the key looked at as soon as a worker is free."""
        if key in self._busy:
            self._again.add(key)
        elif key not in self._queued:
            self._queued[key] = self._monotonic()
            self._ready.append(key)
            self._wake.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Have the key looked at later; the earliest of several such wishes stands."""
        due = self._monotonic() + max(seconds, 0.0)
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        heapq.heappush(self._later, _Later(due, key))
        self._wake.set()

    def retry(self, key: Key) -> None:
        """Have the key looked at again after a failure, later each time."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        self.add_after(key, min(BACKOFF_FIRST * 2.0**count, BACKOFF_LIMIT))

    def succeeded(self, key: Key) -> None:
        """Forget the key's failures."""
        self._failures.pop(key, None)

    async def take(self) -> Key:
        """The next key; the caller calls `done` when it has looked."""
        while True:
            self._promote()
            if self._ready:
                key = self._ready.popleft()
                del self._queued[key]
                self._busy.add(key)
                return key
            await self._wait()

    def done(self, key: Key) -> None:
        """The look is over; if the key was added meanwhile, it is looked at again."""
        self._busy.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _promote(self) -> None:
        now = self._monotonic()
        while self._later and self._later[0].due <= now:
            later = heapq.heappop(self._later)
            if self._due.get(later.key) == later.due:
                del self._due[later.key]
                self.add(later.key)

    async def _wait(self) -> None:
        self._wake.clear()
        pause = max(self._later[0].due - self._monotonic(), 0.0) if self._later else None
        # Not wait_for: before Python 3.12 it loses a cancel that comes together with the news, and
        # a worker that can't be cancelled works on after its controller has lost the Lease.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()
