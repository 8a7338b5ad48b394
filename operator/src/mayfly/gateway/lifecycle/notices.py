"""Wakes those who wait for news of a run: a followed log, a stream, a waiting create, webhooks."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Self

from mayfly.listeners import Listeners


class Notices:
    """Waiters by run UID.

    Attributes:
        news: tells the UID at every news of any run.
    """

    def __init__(self) -> None:
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.news: Listeners[str] = Listeners()

    def tell(self, uid: str) -> None:
        """Something about this run changed."""
        self.news.tell(uid)
        for event in self._waiters.get(uid, ()):
            event.set()

    def tell_all(self) -> None:
        """Wake everyone, so that they see that the gateway is closing."""
        for uid in list(self._waiters):
            self.tell(uid)

    def subscribe(self, uid: str) -> Subscription:
        """Start to listen; news from here on is not missed."""
        return Subscription(self._waiters, uid)


class Subscription:
    """One listener; a context manager, so that nobody stays behind."""

    def __init__(self, waiters: defaultdict[str, set[asyncio.Event]], uid: str) -> None:
        self._waiters = waiters
        self._uid = uid
        self._event = asyncio.Event()

    def __enter__(self) -> Self:
        self._waiters[self._uid].add(self._event)
        return self

    def __exit__(self, *_exc: object) -> None:
        waiting = self._waiters[self._uid]
        waiting.discard(self._event)
        if not waiting:
            del self._waiters[self._uid]

    async def wait(self, seconds: float) -> None:
        """Wait for news since the last call, at most so long."""
        try:
            # wait_for of Python 3.11 forgets a cancel that comes together with the news.
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()
