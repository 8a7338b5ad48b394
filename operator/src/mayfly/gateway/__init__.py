"""The gateway: the public HTTP API, the agents' WebSocket, the ledger."""

from __future__ import annotations

import os

from mayfly.config import GatewayConfig
from mayfly.gateway import server

__all__ = ["serve"]


def serve(config: GatewayConfig) -> None:
    """Run the gateway until the process is told to stop."""
    server.serve(config, os.environ)
