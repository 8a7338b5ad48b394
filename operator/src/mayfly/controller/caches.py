"""Caches of the controller: unfinished runs, run pods, pipelines, runtimes, namespaces.

Only unfinished runs are cached, so that finished ones cost no memory.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mayfly.api.v1alpha1 import PipelineRun
from mayfly.api.v1alpha1.names import (
    BUDGET_MONTHLY,
    DEPTH_LABEL,
    MAX_ACTIVE_RUNS,
    RUNTIME_ANNOTATION,
)
from mayfly.controller.key import Key
from mayfly.listeners import Listeners
from mayfly.reconcile.budget import needs_budget_check
from mayfly.reconcile.observed import ObservedPod
from mayfly.reconcile.pods import observed_pod

logger = logging.getLogger(__name__)

Json = dict[str, Any]


@dataclass
class RunPod:
    """A run's pod, as last seen."""

    seen: ObservedPod
    version: int
    runtime: str
    namespace: str
    depth: int = 1
    run: str = ""


@dataclass
class Caches:
    """What the controller's watches and listings have reported.

    Attributes:
        runs: unfinished runs by key.
        children: keys of a run's unfinished children, by its UID.
        pods: run pods by the run's UID and then by pod name; deleted ones stay until the run ends.
        pipelines: without their source.
        runtimes: by name.
        quotas: the maximum of active runs of a namespace, if its annotation sets one.
        budgeted: namespaces with the annotation of a monthly budget.
        dependents: runs that wait for a pipeline's version.
        networks: namespaces that have their NetworkPolicy.
        pod_refused: the cluster's message when it refused a run's pod.
    """

    runs: dict[Key, Json] = field(default_factory=dict)
    children: dict[str, set[Key]] = field(default_factory=dict)
    pods: dict[str, dict[str, RunPod]] = field(default_factory=dict)
    pipelines: dict[tuple[str, str], Json] = field(default_factory=dict)
    runtimes: dict[str, Json] = field(default_factory=dict)
    quotas: dict[str, int] = field(default_factory=dict)
    budgeted: set[str] = field(default_factory=set)
    dependents: dict[tuple[str, str], set[Key]] = field(default_factory=dict)
    networks: set[str] = field(default_factory=set)
    pod_refused: dict[Key, str] = field(default_factory=dict)
    departures: Listeners[RunPod] = field(default_factory=Listeners, repr=False, compare=False)

    def put_run(self, key: Key, body: Json) -> None:
        """Update a run, unless a newer state of it is known."""
        known = self.runs.get(key)
        if known is None or _version(known) <= _version(body):
            # An object of the same name may have been created again.
            self._disown(key)
            self.runs[key] = body
            if (parent := parent_uid(body)) is not None:
                self.children.setdefault(parent, set()).add(key)

    def drop_run(self, key: Key) -> None:
        """Remove a run that has left the watch; other data about it stays."""
        self._disown(key)
        self.runs.pop(key, None)

    def _disown(self, key: Key) -> None:
        parent = parent_uid(self.runs[key]) if key in self.runs else None
        if parent is None:
            return
        siblings = self.children[parent]
        siblings.discard(key)
        if not siblings:
            del self.children[parent]

    def forget_run(self, key: Key, uid: str | None) -> None:
        """Drop everything that is cached for a finished or deleted run."""
        self.drop_run(key)
        self.pod_refused.pop(key, None)
        for keys in self.dependents.values():
            keys.discard(key)
        if uid is not None:
            self.pods.pop(uid, None)

    def unclaimed_children(self, uid: str) -> list[Key]:
        """A run's unfinished children without a pod."""
        return [
            key
            for key in self.children.get(uid, ())
            if not self.runs[key].get("status", {}).get("podUID")
        ]

    def waits_for_budget(self, run: PipelineRun) -> bool:
        """Whether a run waits for the gateway's budget check."""
        return needs_budget_check(run, budgeted=run.metadata.namespace in self.budgeted)

    def unclaimed_in(self, namespace: str) -> list[Key]:
        """The unfinished runs of a namespace without a pod."""
        return [
            key
            for key, body in self.runs.items()
            if key.namespace == namespace and not body.get("status", {}).get("podUID")
        ]

    def put_namespace(self, body: Json, *, gone: bool = False) -> bool:
        """Update a namespace's quota, and whether it has a budget.

        Returns:
            Whether either has changed.
        """
        name = body["metadata"]["name"]
        before = self.quotas.pop(name, None), name in self.budgeted
        self.budgeted.discard(name)
        annotations = {} if gone else body["metadata"].get("annotations", {})
        text = annotations.get(MAX_ACTIVE_RUNS)
        if text is not None and re.fullmatch("[0-9]{1,9}", text):
            self.quotas[name] = int(text)
        elif text is not None:
            logger.warning(
                "%s of namespace %s is not a number of at most nine digits: %r",
                MAX_ACTIVE_RUNS,
                name,
                text[:64],
            )
        if BUDGET_MONTHLY in annotations:
            self.budgeted.add(name)
        return before != (self.quotas.get(name), name in self.budgeted)

    def put_pod(self, body: Json, now: datetime, *, gone: bool = False) -> str | None:
        """Update a pod. Returns the UID of the run that owns it."""
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
            # A listing may lack a pod before the watch has reported its last state, which counts.
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
        depth = int(body["metadata"].get("labels", {}).get(DEPTH_LABEL, "1"))
        owner = owner_key(body)
        pod = RunPod(
            seen,
            version,
            runtime,
            body["metadata"]["namespace"],
            depth,
            owner.name if owner else "",
        )
        self.pods.setdefault(uid, {})[name] = pod
        if seen.over:
            self.departures.tell(pod)
        return uid

    def put_unseen_pod(self, run_uid: str, name: str, uid: str, now: datetime) -> None:
        """Record that a claimed pod is gone whose last state was not seen."""
        seen = ObservedPod(name=name, uid=uid, gone=True, unseen=True, noticed=now)
        self.pods.setdefault(run_uid, {})[name] = RunPod(seen, 0, "", "")

    def mark_gone(self, run_uid: str, name: str, now: datetime) -> None:
        """Record that a listing lacked a pod; it may have started after it was last seen."""
        pod = self.pods[run_uid][name]
        seen = replace(pod.seen, gone=True, unseen=True, noticed=pod.seen.noticed or now)
        self.pods[run_uid][name] = replace(pod, seen=seen)
        self.departures.tell(pod)

    def max_pods(self, runtime: str) -> int:
        """The `maxPods` of a cached runtime; 0 if it is not cached."""
        return int(self.runtimes.get(runtime, {}).get("spec", {}).get("maxPods", 0))


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


def parent_uid(run: Json) -> str | None:
    """The UID of the parent run; None for a root."""
    parent = run.get("spec", {}).get("parentRef")
    return str(parent["uid"]) if parent else None


def is_over(run: Json) -> bool:
    """Whether a run has an end: its condition Finished is True."""
    conditions = run.get("status", {}).get("conditions", [])
    return any(each["type"] == "Finished" and each["status"] == "True" for each in conditions)


def _version(body: Json) -> int:
    return int(body["metadata"]["resourceVersion"])
