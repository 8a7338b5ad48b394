"""Simulated lives of runs: what people, the kubelet and the gateway do around a controller.

Each actor is asked repeatedly what to do next, and decides from what it sees, so the life continues
wherever a controller left off.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

from support.controller.relay import Relay
from support.controller.world import SOURCE, container, reason

from mayfly.kube.client import Cluster
from mayfly.kube.errors import Conflict, NotFound
from mayfly.kube.kinds import NAMESPACES, PIPELINES, PODS, RUNS, VERSIONS

Json = dict[str, Any]
SECONDS = 240.0
"""Far longer than the longest life takes with a restart at each of its writes."""

STAMP = "2026-01-01T00:00:05Z"
NUMBERS = count(1)


@dataclass
class Scene:
    """One run in its namespace, and what its actors have seen and done.

    Attributes:
        ran: UIDs of the pods whose container was started.
        claimed: UIDs of the pods that the run was claimed for.
        ends: the ends that the run was seen with.
        collected: deletions that were left to the garbage collector.
    """

    cluster: Cluster
    life: Life
    namespace: str
    run: Json | None = None
    pods: dict[str, Json] = field(default_factory=dict)
    ran: set[str] = field(default_factory=set)
    claimed: set[str] = field(default_factory=set)
    ends: set[str] = field(default_factory=set)
    collected: set[str] = field(default_factory=set)

    @property
    def over(self) -> bool:
        return self.run is None and not self.pods

    @property
    def pod(self) -> Json | None:
        """The claimed pod, while it exists."""
        status = (self.run or {}).get("status", {})
        pod = self.pods.get(status.get("podName", ""))
        return pod if pod is not None and pod["metadata"]["uid"] == status["podUID"] else None

    @property
    def ended(self) -> bool:
        return self.run is not None and reason(self.run, "Finished") is not None

    @property
    def running(self) -> bool:
        return self.pod is not None and self.pod["metadata"]["uid"] in self.ran

    def look(self, run: Json | None, pods: list[Json]) -> None:
        self.run = run
        self.pods = {pod["metadata"]["name"]: pod for pod in pods}
        if run is None:
            return
        if uid := run.get("status", {}).get("podUID"):
            self.claimed.add(uid)
        if self.ended:
            self.ends.add(reason(run, "Succeeded") or str(reason(run, "Succeeded", "False")))

    async def write(self, **status: object) -> None:
        """Write the run's status like the gateway: only if it has not changed since it was read."""
        assert self.run is not None
        metadata = self.run["metadata"]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": status}
        await self.cluster.patch_status(RUNS, self.namespace, metadata["name"], patch)

    async def end(self, truth: str, why: str, **conditions: tuple[str, str]) -> None:
        """End the run like the gateway, recorded and finished in one write."""
        assert self.run is not None
        ends = {"Finished": ("True", "Finished"), "Succeeded": (truth, why), **conditions}
        kept = [c for c in self.run["status"]["conditions"] if c["type"] not in ends]
        new = [
            {"type": kind, "status": to, "reason": by, "message": "", "lastTransitionTime": STAMP}
            for kind, (to, by) in ends.items()
        ]
        await self.write(conditions=kept + new, recorded=True, finished=True)
        self.ends.add(why)  # its TTL may take it before the next look

    async def record(self) -> None:
        """Record the controller's end, like the gateway."""
        await self.write(recorded=True, finished=True)

    async def kubelet(self, **status: object) -> None:
        """Write the claimed pod's status."""
        assert self.pod is not None
        name = self.pod["metadata"]["name"]
        metadata = {"uid": self.pod["metadata"]["uid"]}
        await self.cluster.patch_status(
            PODS, self.namespace, name, {"metadata": metadata, "status": status}
        )

    async def collect(self) -> None:
        """Delete what a deleted run owned, like the garbage collector."""
        for name in self.pods:
            self.collected.add(f"DELETE pods of attempt {name.rpartition('-')[2]}")
            with suppress(NotFound):
                await self.cluster.delete(PODS, self.namespace, name, grace_seconds=0)

    async def start(self) -> None:
        """Start the claimed pod's container, like the kubelet."""
        assert self.pod is not None
        self.ran.add(self.pod["metadata"]["uid"])
        state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        await self.kubelet(phase="Running", containerStatuses=[container(state)])


Turn = Callable[[Scene], Awaitable[None]]


async def left_without_a_result(scene: Scene) -> None:
    if scene.ended:
        await scene.record()
    elif scene.running and scene.pod is not None and scene.pod["status"]["phase"] == "Running":
        state = {"exitCode": 137, "reason": "OOMKilled", "startedAt": STAMP, "finishedAt": STAMP}
        statuses = [container({"terminated": state})]
        await scene.kubelet(phase="Failed", containerStatuses=statuses)
    elif scene.pod is not None and not scene.running:
        await scene.start()


async def succeeded(scene: Scene) -> None:
    if scene.running and not scene.ended:
        await scene.end("True", "Succeeded")
    elif scene.pod is not None and not scene.ended:
        await scene.start()


async def cancelled_while_running(scene: Scene) -> None:
    assert scene.run is not None
    if scene.ended:
        return
    if reason(scene.run, "CancelAccepted", "False") == "ClaimsStopped":
        await scene.end("False", "Canceled", CancelAccepted=("True", "CancelAccepted"))
    elif scene.running:
        name = scene.run["metadata"]["name"]
        await scene.cluster.patch(RUNS, scene.namespace, name, {"spec": {"cancel": True}})
    elif scene.pod is not None:
        await scene.start()


