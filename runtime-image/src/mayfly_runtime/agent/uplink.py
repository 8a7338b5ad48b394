"""What has been sent on the current connection, and what is to be sent next.

Everything here is sent again on a new connection: `started`, log and outputs from what is stored
on, the result. The gateway recognises repeats by run, offset or index.

Outputs are sent one message at a time: the next message has all items that were yielded until the
previous one was stored. So a slow gateway gets fewer and larger messages instead of a backlog.
"""

from mayfly_runtime.agent.logs import PIECE_BYTES, LogBuffer
from mayfly_runtime.agent.messages import Hello, Log, Output, Result, Started, ToGateway, encode
from mayfly_runtime.agent.session import BACKLOG_BYTES, Connection

LOG_DELAY_NS = 100_000_000
ITEMS_BYTES = 64 * 1024
"""The size of an output message at most, unless its first item alone is larger."""


class Uplink:
    """Sends on one connection at a time; without a connection it does nothing."""

    def __init__(self, log: LogBuffer) -> None:
        self._log = log
        self._connection: Connection | None = None
        self._welcomed = False
        self._log_sent = 0
        self._log_due_ns: int | None = None
        self._outputs_sent = 0
        self._outputs_stored = 0
        self._result_sent = False

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    @property
    def welcomed(self) -> bool:
        """Whether the gateway has sent `welcome`, so that messages about the run may be sent."""
        return self._welcomed

    @property
    def log_due_ns(self) -> int | None:
        """When a small piece of log that waits for more is sent anyway; None if none waits."""
        return self._log_due_ns if self._welcomed else None

    def opened(self, connection: Connection, hello: Hello) -> None:
        """A new connection is open: send `hello`, and wait for `welcome`."""
        self._connection = connection
        self._welcomed = False
        connection.send(encode(hello))

    def is_current(self, connection: Connection) -> bool:
        """Whether an event belongs to the current connection."""
        return connection is self._connection

    def welcome(self, log_offset: int, output_index: int, started: Started | None) -> None:
        """The gateway has stored log and outputs up to here, and may have missed the rest."""
        self._welcomed = True
        self._log.forget(log_offset)
        self._log_sent = log_offset
        self._log_due_ns = None
        self._outputs_sent = self._outputs_stored = output_index
        self._result_sent = False
        if started is not None:
            self.say(started)

    def outputs_stored(self, index: int) -> None:
        """The gateway has stored the outputs before this index."""
        self._outputs_stored = index

    def closed(self) -> None:
        """The connection is closed."""
        self._connection = None
        self._welcomed = False

    def say(self, message: ToGateway, *, wake: bool = True) -> None:
        """Send now, if there is a connection; without `wake`, when `wake` is called."""
        if self._connection is not None:
            self._connection.send(encode(message), wake=wake)

    def wake(self) -> None:
        """Send what was queued without `wake`."""
        if self._connection is not None:
            self._connection.wake()

    def close(self) -> None:
        """Close the connection with the closing handshake."""
        if self._connection is not None:
            self._connection.close()

    def pump(
        self,
        run: str,
        outputs: list[str],
        result: Result | None,
        now_ns: int,
        *,
        last: bool = False,
    ) -> None:
        """Send what is due: outputs, log, and the result after all of them.

        With `last`, outputs are sent without waiting until the previous ones are stored.
        """
        if not self._welcomed:
            return
        self._pump_outputs(run, outputs, last=last)
        all_out = self._pump_log(run, now_ns, flush=result is not None)
        all_out = all_out and self._outputs_sent >= len(outputs)
        if result is not None and all_out and not self._result_sent:
            self.say(result)
            self._result_sent = True

    def _pump_outputs(self, run: str, outputs: list[str], *, last: bool) -> None:
        while self._room() and self._outputs_sent < len(outputs):
            if self._outputs_sent > self._outputs_stored and not last:
                return
            batch = _batch(outputs, self._outputs_sent)
            self.say(Output(run, self._outputs_sent, batch))
            self._outputs_sent += len(batch)

    def _pump_log(self, run: str, now_ns: int, *, flush: bool) -> bool:
        """Send the log. Returns whether everything logged so far was sent."""
        while (waiting := self._log.end - self._log_sent) > 0:
            if self._log_due_ns is None:
                self._log_due_ns = now_ns + LOG_DELAY_NS
            due = flush or waiting >= PIECE_BYTES or now_ns >= self._log_due_ns
            if not (due and self._room()):
                return False
            piece = self._log.piece(self._log_sent)
            if piece is None:
                return False
            offset, text = piece
            self.say(Log(run, offset, text))
            self._log_sent = offset + len(text.encode())
            self._log_due_ns = None
        return True

    def _room(self) -> bool:
        return self._connection is not None and self._connection.backlog < BACKLOG_BYTES


def _batch(outputs: list[str], begin: int) -> list[str]:
    """The items of the next message, from `begin` on."""
    end, size = begin, 0
    while end < len(outputs) and (end == begin or size + len(outputs[end]) <= ITEMS_BYTES):
        size += len(outputs[end])
        end += 1
    return outputs[begin:end]
