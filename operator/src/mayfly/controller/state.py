"""What the watches have told: unfinished runs, run pods, pipelines, runtimes.

Only what is not finished is here, so that nothing finished costs memory.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mayfly.controller.queue import Key
from mayfly.reconcile.observed import ObservedPod
from mayfly.reconcile.places import Waiting, in_line
from mayfly.reconcile.pods import RUNTIME_ANNOTATION, observed_pod

Json = dict[str, Any]

QUOTA_ANNOTATION = "mayfly.dev/max-active-runs"


@dataclass
class RunPod:
    """A run's pod, as last seen."""

    seen: ObservedPod
    version: int
    runtime: str
    namespace: str


@dataclass
class State:
    """The controller's caches.

    Attributes:
        runs: unfinished runs by key.
        pods: run pods by the run's UID and then by pod name; gone ones stay until the run ends.
        pipelines: without their source.
        runtimes: by name.
        waiting: runs that wait for a pod, by runtime.
        quotas: the most active runs of a namespace, where its annotation says so.
        creating: keys whose pod is being created, by runtime.
        dependents: runs that wait for a pipeline's version.
        networks: namespaces that have their NetworkPolicy.
        pod_refused: what the cluster said when it refused a run's pod.
    """

    runs: dict[Key, Json] = field(default_factory=dict)
    pods: dict[str, dict[str, RunPod]] = field(default_factory=dict)
    pipelines: dict[tuple[str, str], Json] = field(default_factory=dict)
    runtimes: dict[str, Json] = field(default_factory=dict)
    waiting: dict[str, dict[Key, Waiting[Key]]] = field(default_factory=dict)
    quotas: dict[str, int] = field(default_factory=dict)
    creating: dict[Key, str] = field(default_factory=dict)
    dependents: dict[tuple[str, str], set[Key]] = field(default_factory=dict)
    networks: set[str] = field(default_factory=set)
    pod_refused: dict[Key, str] = field(default_factory=dict)

    def put_run(self, key: Key, body: Json) -> None:
        """Take in a run, unless a newer state of it is known."""
        known = self.runs.get(key)
        if known is None or _version(known) <= _version(body):
            self.runs[key] = body

    def forget_run(self, key: Key, uid: str | None) -> None:
        """Drop all that is kept for a run that is finished or gone."""
        self.runs.pop(key, None)
        self.creating.pop(key, None)
        self.pod_refused.pop(key, None)
        self.leave_queue(key)
        for keys in self.dependents.values():
            keys.discard(key)
        if uid is not None:
            self.pods.pop(uid, None)

    def unclaimed_children(self, uid: str) -> list[Key]:
        """The unfinished runs that a run made and that have no pod."""
        return [
            key
            for key, body in self.runs.items()
            if (body["spec"].get("parentRef") or {}).get("uid") == uid
            and not body.get("status", {}).get("podUID")
        ]

    def put_pod(self, body: Json, now: datetime, *, gone: bool = False) -> str | None:
        """Take in a pod's state. Returns the UID of the run that owns it."""
        uid = owner_uid(body)
        if uid is None:
            return None
        name = body["metadata"]["name"]
        known = self.pods.get(uid, {}).get(name)
        version = _version(body)
        same = known is not None and known.seen.uid == body["metadata"]["uid"]
        if known is not None and same and known.version > version:
            return uid
        seen = replace(observed_pod(body), gone=gone)
        if known is not None and same:
            # A listing may miss a pod before the watch has told its last words: they count.
            seen = replace(
                seen,
                gone=gone or known.seen.gone,
                unseen=known.seen.unseen and not gone,
                ever_started=seen.ever_started or known.seen.ever_started,
                noticed=known.seen.noticed,
            )
        if seen.over and seen.noticed is None:
            seen = replace(seen, noticed=now)
        runtime = body["metadata"].get("annotations", {}).get(RUNTIME_ANNOTATION, "")
        self.pods.setdefault(uid, {})[name] = RunPod(
            seen, version, runtime, body["metadata"]["namespace"]
        )
        return uid

    def put_unseen_pod(self, run_uid: str, name: str, uid: str, now: datetime) -> None:
        """Take note that a claimed pod is gone of which nothing has been seen."""
        seen = ObservedPod(name=name, uid=uid, gone=True, unseen=True, noticed=now)
        self.pods.setdefault(run_uid, {})[name] = RunPod(seen, 0, "", "")

    def mark_gone(self, run_uid: str, name: str, now: datetime) -> None:
        """A pod that a listing did not show. It may have started after it was last seen."""
        pod = self.pods[run_uid][name]
        seen = replace(pod.seen, gone=True, unseen=True, noticed=pod.seen.noticed or now)
        self.pods[run_uid][name] = replace(pod, seen=seen)

    def in_use(self, runtime: str) -> int:
        """Pods of a runtime that hold a place, and those that are being made."""
        held = sum(
            1
            for pods in self.pods.values()
            for pod in pods.values()
            if pod.runtime == runtime and not pod.seen.over
        )
        return held + sum(1 for name in self.creating.values() if name == runtime)

    def join_queue(self, runtime: str, key: Key, depth: int, created: str) -> None:
        """The run wants a pod of the runtime."""
        waiting = Waiting(key, key.namespace, depth, created)
        self.waiting.setdefault(runtime, {})[key] = waiting

    def leave_queue(self, key: Key) -> None:
        """The run has its pod, or wants none any more."""
        for queue in self.waiting.values():
            queue.pop(key, None)

    def active(self) -> Counter[str]:
        """Pods that each namespace holds, those that are being made included."""
        held = Counter(
            pod.namespace
            for pods in self.pods.values()
            for pod in pods.values()
            if not pod.seen.over
        )
        held.update(key.namespace for key in self.creating)
        return held

    def in_line(self, runtime: str, limit: int) -> list[Key]:
        """The runs that may have a pod of the runtime now, the next one first."""
        free = limit - self.in_use(runtime)
        waiting = self.waiting.get(runtime, {}).values()
        return in_line(waiting, free, self.active(), self.quotas)

    def why_waits(self, runtime: str, key: Key, limit: int) -> str:
        """Why the run has to wait for its pod; "" when it does not."""
        if key in self.in_line(runtime, limit):
            return ""
        quota = self.quotas.get(key.namespace)
        if quota is not None and self.active()[key.namespace] >= quota:
            return (
                f"Namespace {key.namespace} has as many active runs as its annotation "
                f"{QUOTA_ANNOTATION} allows ({quota})."
            )
        return f'Every pod of runtime "{runtime}" (maxPods {limit}) is in use or has a taker.'


def owner_uid(body: Json) -> str | None:
    """The UID of the PipelineRun that owns an object."""
    for owner in body["metadata"].get("ownerReferences", []):
        if owner["kind"] == "PipelineRun":
            return str(owner["uid"])
    return None


def owner_key(body: Json) -> Key | None:
    """The key of the PipelineRun that owns an object."""
    for owner in body["metadata"].get("ownerReferences", []):
        if owner["kind"] == "PipelineRun":
            return Key("run", body["metadata"]["namespace"], owner["name"])
    return None


def _version(body: Json) -> int:
    return int(body["metadata"]["resourceVersion"])
