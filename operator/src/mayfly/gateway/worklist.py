"""Keys that need a look: each at most once at a time, again if news came meanwhile.

The semantics of controller-runtime's queue: one entry a key, never two workers on one, dirty
while in work means once more, and a key that failed comes back later and later.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from mayfly.database.engine import StorageError
from mayfly.kube.errors import KubeError

logger = logging.getLogger(__name__)

RETRY_SECONDS = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Worklist:
    """The keys, their timers and their workers."""

    def __init__(self, workers: int = 16) -> None:
        self._workers = workers
        self._ready: deque[str] = deque()
        self._waiting: set[str] = set()
        self._active: set[str] = set()
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready) + len(self._active)

    def add(self, key: str) -> None:
        """Look at this key as soon as a worker is free."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._active:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._wake.set()

    def add_after(self, key: str, seconds: float) -> None:
        """Look at this key later; the soonest wish stands."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        known = self._timers.get(key)
        if known is not None:
            if known.when() <= due:
                return
            known.cancel()
        self._timers[key] = loop.call_at(due, self.add, key)

    async def run(self, work: Callable[[str], Awaitable[None]]) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._serve(work))
        finally:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()

    async def _serve(self, work: Callable[[str], Awaitable[None]]) -> None:
        while True:
            while not self._ready:
                self._wake.clear()
                await self._wake.wait()
            key = self._ready.popleft()
            self._waiting.discard(key)
            self._active.add(key)
            try:
                await work(key)
                self._failures.pop(key, None)
            except (KubeError, StorageError) as error:
                logger.warning("work is put off: %s", error, extra={"key": key})
                self._retry(key)
            except Exception:
                logger.exception("work failed", extra={"key": key})
                self._retry(key)
            finally:
                self._active.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    def _retry(self, key: str) -> None:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
        self.add_after(key, delay)
