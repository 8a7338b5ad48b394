"""A test world of the gateway with Models in it."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
from support.gateway.world import NAMESPACE, Running, World
from support.kube_memory import WAIT_SECONDS, condition
from support.servers.cog_server import CogServer
from support.servers.ports import free_port

from mayfly.config import GatewayConfig
from mayfly.kube.kinds import MODELS

Json = dict[str, Any]
ENDS = {"succeeded", "failed", "canceled"}


class ModelWorld(World):
    """A world whose gateways may call loopback, with one callback port for all of them."""

    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        super().__init__(folder, database_url)
        self.models: Json = {
            "callbackPort": free_port(),
            "patienceSeconds": 3,
            "fateSeconds": 4,
            "graceSeconds": 3,
        }
        self.allowed_networks = ["127.0.0.0/8"]

    def config(self) -> GatewayConfig:
        plain = super().config().model_dump(mode="json", by_alias=True)
        outbound = {"allowCIDRs": self.allowed_networks}
        return GatewayConfig.model_validate({**plain, "models": self.models, "outbound": outbound})

    def model(self, name: str, *, namespace: str = NAMESPACE, **spec: Any) -> Json:
        """Create a Model with this spec."""
        return self.cluster.add(
            MODELS, {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
        )

    def at(self, server: CogServer, name: str = "model", **spec: Any) -> Json:
        """Create a Model for a Cog server."""
        return self.model(name, endpoint={"url": server.url}, **spec)

    async def looked_at(self, name: str = "model", namespace: str = NAMESPACE) -> Json:
        """The Model's condition Ready, once it has one."""
        body = await self.cluster.until(
            MODELS, namespace, name, lambda each: bool(condition(each, "Ready"))
        )
        return condition(body, "Ready")


async def create(
    caller: httpx.AsyncClient, given: Json | None = None, name: str = "model", **headers: str
) -> Json:
    """Create a prediction."""
    answer = await caller.post(
        f"/v1/models/{NAMESPACE}/{name}/predictions", json={"input": given or {}}, headers=headers
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def read(caller: httpx.AsyncClient, identity: str) -> Json:
    answer = await caller.get(f"/v1/predictions/{identity}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def until(caller: httpx.AsyncClient, identity: str, holds: Any) -> Json:
    """Wait until the prediction satisfies the condition."""
    shown: Json = {}
    try:
        async with asyncio.timeout(2 * WAIT_SECONDS):
            while True:
                shown = await read(caller, identity)
                if holds(shown):
                    return shown
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"last seen: {shown}") from None


async def ended(caller: httpx.AsyncClient, identity: str) -> Json:
    """Wait until the prediction has ended."""
    return await until(caller, identity, lambda shown: shown["status"] in ENDS)


async def usage(gateway: Running, identity: str) -> Json | None:
    """The usage record of an ended prediction."""
    from mayfly.metering import ledger, records

    async with gateway.gateway.process.database.read() as tx:
        row = await ledger.find_by_id(tx, identity)
        assert row is not None
        bill = await records.bill(tx, row.uid)
        return None if bill is None else dict(vars(bill))
