"""Framed JSON between PID 1 and its worker, over a socketpair that the worker inherits."""

import fcntl
import json
import socket
import struct
from typing import Any

MIN_FD = 200
"""The worker's descriptor is at least this, out of the way of code that closes low numbers."""

_HEADER = struct.Struct(">I")


class ChannelError(Exception):
    """The other side has closed the channel, or sent an invalid message."""


class Channel:
    """One end. `receive` and `send` may run in two different threads."""

    def __init__(self, sock: socket.socket, max_bytes: int) -> None:
        self._socket = sock
        self._max = max_bytes

    def send(self, message: dict[str, Any]) -> None:
        """Write one message whole.

        Raises:
            ChannelError: the other side is gone.
        """
        body = json.dumps(message, separators=(",", ":")).encode()
        try:
            self._socket.sendall(_HEADER.pack(len(body)) + body)
        except OSError as error:
            raise ChannelError(str(error)) from error

    def receive(self) -> dict[str, Any]:
        """Wait for one message.

        Raises:
            ChannelError: the other side is gone, or the message is too long or not an object.
        """
        (size,) = _HEADER.unpack(self._read(_HEADER.size))
        if size > self._max:
            raise ChannelError(f"a message of {size} bytes")
        try:
            message = json.loads(self._read(size))
        except (ValueError, RecursionError) as error:
            raise ChannelError("a message that is not JSON") from error
        if not isinstance(message, dict):
            raise ChannelError("a message that is not an object")
        return message

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            try:
                piece = self._socket.recv(min(size - len(data), 2**20))
            except OSError as error:
                raise ChannelError(str(error)) from error
            if not piece:
                raise ChannelError("the other side is gone")
            data += piece
        return bytes(data)


def pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair; the second is for the worker and has a high number, close-on-exec."""
    ours, theirs = socket.socketpair()
    high = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, MIN_FD)
    theirs.close()
    return ours, socket.socket(fileno=high)
