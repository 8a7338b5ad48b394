"""The agent's WebSocket to the gateway: connects, reconnects with backoff, sends and receives.

A thread of its own owns the socket and polls it, because two threads must not read and write a TLS
socket at once. Delivery is the supervisor's job: when a connection breaks, its queue is lost, and
on the next connection everything that still matters is sent again.
"""

import os
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from mayfly_runtime.agent import websocket
from mayfly_runtime.agent.gateway import Gateway, GatewayError
from mayfly_runtime.agent.messages import MAX_MESSAGE_BYTES, FromGateway, ProtocolError, decode
from mayfly_runtime.agent.unexpected import error_in_words

PATH = "/agent/v1/session"
BACKLOG_BYTES = 512 * 1024
"""Above this many unsent bytes, the supervisor holds back logs and outputs until `Drained`."""

_DIAL_S = 10.0
_SILENCE_S = 60.0  # the gateway pings every 20 s
_FIRST_BACKOFF_S, _MAX_BACKOFF_S = 0.05, 2.0

_BLOCKED = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)


class Connection:
    """One connection and its send queue. Sending on a closed one does nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: deque[tuple[int, bytes]] = deque()
        self._backlog = 0
        self._open = True
        self.wake_fd, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    @property
    def backlog(self) -> int:
        """Bytes queued and not yet passed to the kernel."""
        return self._backlog

    def send(self, message: bytes, *, wake: bool = True) -> None:
        """Queue a text message; without `wake`, it is sent when `wake` is called."""
        self.queue(websocket.TEXT, message, wake=wake)

    def wake(self) -> None:
        """Wake the thread that writes the queue."""
        with self._lock:
            if self._open:
                self._poke()

    def close(self, code: int = websocket.NORMAL) -> None:
        """Queue a close frame behind what is queued."""
        self.queue(websocket.CLOSE, websocket.close_payload(code))

    def queue(self, opcode: int, payload: bytes, *, wake: bool = True) -> None:
        """Queue a frame; a pong goes before all others, because the gateway waits for it."""
        with self._lock:
            if not self._open:
                return
            if opcode == websocket.PONG:
                self._frames.appendleft((opcode, payload))
            else:
                self._frames.append((opcode, payload))
            self._backlog += len(payload)
            if wake:
                self._poke()

    def _poke(self) -> None:
        try:
            os.write(self._wake_write, b"x")
        except BlockingIOError:
            return  # already awake

    def take(self) -> tuple[int, bytes] | None:
        """The next frame to write; for the writing thread."""
        with self._lock:
            return self._frames.popleft() if self._frames else None

    def sent(self, size: int) -> bool:
        """Record a written frame. Returns whether the backlog has just fallen below the limit."""
        with self._lock:
            before, self._backlog = self._backlog, self._backlog - size
            return self._backlog < BACKLOG_BYTES <= before

    def end(self) -> None:
        """The socket is closed: discard the queue."""
        with self._lock:
            self._open = False
            self._frames.clear()
            os.close(self.wake_fd)
            os.close(self._wake_write)


class Opened(NamedTuple):
    """The connection is open; send `hello`."""

    connection: Connection


class Received(NamedTuple):
    """A message from the gateway."""

    connection: Connection
    message: FromGateway


class Drained:
    """The backlog is below the limit again: logs and outputs may be sent."""


class Closed(NamedTuple):
    """The connection is closed; `code` is the WebSocket close code."""

    connection: Connection
    code: int


SessionEvent = Opened | Received | Drained | Closed


class Session:
    """Keeps a connection open for as long as the agent lives."""

    def __init__(
        self,
        gateway: Gateway,
        put: Callable[[SessionEvent], None],
        say: Callable[[str], None],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._gateway = gateway
        self._put = put
        self._say = say
        self._random = random_bytes
        self._thread = threading.Thread(target=self._run, name="session", daemon=True)

    def start(self) -> None:
        """Connect, in a thread of its own."""
        self._thread.start()

    def _run(self) -> None:
        attempt = 0
        while True:
            try:
                sock, rest = self._dial()
            except (OSError, GatewayError, websocket.HandshakeError) as error:
                if attempt == 0:
                    self._say(f"no connection to the gateway: {error}")
            except Exception as error:  # noqa: BLE001 without this thread no end is ever delivered
                if attempt == 0:
                    self._say(f"no connection to the gateway: {error_in_words(error)}")
            else:
                born = time.monotonic()
                self._live(sock, rest)
                if time.monotonic() - born > _MAX_BACKOFF_S:
                    attempt = 0
            time.sleep(self._backoff(attempt))
            attempt += 1

    def _backoff(self, attempt: int) -> float:
        longest = min(_FIRST_BACKOFF_S * 2.0 ** min(attempt, 10), _MAX_BACKOFF_S)
        return longest * (0.5 + self._random(1)[0] / 512)

    def _dial(self) -> tuple[socket.socket, bytes]:
        to = self._gateway.address
        sock = socket.create_connection((to.host, to.port), timeout=_DIAL_S)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._gateway.context is not None:
                sock = self._gateway.context.wrap_socket(sock, server_hostname=to.host)
            key = self._random(16)
            headers = self._gateway.headers()
            sock.sendall(websocket.request(to.authority, to.prefix + PATH, key, headers))
            rest = _upgraded(sock, key)
        except BaseException:
            sock.close()
            raise
        sock.setblocking(False)
        return sock, rest

    def _live(self, sock: socket.socket, rest: bytes) -> None:
        connection = Connection()
        self._put(Opened(connection))
        wire = _Wire(sock, connection, self._put, self._random)
        code = websocket.ABNORMAL
        try:
            code = wire.run(rest)
        except OSError:
            pass
        except Exception as error:  # noqa: BLE001 without this thread no end is ever delivered
            self._say(f"the connection to the gateway broke: {error_in_words(error)}")
        finally:
            connection.end()
            sock.close()
        self._put(Closed(connection, code))


def _upgraded(sock: socket.socket, key: bytes) -> bytes:
    """Read the answer to the upgrade request; returns the bytes after its head."""
    data = b""
    while (rest := websocket.response(data, key)) is None:
        piece = sock.recv(4096)
        if not piece:
            raise websocket.HandshakeError(0, "the gateway closed while it was dialled")
        data += piece
    return rest


class _Wire:
    """Moves bytes between a socket and a connection's queue."""

    def __init__(
        self,
        sock: socket.socket,
        connection: Connection,
        put: Callable[[SessionEvent], None],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._socket = sock
        self._connection = connection
        self._put = put
        self._random = random_bytes
        self._parser = websocket.Parser(MAX_MESSAGE_BYTES)
        self._pending = memoryview(b"")
        self._pending_size = 0
        self._closing = False
        self._code = websocket.ABNORMAL

    def run(self, rest: bytes) -> int:
        """Run until either side closes; returns the close code.

        Raises:
            OSError: the connection broke.
        """
        alive = self._take(rest)
        poll = select.poll()
        poll.register(self._connection.wake_fd, select.POLLIN)
        while alive:
            wants = select.POLLIN | (select.POLLOUT if self._pending else 0)
            poll.register(self._socket, wants)
            ready = poll.poll(_SILENCE_S * 1000)
            if not ready:
                return websocket.ABNORMAL
            if any(fd == self._connection.wake_fd for fd, _ in ready):
                os.read(self._connection.wake_fd, 4096)
            if any(
                fd != self._connection.wake_fd and event & ~select.POLLOUT for fd, event in ready
            ):
                alive = self._receive()
            self._flush()
        self._flush()
        return self._code

    def _receive(self) -> bool:
        try:
            while True:
                data = self._socket.recv(256 * 1024)
                if not data:
                    return False
                if not self._take(data):
                    return False
        except _BLOCKED:
            return True

    def _take(self, data: bytes) -> bool:
        """Handle received bytes; False if the connection is to be closed."""
        try:
            for event in self._parser.feed(data):
                match event:
                    case websocket.Message():
                        message = decode(event.data)
                        if message is not None:
                            self._put(Received(self._connection, message))
                    case websocket.Ping():
                        self._connection.queue(websocket.PONG, event.data)
                    case websocket.Pong():
                        pass
                    case websocket.Closed():
                        self._code = event.code
                        if not self._closing:
                            self._connection.close()
                        return False
        except (websocket.WebSocketError, ProtocolError) as error:
            code = getattr(error, "code", websocket.BAD_DATA)
            self._connection.close(code)
            self._code = code
            return False
        return True

    def _flush(self) -> None:
        """Write what the socket accepts, up to our close frame.

        After that, wait for the gateway's close frame: closing a socket with unread data may make
        the gateway lose what it has not read yet.
        """
        try:
            while True:
                if not self._pending:
                    following = None if self._closing else self._connection.take()
                    if following is None:
                        return
                    opcode, payload = following
                    self._pending_size = len(payload)
                    self._closing = opcode == websocket.CLOSE
                    framed = websocket.frame(opcode, payload, self._random(4))
                    self._pending = memoryview(framed)
                self._pending = self._pending[self._socket.send(self._pending) :]
                if not self._pending and self._connection.sent(self._pending_size):
                    self._put(Drained())
        except _BLOCKED:
            return
