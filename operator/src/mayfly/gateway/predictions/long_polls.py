"""Long polls: a run's poll that would return nothing new is held until there is news.

Replicate's client polls every 50 ms, each time over a new connection. Thirty levels of that keep
the gateway and the pods busier than all their other work. So if a run asks again for a prediction
whose state it knows, the answer waits for a change; without one, for as long as there had been no
change before, and at most `LONGEST_SECONDS`. So no polling loop takes more than twice its time. If
a run polls several predictions in turn, all of them together are held as long as one would be
(docs/decisions/0007).
"""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.clock import Monotonic
from mayfly.gateway.cache.ttl import Cache

LONGEST_SECONDS = 5.0
"""Far below the 30 s after which Replicate's client times out."""

READERS = 4096
FORGET_SECONDS = 60.0


@dataclass(frozen=True)
class LastAnswer:
    """What a run was last told about a prediction.

    Attributes:
        mark: a fingerprint of the answer.
        since: when it first got this answer, on the monotonic clock.
    """

    mark: int
    since: float


class LongPolls:
    """Remembers what each run was last told about the predictions that it polls."""

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._readers: Cache[str, dict[str, LastAnswer]] = Cache(
            seconds=FORGET_SECONDS, size=READERS, monotonic=monotonic
        )

    def pause(self, reader: str, uid: str, mark: int) -> float:
        """How many seconds to hold an answer; 0 if it is news.

        Args:
            reader: UID of the run that asks.
            uid: of the prediction.
            mark: fingerprint of the current answer.
        """
        answers = self._readers.get(reader) or {}
        last = answers.get(uid)
        if last is None or last.mark != mark:
            return 0.0
        return min(self._monotonic() - last.since, LONGEST_SECONDS) / len(answers)

    def note_answer(self, reader: str, uid: str, mark: int, *, ended: bool) -> None:
        """Record the answer that a run got; an ended prediction is forgotten."""
        answers = self._readers.get(reader) or {}
        last = answers.get(uid)
        if ended:
            answers.pop(uid, None)
        elif last is None or last.mark != mark:
            answers[uid] = LastAnswer(mark, self._monotonic())
        self._readers.put(reader, answers)
