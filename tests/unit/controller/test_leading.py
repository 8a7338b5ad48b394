"""A controller acts only while it surely leads: one that stood still may have been replaced."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from support.builders import run, target

from mayfly.kube.errors import NotFound, Unavailable
from mayfly.kube.execute import Executor
from mayfly.kube.lease import Lease, LeaseSettings
from mayfly.reconcile.actions import CreatePod, DeletePod
from mayfly.reconcile.network import NetworkSettings
from mayfly.reconcile.observed import PodSettings
from mayfly.reconcile.pods import pod_for

NETWORK = NetworkSettings(gateway_namespace="mayfly-system", gateway_labels={})


class Server:
    """An API server with one Lease, that notes what it is asked to write."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.written: list[str] = []

    async def get(self, *_: object) -> dict[str, Any]:
        if self.lease is None:
            raise NotFound(404, "no lease")
        return self.lease

    async def create(self, kind: Any, _: object, body: dict[str, Any]) -> dict[str, Any]:
        self.written.append(kind.plural)
        if kind.plural == "leases":
            self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": "1"}}
        return body

    async def delete(self, kind: Any, *_: object, **__: object) -> None:
        self.written.append(kind.plural)


async def test_a_leader_that_stood_still_touches_nothing_until_it_has_asked_again() -> None:
    now = 100.0
    server: Any = Server()
    lease = Lease(
        server,
        LeaseSettings("mayfly-system", "mayfly-controller", "a", duration=15.0),
        lambda: datetime(2026, 1, 1, tzinfo=UTC),
        lambda: now,
    )
    executor = Executor(server, NETWORK, lambda: lease.held)
    body = pod_for(run(), target(), 1, PodSettings("https://gateway.test"))
    assert not lease.held
    await lease.acquire()
    assert lease.held
    now += 9.9
    await executor.execute(CreatePod(body))
    assert server.written == ["leases", "pods"]
    now += 0.1  # two thirds of its duration
    for action in (CreatePod(body), DeletePod("team", "pod", "uid")):
        with pytest.raises(Unavailable, match="does not lead"):
            await executor.execute(action)
    assert server.written == ["leases", "pods"]
