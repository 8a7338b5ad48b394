"""When work was sent, by the wall clock (in the ledger) and by this process's monotonic clock.

The monotonic clock can't be set, so it bounds how long a prediction can have worked even if someone
changes the time. It is meaningless in another process, where the ledger's timestamp is used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from mayfly.clock import Monotonic
from mayfly.metering.clocks import Window
from mayfly.metering.ledger import RunRow


@dataclass(frozen=True)
class _Dispatch:
    """When work was sent, by both clocks, and for which attempt."""

    at: datetime
    seconds: float
    attempt: int


class Dispatches:
    """The dispatches of this process's predictions whose end is not final."""

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._sent: dict[str, _Dispatch] = {}

    def open(self, uid: str, sent_at: datetime, attempt: int = 1) -> None:
        """Record that work is being sent now; replaces an earlier dispatch of the prediction.

        Args:
            uid: of the prediction.
            sent_at: now, by the wall clock.
            attempt: which pod of the run gets it, from 1.
        """
        self._sent[uid] = _Dispatch(sent_at, self._monotonic(), attempt)

    def with_dispatch(self, row: RunRow) -> RunRow:
        """The row with its dispatch, even if that was not written yet.

        Args:
            row: a run's row, read just after its work was sent; the pod may be gone already.
        """
        sent = self._sent.get(row.uid)
        if row.sent_at is not None or sent is None or sent.attempt != row.attempt:
            return row
        return replace(row, sent_at=sent.at)

    def of(self, row: RunRow, received_at: datetime) -> Window:
        """The window from the dispatch of a prediction's work until now.

        Args:
            row: its row.
            received_at: now, by the wall clock.
        """
        sent = self._sent.get(row.uid)
        if sent is None or row.sent_at not in {None, sent.at}:
            return Window(row.sent_at or row.created_at, received_at)
        elapsed = max(0.0, self._monotonic() - sent.seconds)
        return Window(sent.at, received_at, int(elapsed * 1000) + 1)

    def forget(self, uid: str) -> None:
        """Forget a prediction whose end is final, here or at another gateway."""
        self._sent.pop(uid, None)
