"""Framed JSON between PID 1 and its worker, over a socketpair that the worker inherits."""

import json
import socket
import struct
from typing import Any

REST_BYTES = 16 * 2**20
"""What a message may hold beside an output: the places of its files, or the URLs of an input."""

_HEADER = struct.Struct(">I")


class ChannelError(Exception):
    """The other side has closed the channel, or sent an invalid message."""


class MessageTooLong(Exception):
    """A message that the other side would not take; nothing of it was sent."""


class Channel:
    """One end. `receive` and `send` may run in two different threads.

    Attributes:
        max_received: the largest message that is taken, in bytes.
        max_sent: the largest that is sent; None where the other side takes any.
    """

    def __init__(self, sock: socket.socket, max_received: int) -> None:
        self._socket = sock
        self.max_received = max_received
        self.max_sent: int | None = None

    def send(self, message: dict[str, Any]) -> None:
        """Write one message whole.

        Raises:
            ChannelError: the other side is gone.
            MessageTooLong: the message is over `max_sent`.
        """
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        body = text.encode("utf-8", "surrogatepass")
        if self.max_sent is not None and len(body) > self.max_sent:
            raise MessageTooLong(f"a message of {len(body)} bytes, over {self.max_sent}")
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
        if size > self.max_received:
            raise ChannelError(f"a message of {size} bytes")
        try:
            message = json.loads(self._read(size).decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError) as error:
            raise ChannelError("a message that is not JSON") from error
        if not isinstance(message, dict):
            raise ChannelError("a message that is not an object")
        return message

    def pass_on(self) -> None:
        """Let the program that this process executes next have this end."""
        self._socket.set_inheritable(True)

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
                raise ChannelError("it is closed")
            data += piece
        return bytes(data)


def frame_bytes(output_bytes: int) -> int:
    """The largest message of a run, whose outputs have at most this many bytes of JSON.

    An output is JSON text within a JSON message: a quote or a backslash is escaped once more, and
    no other character takes more room than before.
    """
    return 2 * output_bytes + REST_BYTES
