"""Serves the gateway: uvicorn with TLS for the API and the agents, a plain port for metrics."""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
from pathlib import Path
from uuid import UUID

import uvicorn
from prometheus_client import start_http_server
from typing_extensions import override

from mayfly.api.v1alpha1.identity import crockford
from mayfly.clock import monotonic, utc_now
from mayfly.config import GatewayConfig
from mayfly.database.engine import Database
from mayfly.database.schema import SchemaMismatch
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.app import Gateway
from mayfly.gateway.http.serving import Server
from mayfly.gateway.process import Process
from mayfly.kube.client import Cluster
from mayfly.ports import listening

PING_SECONDS = 20.0
GOODBYE_SECONDS = 0.5
GRACE_SECONDS = 20
"""Time for running requests to end; agents get close code 1012 at once and reconnect."""


class GatewayServer(Server):
    """The gateway's server, with a fast shutdown."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._gateway.stop()
        cutting = asyncio.create_task(self._cut_off())
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    async def _cut_off(self) -> None:
        """Drop connections that are closed except for the peer's TLS close_notify.

        A client with an idle connection does not read it, so its close_notify would be waited for
        until the grace period ends.
        """
        while True:
            await asyncio.sleep(GOODBYE_SECONDS)
            for connection in list(self.server_state.connections):
                if connection.transport.is_closing():
                    connection.transport.abort()


def server_for(gateway: Gateway, config: GatewayConfig) -> GatewayServer:
    """Create the server of a gateway, without starting it."""
    return GatewayServer(
        uvicorn.Config(
            gateway.app,
            ssl_certfile=config.tls_cert_file,
            ssl_keyfile=config.tls_key_file,
            ws="websockets-sansio",
            ws_max_size=config.limits.message_bytes,
            ws_ping_interval=PING_SECONDS,
            ws_ping_timeout=PING_SECONDS,
            ws_per_message_deflate=False,
            lifespan="on",
            timeout_graceful_shutdown=GRACE_SECONDS,
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
        ),
        gateway,
    )


def new_id() -> str:
    """A file id: 128 random bits in 26 characters, so that it can't be guessed."""
    return crockford(secrets.randbits(128))


def new_uid() -> str:
    """The UID of a prediction without an object: a random UUID, like an object's."""
    return str(UUID(int=secrets.randbits(128), version=4))


async def serve(config: GatewayConfig, kubeconfig: str | None) -> None:
    """Run the gateway until the process is told to stop.

    Args:
        config: the settings.
        kubeconfig: names a cluster when not in a pod.
    """
    cluster = await Cluster.connect(kubeconfig)
    try:
        process = Process(
            config=config,
            cluster=cluster,
            database=Database(config.database_url),
            clock=utc_now,
            monotonic=monotonic,
            new_id=new_id,
            new_uid=new_uid,
        )
        gateway = Gateway(process, SigningKey.load(Path(config.signing_key_file)))
        await _open(process.database)
        registry = gateway.metrics.counters.registry
        api = listening(config.listen_host, config.listen_port)
        metrics, thread = start_http_server(
            config.metrics_port, addr=api.getsockname()[0], registry=registry
        )
        server = server_for(gateway, config)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _stop, server)
        try:
            await server.serve(sockets=[api])
        finally:
            metrics.shutdown()
            thread.join()
            metrics.server_close()
    finally:
        await cluster.close()


async def _open(database: Database) -> None:
    """Migrate the database before anything is served; on failure, exit with an explanation."""
    try:
        await database.create()
    except SchemaMismatch as error:
        await database.close()
        raise SystemExit(str(error)) from error


def _stop(server: Server) -> None:
    server.should_exit = True
