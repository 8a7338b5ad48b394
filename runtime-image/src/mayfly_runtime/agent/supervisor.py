"""PID 1's state machine: one `work` per life, idle, loading, running, done.

One thread and one inbox: sockets, pipes, signals and jobs are events, and every decision (started,
cancelled, timed out, ended) is made here, one at a time, by one monotonic clock.

    idle --work--> loading --loaded, inputs there--> running --end--> ending --> done --ack--> exit
                      `------------------- end -----------------------^

`ending` is reported to the gateway as the state before it: the worker is being killed, the log
drained, files uploaded. `done` has a result, also in the termination message. `leaving` is the
state of a started run whose pod is deleted: it has no result, only a last heartbeat to send.

This module is longer than others, so that every transition is in one place.
"""

import os
import queue
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from mayfly_runtime.agent import process, termination
from mayfly_runtime.agent.attempt import Attempt
from mayfly_runtime.agent.child import Child, ChildEvent, Logged, Said, Silent
from mayfly_runtime.agent.clock import NS_PER_MS, Clock, in_words
from mayfly_runtime.agent.jobs import JobEvent, Jobs
from mayfly_runtime.agent.logs import LogBuffer
from mayfly_runtime.agent.messages import (
    Accepted,
    Ack,
    Cancel,
    FromGateway,
    Heartbeat,
    Hello,
    Leaving,
    LogAck,
    OutputAck,
    Result,
    Retire,
    State,
    Welcome,
    Work,
)
from mayfly_runtime.agent.oom import OomCounter
from mayfly_runtime.agent.run import CANCELED, End, Run, failed
from mayfly_runtime.agent.session import Closed, Drained, Opened, Received, SessionEvent
from mayfly_runtime.agent.unexpected import error_in_words
from mayfly_runtime.agent.uplink import Uplink
from mayfly_runtime.agent.warming import Warming

HEARTBEAT_NS = 5_000 * NS_PER_MS
LINGER_NS = 15 * 60_000 * NS_PER_MS
"""How long a result waits for its acknowledgement."""

_DRAIN_NS = 2_000 * NS_PER_MS
_EXIT_NS = 500 * NS_PER_MS
"""How long after its channel closed a worker may take to exit. Less than `FREE_TELLING_NS`."""
_TERMINATED_LINGER_NS = 5_000 * NS_PER_MS
_GOODBYE_S = 3.0
"""How long to wait for the gateway's close frame. Together with the linger before it, this is less
than the pod's grace period (10 s)."""
_RETIRED = 4409
_UNEXPECTED = 20
"""So many unexpected errors, and PID 1 gives up."""


class Phase(Enum):
    """The state of the agent; see the diagram of the module."""

    IDLE = "idle"
    LOADING = "loading"
    RUNNING = "running"
    ENDING = "ending"
    DONE = "done"
    LEAVING = "leaving"


class ChildrenEnded:
    """SIGCHLD: a child has ended."""


class Terminated:
    """SIGTERM: the pod is being deleted."""


Event = SessionEvent | JobEvent | ChildEvent | ChildrenEnded | Terminated
Inbox = queue.SimpleQueue[Event]


