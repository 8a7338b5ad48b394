"""Work queue of keys: each key queued once, one worker per key, requeue, retry with backoff.

The semantics are controller-runtime's: events only say that a key may need a look, so any number
of them between two looks is one look. A look decides anew when the next one is due, so an `add`
drops the timer that it overtakes. A key that failed comes back later and later.

Errors of others that pass are waited out. Any other error is unexpected: after each one, the owner
of the queue is told how often the key has failed in a row, so that its object can say so and end.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from mayfly.clock import Monotonic

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
Result = Literal["done", "retried", "failed"]

BACKOFF_FIRST = 0.1
BACKOFF_LIMIT = 10.0
"""Maximum backoff in seconds, so that work resumes soon after an outage."""

UNEXPECTED_LIMIT = 300.0
"""Maximum backoff in seconds after unexpected errors, which hardly ever pass."""

_DOUBLINGS = 20
"""After so many, every limit is reached; a power of a larger count would overflow a float."""

SPARE_TIMERS = 64
"""Maximum number of superseded timers that are kept, beyond the number of live ones."""


@dataclass(frozen=True)
class Failure:
    """The unexpected errors of a key since its last look that succeeded.

    Attributes:
        tries: how many; errors that pass are not counted.
        seconds: time since the first of them.
        error: the last one.
    """

    tries: int
    seconds: float
    error: Exception


OnFailure = Callable[[K, Failure], Awaitable[None]]
"""Called after each unexpected error of a key; errors of its own are logged."""

Observe = Callable[[K, Result, float], None]
"""Called after each look at a key with its result and how many seconds it took."""


class WorkQueue(Generic[K]):
    """A queue of keys to reconcile, and the loop that reconciles them."""

    def __init__(
        self,
        monotonic: Monotonic,
        *,
        passing: tuple[type[Exception], ...] = (),
        observe: Observe[K] | None = None,
    ) -> None:
        """Get ready.

        Args:
            monotonic: of waits, timers and durations.
            passing: errors of others that pass: a warning. Any other one is logged as a bug's.
            observe: told of each look, for metrics.
        """
        self._monotonic = monotonic
        self._passing = passing
        self._observe = observe
        self._ready: OrderedDict[K, float] = OrderedDict()
        self._busy: set[K] = set()
        self._again: set[K] = set()
        # The timer of each key, and a heap of these; overtaken ones stay in it for a while.
        self._later: dict[K, tuple[float, int, K]] = {}
        self._timers: list[tuple[float, int, K]] = []
        self._numbers = itertools.count()
        self._failures: dict[K, int] = {}
        # Of unexpected errors in a row: how many, and when the first one was.
        self._unexpected: dict[K, tuple[int, float]] = {}
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def busy(self) -> int:
        """Number of keys that are being worked on."""
        return len(self._busy)

    @property
    def later(self) -> int:
        """Number of keys that are scheduled for later."""
        return len(self._later)

    @property
    def failing(self) -> int:
        """Number of keys whose last attempt failed."""
        return len(self._failures)

    @property
    def depth(self) -> Mapping[str, Callable[[], int]]:
        """Number of keys by state, for metrics."""
        return {
            "ready": lambda: len(self),
            "busy": lambda: self.busy,
            "later": lambda: self.later,
            "failing": lambda: self.failing,
        }

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest ready key has waited, in seconds."""
        # A copy: metrics are read on another thread.
        since = next(iter(tuple(self._ready.values())), None)
        return 0.0 if since is None else self._monotonic() - since

    def add(self, key: K) -> None:
        """Queue a key."""
        self._later.pop(key, None)
        if key in self._busy:
            self._again.add(key)
        elif key not in self._ready:
            self._ready[key] = self._monotonic()
            self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Queue a key after a delay; of several delays the earliest counts."""
        due = self._monotonic() + max(seconds, 0.0)
        timer = (due, next(self._numbers), key)
        if key in self._later and self._later[key] < timer:
            return
        self._later[key] = timer
        heapq.heappush(self._timers, timer)
        if len(self._timers) > 2 * len(self._later) + SPARE_TIMERS:
            self._timers = sorted(self._later.values())
        if self._timers[0] is timer:
            self._wake.set()

    def retry(self, key: K, limit: float = BACKOFF_LIMIT) -> None:
        """Requeue a key after a failure, with backoff of at most `limit` seconds."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        self.add_after(key, min(BACKOFF_FIRST * 2.0 ** min(count, _DOUBLINGS), limit))

    def failures(self, key: K) -> int:
        """How many looks at the key have failed in a row, for whatever reason."""
        return self._failures.get(key, 0)

    def succeeded(self, key: K) -> None:
        """Forget the key's failures."""
        self._failures.pop(key, None)
        self._unexpected.pop(key, None)

    async def take(self) -> K:
        """Take the next key; the caller must call `done` afterwards."""
        async with self._turn:  # one worker waits for news, so that an add does not wake them all
            while True:
                self._promote()
                if self._ready:
                    key, _ = self._ready.popitem(last=False)
                    self._busy.add(key)
                    return key
                await self._wait()

    def done(self, key: K) -> None:
        """Mark a key as done; if it was added in the meantime, it is queued again."""
        self._busy.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    async def run(
        self,
        work: Callable[[K], Awaitable[None]],
        workers: int = 16,
        failing: OnFailure[K] | None = None,
    ) -> None:
        """Work on keys with this many workers, until cancelled.

        Args:
            work: looks at a key.
            workers: how many keys are looked at at a time.
            failing: called after each unexpected error of a key, before the next look at it.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._serve(work, failing))

    async def _serve(
        self, work: Callable[[K], Awaitable[None]], failing: OnFailure[K] | None
    ) -> None:
        while True:
            key = await self.take()
            began = self._monotonic()
            try:
                result = await self._look(key, work, failing)
                if self._observe is not None:
                    self._observe(key, result, self._monotonic() - began)
            finally:
                self.done(key)

    async def _look(
        self, key: K, work: Callable[[K], Awaitable[None]], failing: OnFailure[K] | None
    ) -> Result:
        try:
            await work(key)
        except self._passing as error:
            logger.warning("work is put off: %s", error, extra={"key": str(key)})
            self.retry(key)
            return "retried"
        except Exception as error:
            logger.exception("work failed", extra={"key": str(key)})
            self.retry(key, UNEXPECTED_LIMIT)
            await self._tell(key, error, failing)
            return "failed"
        self.succeeded(key)
        return "done"

    async def _tell(self, key: K, error: Exception, failing: OnFailure[K] | None) -> None:
        tries, since = self._unexpected.get(key, (0, self._monotonic()))
        self._unexpected[key] = (tries + 1, since)
        if failing is None:
            return
        try:
            await failing(key, Failure(tries + 1, self._monotonic() - since, error))
        except self._passing as problem:
            logger.warning("a failure is told later: %s", problem, extra={"key": str(key)})
        except Exception:
            logger.exception("a failure can't be told", extra={"key": str(key)})

    def _promote(self) -> None:
        now = self._monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)
            if self._later.get(timer[2]) is timer:
                self.add(timer[2])

    async def _wait(self) -> None:
        self._wake.clear()
        pause = max(self._timers[0][0] - self._monotonic(), 0.0) if self._timers else None
        # Not wait_for: before Python 3.12 it loses a cancel that comes together with the news, and
        # a worker that can't be cancelled works on after its controller has lost the Lease.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()
