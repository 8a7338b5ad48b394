"""The feed of changed predictions: read once, told to every stream that wants them.

What changes is heard from the watch of runs and from the notices of this gateway. Other gateways'
work is looked for every few seconds: what was created or closed in the last moments, and calls of
Models that are under way, which have no object. While nobody listens, nothing is read. Nothing here
grows with history: a look reads at most some hundred rows, by an index.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from mayfly.clock import Clock
from mayfly.database.engine import StorageError
from mayfly.gateway.cache.runs import Runs
from mayfly.gateway.console.reader import PIECE, Reader
from mayfly.gateway.console.summaries import Summaries
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.predictions.snapshots import Prediction

logger = logging.getLogger(__name__)

Json = dict[str, Any]

PAUSE_SECONDS = 0.5
"""At most one look in this time."""

POLL_SECONDS = 3.0
"""After so long without news it is looked for other gateways' work."""

OVERLAP = timedelta(seconds=15)
"""How far back that look goes: clocks differ, and transactions take their time."""

WAITING = 10_000
"""Changes that wait for a look."""

REMEMBERED = 20_000
"""Predictions of which it is known what was told last."""

PENDING = 2_000
"""Changes that wait for a slow stream; one with more is dropped, and comes back."""


@dataclass(frozen=True)
class Told:
    """A prediction that changed.

    Attributes:
        ended: nothing changes any more.
        summary: as it is presented; shared, read-only.
    """

    uid: str
    parent_uid: str | None
    root_uid: str
    namespace: str
    depth: int
    ended: bool
    summary: Json


class Listener:
    """A stream's part of the feed; a context manager, so that it always ends.

    Attributes:
        lost: more has changed than could wait, so the stream has to begin again.
    """

    def __init__(self, feed: Feed, wants: Callable[[Told], bool], uid: str | None) -> None:
        self._feed = feed
        self._wants = wants
        self.uid = uid
        self.event = asyncio.Event()
        self.lost = False
        self._pending: dict[str, Told] = {}

    def __enter__(self) -> Self:
        self._feed.add(self)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._feed.remove(self)

    def put(self, told: Iterable[Told]) -> None:
        """Take what it wants of some changes."""
        new = {each.uid: each for each in told if self._wants(each)}
        if not new:
            return
        self._pending |= new
        if len(self._pending) > PENDING:
            self.lose()
        self.event.set()

    def lose(self) -> None:
        """Give up: too much has changed."""
        self.lost = True
        self._pending.clear()
        self.event.set()

    def take(self) -> list[Told]:
        """What has changed since the last call, parents before children."""
        found = sorted(self._pending.values(), key=lambda each: each.depth)
        self._pending.clear()
        return found

    async def wait(self, seconds: float) -> None:
        """Wait for news since the last call, at most this long."""
        try:
            async with asyncio.timeout(seconds):
                await self.event.wait()
        except TimeoutError:
            return
        finally:
            self.event.clear()


class Feed:
    """Looks at what changed, at most every `PAUSE_SECONDS`, and tells the streams."""

    def __init__(
        self, *, reader: Reader, summaries: Summaries, runs: Runs, notices: Notices, clock: Clock
    ) -> None:
        self._reader = reader
        self._summaries = summaries
        self._clock = clock
        self._listeners: set[Listener] = set()
        self._followers: defaultdict[str, set[Listener]] = defaultdict(set)
        self._somebody = asyncio.Event()
        self._news = asyncio.Event()
        self._changed: dict[str, None] = {}
        self._marks: OrderedDict[str, int] = OrderedDict()
        self._calls: OrderedDict[str, None] = OrderedDict()
        runs.changes.listen(self._hear)
        notices.news.listen(self._hear)
        notices.stops.listen(self._wake)

    # -- the streams -----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._listeners)

    def listen(self, wants: Callable[[Told], bool], uid: str | None) -> Listener:
        """A new listener, for a `with`.

        Args:
            wants: which changes it is told.
            uid: a prediction of which it is woken at once when something happens.
        """
        return Listener(self, wants, uid)

    def add(self, listener: Listener) -> None:
        """Begin to tell it."""
        self._listeners.add(listener)
        if listener.uid is not None:
            self._followers[listener.uid].add(listener)
        self._somebody.set()

    def remove(self, listener: Listener) -> None:
        """End telling it."""
        self._listeners.discard(listener)
        if listener.uid is not None:
            self._followers[listener.uid].discard(listener)
            if not self._followers[listener.uid]:
                del self._followers[listener.uid]
        if not self._listeners:
            self._somebody.clear()
            self._changed.clear()

    # -- what happened ---------------------------------------------------------------------------

    def _hear(self, uid: str) -> None:
        for each in self._followers.get(uid, ()):
            each.event.set()
        if not self._listeners:
            return
        self._changed[uid] = None
        if len(self._changed) > WAITING:
            self._changed.clear()
            for listener in self._listeners:
                listener.lose()
        self._news.set()

    def _wake(self) -> None:
        for each in self._listeners:
            each.event.set()

    # -- looks -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look and tell until cancelled."""
        clock = asyncio.get_running_loop().time
        polled = 0.0
        while True:
            await self._somebody.wait()
            await self._until_news(polled + POLL_SECONDS - clock())
            try:
                if clock() >= polled + POLL_SECONDS:
                    polled = clock()
                    await self._poll()
                await self._look()
            except StorageError as error:
                logger.warning("what changed is told later: %s", error)
            except Exception:
                # Streams are for people who look; a fault of theirs stops no gateway.
                logger.exception("what changed could not be told")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _until_news(self, seconds: float) -> None:
        if self._changed or seconds <= 0:
            return
        self._news.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return

    async def _look(self) -> None:
        """Tell what was heard of."""
        uids = list(self._changed)[:PIECE]
        if not uids:
            return
        for uid in uids:
            # Before it is read: what changes meanwhile is looked at again.
            del self._changed[uid]
        try:
            await self._tell(await self._reader.by_uids(uids))
        except StorageError:
            self._changed |= dict.fromkeys(uids)
            raise

    async def _poll(self) -> None:
        """Tell what other gateways did."""
        await self._tell(await self._reader.touched(self._clock() - OVERLAP))
        if self._calls:
            await self._tell(await self._reader.by_uids(list(self._calls)))

    async def _tell(self, found: Sequence[Prediction]) -> None:
        told: list[Told] = []
        for each, summary in zip(found, await self._summaries.of(found), strict=True):
            row, mark = each.row, hash(json.dumps(summary, sort_keys=True))
            if not each.ended and not row.is_run:
                self._calls[row.uid] = None
            else:
                self._calls.pop(row.uid, None)
            if self._marks.get(row.uid) == mark:
                continue
            self._marks[row.uid] = mark
            self._marks.move_to_end(row.uid)
            place = (row.uid, row.parent_uid, row.root_uid, row.namespace, row.depth)
            told.append(Told(*place, each.ended, summary))
        _shorten(self._marks, REMEMBERED)
        _shorten(self._calls, PIECE)
        for listener in self._listeners:
            listener.put(told)


def _shorten(entries: OrderedDict[str, Any], size: int) -> None:
    while len(entries) > size:
        entries.popitem(last=False)