async def only_recorded(scene: Scene) -> None:
    if scene.ended:
        await scene.record()


async def first_pod_never_started(scene: Scene) -> None:
    assert scene.run is not None
    if scene.run.get("status", {}).get("attempt") != 1:
        await succeeded(scene)
    elif scene.pod is not None:
        await scene.kubelet(phase="Failed", reason="UnexpectedAdmissionError", message="no disk")


@dataclass(frozen=True)
class Life:
    """How a run lives.

    Attributes:
        turn: what the actors do next, if anything; called repeatedly.
        end: the reason that the user sees.
        spec: of the run, where it differs from the default.
        pipeline: the run is of a Pipeline that is created just before it.
    """

    turn: Turn
    end: str
    spec: Json = field(default_factory=dict)
    pipeline: bool = False

    async def begin(self, cluster: Cluster) -> Scene:
        """Create the run in a namespace of its own."""
        namespace = f"crash-{next(NUMBERS)}"
        await cluster.create(NAMESPACES, None, named("v1", "Namespace", namespace))
        what: Json = {"pipelineSpec": {"source": {"inline": SOURCE}}}
        if self.pipeline:
            pipeline = named("mayfly.dev/v1alpha1", "Pipeline", "p", source={"inline": SOURCE})
            await cluster.create(PIPELINES, namespace, pipeline)
            what = {"pipelineRef": {"name": "p"}}
        spec = {**what, "input": {"name": "a"}, "ttlSecondsAfterFinished": 0, **self.spec}
        run = named("mayfly.dev/v1alpha1", "PipelineRun", "run", **spec)
        return Scene(cluster, self, namespace, await cluster.create(RUNS, namespace, run))


def named(api_version: str, kind: str, name: str, **spec: object) -> Json:
    body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}
    return {**body, "spec": spec} if spec else body


LIVES = {
    "left without a result": Life(left_without_a_result, "OutOfMemory"),
    "of a new pipeline": Life(succeeded, "Succeeded", pipeline=True),
    "cancelled while running": Life(cancelled_while_running, "Canceled"),
    "cancelled before its claim": Life(only_recorded, "Canceled", {"cancel": True}),
    "refused": Life(only_recorded, "Refused", {"input": {}}),
    "its first pod never started": Life(first_pod_never_started, "Succeeded"),
    "never came up": Life(only_recorded, "StartDeadlineExceeded", {"startDeadline": "1s"}),
}


class Audience:
    """Plays the actors around the controllers, for many runs at a time."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def live(self, scenes: list[Scene]) -> None:
        """Play until all runs are gone."""
        await self.play(scenes, lambda: all(scene.over for scene in scenes))

    async def play(self, scenes: list[Scene], until: Callable[[], bool]) -> None:
        """Play until the condition holds."""
        deadline = time.monotonic() + SECONDS
        while not until():
            states = [((s.run or {}).get("status"), list(s.pods)) for s in scenes if not s.over]
            assert time.monotonic() < deadline, f"it does not go on: {states}"
            await self._look(scenes)
            for scene in scenes:
                if scene.run is None:
                    await scene.collect()
                    continue
                try:
                    await scene.life.turn(scene)
                except (Conflict, NotFound):
                    continue  # the controller was faster: look again
            await asyncio.sleep(0.2)

    async def _look(self, scenes: list[Scene]) -> None:
        runs, pods = await self._listed(RUNS), await self._listed(PODS)
        for scene in scenes:
            (run,) = runs.get(scene.namespace) or [None]
            scene.look(run, pods.get(scene.namespace, []))

    async def _listed(self, kind: Any) -> dict[str, list[Json]]:
        found: dict[str, list[Json]] = {}
        for each in (await self.cluster.list(kind))["items"]:
            found.setdefault(each["metadata"]["namespace"], []).append(each)
        return found


def steps(lives: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """The writes of all lives, one by one; the same write after the same one counts once."""
    met: set[tuple[str, str]] = set()
    for name, writes in lives.items():
        for step in pairwise(["", *writes]):
            if step not in met:
                met.add(step)
                yield name, step[1]


def lasting(done: list[str]) -> Counter[str]:
    """The writes, without repeated applies of the NetworkPolicy, which change nothing."""
    return Counter(what for what in done if what != "PATCH networkpolicies")


async def differences(scene: Scene, calm: Scene, where: str, *relays: Relay) -> list[str]:
    """Differences from the undisturbed life that a person could see or pay for."""
    done = lasting([what for relay in relays for what in relay.done(scene.namespace)])
    then = lasting([what for relay in relays for what in relay.done(calm.namespace)])
    versions = (await scene.cluster.list(VERSIONS, scene.namespace))["items"]
    facts = {
        "how it ended": (scene.ends, calm.ends),
        "pods that it was claimed for": (len(scene.claimed), len(calm.claimed)),
        "pods that ran": (len(scene.ran), len(calm.ran)),
        "versions": (len(versions), int(scene.life.pipeline)),
        "done twice or once more": (done - then, Counter()),
        "not done": (then - done - Counter(scene.collected), Counter()),
    }
    found = [f"{where}: {what}: {now}" for what, (now, was) in facts.items() if now != was]
    asked = [what for relay in relays for what in relay.asked(scene.namespace)]
    least = [what for relay in relays for what in relay.asked(calm.namespace)]
    if len(asked) > 2 * len(least) + 2:
        found.append(f"{where}: sent {len(asked)} instead of {len(least)}: {Counter(asked)}")
    return found
