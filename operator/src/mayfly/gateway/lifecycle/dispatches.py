"""When work was sent, by two clocks: the wall's, which the ledger keeps, and this process's own.

The monotonic one can't be moved, so it tells how long a prediction can have worked at most even
when somebody sets the time. It is worth nothing in another process: then the ledger's stamp counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from mayfly.clock import Monotonic
from mayfly.metering.clocks import Window
from mayfly.metering.ledger import RunRow


@dataclass(frozen=True)
class _Dispatch:
    """When work was sent, by the wall and by this process's clock, and to which attempt."""

    at: datetime
    seconds: float
    attempt: int


class Dispatches:
    """Of predictions that this process has sent and whose end is not final."""

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._sent: dict[str, _Dispatch] = {}

    def open(self, uid: str, sent_at: datetime, attempt: int = 1) -> None:
        """Work is being sent now; of a prediction whose work was sent before, that counts no more.

        Args:
            uid: of the prediction.
            sent_at: now, by the wall clock.
            attempt: which pod of the run gets it, from 1.
        """
        self._sent[uid] = _Dispatch(sent_at, self._monotonic(), attempt)

    def with_dispatch(self, row: RunRow) -> RunRow:
        """A row that says when its work was sent, though that was not written yet.

        Args:
            row: a run's row. It is read a moment after the work went out, and the pod may be gone
                by then.
        """
        sent = self._sent.get(row.uid)
        if row.sent_at is not None or sent is None or sent.attempt != row.attempt:
            return row
        return replace(row, sent_at=sent.at)

    def of(self, row: RunRow, received_at: datetime) -> Window:
        """From the dispatch of a prediction's work until now.

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
        """Its end is final, here or at another gateway."""
        self._sent.pop(uid, None)
