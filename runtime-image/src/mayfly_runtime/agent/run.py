"""State of the agent's one run: timestamps, outputs, end. No I/O."""

from typing import NamedTuple

from mayfly_runtime.agent.clock import NS_PER_MS, Clock, ceil_ms
from mayfly_runtime.agent.messages import Outcome, Result, Started, Work
from mayfly_runtime.spec import strict_json
from mayfly_runtime.spec.outputs import MAX_ITEMS
from mayfly_runtime.spec.redaction import Redactor

MAX_ERROR_BYTES = 4096

FREE_TELLING_NS = 1_000 * NS_PER_MS
"""How long encoding the result of `main()` may take before the meter resumes."""


class End(NamedTuple):
    """Outcome, reason and error of a run."""

    outcome: Outcome
    reason: str
    error: str


SUCCEEDED = End("succeeded", "Succeeded", "")
CANCELED = End("canceled", "Canceled", "")


def failed(reason: str, error: str) -> End:
    """The end of a failed run; its error is cut to 4 KiB."""
    data = error.encode("utf-8", "replace")[:MAX_ERROR_BYTES]
    return End("failed", reason, data.decode("utf-8", "ignore"))


class Run:
    """What PID 1 knows about its run.

    Attributes:
        redactor: removes the run's secrets from its log and error.
        over_ns: when the worker reported the end of `main()`; the last such report counts.
        stop: set when the run is to be stopped: then this is the end, whatever the worker reports.
        outputs: JSON texts of an iterator's items whose files are uploaded.
        output_bytes: the size of the list of these items, its brackets included.
        final: JSON text of an output that is not an iterator's.
    """

    def __init__(
        self, work: Work, clock: Clock, accepted_ns: int, redactor: Redactor | None = None
    ) -> None:
        self.work = work
        self.clock = clock
        self.accepted_ns = accepted_ns
        self.redactor = redactor or Redactor()
        self.started_ns: int | None = None
        self.over_ns: int | None = None
        self.ended_ns: int | None = None
        self.stop: End | None = None
        self.end: End | None = None
        self.outputs: list[str] = []
        self.output_bytes = 1
        self.streamed = False
        self.final: str | None = None

    @property
    def started(self) -> Started | None:
        """The message `started`."""
        if self.started_ns is None:
            return None
        return Started(self.work.run, self.work.attempt, self.clock.stamp(self.started_ns))

    def active_ms(self, now_ns: int) -> int:
        """Billed time so far, in milliseconds."""
        if self.started_ns is None:
            return 0
        return ceil_ms((self.ended_ns or self.end_ns(now_ns)) - self.started_ns)

    def end_ns(self, now_ns: int) -> int:
        """When active time ended, for a run whose end is known at `now_ns`.

        Encoding an output and formatting a traceback are not active time. But they may run the
        author's code, and the author's code may fake the report that `main()` is over. So the time
        after that report is free for one second, and billed from then on.
        """
        if self.over_ns is None:
            return now_ns
        return max(self.over_ns, now_ns - FREE_TELLING_NS)

    def count_item(self, text: str) -> bool:
        """Count an item of an iterator output; False if it exceeds the limit."""
        self.streamed = True
        within = self.count_bytes(strict_json.size(text) + 1)  # a bracket or a comma before it
        return within and len(self.outputs) < MAX_ITEMS

    def count_bytes(self, count: int) -> bool:
        """Count bytes of an iterator output's JSON; False if the limit is exceeded."""
        self.output_bytes += count
        return self.output_bytes <= self.work.limits.outputBytes

    def start_deadline_ns(self) -> int:
        """When a run that has not started is given up."""
        return self.accepted_ns + self.work.startWithinMs * NS_PER_MS

    def timeout_ns(self) -> int:
        """When a running run times out."""
        return (self.started_ns or 0) + self.work.timeoutMs * NS_PER_MS

    def result(self, log_bytes: int) -> Result:
        """The result of a run whose `end` is set.

        The items of an iterator are kept whatever the end; any other output only on success.
        """
        if self.end is None:
            raise ValueError("the run has no end yet")
        output = self.final if self.end.outcome == "succeeded" else None
        if self.streamed:
            output = f"[{','.join(self.outputs)}]"
        return Result(
            run=self.work.run,
            attempt=self.work.attempt,
            outcome=self.end.outcome,
            reason=self.end.reason,
            error=self.redactor.error(self.end.error, MAX_ERROR_BYTES),
            outputJSON=output,
            started=self.started_ns is not None,
            startedAt=None if self.started_ns is None else self.clock.stamp(self.started_ns),
            completedAt=self.completed_at,
            activeMs=self.active_ms(self.ended_ns or 0),
            logBytes=log_bytes,
        )

    @property
    def completed_at(self) -> str | None:
        """When `main()` ended; None for a run that never started."""
        if self.started_ns is None or self.ended_ns is None:
            return None
        return self.clock.stamp(self.ended_ns)
