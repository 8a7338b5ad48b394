"""Notifies waiters of changes of a prediction: log followers, streams, creates, webhooks."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Self

from mayfly.listeners import Listeners


class Notices:
    """Subscriptions by run UID.

    Attributes:
        news: tells the UID of each run that changed.
        stops: tells that the gateway is stopping.
    """

    def __init__(self) -> None:
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.news: Listeners[str] = Listeners()
        self.stops: Listeners[[]] = Listeners()

    def tell(self, uid: str) -> None:
        """Notify: something about this run changed."""
        self.news.tell(uid)
        for event in self._waiters.get(uid, ()):
            event.set()

    def tell_all(self) -> None:
        """Wake all subscribers, because the gateway is stopping."""
        for uid in list(self._waiters):
            self.tell(uid)
        self.stops.tell()

    def subscribe(self, uid: str) -> Subscription:
        """Subscribe; changes from now on are not missed."""
        return Subscription(self._waiters, uid)


class Subscription:
    """One subscription; a context manager, so that it is always removed."""

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
        """Wait for a change since the last call, at most this long."""
        try:
            # wait_for of Python 3.11 forgets a cancel that comes together with the news.
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()
