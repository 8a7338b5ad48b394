"""The listener that Cog servers call: how predictions go, and the files of their inputs.

Plain HTTP and inside the cluster alone, for a Cog server trusts no certificate of our own. Every
path carries a signature that only who was given the path can know.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Generator

import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from typing_extensions import override

from mayfly.api.v1alpha1 import Reason
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.calls import news
from mayfly.gateway.calls.cog import PURPOSE
from mayfly.gateway.calls.recorder import ModelCalls
from mayfly.gateway.calls.replies import Hearing
from mayfly.gateway.http import errors
from mayfly.gateway.http.errors import Forbidden, Invalid, TooLarge

logger = logging.getLogger(__name__)


class CallbackRoutes:
    """The route and what it needs."""

    def __init__(self, calls: ModelCalls, hearing: Hearing, key: SigningKey, limit: int) -> None:
        """Get ready.

        Args:
            calls: the rows.
            hearing: takes in what is told.
            key: signs paths.
            limit: bytes of a callback.
        """
        self._calls = calls
        self._hearing = hearing
        self._key = key
        self._limit = limit

    def router(self) -> APIRouter:
        """The route."""
        router = APIRouter()
        router.add_api_route(
            "/callback/v1/models/{uid}/{signature}",
            self.hear,
            methods=["POST"],
            include_in_schema=False,
        )
        return router

    async def hear(self, request: Request, uid: str, signature: str) -> Response:
        """A server tells of a prediction."""
        if not self._key.verify(signature, PURPOSE, uid):
            raise Forbidden("The path is not one of ours.")
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._limit:
                words = f"The model's server tells more than {self._limit} bytes at once."
                await self._calls.fail(uid, Reason.OUTPUT_TOO_LARGE, words)
                raise TooLarge(words)
        try:
            told = news.read(bytes(body))
        except news.Garbage as error:
            # It would say the same again; nothing else will come of it.
            words = f"The model's server does not speak as a Cog server does: {error}."
            await self._calls.fail(uid, Reason.USER_ERROR, words)
            raise Invalid(words) from None
        await self._hearing.hear(uid, told)
        return Response(status_code=200)


class _Server(uvicorn.Server):
    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # Signals are for the process's own server.
        yield


class CallbackListener:
    """Serves the callbacks beside the gateway's own server."""

    def __init__(self, routers: list[APIRouter], host: str, port: int) -> None:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        errors.install(app)
        for router in routers:
            app.router.routes.extend(router.routes)
        self._host = host
        self._port = port
        self._server = _Server(
            uvicorn.Config(
                app,
                lifespan="off",
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=5,
            )
        )
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._socket.getsockname()[1] if self._socket else self._port

    def bind(self) -> None:
        """Take the port.

        Raises:
            OSError: somebody else has it.
        """
        self._socket = socket.socket(socket.AF_INET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((self._host, self._port))

    def close(self) -> None:
        """Give the port back, also when nothing was ever served on it."""
        if self._socket is not None:
            self._socket.close()

    async def run(self) -> None:
        """Serve until cancelled."""
        assert self._socket is not None  # noqa: S101 - bind() comes first
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        try:
            await asyncio.shield(serving)
        finally:
            self._server.should_exit = True
            await serving
