"""A namespace of the benchmark's own: made, watched, and taken away with all that is in it."""

from __future__ import annotations

import asyncio
import os
import time
from types import TracebackType
from typing import Any, Self

from benchmarks.sighting import Watch, condition

from mayfly.kube.client import Cluster
from mayfly.kube.errors import NotFound
from mayfly.kube.kinds import NAMESPACES, PIPELINES, PODS, RUNS, Kind

Json = dict[str, Any]

JOBS = Kind("batch", "v1", "jobs", "Job")
NODES = Kind("", "v1", "nodes", "Node", namespaced=False)
ACCOUNTS = Kind("", "v1", "serviceaccounts", "ServiceAccount")

PATIENCE_SECONDS = 120.0
READY = condition("Ready")


class Place:
    """The namespace and the watches on it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.namespace = f"mayfly-bench-{os.getpid()}"
        self.runs = Watch(cluster, RUNS, self.namespace)
        self.pods = Watch(cluster, PODS, self.namespace)
        self.jobs = Watch(cluster, JOBS, self.namespace)

    async def __aenter__(self) -> Self:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        await self.cluster.create(NAMESPACES, None, body)
        try:
            await self._await_account()
            for watch in (self.runs, self.pods, self.jobs):
                await watch.start()
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._leave()

    async def create(self, kind: Kind, body: Json) -> float:
        """Create an object; when that began."""
        began = time.monotonic()
        await self.cluster.create(kind, self.namespace, body)
        return began

    async def delete(self, kind: Kind, name: str) -> None:
        """Delete an object and what it owns."""
        await self.cluster.delete(kind, self.namespace, name)

    async def until_ready(self, pipeline: str) -> None:
        """Wait until a Pipeline has a version that can be run.

        Raises:
            TimeoutError: it gets none.
        """
        for _ in range(300):
            if READY(await self.cluster.get(PIPELINES, self.namespace, pipeline)):
                return
            await asyncio.sleep(0.1)
        raise TimeoutError(f"the pipeline {pipeline} does not become Ready")

    async def _await_account(self) -> None:
        """Pods need the namespace's default account, which comes a moment after it."""
        for _ in range(100):
            try:
                await self.cluster.get(ACCOUNTS, self.namespace, "default")
            except NotFound:
                await asyncio.sleep(0.1)
            else:
                return
        raise TimeoutError("the new namespace gets no ServiceAccount")

    async def _leave(self) -> None:
        for watch in (self.runs, self.pods, self.jobs):
            await watch.stop()
        await self.cluster.delete(NAMESPACES, None, self.namespace)
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            try:
                await self.cluster.get(NAMESPACES, None, self.namespace)
            except NotFound:
                return
            await asyncio.sleep(0.2)
        raise TimeoutError(f"the namespace {self.namespace} does not go away")
