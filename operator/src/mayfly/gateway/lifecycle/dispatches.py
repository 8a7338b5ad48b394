"""When work was sent, by the wall clock (in the ledger) and by this process's monotonic clock.

The monotonic clock can't be set, so it bounds how long a prediction can have worked even if someone
changes the time. It is meaningless in another process, where the ledger's timestamp is used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from mayfly.clock import Clock, Monotonic
from mayfly.metering.clocks import Window
from mayfly.metering.ledger import RunRow


@dataclass(frozen=True)
class Moment:
    """One moment, by the wall clock and by this process's monotonic clock, read together.

    If one were read later, it would differ by however long the database took in between.
    """

    at: datetime
    seconds: float


class Dispatches:
    """The dispatches of this process's predictions whose end is not final."""

    def __init__(self, clock: Clock, monotonic: Monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._sent: dict[str, tuple[Moment, int]] = {}

    def now(self) -> Moment:
        """The moment of something that is sent or received now."""
        return Moment(self._clock(), self._monotonic())

    def open(self, uid: str, sent: Moment, attempt: int = 1) -> None:
        """Record that work is being sent; replaces an earlier dispatch of the prediction.

        Args:
            uid: of the prediction.
            sent: when.
            attempt: which pod of the run gets it, from 1.
        """
        self._sent[uid] = (sent, attempt)

    def with_dispatch(self, row: RunRow) -> RunRow:
        """The row with its dispatch, even if that was not written yet.

        Args:
            row: a run's row, read just after its work was sent; the pod may be gone already.
        """
        sent, attempt = self._sent.get(row.uid, (None, 0))
        if row.sent_at is not None or sent is None or attempt != row.attempt:
            return row
        return replace(row, sent_at=sent.at)

    def of(self, row: RunRow, received: Moment) -> Window:
        """The window from the dispatch of a prediction's work until a message about it.

        Args:
            row: its row.
            received: when that was.
        """
        sent, _ = self._sent.get(row.uid, (None, 0))
        if sent is None or row.sent_at not in {None, sent.at}:
            return Window(row.sent_at or row.created_at, received.at)
        elapsed = max(0.0, received.seconds - sent.seconds)
        return Window(sent.at, received.at, int(elapsed * 1000) + 1)

    def forget(self, uid: str) -> None:
        """Forget a prediction whose end is final, here or at another gateway."""
        self._sent.pop(uid, None)
