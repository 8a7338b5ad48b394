"""Capacity: which runs hold a place, which wait for one, and which must give up.

A place is a pod of a runtime, limited by its `maxPods`, or an active run of a namespace, limited by
its annotation. The order and the rules are in `reconcile.places`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mayfly.api.v1alpha1.names import MAX_ACTIVE_RUNS
from mayfly.controller.caches import Caches, RunPod, is_over, parent_uid
from mayfly.controller.key import Key
from mayfly.reconcile.observed import GivesUp
from mayfly.reconcile.places import STANDSTILL, Places, Waiting, gives_up, in_line

ADVICE = "Raise maxPods of the PipelineRuntime, or nest pipelines less deeply."


@dataclass(frozen=True)
class Taken:
    """A place whose pod is being created."""

    runtime: str
    depth: int


@dataclass
class Capacity:
    """The places of runtimes and namespaces, and the runs that wait for one.

    Attributes:
        caches: the known runs and pods.
        reserve: for how many levels of a chain a pod is guaranteed.
        standstill: how long a deadlock may last before a run gives up.
        waiting: runs that wait for a pod, by runtime.
        creating: keys whose pod is being created, with its place.
        still: since when a runtime or a namespace is deadlocked: parents hold all its places.
    """

    caches: Caches
    reserve: int = 0
    standstill: timedelta = STANDSTILL
    waiting: dict[str, dict[Key, Waiting[Key]]] = field(default_factory=dict)
    creating: dict[Key, Taken] = field(default_factory=dict)
    still: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.caches.departures.listen(self._freed)

    def _freed(self, pod: RunPod) -> None:
        """A place was freed: the deadlock is over."""
        self.still.pop(("runtime", pod.runtime), None)
        self.still.pop(("namespace", pod.namespace), None)

    def forget(self, key: Key) -> None:
        """Forget a run that is finished or deleted."""
        self.creating.pop(key, None)
        self.leave_queue(key)

    def join_queue(self, runtime: str, key: Key, depth: int, created: str) -> None:
        """Queue a run for a pod of the runtime."""
        waiting = Waiting(key, key.namespace, depth, created)
        self.waiting.setdefault(runtime, {})[key] = waiting

    def leave_queue(self, key: Key) -> list[str]:
        """Remove a run from the queues: it has its pod, or does not need one any more.

        Returns:
            The runtimes that it waited for.
        """
        left = [name for name, queue in self.waiting.items() if key in queue]
        for name in left:
            del self.waiting[name][key]
        return left

    def places(self, runtime: str, limit: int) -> Places:
        """The places of a runtime that are held, including those whose pod is being created."""
        held = Counter(
            pod.depth
            for pods in self.caches.pods.values()
            for pod in pods.values()
            if pod.runtime == runtime and not pod.seen.over
        )
        held.update(each.depth for each in self.creating.values() if each.runtime == runtime)
        return Places(limit, held, self.reserve)

    def active(self) -> Counter[str]:
        """The pods of each namespace, including those that are being created."""
        held = Counter(
            pod.namespace
            for pods in self.caches.pods.values()
            for pod in pods.values()
            if not pod.seen.over
        )
        held.update(key.namespace for key in self.creating)
        return held

    def in_line(self, runtime: str, limit: int) -> list[Key]:
        """The runs that may get a pod of the runtime now, in order."""
        waiting = self.waiting.get(runtime, {}).values()
        return in_line(waiting, self.places(runtime, limit), self.active(), self.caches.quotas)

    def why_waits(self, runtime: str, key: Key, limit: int) -> str:
        """Why the run has to wait for its pod, as a sentence; "" if it does not."""
        if key in self.in_line(runtime, limit):
            return ""
        quota = self.caches.quotas.get(key.namespace)
        if quota is not None and self.active()[key.namespace] >= quota:
            return (
                f"Namespace {key.namespace} has as many active runs as its annotation "
                f"{MAX_ACTIVE_RUNS} allows ({quota})."
            )
        return (
            f'Every pod of runtime "{runtime}" (maxPods {limit}) is in use, is assigned, or is '
            f"kept for runs that others wait for."
        )

    def too_long(self, runtime: str, limit: int, key: Key) -> str:
        """Why a run can never get a pod: its own ancestors hold all of them; "" if it can."""
        holders = sum(
            any(pod.runtime == runtime and not pod.seen.over for pod in pods.values())
            for pods in (self.caches.pods.get(uid, {}) for uid in self._above(key))
        )
        if holders < max(limit, 1):
            return ""
        return (
            f'The {holders} runs above this one hold every pod of runtime "{runtime}" (maxPods '
            f"{limit}), and none of them can end before it. {ADVICE}"
        )

    def _above(self, key: Key) -> list[str]:
        """UIDs of the ancestors that wait for a run, from its parent upwards."""
        found: list[str] = []
        run = self.caches.runs.get(key)
        while run is not None and (ref := run["spec"].get("parentRef")):
            run = self.caches.runs.get(Key("run", key.namespace, ref["name"]))
            if run is None or run["metadata"]["uid"] != ref["uid"] or is_over(run):
                break
            found.append(ref["uid"])
        return found

    def _each_above(self, waiting: list[Waiting[Key]]) -> dict[Key, list[str]]:
        """The same for many runs; siblings have the same ancestors."""
        found: dict[str | None, list[str]] = {}
        each_above = {}
        for each in waiting:
            parent = (
                parent_uid(self.caches.runs[each.key]) if each.key in self.caches.runs else None
            )
            if parent not in found:
                found[parent] = self._above(each.key)
            each_above[each.key] = found[parent]
        return each_above

    def standstills(self, now: datetime) -> dict[Key, GivesUp]:
        """The runs that give up, and when, unless a place is freed before."""
        found: dict[Key, GivesUp] = {}
        # A run that no run made has none above it that could wait for it.
        every = [
            each for queue in self.waiting.values() for each in queue.values() if each.depth > 1
        ]
        for runtime, queue in self.waiting.items():
            limit = self.caches.max_pods(runtime)
            full = bool(every and queue) and self.places(runtime, limit).held.total() >= limit
            holders = self._holders(runtime=runtime) if full else set()
            words = f'Every pod of runtime "{runtime}" (maxPods {limit}) is held by a run'
            self._standstill(("runtime", runtime), every, holders, words, now, found)
        for namespace, quota in self.caches.quotas.items():
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
            f"{words} that waits for a run below it, and no pod was freed for {seconds}. "
            f"This run (level {chosen.depth}) was the deepest "
            f"one waiting. {ADVICE}"
        )
        known = found.get(chosen.key)
        if known is None or due < known.at:
            found[chosen.key] = GivesUp(due, why)

    def _holders(self, runtime: str | None = None, namespace: str | None = None) -> set[str]:
        """UIDs of the runs that hold a place.

        A pod that has ended, or is being created, is listed under a word that is not a UID: it is
        not a deadlock.
        """
        holders = {
            uid if not self._over(pod) else f"ended {uid}"
            for uid, pods in self.caches.pods.items()
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
        run = self.caches.runs.get(Key("run", pod.namespace, pod.run))
        return run is None or is_over(run)
