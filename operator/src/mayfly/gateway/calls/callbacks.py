"""The listener for Cog servers: callbacks of predictions, and the files of their inputs.

Plain HTTP, reachable only inside the cluster, because Cog servers do not trust our certificate.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI

from mayfly.config import ModelsConfig
from mayfly.gateway.http import errors
from mayfly.gateway.http.serving import Server
from mayfly.ports import listening
from mayfly_runtime.spec import urls


class CallbackListener:
    """Serves the callback routes, beside the gateway's own server."""

    def __init__(
        self,
        routers: Sequence[APIRouter],
        host: str,
        config: ModelsConfig,
        external_url: str | None,
    ) -> None:
        """Create the listener without opening its port.

        Args:
            routers: the routes to serve.
            host: the address to listen on.
            config: its port, and its URL inside the cluster.
            external_url: the gateway's public URL, for servers outside the cluster.
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
        """The URL by which a Model's server reaches us; the public one for servers elsewhere."""
        if target["endpoint"].get("url") and self._external_url:
            return self._external_url.rstrip("/")
        if self._config.callback_url:
            return self._config.callback_url.rstrip("/")
        here = "127.0.0.1" if ip_address(self._host).is_unspecified else urls.bracketed(self._host)
        return f"http://{here}:{self.port}"

    def bind(self) -> None:
        """Open the port.

        Raises:
            OSError: the port is in use.
        """
        self._socket = listening(self._host, self._config.callback_port)

    def close(self) -> None:
        """Close the port, even if nothing was ever served."""
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
