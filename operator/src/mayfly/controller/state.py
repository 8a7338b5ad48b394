"""What the watches have told: unfinished runs, run pods, pipelines, runtimes.

Only what is not finished is here, so that nothing finished costs memory.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from mayfly.api.v1alpha1 import PipelineRun
from mayfly.api.v1alpha1.names import (
    BUDGET_MONTHLY,
    DEPTH_LABEL,
    MAX_ACTIVE_RUNS,
    RUNTIME_ANNOTATION,
)
from mayfly.controller.queue import Key
from mayfly.reconcile.budget import needs_budget_check
from mayfly.reconcile.observed import GivesUp, ObservedPod
from mayfly.reconcile.places import STANDSTILL, Places, Waiting, gives_up, in_line
from mayfly.reconcile.pods import observed_pod

logger = logging.getLogger(__name__)

Json = dict[str, Any]

ADVICE = "Raise maxPods of the PipelineRuntime, or call pipelines less deep."


@dataclass
class RunPod:
    """A run's pod, as last seen."""

    seen: ObservedPod
    version: int
    runtime: str
    namespace: str
    depth: int = 1
    run: str = ""


@dataclass(frozen=True)
class Taken:
    """A place whose pod is being created."""

    runtime: str
    depth: int


@dataclass
class State:
    """The controller's caches.

    Attributes:
        runs: unfinished runs by key.
        children: keys of the unfinished runs that a run made, by its UID.
        pods: run pods by the run's UID and then by pod name; gone ones stay until the run ends.
        pipelines: without their source.
        runtimes: by name.
        waiting: runs that wait for a pod, by runtime.
        quotas: the most active runs of a namespace, where its annotation says so.
        budgeted: namespaces with the annotation of a monthly budget.
        creating: keys whose pod is being created, with the place that it takes.
        reserve: how many levels of a chain always find a pod.
        standstill: how long nothing may move before someone gives up.
        still: since when no place was left in a runtime or a namespace, all held by parents.
        dependents: runs that wait for a pipeline's version.
        networks: namespaces that have their NetworkPolicy.
        pod_refused: what the cluster said when it refused a run's pod.
    """

    runs: dict[Key, Json] = field(default_factory=dict)
    children: dict[str, set[Key]] = field(default_factory=dict)
    pods: dict[str, dict[str, RunPod]] = field(default_factory=dict)
    pipelines: dict[tuple[str, str], Json] = field(default_factory=dict)
    runtimes: dict[str, Json] = field(default_factory=dict)
    waiting: dict[str, dict[Key, Waiting[Key]]] = field(default_factory=dict)
    quotas: dict[str, int] = field(default_factory=dict)
    budgeted: set[str] = field(default_factory=set)
    creating: dict[Key, Taken] = field(default_factory=dict)
    dependents: dict[tuple[str, str], set[Key]] = field(default_factory=dict)
    networks: set[str] = field(default_factory=set)
    pod_refused: dict[Key, str] = field(default_factory=dict)
    reserve: int = 0
    standstill: timedelta = STANDSTILL
    still: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def put_run(self, key: Key, body: Json) -> None:
        """Take in a run, unless a newer state of it is known."""
        known = self.runs.get(key)
        if known is None or _version(known) <= _version(body):
            # One of the same name may have been made anew, by another.
            self._disown(key)
            self.runs[key] = body
            if (parent := _parent_uid(body)) is not None:
                self.children.setdefault(parent, set()).add(key)

    def drop_run(self, key: Key) -> None:
        """A run that the watch does not show any more; what else is kept for it stays."""
        self._disown(key)
        self.runs.pop(key, None)

    def _disown(self, key: Key) -> None:
        parent = _parent_uid(self.runs[key]) if key in self.runs else None
        if parent is None:
            return
        siblings = self.children[parent]
        siblings.discard(key)
        if not siblings:
            del self.children[parent]

    def forget_run(self, key: Key, uid: str | None) -> None:
        """Drop all that is kept for a run that is finished or gone."""
        self.drop_run(key)
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
            for key in self.children.get(uid, ())
            if not self.runs[key].get("status", {}).get("podUID")
        ]

    def waits_for_budget(self, run: PipelineRun) -> bool:
        """Whether the gateway must say first that a run's namespace has money left."""
        return needs_budget_check(run, budgeted=run.metadata.namespace in self.budgeted)

    def unclaimed_in(self, namespace: str) -> list[Key]:
        """The unfinished runs of a namespace that have no pod."""
        return [
            key
            for key, body in self.runs.items()
            if key.namespace == namespace and not body.get("status", {}).get("podUID")
        ]

    def put_namespace(self, body: Json, *, gone: bool = False) -> bool:
        """Take in a namespace's quota, and whether it has a budget.

        Returns:
            Whether either is another now.
        """
        name = body["metadata"]["name"]
        before = self.quotas.pop(name, None), name in self.budgeted
        self.budgeted.discard(name)
        annotations = {} if gone else body["metadata"].get("annotations", {})
        text = annotations.get(MAX_ACTIVE_RUNS)
        if text is not None and text.isascii() and text.isdigit():
            self.quotas[name] = int(text)
        elif text is not None:
            logger.warning("%s of namespace %s is no number: %r", MAX_ACTIVE_RUNS, name, text)
        if BUDGET_MONTHLY in annotations:
            self.budgeted.add(name)
        return before != (self.quotas.get(name), name in self.budgeted)

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
            self._freed(pod)
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
        self._freed(pod)

    def _freed(self, pod: RunPod) -> None:
        """A place was left: whoever waits there may wait anew."""
        self.still.pop(("runtime", pod.runtime), None)
        self.still.pop(("namespace", pod.namespace), None)

    def max_pods(self, runtime: str) -> int:
        """The places of a runtime as it is cached; 0 for one that is not."""
        return int(self.runtimes.get(runtime, {}).get("spec", {}).get("maxPods", 0))

    def places(self, runtime: str, limit: int) -> Places:
        """The places of a runtime: those that are held, and those whose pod is being made."""
        held = Counter(
            pod.depth
            for pods in self.pods.values()
            for pod in pods.values()
            if pod.runtime == runtime and not pod.seen.over
        )
        held.update(each.depth for each in self.creating.values() if each.runtime == runtime)
        return Places(limit, held, self.reserve)

    def join_queue(self, runtime: str, key: Key, depth: int, created: str) -> None:
        """The run wants a pod of the runtime."""
        waiting = Waiting(key, key.namespace, depth, created)
        self.waiting.setdefault(runtime, {})[key] = waiting

    def leave_queue(self, key: Key) -> list[str]:
        """The run has its pod, or wants none any more.

        Returns:
            The runtimes that it waited for.
        """
        left = [name for name, queue in self.waiting.items() if key in queue]
        for name in left:
            del self.waiting[name][key]
        return left

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
        waiting = self.waiting.get(runtime, {}).values()
        return in_line(waiting, self.places(runtime, limit), self.active(), self.quotas)

    def why_waits(self, runtime: str, key: Key, limit: int) -> str:
        """Why the run has to wait for its pod; "" when it does not."""
        if key in self.in_line(runtime, limit):
            return ""
        quota = self.quotas.get(key.namespace)
        if quota is not None and self.active()[key.namespace] >= quota:
            return (
                f"Namespace {key.namespace} has as many active runs as its annotation "
                f"{MAX_ACTIVE_RUNS} allows ({quota})."
            )
        return (
            f'Every pod of runtime "{runtime}" (maxPods {limit}) is in use, has a taker, or is '
            f"kept for runs that others wait for."
        )

    # Places that nobody can leave

    def too_long(self, runtime: str, limit: int, key: Key) -> str:
        """Why a run can never have a pod: its own ancestors hold all of them; "" if it may."""
        holders = sum(
            any(pod.runtime == runtime and not pod.seen.over for pod in pods.values())
            for pods in (self.pods.get(uid, {}) for uid in self._above(key))
        )
        if holders < max(limit, 1):
            return ""
        return (
            f'The {holders} runs above this one hold every pod of runtime "{runtime}" (maxPods '
            f"{limit}), and none of them can end before it. {ADVICE}"
        )

    def _above(self, key: Key) -> list[str]:
        """UIDs of the runs that wait for a run: upwards from its parent, to one that has ended."""
        found: list[str] = []
        run = self.runs.get(key)
        while run is not None and (ref := run["spec"].get("parentRef")):
            run = self.runs.get(Key("run", key.namespace, ref["name"]))
            if run is None or run["metadata"]["uid"] != ref["uid"] or _ended(run):
                break
            found.append(ref["uid"])
        return found

    def _each_above(self, waiting: list[Waiting[Key]]) -> dict[Key, list[str]]:
        """The same for many; those of one parent have the same above them."""
        found: dict[str | None, list[str]] = {}
        each_above = {}
        for each in waiting:
            parent = _parent_uid(self.runs[each.key]) if each.key in self.runs else None
            if parent not in found:
                found[parent] = self._above(each.key)
            each_above[each.key] = found[parent]
        return each_above

    def standstills(self, now: datetime) -> dict[Key, GivesUp]:
        """The runs that give up, and when, unless a place is left before that."""
        found: dict[Key, GivesUp] = {}
        # A run that no run made has none above it that could wait for it.
        every = [
            each for queue in self.waiting.values() for each in queue.values() if each.depth > 1
        ]
        for runtime, queue in self.waiting.items():
            limit = self.max_pods(runtime)
            full = bool(every and queue) and self.places(runtime, limit).held.total() >= limit
            holders = self._holders(runtime=runtime) if full else set()
            words = f'Every pod of runtime "{runtime}" (maxPods {limit}) is held by a run'
            self._standstill(("runtime", runtime), every, holders, words, now, found)
        for namespace, quota in self.quotas.items():
            inside = [each for each in every if each.namespace == namespace]
            full = bool(inside) and self.active()[namespace] >= quota
            holders = self._holders(namespace=namespace) if full else set()
            words = (
                f"Namespace {namespace} has as many active runs as its annotation "
                f"{MAX_ACTIVE_RUNS} allows ({quota}), each a run"
            )
            self._standstill(("namespace", namespace), inside, holders, words, now, found)
        return found

    def _standstill(
        self,
        pool: tuple[str, str],
        waiting: list[Waiting[Key]],
        holders: set[str],
        words: str,
        now: datetime,
        found: dict[Key, GivesUp],
    ) -> None:
        above = self._each_above(waiting) if holders else {}
        chosen = gives_up(waiting, above, holders) if holders else None
        if chosen is None:
            self.still.pop(pool, None)
            return
        due = self.still.setdefault(pool, now) + self.standstill
        seconds = f"{self.standstill.total_seconds():g} s"
        why = (
            f"{words} that waits for one below it, and none was freed for {seconds}. "
            f"This run (level {chosen.depth}) was the deepest "
            f"of those that wait. {ADVICE}"
        )
        known = found.get(chosen.key)
        if known is None or due < known.at:
            found[chosen.key] = GivesUp(due, why)

    def _holders(self, runtime: str | None = None, namespace: str | None = None) -> set[str]:
        """UIDs of the runs that hold a place.

        One that has ended or is only coming is told by a word that is no UID: it moves.
        """
        holders = {
            uid if not self._over(pod) else f"ended {uid}"
            for uid, pods in self.pods.items()
            for pod in pods.values()
            if not pod.seen.over
            and runtime in {None, pod.runtime}
            and namespace in {None, pod.namespace}
        }
        holders.update(
            f"coming {key.namespace}/{key.name}"
            for key, each in self.creating.items()
            if runtime in {None, each.runtime} and namespace in {None, key.namespace}
        )
        return holders

    def _over(self, pod: RunPod) -> bool:
        run = self.runs.get(Key("run", pod.namespace, pod.run))
        return run is None or _ended(run)


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


def _parent_uid(run: Json) -> str | None:
    parent = run.get("spec", {}).get("parentRef")
    return str(parent["uid"]) if parent else None


def _ended(run: Json) -> bool:
    conditions = run.get("status", {}).get("conditions", [])
    return any(each["type"] == "Finished" and each["status"] == "True" for each in conditions)


def _version(body: Json) -> int:
    return int(body["metadata"]["resourceVersion"])
