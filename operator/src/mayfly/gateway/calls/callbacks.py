"""The listener that Cog servers call: reports of predictions, and the files of their inputs.

Plain HTTP and inside the cluster alone, for a Cog server trusts no certificate of our own.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI

from mayfly.config import ModelsConfig
from mayfly.gateway.http import errors
from mayfly.gateway.http.serving import Server


class CallbackListener:
    """Serves the callbacks beside the gateway's own server."""

    def __init__(
        self,
        routers: Sequence[APIRouter],
        host: str,
        config: ModelsConfig,
        external_url: str | None,
    ) -> None:
        """Get ready.

        Args:
            routers: what it serves.
            host: the address to listen on.
            config: its port, and its URL inside the cluster.
            external_url: the gateway's public URL, for servers that are elsewhere.
        """
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        errors.install(app)
        for router in routers:
            app.router.routes.extend(router.routes)
        self._host = host
        self._config = config
        self._external_url = external_url
        self._server = Server(
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
        return self._socket.getsockname()[1] if self._socket else self._config.callback_port

    def base_for(self, target: dict[str, Any]) -> str:
        """How the server of a Model reaches us: one that is elsewhere by the public address."""
        if target["endpoint"].get("url") and self._external_url:
            return self._external_url.rstrip("/")
        inside = self._config.callback_url or f"http://127.0.0.1:{self.port}"
        return inside.rstrip("/")

    def bind(self) -> None:
        """Take the port.

        Raises:
            OSError: somebody else has it.
        """
        self._socket = socket.socket(socket.AF_INET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((self._host, self._config.callback_port))

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