class Supervisor:
    """The state machine; everything else reports to it by events."""

    def __init__(
        self,
        clock: Clock,
        inbox: Inbox,
        child: Child,
        warming: Warming,
        log: LogBuffer,
        jobs: Jobs,
        oom: OomCounter,
        termination_log: Path,
        say: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._inbox = inbox
        self._child = child
        self._warming = warming
        self._log = log
        self._uplink = Uplink(log)
        self._jobs = jobs
        self._oom = oom
        self._termination_log = termination_log
        self._say = say
        self._phase = Phase.IDLE
        self._attempt: Attempt | None = None
        self._result: Result | None = None
        self._exit: int | None = None
        self._silent: Silent | None = None
        self._deadlines: dict[str, int] = {}
        self._unexpected = 0

    def live(self) -> int:
        """Handle events until there is nothing left to do; returns the exit code."""
        while self._exit is None:
            try:
                self._step(self._next(self._wait_s()))
            except Exception as error:  # noqa: BLE001 without PID 1 the run would have no end
                self._on_unexpected(error)
        try:
            return self._leave(self._exit)
        except Exception as error:  # noqa: BLE001 its result stands in the termination message
            self._say(error_in_words(error))
            return 1

    def _step(self, event: Event | None) -> None:
        if event is not None:
            self._handle(event)
        self._pass_deadlines(self._clock.monotonic_ns())
        self._advance()

    def _on_unexpected(self, error: Exception) -> None:
        """End the run in words; if that fails again and again, leave with what is known."""
        self._unexpected += 1
        words = error_in_words(error)
        self._say(words)
        try:
            if self._unexpected > _UNEXPECTED:
                self._exit = 1
                if self._result is None:
                    self._abandon(1)
            elif self._phase in {Phase.LOADING, Phase.RUNNING}:
                self._end(failed("InternalError", words))
        except Exception as another:  # noqa: BLE001 see above
            self._say(error_in_words(another))
            self._child.kill()

    # Events

    def _next(self, wait_s: float | None) -> Event | None:
        try:
            return self._inbox.get(timeout=wait_s)
        except queue.Empty:
            return None

    def _wait_s(self) -> float | None:
        due = list(self._deadlines.values())
        if self._uplink.log_due_ns is not None:
            due.append(self._uplink.log_due_ns)
        if not due:
            return None
        return max(0, min(due) - self._clock.monotonic_ns()) / 1e9

    def _handle(self, event: Event) -> None:
        match event:
            case Opened() | Received() | Drained() | Closed():
                self._on_session(event)
            case Said(message, heard_ns):
                self._child.took()
                if self._warming.pending:
                    self._on_warmed(message)
                elif self._attempt is not None:
                    self._attempt.on_message(message, heard_ns)
            case ChildrenEnded():
                self._reap()
            case Terminated():
                self._on_terminated()
            case Silent():
                self._silent = event
                self._deadlines["channel"] = self._clock.monotonic_ns() + _EXIT_NS
            case Logged():
                pass  # `_advance` handles what it reports
            case _:
                if self._attempt is not None:
                    self._attempt.on_job(event)

    def _on_session(self, event: SessionEvent) -> None:
        match event:
            case Opened(connection):
                self._uplink.opened(connection, self._hello())
            case Received(connection, message) if self._uplink.is_current(connection):
                self._on_gateway(message)
            case Closed(connection, code):
                self._on_closed(current=self._uplink.is_current(connection), code=code)
            case _:
                pass  # the backlog has drained, or a message of an old connection

    def _on_gateway(self, message: FromGateway) -> None:
        match message:
            case Welcome():
                self._on_welcome(message)
            case Work():
                self._on_work(message)
            case Cancel(run, unless_started) if self._holds(run):
                self._on_cancel(unless_started=unless_started)
            case LogAck(offset):
                self._log.forget(offset)
            case OutputAck(index):
                self._uplink.outputs_stored(index)
            case Ack(run, attempt) if self._holds(run, attempt) and self._phase is Phase.DONE:
                self._exit = 0
            case Retire() if self._phase is Phase.IDLE:
                self._exit = 0
            case _:
                pass  # of another run, or too late

    def _on_welcome(self, welcome: Welcome) -> None:
        if welcome.recorded and self._attempt is not None:
            # The run's end was recorded without us: nothing here is needed any more.
            self._abandon(0 if self._phase is Phase.DONE else 1)
            return
        run = self._attempt.run if self._attempt else None
        started = run.started if run else None
        self._uplink.welcome(welcome.logOffset, welcome.outputIndex, started)
        if self._phase is Phase.LEAVING:
            self._say_goodbye()

    def _on_warmed(self, message: dict[str, Any]) -> None:
        problem, lines = self._warming.on_message(message)
        for line in lines:
            self._say(line)
        if problem:
            self._not_warmed(problem)
        elif self._attempt is None:
            try:
                self._warming.announce()
            except OSError as error:
                self._not_warmed(f"the pod can't say that it is ready: {error}")
        elif self._phase is Phase.LOADING:
            self._begin(self._attempt)

    def _not_warmed(self, problem: str) -> None:
        """A pod that is not fit to wait for a run ends; so does a run that it has already."""
        if self._phase is Phase.LOADING:
            self._end(failed("InternalError", problem))
        elif self._phase is Phase.IDLE:
            self._say(problem)
            termination.write(self._termination_log, f"{problem}\n".encode())
            self._uplink.say(Leaving())
            self._exit = 1

    def _on_work(self, work: Work) -> None:
        if self._attempt is not None:
            self._uplink.say(self._hello())  # says which run this pod has
            return
        self._warming.over()
        now = self._clock.monotonic_ns()
        run = Run(work, self._clock, accepted_ns=now, redactor=self._log.redactor)
        self._log.set_limit(work.limits.logBytes)
        self._attempt = Attempt(run, self._child, self._jobs, self._oom)
        self._phase = Phase.LOADING
        self._deadlines["start"] = run.start_deadline_ns()
        self._note_unfinished()
        self._uplink.say(Accepted(work.run, work.attempt))
        if not self._warming.pending:
            self._begin(self._attempt)

    def _begin(self, attempt: Attempt) -> None:
        """Give the work to the worker."""
        work = attempt.run.work
        limit = work.limits.importMs * NS_PER_MS
        self._deadlines["import"] = self._clock.monotonic_ns() + limit
        if self._warming.came_too_early(work):
            self._child.send({"op": "afresh"})
        attempt.begin()

    def _on_cancel(self, *, unless_started: bool) -> None:
        started = self._attempt.run.started if self._attempt else None
        if self._phase is Phase.LOADING:
            self._end(CANCELED)
        elif unless_started and started is not None:
            # It was sent before, on this connection or an earlier one; here it is the answer.
            self._uplink.say(started)
        elif self._phase is Phase.RUNNING:
            self._stop(CANCELED)

    def _on_closed(self, *, current: bool, code: int) -> None:
        if current:
            self._uplink.closed()
        if code == _RETIRED:
            self._abandon(0 if self._phase in {Phase.IDLE, Phase.DONE} else 1)

    def _on_terminated(self) -> None:
        linger = self._clock.monotonic_ns() + _TERMINATED_LINGER_NS
        if self._phase is Phase.DONE:
            self._deadlines["linger"] = linger
        elif self._phase is Phase.IDLE:
            self._uplink.say(Leaving())
            self._abandon(0)
        elif self._attempt is None or self._attempt.run.started_ns is None:
            self._abandon(1)
        elif self._phase is not Phase.LEAVING:
            self._give_up(self._attempt)
            self._phase = Phase.LEAVING
            self._deadlines = {"linger": linger}
            self._say_goodbye()

    def _reap(self) -> None:
        if self._child.note(process.reap()):
            if self._warming.pending or (self._warming.wanted and self._attempt is None):
                how = process.describe(self._child.status or 0)
                self._not_warmed(f"the worker ended before there was work: {how}")
            elif self._phase is Phase.IDLE:
                self._say("the worker ended before there was work")
                self._uplink.say(Leaving())
                self._exit = 1
            # Its orphans may keep the channel or the log open, so they are killed too.
            process.kill_orphans()
            self._deadlines["silence"] = self._clock.monotonic_ns() + _DRAIN_NS

    # Time

    def _pass_deadlines(self, now: int) -> None:
        # One at a time, the earliest first: handling one may cancel the others.
        while due := [(at, name) for name, at in self._deadlines.items() if at <= now]:
            _, name = min(due)
            del self._deadlines[name]
            self._pass(name, now)

    def _pass(self, name: str, now: int) -> None:
        attempt = self._attempt
        if name == "linger":
            self._exit = 1
        if attempt is None:
            return
        work = attempt.run.work
        if name == "heartbeat":
            self._uplink.say(Heartbeat(work.run, attempt.run.active_ms(now)))
            self._note_unfinished()
            self._deadlines["heartbeat"] = now + HEARTBEAT_NS
        elif name == "start" and self._phase is Phase.LOADING:
            words = in_words(work.startWithinMs)
            words = f"the run did not start within {words}: {attempt.unready}"
            self._end(failed("StartDeadlineExceeded", words))
        elif name == "import" and self._phase is Phase.LOADING and not attempt.loaded:
            self._end(_import_late(attempt))
        elif name == "timeout" and self._phase is Phase.RUNNING:
            left = attempt.run.timeout_ns() - attempt.run.end_ns(now)
            if left > 0:  # main() has ended, and its result is being encoded
                self._deadlines["timeout"] = now + left
                return
            words = in_words(work.timeoutMs)
            self._stop(failed("TimedOut", f"main() ran longer than its timeout of {words}"))
        elif name == "channel" and self._phase in {Phase.LOADING, Phase.RUNNING}:
            self._judge_channel(attempt)
        elif name == "grace" and self._phase is Phase.RUNNING and attempt.run.stop is not None:
            self._end(attempt.run.stop)

    def _judge_channel(self, attempt: Attempt) -> None:
        """End a run whose worker goes on without its channel; an exit is judged as one."""
        if self._silent is not None and self._child.status is None:
            attempt.judge_channel(self._silent.problem, self._silent.heard_ns)

    # Phases

    def _advance(self) -> None:
        """Make every transition that is possible now, then send what is due."""
        if self._exit is not None:
            return
        attempt = self._attempt
        if attempt is None:
            return
        if self._phase in {Phase.LOADING, Phase.RUNNING}:
            if self._child.status is not None and self._is_quiet(silent=self._child.silent):
                attempt.judge_exit(self._child.status)
            if attempt.verdict is not None:
                self._end(attempt.verdict)
            elif self._phase is Phase.LOADING and attempt.ready and not self._child.silent:
                self._start(attempt)
        if self._phase is Phase.ENDING:
            self._try_finish(attempt)
        now = self._clock.monotonic_ns()
        self._uplink.pump(attempt.run.work.run, attempt.run.outputs, self._result, now)

    def _is_quiet(self, *, silent: bool) -> bool:
        """Whether a stream has ended, or the worker has been gone too long to wait for it."""
        return silent or "silence" not in self._deadlines

    def _start(self, attempt: Attempt) -> None:
        """Start `main()`: a cancel before this moment finds a run that has not started."""
        now = self._clock.monotonic_ns()
        attempt.run.started_ns = now
        self._phase = Phase.RUNNING
        self._deadlines = {
            "timeout": attempt.run.timeout_ns(),
            "heartbeat": now + HEARTBEAT_NS,
            **{name: at for name, at in self._deadlines.items() if name == "silence"},
        }
        started = attempt.run.started
        if started is not None:
            self._uplink.say(started, wake=False)
        attempt.go()
        # The meter runs: yield the CPU to the worker first, and only then to our own threads.
        os.sched_yield()
        self._uplink.wake()
        self._note_unfinished()

    def _stop(self, end: End) -> None:
        """Raise in `main()`, and kill after the grace period. The first stop wins."""
        attempt = self._attempt
        if attempt is None or attempt.run.stop is not None:
            return
        attempt.run.stop = end
        grace = attempt.run.work.limits.cancelGraceMs * NS_PER_MS
        self._deadlines["grace"] = self._clock.monotonic_ns() + grace
        self._child.interrupt()

    def _end(self, end: End) -> None:
        """The author's code has ended: stop the meter, then the processes."""
        attempt = self._attempt
        if attempt is None:
            return
        now = self._clock.monotonic_ns()
        attempt.run.end = attempt.run.stop or end
        if attempt.run.started_ns is not None:
            attempt.run.ended_ns = attempt.run.end_ns(now)
        self._phase = Phase.ENDING
        beat = {name: at for name, at in self._deadlines.items() if name == "heartbeat"}
        self._deadlines = {**beat, "silence": now + _DRAIN_NS}
        self._child.kill()

    def _try_finish(self, attempt: Attempt) -> None:
        if attempt.uploads_pending or not self._is_quiet(silent=self._child.log_drained()):
            return
        run = attempt.run
        if run.stop is None and attempt.verdict is not None and run.end is not None:
            # A success whose files could not be uploaded is a failure.
            run.end = attempt.verdict if run.end.outcome == "succeeded" else run.end
        self._log.close()
        self._result = run.result(self._log.end)
        termination.write(self._termination_log, termination.encode(self._result))
        self._phase = Phase.DONE
        self._deadlines = {"linger": self._clock.monotonic_ns() + LINGER_NS}

    def _abandon(self, code: int) -> None:
        """Stop everything and exit; a run without a result leaves its timestamps behind."""
        if self._attempt is not None and self._result is None:
            self._give_up(self._attempt)
        self._exit = code

    def _give_up(self, attempt: Attempt) -> None:
        """Stop a run without a result, and write its timestamps to the termination message."""
        run = attempt.run
        if run.started_ns is not None and run.ended_ns is None:
            run.ended_ns = self._clock.monotonic_ns()
        self._child.kill()
        self._note_unfinished()
        now = self._clock.monotonic_ns()
        self._uplink.pump(run.work.run, run.outputs, None, now, last=True)

    def _say_goodbye(self) -> None:
        """Send a last heartbeat as soon as there is a connection, and exit.

        The termination message may never be read: it disappears with the pod, and a controller that
        is unavailable at that time sees neither. Then the run is billed by its last heartbeat.
        """
        if self._attempt is None or not self._uplink.welcomed:
            return
        run = self._attempt.run
        self._uplink.say(Heartbeat(run.work.run, run.active_ms(self._clock.monotonic_ns())))
        self._exit = 1

    def _leave(self, code: int) -> int:
        """Close the connection with the closing handshake."""
        self._child.kill()
        self._uplink.close()
        end = self._clock.monotonic_ns() + int(_GOODBYE_S * 1e9)
        while self._uplink.connected and (left := end - self._clock.monotonic_ns()) > 0:
            event = self._next(left / 1e9)
            if isinstance(event, Closed) and self._uplink.is_current(event.connection):
                break
        return code

    # Facts

    def _hello(self) -> Hello:
        if self._attempt is None:
            return Hello("idle", None, None)
        run = self._attempt.run
        state: State = "running" if run.started_ns is not None else "loading"
        return Hello("done" if self._phase is Phase.DONE else state, run.work.run, run.work.attempt)

    def _holds(self, run: str, attempt: int | None = None) -> bool:
        work = self._attempt.run.work if self._attempt else None
        return work is not None and work.run == run and attempt in {None, work.attempt}

    def _note_unfinished(self) -> None:
        """Write the timestamps, so that they survive even a SIGKILL of PID 1."""
        if self._attempt is None:
            return
        run = self._attempt.run
        started = run.started
        message = termination.encode_unfinished(
            run.work.run,
            run.work.attempt,
            started.at if started else None,
            run.completed_at,
            run.active_ms(self._clock.monotonic_ns()),
        )
        termination.write(self._termination_log, message)


def _import_late(attempt: Attempt) -> End:
    words = in_words(attempt.run.work.limits.importMs)
    file = attempt.run.work.entrypoint.partition(":")[0]
    if not attempt.checked:
        return failed("InvalidInput", f"checking the input took longer than {words}")
    return failed("ImportError", f"importing {file} took longer than {words}")
