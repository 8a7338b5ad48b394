"""The description of the HTTP API, made by the gateway's own app; nothing is started for it."""

from __future__ import annotations

import json
from typing import Any

from mayfly.clock import monotonic, utc_now
from mayfly.config import GatewayConfig
from mayfly.database.engine import Database
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.app import Gateway
from mayfly.gateway.process import Process
from mayfly.kube.client import Cluster


def document() -> str:
    """The OpenAPI document, as text of a file."""
    return json.dumps(_gateway().app.openapi(), indent=1) + "\n"


def _gateway() -> Gateway:
    """A gateway that is built and never started, so it calls nothing that it is given."""
    nothing: Any = None
    config = GatewayConfig(
        database_url="sqlite://",
        files_url="memory:///",
        signing_key_file="",
        internal_url="https://gateway.invalid",
    )
    process = Process(
        config=config,
        cluster=Cluster(nothing),
        database=Database(config.database_url),
        clock=utc_now,
        monotonic=monotonic,
        new_id=str,
        new_uid=str,
    )
    return Gateway(process, SigningKey(bytes(32)))
