"""Runs that wait for what they made: a poll that would hear nothing new is held back a while.

Replicate's client waits by asking every 50 ms, over a new connection each time. Thirty levels of
that keep a gateway busier than everything else that it does, and their pods too. So a run that
asks again for a prediction that it knows as it is gets its answer when there is news; without any,
after as long as there was none before that, up to `LONGEST_SECONDS`. So no loop of whatever kind
takes more than twice its time, and one that looks at many in turn is held as long for all of them
together as for one.
"""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.clock import Monotonic
from mayfly.gateway.cache.ttl import Cache

LONGEST_SECONDS = 5.0
"""Far below the 30 s after which Replicate's client gives up on an answer."""

READERS = 4096
FORGET_SECONDS = 60.0


@dataclass(frozen=True)
class LastAnswer:
    """What a run was last told of a prediction.

    Attributes:
        mark: stands for all that an answer would tell.
        since: when it was told that first, on the monotonic clock.
    """

    mark: int
    since: float


class LongPolls:
    """Says how long a poll is held: by what each run was last told of what it waits for."""

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._readers: Cache[str, dict[str, LastAnswer]] = Cache(
            seconds=FORGET_SECONDS, size=READERS, monotonic=monotonic
        )

    def pause(self, reader: str, uid: str, mark: int) -> float:
        """How many seconds an answer may wait for news; 0 when it is news itself.

        Args:
            reader: UID of the run that asks.
            uid: of the prediction.
            mark: what the answer would tell now.
        """
        answers = self._readers.get(reader) or {}
        last = answers.get(uid)
        if last is None or last.mark != mark:
            return 0.0
        return min(self._monotonic() - last.since, LONGEST_SECONDS) / len(answers)

    def note_answer(self, reader: str, uid: str, mark: int, *, ended: bool) -> None:
        """A run was answered; what has ended is waited for no longer."""
        answers = self._readers.get(reader) or {}
        last = answers.get(uid)
        if ended:
            answers.pop(uid, None)
        elif last is None or last.mark != mark:
            answers[uid] = LastAnswer(mark, self._monotonic())
        self._readers.put(reader, answers)
