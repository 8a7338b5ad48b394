"""Controllers behind a relay that are killed, or held up, at chosen writes."""

from __future__ import annotations

import asyncio

from support.controller.relay import Dropped, Edge, Relay, Write
from support.controller.world import Controllers


class Stage:
    """A controller behind a relay, and where it is killed.

    Attributes:
        points: the write and its edge at which the controller is killed, by namespace.
    """

    def __init__(self, controllers: Controllers, relay: Relay) -> None:
        self.relay = relay
        self.points: dict[str, tuple[str, Edge]] = {}
        self.kills = 0
        self._controllers = controllers
        self._sender: dict[Write, int] = {}
        relay.strike = self._strike
        self._start()

    def _start(self) -> None:
        self._process = self._controllers.start(
            identity="controller", kubeconfig=self.relay.kubeconfig, sweepSeconds=60
        )

    async def _strike(self, write: Write, edge: Edge) -> None:
        self._sender.setdefault(write, self.kills)
        if self.points.get(write.namespace) != (write.what, edge):
            return
        del self.points[write.namespace]
        if self._sender[write] == self.kills:
            # Else it was killed meanwhile, at the point of another run.
            self.kills += 1
            self._process.kill()
            self._process.wait()
            self._start()
        raise Dropped


class Held:
    """Writes that left a controller and have not come to the API server yet.

    Attributes:
        points: the write that is held, by namespace.
    """

    def __init__(self, relay: Relay) -> None:
        self.points: dict[str, str] = {}
        self.writes: list[Write] = []
        self._released: dict[str, asyncio.Event] = {}
        relay.strike = self._strike

    @property
    def namespaces(self) -> set[str]:
        return {write.namespace for write in self.writes}

    async def _strike(self, write: Write, edge: Edge) -> None:
        if edge == "before" and self.points.get(write.namespace) == write.what:
            self.writes.append(write)
            await self._released.setdefault(write.namespace, asyncio.Event()).wait()

    def release(self, namespace: str) -> None:
        """Let the namespace's writes come to the API server."""
        self._released.setdefault(namespace, asyncio.Event()).set()
