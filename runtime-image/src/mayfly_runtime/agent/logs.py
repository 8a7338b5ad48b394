"""The run's log: a bounded buffer that resumes from the offset the gateway has stored."""

import codecs
import fcntl
import os
import select
import sys
import termios
import threading
import time
from collections.abc import Callable

from mayfly_runtime.spec.redaction import Redactor

PIECE_BYTES = 64 * 1024
"""Maximum size of one log message."""

_SMALL_BYTES = 4096
_SMALL_IN_A_ROW = 16
_GATHER_S = 0.001
"""After this many small reads the next ones wait a moment for more: to be woken for each of 100,000
prints would take more of the pod's CPU than the prints do."""

_RESERVE_BYTES = 512
"""Reserved within the limit for the line that says what was dropped."""


class LogBuffer:
    """The part of the log from `offset` on that the gateway has not stored yet. Thread-safe.

    Bytes that are not UTF-8 are replaced by U+FFFD on input, so that offsets count the same bytes
    on both sides. The limit also bounds the memory.

    Attributes:
        redactor: removes the run's secrets from the log on input.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.redactor = Redactor()
        self._lock = threading.Lock()
        self._limit = limit_bytes
        self._text = bytearray()
        self._start = 0
        self._dropped = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def end(self) -> int:
        """Number of bytes logged since the start."""
        with self._lock:
            return self._start + len(self._text)

    def set_limit(self, limit_bytes: int) -> None:
        """Set the limit, which arrives with the work after the pipe was opened."""
        with self._lock:
            self._limit = limit_bytes

    def append(self, data: bytes, *, last: bool = False) -> None:
        """Append bytes from the pipe; beyond the limit they are counted, but dropped."""
        with self._lock:
            text = self._decoder.decode(data, last).encode()
            room = max(0, self._limit - _RESERVE_BYTES - self._start - len(self._text))
            kept = _cut(text, 0, room) if not self._dropped else b""
            self._text += kept
            self._dropped += len(text) - len(kept)

    def close(self) -> None:
        """End the log: flush the decoder, and add one line that says what was dropped."""
        self.append(b"", last=True)
        with self._lock:
            if self._dropped:
                line_break = b"" if self._text.endswith(b"\n") else b"\n"
                told = f"mayfly: {self._dropped} bytes of log past the limit were dropped\n"
                self._text += line_break + told.encode()
                self._dropped = 0

    def piece(self, offset: int) -> tuple[int, str] | None:
        """The next text from `offset` on, whole characters only, and its actual offset."""
        with self._lock:
            begin = max(offset - self._start, 0)
            data = _cut(self._text, begin, PIECE_BYTES)
            return (self._start + begin, data.decode("utf-8", "replace")) if data else None

    def forget(self, offset: int) -> None:
        """Drop the text before this offset: the gateway has stored it."""
        with self._lock:
            count = min(max(offset - self._start, 0), len(self._text))
            del self._text[:count]
            self._start += count


def _cut(text: bytes | bytearray, begin: int, size: int) -> bytes:
    """At most `size` bytes from `begin` on, ending with a whole character."""
    end = min(begin + size, len(text))
    while begin < end < len(text) and text[end] & 0xC0 == 0x80:
        end -= 1
    return bytes(text[begin:end])


class LogPipe:
    """The pipe into which the worker and its children write their log."""

    def __init__(self, pipe: int, buffer: LogBuffer, copy_to: int) -> None:
        """Nothing is read yet.

        Args:
            pipe: its read end.
            buffer: gets what was written, redacted.
            copy_to: the pod's stdout gets the same.
        """
        self._pipe = pipe
        self._buffer = buffer
        self._copy_to = copy_to
        self._lock = threading.Lock()
        self._ended = False
        self._held = b""

    def pump(self, wake: Callable[[], None]) -> None:
        """Copy what is written until the pipe ends; call `wake` after each piece.

        If the reader of the pod's stdout stalls, the author's prints slow down; if it is gone (an
        error), only the copy ends.
        """
        readable = select.poll()
        readable.register(self._pipe, select.POLLIN)
        in_a_row = 0
        while readable.poll():
            with self._lock:
                data = _read(self._pipe)
                if not data:
                    self._end()
                    break
                if not self._ended:
                    self._take(self._buffer.redactor.feed(data))
            wake()
            in_a_row = in_a_row + 1 if len(data) < _SMALL_BYTES else 0
            if in_a_row > _SMALL_IN_A_ROW:
                time.sleep(_GATHER_S)
        self._copy(self._held)
        os.close(self._pipe)
        wake()

    def drained(self) -> bool:
        """Whether everything that was written before this call is in the buffer.

        The first time that it is, the log ends: what is written later is dropped. If it is not,
        `wake` is called once there is more to see. Only asked after everything that writes was
        killed: to wait for the end of a process that has imported much takes 20 to 90 ms more.
        """
        if self._ended:
            return True
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if not self._ended and _unread(self._pipe):
                return False
            self._end()
            return True
        finally:
            self._lock.release()

    def _end(self) -> None:
        """End the log. The copy of its last bytes is left to the reader, who may wait for it."""
        if not self._ended:
            self._ended = True
            self._held = self._buffer.redactor.rest()
            self._buffer.append(self._held)

    def _take(self, data: bytes) -> None:
        if data:
            self._buffer.append(data)
            self._copy(data)

    def _copy(self, data: bytes) -> None:
        if self._copy_to >= 0 and not _write_all(self._copy_to, data):
            self._copy_to = -1


def drain(pipe: int) -> None:
    """Read a pipe until it ends, and keep nothing."""
    while _read(pipe):
        pass


def _read(pipe: int) -> bytes:
    try:
        return os.read(pipe, PIECE_BYTES)
    except OSError:
        return b""


def _unread(pipe: int) -> int:
    """How many bytes have been written to a pipe and not been read."""
    size = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
    return int.from_bytes(size, sys.byteorder)


def _write_all(fd: int, data: bytes) -> bool:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except OSError:
            return False
    return True
