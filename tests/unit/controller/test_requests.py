"""What one look at a run asks of the API server: each thing once, and nothing that is known."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
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
from mayfly.controller.resolve import Resolver
from mayfly.controller.worker import Worker
from mayfly.kube.kinds import PIPELINES, PODS, RUNS, VERSIONS
from mayfly.reconcile.network import NetworkSettings
from mayfly.reconcile.observed import PodSettings
from mayfly.source_check import SourceChecker
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

    def __init__(self) -> None:
        self.cluster: Any = MemoryCluster()
        caches = Caches(runtimes={"default": runtime().body()})
        queue, sources = WorkQueue(lambda: 0.0), SourceChecker()
        network = NetworkSettings(gateway_namespace="mayfly-system", gateway_labels={})
        executor = Executor(self.cluster, network, lambda: True)
        resolver = Resolver(self.cluster, caches, sources, depth_limit=250)
        self.worker = Worker(
            self.cluster,
            executor,
            caches,
            Capacity(caches),
            queue,
            resolver,
            PipelineWorker(self.cluster, executor, caches, queue, sources, resolver, lambda: NOW),
            PodSettings("https://gateway.test"),
            Metrics(),
            lambda: NOW,
            network_enabled=False,
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

    def parent(self) -> None:
        root = {"name": "parent", "uid": PARENT["uid"]}
        status = {"depth": 1, "rootRef": root, "podUID": "pod", "podName": "pod", "attempt": 1}
        self._add(RUNS, "parent", {"pipelineRef": {"name": "answer"}}, status, uid=PARENT["uid"])

    async def reads(self, key: Key) -> Counter[str]:
        """What a look that claims a pod for a run reads."""
        self.cluster.reads.clear()
        self.cluster.writes.clear()
        await self.worker.look(key)
        assert self.cluster.now(RUNS, key.namespace, key.name)["status"]["podUID"]
        assert self.cluster.writes == {("POST", PODS.plural): 1, ("PATCH", RUNS.plural): 1}
        return +self.cluster.reads


@pytest.fixture
async def world() -> World:
    return World()


async def test_a_run_costs_two_reads_and_two_writes_to_its_claim(world: World) -> None:
    assert await world.reads(world.run("first")) == {"pipelines": 1, "pipelineversions": 1}
    # A version never changes: it is read once.
    assert await world.reads(world.run("second")) == {"pipelines": 1}


async def test_a_child_reads_its_parent_again_before_the_claim(world: World) -> None:
    world.parent()
    child = world.run("child", parentRef=PARENT)
    assert await world.reads(child) == {"pipelines": 1, "pipelineversions": 1, "pipelineruns": 2}


async def test_a_version_that_may_have_been_removed_is_read_each_time(world: World) -> None:
    for name in ("first", "second"):
        found = await world.reads(world.run(name, version=OLD))
        assert found == {"pipelines": 1, "pipelineversions": 1}


async def test_a_child_whose_parent_is_cancelled_between_pod_and_claim_is_not_claimed(
    world: World,
) -> None:
    world.parent()
    child = world.run("child", parentRef=PARENT)

    def cancel(verb: str, _: Any) -> None:
        if verb == "POST":
            world.cluster.edit(
                RUNS, "team", "parent", lambda body: body["spec"].update(cancel=True)
            )

    world.cluster.on_write = cancel
    await world.worker.look(child)
    status = world.cluster.now(RUNS, "team", "child")["status"]
    assert "podUID" not in status
    assert {each["type"]: each["reason"] for each in status["conditions"]}[
        "Succeeded"
    ] == "Canceled"


async def test_what_a_conflict_showed_to_be_old_is_resolved_anew(world: World) -> None:
    key = world.run("first")

    def touch(verb: str, _: Any) -> None:
        if verb == "POST":
            world.cluster.on_write = None
            world.cluster.edit(
                RUNS, "team", "first", lambda body: body["metadata"].update(labels={"a": "b"})
            )

    world.cluster.on_write = touch
    await world.worker.look(key)
    assert world.cluster.now(RUNS, "team", "first")["status"]["podUID"]
    assert world.cluster.reads["pipelines"] == 2
