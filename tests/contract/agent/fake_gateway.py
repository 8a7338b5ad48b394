"""The gateway's side of the agent's contract, on a real port: a test speaks through it."""

import asyncio
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web
from support.waiting import within

from mayfly_runtime.spec.disposition import attachment
from mayfly_runtime.spec.urls import bracketed

PATIENCE_S = 60
"""How long a test waits for a message that must come. Never a measure of speed."""


class Session:
    """One WebSocket connection of an agent."""

    def __init__(self, socket: web.WebSocketResponse, headers: dict[str, str]) -> None:
        self.headers = headers
        self.closed = asyncio.Event()
        self.messages: list[dict[str, Any]] = []
        self.stores_outputs = True
        self._socket = socket
        self._inbox: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def read_all(self) -> None:
        async for message in self._socket:
            assert message.type is WSMsgType.TEXT
            body = json.loads(message.data)
            self.messages.append(body)
            self._inbox.put_nowait(body)
            if body["type"] == "output" and self.stores_outputs:
                await self.send("outputack", index=body["index"] + len(body["itemsJSON"]))
        self._inbox.put_nowait(None)
        self.closed.set()

    async def receive(self, *kinds: str) -> dict[str, Any]:
        """The next message of these kinds; others are passed over."""
        while True:
            message = await within(PATIENCE_S, self._inbox.get())
            assert message is not None, f"closed while waiting for {kinds}: {self.messages}"
            if message["type"] in kinds:
                return message

    async def send(self, kind: str, **fields: Any) -> None:
        await self._socket.send_json({"type": kind, **fields})

    async def send_text(self, text: str) -> None:
        await self._socket.send_str(text)

    async def ping(self) -> None:
        await self._socket.ping(b"there?")

    async def close(self, code: int = WSCloseCode.SERVICE_RESTART) -> None:
        await self._socket.close(code=code)

    def drop(self) -> None:
        """Lose the connection without a word, as a dead node does."""
        transport = self._socket._req.transport
        if transport is not None:
            transport.abort()


@dataclass
class Gateway:
    """Answers the agent's calls and hands its sessions to the test."""

    host: str = "127.0.0.1"
    port: int = 0
    scheme: str = "http"
    sessions: asyncio.Queue[Session] = field(default_factory=asyncio.Queue)
    files: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    input_text: str = ""
    upload_answers: list[int] = field(default_factory=list)
    calls: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    paths: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{bracketed(self.host)}:{self.port}"

    async def session(self) -> Session:
        return await within(PATIENCE_S, self.sessions.get())

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**30)
        app.router.add_get("/agent/v1/session", self._session)
        app.router.add_put("/agent/v1/files/{name}", self._put)
        app.router.add_get("/agent/v1/files/{name}", self._get)
        app.router.add_get("/agent/v1/input", self._input)
        app.router.add_get("/{path:.*}", self._other)
        return app

    def _note(self, request: web.Request) -> None:
        self.calls.append((request.method, request.path, dict(request.headers)))

    async def _session(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=16 * 2**20)
        await socket.prepare(request)
        session = Session(socket, dict(request.headers))
        self.sessions.put_nowait(session)
        await session.read_all()
        return socket

    async def _put(self, request: web.Request) -> web.Response:
        self._note(request)
        body = await request.read()
        if self.upload_answers and (status := self.upload_answers.pop(0)) != 201:
            return web.json_response({"detail": "refused by the test"}, status=status)
        number = len(self.files)
        identifier = f"mayfly-file:{number:026d}"
        self.files[identifier] = body
        self.names[identifier] = request.match_info["name"]
        self.types[identifier] = request.headers["Content-Type"]
        digest = hashlib.sha256(body).hexdigest()
        answer = {"id": identifier, "size": len(body), "sha256": digest}
        return web.json_response(answer, status=201)

    async def _get(self, request: web.Request) -> web.Response:
        self._note(request)
        identifier = request.match_info["name"]
        if identifier not in self.files:
            return web.json_response({"detail": "no such file"}, status=404)
        # As the real one: `contract/gateway/test_file_names.py` compares them.
        headers = {
            "Content-Disposition": attachment(self.names.get(identifier, "file")),
            "Content-Type": self.types.get(identifier, "application/octet-stream"),
        }
        return web.Response(body=self.files[identifier], headers=headers)

    async def _input(self, request: web.Request) -> web.Response:
        self._note(request)
        return web.Response(text=self.input_text)

    async def _other(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        found = self.paths.get(request.path)
        if found is None:
            return web.Response(status=404)
        if isinstance(found, bytes):
            return web.Response(body=found)
        if callable(found):
            return await found(request)
        return web.Response(status=302, headers={"Location": found})
