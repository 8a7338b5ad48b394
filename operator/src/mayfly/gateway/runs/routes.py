"""HTTP and WebSocket routes for agents, `/agent/v1/…`; specified in `runtime-image/README.md`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping

from fastapi import APIRouter, Request, WebSocket
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from mayfly.gateway.cache.runs import Runs
from mayfly.gateway.files.store import OCTETS, SCHEME, Files, references
from mayfly.gateway.http.errors import (
    BAD_MESSAGE,
    BAD_TOKEN,
    RESTART,
    Forbidden,
    Invalid,
    Missing,
    Problem,
    Rejected,
    Unauthenticated,
)
from mayfly.gateway.runs.agents import Agents
from mayfly.metering.ledger import RunRow
from mayfly_runtime.spec.disposition import attachment

READ_AHEAD_BYTES = 32 * 1024 * 1024
"""How much is read ahead per connection: the largest message twice."""

MESSAGE_OVERHEAD_BYTES = 1024
"""What a message takes beside its text; small ones are bounded in number by it."""


class AgentSocket:
    """A Starlette WebSocket with the interface that `agents` needs.

    Messages are read ahead of being stored. Otherwise the agent's pong would wait behind messages
    that a slow database has not stored yet, and the connection would be closed as dead.
    """

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._unread: deque[Message] = deque()
        self._unread_size = 0
        self._changed = asyncio.Condition()

    async def read_ahead(self) -> None:
        """Read messages until the agent leaves or the task is cancelled."""
        kind = ""
        while kind != "websocket.disconnect":
            message = await self._socket.receive()
            kind = message["type"]
            async with self._changed:
                self._unread.append(message)
                self._unread_size += _size(message)
                self._changed.notify_all()
                await self._changed.wait_for(lambda: self._unread_size <= READ_AHEAD_BYTES)

    async def _next(self) -> Message:
        async with self._changed:
            await self._changed.wait_for(lambda: self._unread)
            message = self._unread.popleft()
            self._unread_size -= _size(message)
            self._changed.notify_all()
        return message

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers."""
        return self._socket.headers

    async def send_text(self, data: str) -> None:
        """Send one text message.

        Raises:
            ConnectionError: the agent has disconnected; its earlier messages can still be read.
        """
        try:
            await self._socket.send_text(data)
        except WebSocketDisconnect as gone:
            raise ConnectionResetError("the agent has left") from gone

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection.

        Raises:
            ConnectionError: the agent has disconnected.
        """
        try:
            await self._socket.close(code, reason)
        except WebSocketDisconnect as gone:
            raise ConnectionResetError("the agent has left") from gone

    async def texts(self) -> AsyncIterator[str]:
        """Text messages until the agent disconnects.

        Raises:
            Rejected: on a binary message, which the protocol does not have.
        """
        while True:
            message = await self._next()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                raise Rejected(BAD_MESSAGE, "messages are text")
            yield text


def _size(message: Message) -> int:
    return len(message.get("text") or "") + MESSAGE_OVERHEAD_BYTES


class AgentRoutes:
    """Routes for agents: the session, files in and out, large inputs."""

    def __init__(self, agents: Agents, files: Files, runs: Runs) -> None:
        self._agents = agents
        self._files = files
        self._runs = runs

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/agent/v1", include_in_schema=False)
        router.add_api_websocket_route("/session", self.session)
        # `path`: a name may contain an escaped slash, which is unescaped before routing.
        router.add_api_route("/files/{name:path}", self.put_file, methods=["PUT"])
        router.add_api_route("/files/{name}", self.get_file, methods=["GET"])
        router.add_api_route("/input", self.get_input, methods=["GET"])
        return router

    async def session(self, socket: WebSocket) -> None:
        """One agent's session. It is accepted before any check: agents read only close codes."""
        await socket.accept()
        connection = AgentSocket(socket)
        reading = asyncio.create_task(connection.read_ahead())
        try:
            await self._agents.serve(connection)
        except Rejected as rejected:
            await _close(connection, rejected.code, rejected.reason)
        except Exception:
            # What could not be stored is not lost: the agent reconnects and sends it again.
            await _close(connection, RESTART, "try again")
            raise
        finally:
            reading.cancel()

    async def put_file(self, name: str, request: Request) -> Response:
        """Store an output file of the run."""
        row = await self._run(request)
        if row.journalled:
            raise Forbidden("The run is over.")
        length = request.headers.get("content-length", "")
        try:
            stored = await self._files.put(
                request.stream(),
                namespace=row.namespace,
                run_uid=row.uid,
                name=name,
                content_type=request.headers.get("content-type"),
                announced=int(length) if length.isdecimal() else None,
            )
        except ClientDisconnect as error:
            raise Invalid("The upload broke off.") from error
        body = {"id": stored.reference, "size": stored.size, "sha256": stored.sha256}
        return JSONResponse(body, status_code=201)

    async def get_file(self, name: str, request: Request) -> Response:
        """Return a file named in the run's input, or one of its own files."""
        row = await self._run(request)
        file_id = name.removeprefix(SCHEME)
        stored = await self._files.find(file_id)
        named = stored is not None and (
            stored.run_uid == row.uid or file_id in references(row.input_json)
        )
        if stored is None or not named or stored.namespace != row.namespace:
            raise Missing("There is no such file for this run.")
        headers = {
            "Content-Length": str(stored.size),
            # The run's main() sees a file of this name.
            "Content-Disposition": attachment(stored.name),
        }
        return StreamingResponse(
            await self._files.read(file_id), headers=headers, media_type=stored.content_type
        )

    async def get_input(self, request: Request) -> Response:
        """Return an input that is stored as a file."""
        row = await self._run(request)
        seen = self._runs.get(row.uid)
        source = seen.run.spec.input_from if seen is not None else None
        stored = await self._files.find(source.file.removeprefix(SCHEME)) if source else None
        if source is None or stored is None or stored.namespace != row.namespace:
            raise Missing("The run has no input file.")
        headers = {"Content-Length": str(stored.size)}
        return StreamingResponse(
            await self._files.read(stored.id), headers=headers, media_type=OCTETS
        )

    async def _run(self, request: Request) -> RunRow:
        try:
            pod = await self._agents.pod(request.headers)
        except Rejected as rejected:
            raise _problem(rejected) from rejected
        row = await self._agents.run_of(pod)
        if row is None:
            raise Forbidden("This pod has no run.")
        return row


def _problem(rejected: Rejected) -> Problem:
    if rejected.code == BAD_TOKEN:
        return Unauthenticated(rejected.reason)
    return Forbidden(rejected.reason)


async def _close(connection: AgentSocket, code: int, reason: str) -> None:
    try:
        await connection.close(code, reason)
    except (RuntimeError, ConnectionError):
        return  # the agent disconnected first
