"""The worker process as the supervisor sees it: its messages, output and exit, as events."""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from mayfly_runtime.agent import process
from mayfly_runtime.agent.clock import Clock
from mayfly_runtime.agent.logs import LogBuffer, LogPipe, drain
from mayfly_runtime.agent.messages import Limits
from mayfly_runtime.agent.unexpected import error_in_words
from mayfly_runtime.channel import Channel, ChannelError, frame_bytes

_UNREAD_MESSAGES = 256


class Said(NamedTuple):
    """A message from the worker, and when it arrived. Call `Child.took` after handling it."""

    message: dict[str, Any]
    heard_ns: int


class Silent(NamedTuple):
    """The channel is closed or broken; an exit status, if one follows, says more than `problem`."""

    problem: str
    heard_ns: int


class Logged:
    """The log grew, or its pipe was closed."""


ChildEvent = Said | Silent | Logged


class Child:
    """The worker process and the two threads that read from it."""

    def __init__(
        self,
        worker: process.Worker,
        log: LogBuffer,
        clock: Clock,
        put: Callable[[ChildEvent], None],
        stdout: int = 1,
    ) -> None:
        """Nothing is read yet.

        Args:
            worker: its process.
            log: gets what it prints.
            clock: of its messages.
            put: gets the events.
            stdout: what it prints is copied there.
        """
        self._worker = worker
        self._log = log
        self._clock = clock
        self._put = put
        self._channel = Channel(worker.channel, frame_bytes(Limits().outputBytes))
        # Backpressure: a worker that yields faster than the supervisor reads has to wait.
        self._room = threading.Semaphore(_UNREAD_MESSAGES)
        self._pipe = LogPipe(worker.log, log, stdout)
        self.status: int | None = None
        self.silent = False

    def listen(self) -> None:
        """Start the threads."""
        threading.Thread(target=self._hear, name="worker", daemon=True).start()
        threading.Thread(target=self._read_log, name="log", daemon=True).start()

    def log_drained(self) -> bool:
        """Whether the log is complete; asked after `kill`."""
        return self._pipe.drained()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the worker; if it is gone, its exit decides."""
        try:
            self._channel.send(message)
        except ChannelError:
            return

    def allow(self, limits: Limits) -> None:
        """Take messages as large as this run's outputs can make them."""
        self._channel.max_received = frame_bytes(limits.outputBytes)

    def took(self) -> None:
        """Note that a message was handled, so that the next one may be read."""
        self._room.release()

    def note(self, ended: dict[int, int]) -> bool:
        """Take the worker's exit status from the reaped processes, if it is there; True if so."""
        if self.status is None and self._worker.pid in ended:
            self.status = ended[self._worker.pid]
            return True
        return False

    def interrupt(self) -> None:
        """Raise the cancellation in `main()`."""
        if self.status is None:
            self._worker.interrupt()

    def kill(self) -> None:
        """Kill the worker and everything that it started."""
        if self.status is None:
            self._worker.kill()
        process.kill_orphans()

    def _hear(self) -> None:
        while True:
            self._room.acquire()
            try:
                message = self._channel.receive()
            except ChannelError as error:
                problem = str(error)
                break
            except Exception as error:  # noqa: BLE001 a thread that dies leaves the run waiting
                problem = error_in_words(error)
                break
            self._put(Said(message, self._clock.monotonic_ns()))
        self.silent = True
        self._put(Silent(problem, self._clock.monotonic_ns()))

    def _read_log(self) -> None:
        try:
            self._pipe.pump(lambda: self._put(Logged()))
        except Exception as error:  # noqa: BLE001 a full pipe would stop the author's prints
            self._log.append(f"[the log ends here: {error_in_words(error)}]\n".encode())
            drain(self._worker.log)
            self._put(Logged())
