"""On which addresses the gateway and the controller listen: real ports, both families."""

import asyncio
import json
import signal
import socket
from pathlib import Path

import httpx
import pytest
from support.gateway.world import World
from support.kube_memory import MemoryCluster
from support.servers.ports import free_port
from support.waiting import looks

from mayfly.clock import monotonic, utc_now
from mayfly.config import ControllerConfig, ModelsConfig
from mayfly.controller.process import Controller
from mayfly.gateway import server
from mayfly.kube.client import Cluster
from mayfly.ports import EVERY, listening

BOTH = {"127.0.0.1", "[::1]"}


def reached(port: int, path: str) -> set[str]:
    """By which addresses of this machine a port answers."""

    def answers(host: str) -> bool:
        try:
            httpx.get(f"http://{host}:{port}{path}", trust_env=False)
        except httpx.ConnectError:
            return False
        return True

    return {host for host in BOTH if answers(host)}


@pytest.mark.parametrize(
    ("host", "kernel_has_ipv6", "by"),
    [
        ("::", True, BOTH),
        ("::", False, {"127.0.0.1"}),
        ("::1", True, {"[::1]"}),
        ("127.0.0.1", True, {"127.0.0.1"}),
        ("127.0.0.1", False, {"127.0.0.1"}),
    ],
)
def test_a_port_is_open_on_every_address_or_the_one_that_is_named(
    monkeypatch, host, kernel_has_ipv6, by
):
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: kernel_has_ipv6)
    with listening(host, 0) as found:
        port = found.getsockname()[1]
        for each in BOTH:
            address = (each.strip("[]"), port)
            if each in by:
                socket.create_connection(address, timeout=5).close()
            else:
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(address, timeout=5)


async def test_every_port_of_a_gateway_is_open_to_both_families(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, f"sqlite:///{tmp_path}/mayfly.db")

    async def connect(_kubeconfig: str | None) -> MemoryCluster:
        return world.cluster

    monkeypatch.setattr(Cluster, "connect", connect)
    (tmp_path / "key").write_bytes(bytes(32))
    ports = {"listen_port": free_port(), "metrics_port": free_port()}
    models = ModelsConfig(callback_port=free_port())
    config = world.config().model_copy(update={"listen_host": EVERY, "models": models, **ports})
    serving = asyncio.create_task(server.serve(config, None))
    async for _ in looks():
        if await asyncio.to_thread(reached, config.listen_port, "/healthz"):
            break
    try:
        assert await asyncio.to_thread(reached, config.listen_port, "/healthz") == BOTH
        assert await asyncio.to_thread(reached, config.metrics_port, "/metrics") == BOTH
        assert await asyncio.to_thread(reached, models.callback_port, "/nothing") == BOTH
        for host in BOTH:
            told = await without_host(host.strip("[]"), config.listen_port)
            assert told["api"] == f"http://{host}:{config.listen_port}/v1"
    finally:
        signal.raise_signal(signal.SIGTERM)
        await serving


async def test_health_and_metrics_of_a_controller_are_open_to_both_families() -> None:
    policy = {"gatewayNamespace": "system", "gatewayPodLabels": {}}
    config = {"gatewayURL": "https://gateway", "networkPolicy": policy, "listenPort": free_port()}
    controller = Controller(
        ControllerConfig.model_validate(config),
        namespace="system",
        identity="controller-0",
        clock=utc_now,
        monotonic=monotonic,
    )
    serving = await controller._serve()
    try:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert await asyncio.to_thread(reached, config["listenPort"], path) == BOTH
    finally:
        await serving.cleanup()


async def without_host(address: str, port: int) -> dict:
    """What an old client reads of `GET /`: it tells no host, so links have the address it used."""
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return json.loads(answer.partition(b"\r\n\r\n")[2])
