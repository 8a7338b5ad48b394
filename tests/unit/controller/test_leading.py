"""A controller acts only while it surely leads: one that stood still may have been replaced."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from support.builders import run, target

from mayfly.controller.execute import Executor
from mayfly.controller.lease import Lease, LeaseSettings
from mayfly.kube.errors import NotFound, Unavailable
from mayfly.reconcile.actions import CreatePod, DeletePod
from mayfly.reconcile.network import NetworkSettings
from mayfly.reconcile.observed import PodSettings
from mayfly.reconcile.pods import pod_for

NETWORK = NetworkSettings(gateway_namespace="mayfly-system", gateway_labels={})


class Server:
    """An API server with one Lease, that notes what it is asked to write.

    Attributes:
        on_read: what happens while it answers a read.
        on_write: what happens while it answers a write.
    """

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.written: list[str] = []
        self.on_read: Callable[[], None] = lambda: None
        self.on_write: Callable[[], None] = lambda: None

    async def get(self, *_: object) -> dict[str, Any]:
        self.on_read()
        if self.lease is None:
            raise NotFound(404, "no lease")
        return self.lease

    async def create(self, kind: Any, _: object, body: dict[str, Any]) -> dict[str, Any]:
        self.written.append(kind.plural)
        if kind.plural == "leases":
            self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": "1"}}
            self.on_write()
        return body

    async def replace(self, kind: Any, _: object, body: dict[str, Any]) -> dict[str, Any]:
        self.written.append(kind.plural)
        self.lease = body
        self.on_write()
        return body

    async def delete(self, kind: Any, *_: object, **__: object) -> None:
        self.written.append(kind.plural)


class Time:
    """A monotonic clock that goes as it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


def candidate(server: Any, time: Time) -> Lease:
    """One that leads for 10 of the Lease's 15 seconds without a word from the API server."""
    return Lease(
        server,
        LeaseSettings("mayfly-system", "mayfly-controller", "a", duration=15.0, renew=0.0),
        lambda: datetime(2026, 1, 1, tzinfo=UTC),
        time,
    )


async def test_an_answer_that_was_long_in_coming_does_not_make_a_leader_lose_what_it_won() -> None:
    """After an API server was away: the read it answers last was asked long before."""
    time, server = Time(), Server()
    lease = candidate(server, time)
    server.on_read = lambda: time.passes(14)
    await lease.acquire()
    assert lease.held
    assert server.written == ["leases"]


async def test_a_write_whose_answer_came_too_late_is_made_again_before_anyone_leads() -> None:
    time, server = Time(), Server()
    lease = candidate(server, time)
    answers = iter((12, 0))
    server.on_write = lambda: time.passes(next(answers))
    await lease.acquire()
    assert lease.held
    assert server.written == ["leases", "leases"]


async def test_a_leader_that_stood_still_touches_nothing_until_it_has_asked_again() -> None:
    time = Time()
    server: Any = Server()
    lease = candidate(server, time)
    executor = Executor(server, NETWORK, lambda: lease.held)
    body = pod_for(run(), target(), 1, PodSettings("https://gateway.test"))
    assert not lease.held
    await lease.acquire()
    assert lease.held
    time.passes(9.9)
    await executor.execute(CreatePod(body))
    assert server.written == ["leases", "pods"]
    time.passes(0.1)  # two thirds of its duration
    for action in (CreatePod(body), DeletePod("team", "pod", "uid")):
        with pytest.raises(Unavailable, match="not the leader"):
            await executor.execute(action)
    assert server.written == ["leases", "pods"]
