"""Caches of the controller: unfinished runs, run pods, pipelines, runtimes, namespaces.

Only unfinished runs are cached, so that finished ones cost no memory.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from mayfly.api.v1alpha1 import PipelineRun
from mayfly.api.v1alpha1.names import (
    BUDGET_MONTHLY,
    DEPTH_LABEL,
    MAX_ACTIVE_RUNS,
    RUNTIME_ANNOTATION,
    TEMPLATE_ANNOTATION,
    WARM_LABEL,
)
from mayfly.controller.key import Key
from mayfly.controller.waiting import WaitingPods
from mayfly.listeners import Listeners
from mayfly.reconcile.budget import needs_budget_check
from mayfly.reconcile.observed import ObservedPod
from mayfly.reconcile.pod_status import observed_pod
from mayfly.reconcile.warm import WaitingPod

logger = logging.getLogger(__name__)

Json = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class RunPod:
    """A run's pod, as last seen.

    Attributes:
        warm: it waited for a run; another one may have claimed it too.
    """

    seen: ObservedPod
    version: int
    runtime: str
    namespace: str
    depth: int = 1
    run: str = ""
    warm: bool = False


@dataclass(frozen=True)
class Owner:
    """The run that has a pod."""

    uid: str
    key: Key
    depth: int


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
        waiting: pods that wait for runs.
        warm: the runtime of which a namespace wants waiting pods.
        claims: the run that has claimed a pod, by the pod's UID, until it is forgotten.
        claims_known: every unfinished run is known, and so every pod that is claimed.
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
    waiting: WaitingPods = field(default_factory=WaitingPods)
    warm: dict[str, str] = field(default_factory=dict)
    claims: dict[str, Owner] = field(default_factory=dict)
    claims_known: bool = False
    _claimed: dict[Key, set[str]] = field(default_factory=dict)
    departures: Listeners[RunPod] = field(default_factory=Listeners, repr=False, compare=False)

    def knows_run(self, key: Key, body: Json) -> bool:
        """Whether this state of a run, or a newer one, is known: as after a write of our own."""
        known = self.runs.get(key)
        same = known is not None and known["metadata"]["uid"] == body["metadata"]["uid"]
        return same and _version(known or {}) >= _version(body)

    def knows_pod(self, body: Json) -> bool:
        """Whether this state of a run's pod, or a newer one, is known."""
        metadata = body["metadata"]
        owner = self._holder(body)
        known = self.pods.get(owner.uid, {}).get(metadata["name"]) if owner else None
        same = known is not None and known.seen.uid == metadata["uid"]
        return known is not None and same and known.version >= _version(body)

    def put_run(self, key: Key, body: Json) -> None:
        """Update a run, unless a newer state of it is known."""
        known = self.runs.get(key)
        if known is None or _version(known) <= _version(body):
            # An object of the same name may have been created again.
            self._disown(key)
            self.release_claims(key, but=body["metadata"]["uid"])
            self.runs[key] = body
            if (parent := parent_uid(body)) is not None:
                self.children.setdefault(parent, set()).add(key)
            self.note_claim(key, body)

    def note_claim(self, key: Key, body: Json) -> None:
        """Note which pod an unfinished run has claimed; if it was waiting, it is the run's now."""
        status = body.get("status", {})
        pod_uid, name = status.get("podUID"), status.get("podName", "")
        if not pod_uid:
            return
        owner = Owner(body["metadata"]["uid"], key, int(status.get("depth") or 1))
        if self.claims.setdefault(pod_uid, owner).uid != owner.uid:
            return  # by two leaders: the gateway tells one run that it has lost it
        self._claimed.setdefault(key, set()).add(pod_uid)
        pod = self.waiting.take(key.namespace, name, pod_uid)
        if pod is not None:
            self.waiting.spent.add(pod_uid)
            taken = RunPod(
                pod.seen, pod.version, pod.runtime, key.namespace, owner.depth, key.name, warm=True
            )
            self.pods.setdefault(owner.uid, {})[name] = taken

    def release_claims(self, key: Key, but: str = "") -> set[str]:
        """The run of a key is gone: waiting pods that it had claimed are nobody's, and spent.

        Args:
            key: of the run.
            but: the UID of another run that has the name now.

        Returns:
            The runtimes whose pools these pods are of.
        """
        released: set[str] = set()
        for pod_uid in [
            each for each in self._claimed.get(key, ()) if self.claims[each].uid != but
        ]:
            owner = self.claims.pop(pod_uid)
            self._claimed[key].discard(pod_uid)
            for name, pod in list(self.pods.get(owner.uid, {}).items()):
                if pod.seen.uid == pod_uid and pod.seen.waits and not pod.seen.gone:
                    del self.pods[owner.uid][name]
                    begun = pod.seen.started_at or EPOCH
                    left = WaitingPod(pod.seen, pod.runtime, "", begun, pod.version, spent=True)
                    self.waiting.add(key.namespace, left)
                    released.add(pod.runtime)
        if not self._claimed.get(key):
            self._claimed.pop(key, None)
        return released

    def forget_pods(self, key: Key, uid: str) -> None:
        """Drop the pods of a run that is over."""
        self.pods.pop(uid, None)
        for pod_uid in self._claimed.pop(key, ()):
            self.claims.pop(pod_uid, None)

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
            self.forget_pods(key, uid)

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
        """Update a namespace's quota, whether it has a budget, and what waits in it.

        Returns:
            Whether quota or budget have changed.
        """
        name = body["metadata"]["name"]
        runtime = body["metadata"].get("labels", {}).get(WARM_LABEL)
        if runtime and not gone and "deletionTimestamp" not in body["metadata"]:
            self.warm[name] = runtime
        else:
            self.warm.pop(name, None)
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
        """Update a pod. Returns the UID of the run that has it; None if it waits for one."""
        metadata = body["metadata"]
        namespace, name, pod_uid = metadata["namespace"], metadata["name"], metadata["uid"]
        owner = self._holder(body)
        if owner is None:
            if gone:
                self.waiting.remove(namespace, name, pod_uid)
            else:
                self.waiting.put(body)
            return None
        self._disclaim(pod_uid, name, owner)
        self.waiting.take(namespace, name)
        annotations = metadata.get("annotations", {})
        warm = TEMPLATE_ANNOTATION in annotations
        if warm:
            (self.waiting.spent.discard if gone else self.waiting.spent.add)(pod_uid)
        known = self.pods.get(owner.uid, {}).get(name)
        version = _version(body)
        same = known is not None and known.seen.uid == pod_uid
        if known is not None and same and known.version > version:
            return owner.uid
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
        runtime = annotations.get(RUNTIME_ANNOTATION, "")
        pod = RunPod(seen, version, runtime, namespace, owner.depth, owner.key.name, warm)
        self.pods.setdefault(owner.uid, {})[name] = pod
        if seen.over:
            self.departures.tell(pod)
        return owner.uid

    def _holder(self, body: Json) -> Owner | None:
        """The run that owns a pod, or else has claimed it; None if the pod waits for one."""
        return _owner(body) or self.claims.get(body["metadata"]["uid"])

    def _disclaim(self, pod_uid: str, name: str, owner: Owner) -> None:
        """A pod has an owner: another run that has claimed it, too, must not delete it."""
        other = self.claims.get(pod_uid)
        if other is not None and other.uid != owner.uid:
            del self.claims[pod_uid]
            self._claimed[other.key].discard(pod_uid)
            self.pods.get(other.uid, {}).pop(name, None)

    def pools(self, runtime: str = "") -> set[Key]:
        """The pools that should be, or have pods; of one runtime if it is given."""
        found = {Key("pool", namespace, name) for namespace, name in self.warm.items()}
        found |= {Key("pool", namespace, pod.runtime) for namespace, pod in self.waiting}
        return {each for each in found if runtime in {"", each.name}}

    def key_of(self, body: Json) -> Key:
        """What to look at when a pod has changed: the run that has it, or its pool."""
        owner = self._holder(body)
        if owner is not None:
            return owner.key
        metadata = body["metadata"]
        runtime = metadata.get("annotations", {}).get(RUNTIME_ANNOTATION, "")
        return Key("pool", metadata["namespace"], runtime)

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


def _owner(body: Json) -> Owner | None:
    """The PipelineRun that owns a pod."""
    metadata = body["metadata"]
    for owner in metadata.get("ownerReferences", []):
        if owner["kind"] == "PipelineRun":
            depth = int(metadata.get("labels", {}).get(DEPTH_LABEL, "1"))
            key = Key("run", metadata["namespace"], owner["name"])
            return Owner(str(owner["uid"]), key, depth)
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
