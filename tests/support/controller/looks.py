"""A controller's worker in this process, before an API server in memory."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

from support.builders import IMAGE, NOW, runtime
from support.kube_memory import MemoryCluster

from mayfly.api.v1alpha1.identity import version_name
from mayfly.clock import rfc3339_seconds
from mayfly.controller.caches import Caches
from mayfly.controller.capacity import Capacity
from mayfly.controller.execute import Executor
from mayfly.controller.key import Key
from mayfly.controller.metrics import Metrics
from mayfly.controller.pipelines import PipelineWorker
from mayfly.controller.pools import Pools
from mayfly.controller.resolve import Resolver
from mayfly.controller.worker import Worker
from mayfly.kube.kinds import PIPELINES, PODS, RUNS, VERSIONS
from mayfly.reconcile.network import NetworkSettings
from mayfly.reconcile.observed import PodSettings
from mayfly.source_check.checker import SourceChecker
from mayfly.workqueue import WorkQueue

VERSION, OLD = "a" * 64, "b" * 64
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
NO_INPUT = {"components": {"schemas": {"Input": {"type": "object", "properties": {}}}}}
PARENT = {"name": "parent", "uid": "0190163d-8694-739b-aea5-966c26f8ad91"}


class World:
    """A controller's worker before an API server with one pipeline."""

    def __init__(self, *, network_enabled: bool = False) -> None:
        self.cluster: Any = MemoryCluster()
        caches = Caches(runtimes={"default": runtime().body()}, claims_known=True)
        self.capacity, settings = Capacity(caches), PodSettings("https://gateway.test")
        self.now = NOW
        self.metrics = Metrics()
        queue, sources = WorkQueue[Key](lambda: 0.0), SourceChecker()
        self.queue = queue
        network = NetworkSettings(gateway_namespace="mayfly-system", gateway_labels={})
        self.executor = executor = Executor(self.cluster, network, lambda: True)
        resolver = Resolver(self.cluster, caches, sources, depth_limit=250)
        suffixes = (f"{number:010}" for number in count())
        clock = lambda: self.now  # noqa: E731
        self.pools = Pools(
            executor,
            caches,
            self.capacity,
            queue,
            settings,
            self.metrics,
            clock,
            lambda: next(suffixes),
            network_enabled=network_enabled,
        )
        pipelines = PipelineWorker(
            self.cluster, executor, caches, queue, sources, resolver, self.pools, clock
        )
        self.worker = Worker(
            self.cluster,
            executor,
            caches,
            self.capacity,
            queue,
            resolver,
            pipelines,
            self.pools,
            settings,
            self.metrics,
            clock,
            network_enabled=network_enabled,
            horizon_seconds=300,
        )
        self.caches = caches
        source = {"inline": "def main(): ..."}
        status = {"observedGeneration": 1, "latestVersion": VERSION, "conditions": [READY]}
        self._add(PIPELINES, "answer", {"source": source}, status)
        for version in (VERSION, OLD):
            spec = {"id": version, "source": source, "entrypoint": "main.py:main"}
            spec |= {"runtime": "default", "runtimeDigest": IMAGE, "openapiSchema": NO_INPUT}
            self._add(VERSIONS, version_name("answer", version), spec)

    def _add(self, kind: Any, name: str, spec: Any, status: Any = None, uid: str = "") -> Any:
        metadata = {"name": name, "namespace": "team"} | ({"uid": uid} if uid else {})
        metadata["creationTimestamp"] = rfc3339_seconds(NOW)
        body = {"metadata": metadata, "spec": spec}
        return self.cluster.add(kind, body if status is None else body | {"status": status})

    def run(self, name: str, version: str = "", **spec: Any) -> Key:
        """A run that the watch has just told of."""
        ref = {"name": "answer"} | ({"version": version} if version else {})
        key = Key("run", "team", name)
        self.caches.put_run(key, self._add(RUNS, name, {"pipelineRef": ref, **spec}))
        return key

    def parent(self) -> Key:
        """A run that works, of which the watch has told."""
        root = {"name": "parent", "uid": PARENT["uid"]}
        status = {"depth": 1, "rootRef": root, "podUID": "pod", "podName": "pod", "attempt": 1}
        spec, key = {"pipelineRef": {"name": "answer"}}, Key("run", "team", "parent")
        self.caches.put_run(key, self._add(RUNS, "parent", spec, status, uid=PARENT["uid"]))
        return key

    def pipeline_is_cached(self) -> None:
        """The watch has told of the pipeline."""
        body = self.cluster.now(PIPELINES, "team", "answer")
        spec = {**body["spec"], "source": {}}
        self.caches.pipelines["team", "answer"] = {**body, "spec": spec}

    async def reads(self, key: Key) -> Counter[str]:
        """What a look that claims a pod for a run reads."""
        self.cluster.reads.clear()
        self.cluster.writes.clear()
        await self.worker.look(key)
        assert self.cluster.now(RUNS, key.namespace, key.name)["status"]["podUID"]
        assert self.cluster.writes == {("POST", PODS.plural): 1, ("PATCH", RUNS.plural): 1}
        return +self.cluster.reads
