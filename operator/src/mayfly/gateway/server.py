"""Serves the gateway: uvicorn with TLS for the API and the agents, a plain port for metrics."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from pathlib import Path

import uvicorn
from prometheus_client import start_http_server
from typing_extensions import override

from mayfly.api.v1alpha1.identity import crockford
from mayfly.clock import monotonic, utc_now
from mayfly.config import GatewayConfig
from mayfly.gateway.app import Gateway
from mayfly.gateway.signing import SigningKey
from mayfly.kube.client import Cluster

PING_SECONDS = 20.0
GRACE_SECONDS = 20
"""For answers under way at the end; agents get 1012 at once and redial."""


class Server(uvicorn.Server):
    """uvicorn, telling the gateway before it waits for open answers."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    @override
    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        self._gateway.stop()
        await super().shutdown(sockets)  # type: ignore[arg-type]


def server_for(gateway: Gateway, config: GatewayConfig) -> Server:
    """The server of a gateway, yet to be run."""
    return Server(
        uvicorn.Config(
            gateway.app,
            host=config.listen_host,
            port=config.listen_port,
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
            server_header=False,
            proxy_headers=False,
        ),
        gateway,
    )


def new_id() -> str:
    """A file's id: 128 random bits in 26 characters; who has it was given it."""
    return crockford(secrets.randbits(128))


def serve(config: GatewayConfig, environ: Mapping[str, str]) -> None:
    """Run the gateway until the process is told to end.

    Args:
        config: the settings.
        environ: MAYFLY_DATABASE_URL overrides the database (its password is in a Secret);
            KUBECONFIG names a cluster outside of pods.
    """
    override_url = environ.get("MAYFLY_DATABASE_URL")
    if override_url:
        config = config.model_copy(update={"database_url": override_url})
    asyncio.run(_serve(config, environ.get("KUBECONFIG")))


async def _serve(config: GatewayConfig, kubeconfig: str | None) -> None:
    cluster = await Cluster.connect(kubeconfig)
    try:
        gateway = Gateway(
            config,
            cluster=cluster,
            key=SigningKey.load(Path(config.signing_key_file)),
            clock=utc_now,
            monotonic=monotonic,
            new_id=new_id,
        )
        metrics, thread = start_http_server(config.metrics_port, registry=gateway.metrics.registry)
        try:
            await server_for(gateway, config).serve()
        finally:
            metrics.shutdown()
            thread.join()
            metrics.server_close()
    finally:
        await cluster.close()
