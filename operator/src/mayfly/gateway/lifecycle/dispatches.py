"""When work was sent, by two clocks: the wall's, which the ledger keeps, and this process's own.

The monotonic one can't be moved, so it tells how long a prediction can have worked at most even
when somebody sets the time. It is worth nothing in another process: then the ledger's stamp counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from mayfly.clock import Clock, Monotonic
from mayfly.metering.clocks import Window
from mayfly.metering.ledger import RunRow


@dataclass(frozen=True)
class Moment:
    """One moment, by the wall's clock and by this process's own. Both are read at once.

    What is read later differs by however long the database kept us waiting in between.
    """

    at: datetime
    seconds: float


class Dispatches:
    """Of predictions that this process has sent and whose end is not final."""

    def __init__(self, clock: Clock, monotonic: Monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._sent: dict[str, tuple[Moment, int]] = {}

    def now(self) -> Moment:
        """The moment of something that is dispatched, or heard of, now."""
        return Moment(self._clock(), self._monotonic())

    def open(self, uid: str, sent: Moment, attempt: int = 1) -> None:
        """Work is being sent; of a prediction whose work was sent before, that counts no more.

        Args:
            uid: of the prediction.
            sent: when.
            attempt: which pod of the run gets it, from 1.
        """
        self._sent[uid] = (sent, attempt)

    def with_dispatch(self, row: RunRow) -> RunRow:
        """A row that says when its work was sent, though that was not written yet.

        Args:
            row: a run's row. It is read a moment after the work went out, and the pod may be gone
                by then.
        """
        sent, attempt = self._sent.get(row.uid, (None, 0))
        if row.sent_at is not None or sent is None or attempt != row.attempt:
            return row
        return replace(row, sent_at=sent.at)

    def of(self, row: RunRow, received: Moment) -> Window:
        """From the dispatch of a prediction's work until something was heard of it.

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
        """Its end is final, here or at another gateway."""
        self._sent.pop(uid, None)
