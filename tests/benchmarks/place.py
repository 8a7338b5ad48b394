"""A namespace of the benchmark's own: made, watched, and taken away with all that is in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from types import TracebackType
from typing import Any, Self

from benchmarks import workload
from benchmarks.sighting import Watch, condition

from mayfly.kube.client import Cluster
from mayfly.kube.errors import NotFound
from mayfly.kube.kinds import NAMESPACES, PIPELINES, PODS, RUNS, RUNTIMES, Kind

Json = dict[str, Any]

JOBS = Kind("batch", "v1", "jobs", "Job")
NODES = Kind("", "v1", "nodes", "Node", namespaced=False)
ACCOUNTS = Kind("", "v1", "serviceaccounts", "ServiceAccount")
BINDINGS = Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
AUDIENCE = "mayfly"

PATIENCE_SECONDS = 120.0
SETTLE_SECONDS = 300.0
CALM_SECONDS = 0.5
READY = condition("Ready")
OURS = "mayfly-"
"""How the names of Mayfly's pods begin; no other of the benchmark's does."""
WAITING = "mayfly-warm-"
ID_LABEL = "mayfly.dev/id"
WARM_LABEL = "mayfly.dev/warm"
RUNS_ANNOTATION = "mayfly.dev/max-active-runs"


class Place:
    """The namespace and the watches on it.

    Attributes:
        runtime: the PipelineRuntime of its runs; bare pods have its image and resources.
        pool: how many pods wait in it; 0: it is not labelled for a pool.
    """

    def __init__(self, cluster: Cluster, runtime: Json, suffix: str = "", pool: int = 0) -> None:
        self.cluster = cluster
        self.runtime = runtime
        self.pool = pool
        self.namespace = f"mayfly-bench-{os.getpid()}{suffix}"
        self.runs = Watch(cluster, RUNS, self.namespace)
        self.pods = Watch(cluster, PODS, self.namespace)
        self.jobs = Watch(cluster, JOBS, self.namespace)

    @property
    def runtime_name(self) -> str:
        """The PipelineRuntime's."""
        return str(self.runtime["metadata"]["name"])

    async def __aenter__(self) -> Self:
        if self.pool:
            body = workload.runtime_with_pool(self.namespace, self.runtime["spec"], self.pool)
            self.runtime = await self.cluster.create(RUNTIMES, None, body)
        labels = {WARM_LABEL: self.runtime_name} if self.pool else {}
        metadata = {"name": self.namespace, "labels": labels}
        try:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
            await self.cluster.create(NAMESPACES, None, body)
            await self._await_account()
            for watch in (self.runs, self.pods, self.jobs):
                await watch.start()
            await self._admit(os.environ.get("MAYFLY_TOKEN", ""))
            for name, source in workload.PIPELINES.items():
                await self.publish(name, source.replace("HERE", self.namespace))
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

    async def publish(self, name: str, source: str) -> None:
        """Create a Pipeline and wait until it has a version that can be run.

        Raises:
            TimeoutError: it gets none.
        """
        await self.create(PIPELINES, workload.pipeline(name, source, self.runtime_name))
        for _ in range(300):
            if READY(await self.cluster.get(PIPELINES, self.namespace, name)):
                return
            await asyncio.sleep(0.1)
        raise TimeoutError(f"the pipeline {name} does not become Ready")

    async def settle(self) -> None:
        """Wait until no run's pod is left and the pool is full, and a moment more.

        Raises:
            TimeoutError: pods stay, or the pool does not fill.
        """
        try:
            await self.pods.until(self._settled, SETTLE_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(
                f"after {SETTLE_SECONDS:.0f} s there wait {len(self._waiting())} of {self.pool} "
                f"pods, and {len(self._mayflies()) - len(self._waiting())} others are there"
            ) from error
        # The kubelet tidies up after a pod that has gone, and after one that has become Ready.
        await asyncio.sleep(CALM_SECONDS)

    def forget(self) -> None:
        """Drop what the watches saw until now."""
        for watch in (self.runs, self.pods, self.jobs):
            watch.forget()

    async def clear(self) -> None:
        """Delete what a scenario that failed has left behind."""
        for kind, watch in ((RUNS, self.runs), (JOBS, self.jobs), (PODS, self.pods)):
            for name in list(watch.current):
                if not name.startswith(OURS):
                    with contextlib.suppress(NotFound):
                        await self.delete(kind, name)

    def _settled(self, _: dict[str, Json]) -> bool:
        return len(self._waiting()) >= self.pool and len(self._mayflies()) == len(self._waiting())

    def _mayflies(self) -> dict[str, Json]:
        return {name: body for name, body in self.pods.current.items() if name.startswith(OURS)}

    def _waiting(self) -> list[Json]:
        """Pods that are ready for a run: one that a run has just taken is still labelled so."""
        taken = {body.get("status", {}).get("podName") for body in self.runs.current.values()}
        return [
            body
            for name, body in self._mayflies().items()
            if body["metadata"]["labels"].get(ID_LABEL) == "waiting"
            and name not in taken
            and READY(body)
        ]

    async def limit_runs(self, number: int | None) -> None:
        """How many runs may have a pod at a time; None: as many as the runtime allows."""
        annotations = {RUNS_ANNOTATION: None if number is None else str(number)}
        patch = {"metadata": {"annotations": annotations}}
        await self.cluster.patch(NAMESPACES, None, self.namespace, patch)

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

    async def _admit(self, token: str) -> None:
        """Let the HTTP API's user call what is in the namespace."""
        if not token:
            return
        user = (await self.cluster.token_review(token, [AUDIENCE])).get("user", {}).get("username")
        subject = {"apiGroup": BINDINGS.group, "kind": "User", "name": user}
        role = {"apiGroup": BINDINGS.group, "kind": "ClusterRole", "name": "edit"}
        body = {
            "apiVersion": BINDINGS.api_version,
            "kind": BINDINGS.name,
            "metadata": {"name": "bench"},
            "subjects": [subject],
            "roleRef": role,
        }
        await self.create(BINDINGS, body)

    async def _leave(self) -> None:
        for watch in (self.runs, self.pods, self.jobs):
            await watch.stop()
        await self._remove(NAMESPACES, self.namespace)
        if self.pool:
            await self._remove(RUNTIMES, self.runtime_name)

    async def _remove(self, kind: Kind, name: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        try:
            await self.cluster.delete(kind, None, name)
            while time.monotonic() < end:
                await self.cluster.get(kind, None, name)
                await asyncio.sleep(0.2)
        except NotFound:
            return
        raise TimeoutError(f"the {kind.name} {name} does not go away")
