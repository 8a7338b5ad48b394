"""A WebSocket client (RFC 6455) without I/O: bytes in, events out, frames to send.

`session` handles the sockets. Everything here is a function of bytes, so every rule of the protocol
can be tested without a socket. Extensions and subprotocols are not offered.
"""

import base64
import hashlib
from typing import Literal, NamedTuple

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MAX_HEAD_BYTES = 16 * 1024
_MAX_CONTROL_BYTES = 125

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

NORMAL, PROTOCOL_ERROR, NO_CODE, ABNORMAL, BAD_DATA, TOO_BIG = 1000, 1002, 1005, 1006, 1007, 1009


class WebSocketError(Exception):
    """The peer broke the protocol; `code` is the close code to send."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class HandshakeError(Exception):
    """The server did not upgrade; `status` is its HTTP status (0 if it did not answer in HTTP)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Message(NamedTuple):
    """A whole message, reassembled from its fragments."""

    kind: Literal["text", "binary"]
    data: bytes


class Ping(NamedTuple):
    """A ping; it must be answered with a pong with the same data."""

    data: bytes


class Pong(NamedTuple):
    """An answer to our ping; its content does not matter."""

    data: bytes


class Closed(NamedTuple):
    """The peer's close frame."""

    code: int
    reason: str


Event = Message | Ping | Pong | Closed


def request(host: str, path: str, key: bytes, headers: dict[str, str]) -> bytes:
    """The upgrade request. `key` is 16 random bytes.

    Raises:
        ValueError: a header contains a line break.
    """
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(key).decode()}",
        "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header of the WebSocket request holds a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def response(data: bytes, key: bytes) -> bytes | None:
    """Check the answer to `request`; returns the bytes after its head, None if it is incomplete.

    Raises:
        HandshakeError: it is not a valid 101 response.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        if len(data) > _MAX_HEAD_BYTES:
            raise HandshakeError(0, "the answer's head is too long")
        return None
    status_line, *lines = head.decode("latin-1").split("\r\n")
    parts = status_line.split(" ", 2)
    if not parts[0].startswith("HTTP/1.") or len(parts) < 2 or not parts[1].isdigit():
        raise HandshakeError(0, "the answer is not HTTP")
    if parts[1] != "101":
        raise HandshakeError(int(parts[1]), f"the gateway answered {' '.join(parts[1:])}")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    if headers.get("upgrade", "").lower() != "websocket":
        raise HandshakeError(101, "the answer does not upgrade to a WebSocket")
    if headers.get("sec-websocket-accept", "") != accept(key):
        raise HandshakeError(101, "the answer's Sec-WebSocket-Accept is wrong")
    return rest


def accept(key: bytes) -> str:
    """The value of Sec-WebSocket-Accept for our key."""
    digest = hashlib.sha1(base64.b64encode(key) + _ACCEPT_GUID)  # noqa: S324 RFC 6455 fixes it
    return base64.b64encode(digest.digest()).decode()


def frame(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """One final, masked frame. `mask` is 4 unpredictable bytes."""
    size = len(payload)
    if size <= _MAX_CONTROL_BYTES:
        head = bytes([0x80 | opcode, 0x80 | size])
    elif size < 2**16:
        head = bytes([0x80 | opcode, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x80 | opcode, 0x80 | 127]) + size.to_bytes(8, "big")
    return head + mask + _xor(payload, mask)


def close_payload(code: int, reason: str = "") -> bytes:
    """The payload of a close frame; the reason is truncated to the size of a control frame."""
    return code.to_bytes(2, "big") + reason.encode()[: _MAX_CONTROL_BYTES - 2]


def _xor(data: bytes, mask: bytes) -> bytes:
    # As two big integers: a thousand times faster than byte by byte, and no dependency.
    whole = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(whole, "big")).to_bytes(len(data), "big")


class Parser:
    """Parses received bytes into events; the size of a message is limited."""

    def __init__(self, max_message: int) -> None:
        self._max = max_message
        self._buffer = bytearray()
        self._fragments: list[bytes] = []
        self._kind: Literal["text", "binary"] | None = None

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes.

        Raises:
            WebSocketError: the peer broke the protocol or the limit. The parser is then unusable.
        """
        self._buffer += data
        events: list[Event] = []
        while (read := self._next_frame()) is not None:
            event = self._event(*read)
            if event is not None:
                events.append(event)
        return events

    def _next_frame(self) -> tuple[bool, int, bytes] | None:
        """The next whole frame (final, opcode, payload), or None."""
        if len(self._buffer) < 2:
            return None
        first, second = self._buffer[0], self._buffer[1]
        if first & 0x70:
            raise WebSocketError(PROTOCOL_ERROR, "a reserved bit is set")
        if second & 0x80:
            raise WebSocketError(PROTOCOL_ERROR, "a server's frame is masked")
        final, opcode, size, head = bool(first & 0x80), first & 0x0F, second & 0x7F, 2
        if opcode & 0x8 and (not final or size > _MAX_CONTROL_BYTES):
            raise WebSocketError(PROTOCOL_ERROR, "a control frame is long or fragmented")
        if size > _MAX_CONTROL_BYTES:
            head = 4 if size == 126 else 10
            if len(self._buffer) < head:
                return None
            size = int.from_bytes(self._buffer[2:head], "big")
        if size + sum(map(len, self._fragments)) > self._max:
            raise WebSocketError(TOO_BIG, f"a message is longer than {self._max} bytes")
        if len(self._buffer) < head + size:
            return None
        payload = bytes(self._buffer[head : head + size])
        del self._buffer[: head + size]
        return final, opcode, payload

    def _event(self, final: bool, opcode: int, payload: bytes) -> Event | None:
        if opcode == PING:
            return Ping(payload)
        if opcode == PONG:
            return Pong(payload)
        if opcode == CLOSE:
            return _closed(payload)
        if opcode == CONTINUATION:
            if self._kind is None:
                raise WebSocketError(PROTOCOL_ERROR, "a continuation frame without a message")
        elif opcode in {TEXT, BINARY}:
            if self._kind is not None:
                raise WebSocketError(PROTOCOL_ERROR, "a message inside another message")
            self._kind = "text" if opcode == TEXT else "binary"
        else:
            raise WebSocketError(PROTOCOL_ERROR, f"unknown opcode {opcode}")
        self._fragments.append(payload)
        if not final:
            return None
        kind, data = self._kind, b"".join(self._fragments)
        self._kind, self._fragments = None, []
        return Message(kind, _checked(data) if kind == "text" else data)


def _closed(payload: bytes) -> Closed:
    if not payload:
        return Closed(NO_CODE, "")
    if len(payload) < 2:
        raise WebSocketError(PROTOCOL_ERROR, "a close frame of one byte")
    return Closed(int.from_bytes(payload[:2], "big"), _checked(payload[2:]).decode())


def _checked(data: bytes) -> bytes:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise WebSocketError(BAD_DATA, "text that is not UTF-8") from error
    return data
