"""The controller's worker: takes keys from the queue and reconciles runs.

One reconcile of a run: gather, plan, execute; repeated until there is nothing to do now.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any

from mayfly.api.v1alpha1 import PipelineRun
from mayfly.api.v1alpha1.identity import pod_name, run_id
from mayfly.clock import Clock
from mayfly.controller.caches import Caches
from mayfly.controller.capacity import Capacity, Taken
from mayfly.controller.execute import Executor, may_pass
from mayfly.controller.key import Key
from mayfly.controller.metrics import Metrics
from mayfly.controller.pipelines import PipelineWorker
from mayfly.controller.pools import Pools
from mayfly.controller.resolve import References, Resolver, tree_finished
from mayfly.kube.client import Cluster, find_object
from mayfly.kube.errors import Conflict, KubeError, NotFound, Refused, Unavailable
from mayfly.kube.kinds import PODS, RUNS
from mayfly.reconcile import network
from mayfly.reconcile.actions import (
    Action,
    AdoptPod,
    CreatePod,
    EnsureNetworkPolicy,
    Plan,
    WriteRunStatus,
)
from mayfly.reconcile.deadlines import ttl_due
from mayfly.reconcile.lineage import reaches_children
from mayfly.reconcile.observed import (
    GivesUp,
    ObservedPod,
    ObservedRun,
    Place,
    PodSettings,
    Resolution,
    Target,
)
from mayfly.reconcile.run import plan_run
from mayfly.workqueue import WorkQueue

Json = dict[str, Any]

STEPS = 6
"""Maximum number of steps per reconcile. More means that something is wrong."""


class Worker:
    """Reconciles keys. Several tasks may share one worker; the queue gives each key to one task."""

    def __init__(
        self,
        cluster: Cluster,
        executor: Executor,
        caches: Caches,
        capacity: Capacity,
        queue: WorkQueue[Key],
        resolver: Resolver,
        pipelines: PipelineWorker,
        pools: Pools,
        pods: PodSettings,
        metrics: Metrics,
        clock: Clock,
        *,
        network_enabled: bool,
        horizon_seconds: float,
    ) -> None:
        self._cluster = cluster
        self._executor = executor
        self._caches = caches
        self._capacity = capacity
        self._queue = queue
        self._resolver = resolver
        self._pipelines = pipelines
        self._pools = pools
        self._pods = pods
        self._metrics = metrics
        self._clock = clock
        self._network_enabled = network_enabled
        self._horizon = horizon_seconds

    async def look(self, key: Key) -> None:
        """Reconcile a key: do everything that can be done for it now.

        Raises:
            KubeError: the API server did not do what was asked; a conflict passes.
        """
        match key.subject:
            case "run":
                await self._look_at_run(key)
            case "pipeline":
                await self._pipelines.look_at_pipeline(key)
            case "runtime":
                await self._pipelines.look_at_runtime(key)
            case "model":
                await self._pipelines.look_at_model(key)
            case "pool":
                await self._pools.look(key)

    # Runs

    async def _look_at_run(self, key: Key) -> None:
        fresh = key not in self._caches.runs
        target: Target | None = None
        for _ in range(STEPS):
            body = await self._read_run(key, live=fresh)
            if body is None:
                return
            run = PipelineRun.model_validate(body)
            seen = await self._gather(key, run, target)
            target = seen.resolution if isinstance(seen.resolution, Target) else None
            plan = plan_run(seen)
            self._reserve(key, plan, seen)
            try:
                again = await self._carry_out(key, plan)
                fresh = False
                self._executor.tell(plan.events)
            except Conflict:
                again = fresh = True
                target = None
            finally:
                self._capacity.creating.pop(key, None)
            if not again:
                self._pools.release(key)
                self._wake(key, plan, seen.now)
                self._wake_children(run)
                if run.status.finished and not plan.actions:
                    self._forget(key, run.metadata.uid)
                return
        raise Unavailable(0, f"{key.namespace}/{key.name} did not settle in {STEPS} steps")

    async def _read_run(self, key: Key, *, live: bool) -> Json | None:
        known = self._caches.runs.get(key)
        if known is not None and not live:
            return known
        body = await find_object(self._cluster, RUNS, key.namespace, key.name)
        if body is None:
            self._forget(key, known["metadata"]["uid"] if known else None)
            return None
        if not body.get("status", {}).get("finished"):
            self._caches.put_run(key, body)
        return body

    async def _gather(self, key: Key, run: PipelineRun, known: Target | None) -> ObservedRun:
        """Gather everything that decides the next step of a run.

        Args:
            key: of the run.
            run: the run as it was read.
            known: its references as resolved earlier in this reconcile: the pod that was created
                for them is the one to claim. The parent is looked at again: it may have been
                cancelled.
        """
        pods = self._caches.pods.get(run.metadata.uid, {})
        claimed = await self._claimed_pod(run)
        next_name = pod_name(run_id(run.metadata.uid), (run.status.attempt or 0) + 1)
        coming = pods.get(next_name)
        next_pod = coming.seen if coming is not None and not coming.seen.gone else None
        tree_finished = await self._tree_finished(run)
        resolution: Resolution | None = None
        place: Place | None = None
        over = claimed is None or claimed.over
        if run.status.ended:
            self._leave_queue(key)
        elif over:
            place, resolution = await self._resolve(key, run, known)
            if isinstance(resolution, Target) and not self._caches.waits_for_budget(run):
                resolution = self._with_place(key, run, resolution, next_pod)
                if next_pod is None and not resolution.waits:
                    next_pod = self._pools.take(key, resolution.runtime)
        return ObservedRun(
            run=run,
            now=self._clock(),
            pods=self._pods,
            pod=claimed,
            next_pod=next_pod,
            strays=tuple(
                pod.seen
                for name, pod in pods.items()
                if name != next_name
                and pod.seen.uid != run.status.pod_uid
                and not pod.seen.gone
                # A pod that waited may have another run, by whose claim this one was lost.
                and (pod.seen.over or not pod.warm)
            ),
            resolution=resolution,
            place=place,
            tree_finished=tree_finished,
            network_ready=not self._network_enabled
            or (run.metadata.namespace or "") in self._caches.networks,
            pod_refused=self._caches.pod_refused.pop(key, ""),
            waits_for_budget=self._caches.waits_for_budget(run),
        )

    async def _resolve(
        self, key: Key, run: PipelineRun, known: Target | None
    ) -> tuple[Place | None, Resolution | None]:
        """A run's place in its tree, and what it names; both are asked for at once."""
        if known is not None or run.spec.cancel:
            found = await self._resolver.lineage(run)
            return found.place, found.problem or (known if not run.spec.cancel else None)
        found, named = await asyncio.gather(
            self._resolver.lineage(run), self._resolver.resolve(key, run)
        )
        if found.place is None or found.problem is not None:
            return found.place, found.problem
        return found.place, named.at(found.place) if isinstance(named, References) else named

    async def _claimed_pod(self, run: PipelineRun) -> ObservedPod | None:
        """The claimed pod: from the watch, otherwise from the API server, otherwise gone unseen."""
        name, uid = run.status.pod_name, run.status.pod_uid
        if name is None or uid is None:
            return None
        known = self._caches.pods.get(run.metadata.uid, {}).get(name)
        if known is not None and known.seen.uid == uid:
            return known.seen
        if run.status.finished:
            return None
        body = await find_object(self._cluster, PODS, run.metadata.namespace, name)
        if body is not None and body["metadata"]["uid"] == uid:
            self._caches.put_pod(body, self._clock())
        else:
            self._caches.put_unseen_pod(run.metadata.uid, name, uid, self._clock())
        found = self._caches.pods.get(run.metadata.uid, {}).get(name)
        return found.seen if found is not None else None  # None if it is another run's by now

    def _with_place(
        self, key: Key, run: PipelineRun, target: Target, next_pod: ObservedPod | None
    ) -> Target:
        """The target, and whether there is a place for the run's pod.

        There is no await from here to `_reserve`, so no other worker takes the same place.
        """
        name = target.runtime.metadata.name
        if next_pod is not None:
            return replace(target, waits="", gives_up=None)
        created = run.metadata.creation_timestamp or ""
        self._capacity.join_queue(name, key, target.depth, created)
        limit = target.runtime.spec.max_pods
        waits = self._capacity.why_waits(name, key, limit)
        return replace(target, waits=waits, gives_up=self._gives_up(key, name, limit, waits))

    def _gives_up(self, key: Key, runtime: str, limit: int, waits: str) -> GivesUp | None:
        """Until when the run waits in a deadlock; also queues the others that give up then."""
        if not waits:
            return None
        now = self._clock()
        why = self._capacity.too_long(runtime, limit, key)
        if why:
            return GivesUp(now, why)
        return self._watch_standstills(now).get(key)

    def _watch_standstills(self, now: datetime) -> dict[Key, GivesUp]:
        found = self._capacity.standstills(now)
        for other, each in found.items():
            self._queue.add_after(other, (each.at - now).total_seconds())
        return found

    def _forget(self, key: Key, uid: str | None) -> None:
        """Drop everything that is cached for a finished or deleted run."""
        self._caches.forget_run(key, uid)
        self._capacity.forget(key)
        self._pools.release(key)
        for runtime in self._caches.release_claims(key):
            self._queue.add(Key("pool", key.namespace, runtime))

    def _leave_queue(self, key: Key) -> None:
        """Remove a run that ended without a pod from the queue."""
        for name in self._capacity.leave_queue(key):
            for other in self._capacity.in_line(name, self._caches.max_pods(name)):
                self._queue.add(other)
            self._watch_standstills(self._clock())

    def _reserve(self, key: Key, plan: Plan, seen: ObservedRun) -> None:
        target = seen.resolution
        makes_pod = any(isinstance(action, CreatePod) for action in plan.actions)
        waited = seen.next_pod is not None and seen.next_pod.waits
        if isinstance(target, Target) and (makes_pod or waited):
            self._capacity.creating[key] = Taken(target.runtime.metadata.name, target.depth)

    async def _tree_finished(self, run: PipelineRun) -> bool:
        """Whether nothing below a root is unfinished; asked only once its TTL may be due."""
        due = ttl_due(run)
        if due is None or self._clock() < due:
            return True
        return await tree_finished(self._cluster, run)

    async def _carry_out(self, key: Key, plan: Plan) -> bool:
        """Execute the plan. Returns whether the run needs another step now."""
        again = False
        for action in plan.actions:
            try:
                left = await self._counted(key, action)
            except NotFound as error:
                if isinstance(action, CreatePod):
                    return False  # the namespace is gone, and the run with it
                # The run is gone, or what it is in: the cache is as old as after a conflict.
                raise Conflict(error.status, error.message) from error
            except (Refused, Unavailable) as error:
                words = self._why_no_pod(key, action, error)
                if not words:
                    raise
                self._caches.pod_refused[key] = words
                return True
            again = self._learn(key, action, left) or again
        return again

    def _why_no_pod(self, key: Key, action: Action, error: KubeError) -> str:
        """The cluster's words if it makes no pod for a run, or not what the pod needs; else ""."""
        if not isinstance(action, CreatePod | EnsureNetworkPolicy):
            return ""
        if may_pass(error, self._queue.failures(key)):
            return ""
        if isinstance(action, EnsureNetworkPolicy):
            return f"its namespace's NetworkPolicy {network.NAME} can't be made: {error.message}"
        return error.message

    async def _counted(self, key: Key, action: Action) -> Json | None:
        """Execute an action, and count it if it claims a pod for the run."""
        known = (self._caches.runs.get(key) or {}).get("status", {}).get("podUID")
        if not isinstance(action, WriteRunStatus) or action.status.pod_uid in {None, known}:
            return await self._executor.execute(action)
        try:
            left = await self._executor.execute(action)
        except KubeError as error:
            self._metrics.claims.of(error.word).inc()
            raise
        self._metrics.claimed(left or {}, self._clock())
        if left is not None:
            self._caches.put_run(key, left)
            pods = self._caches.pods.get(left["metadata"]["uid"], {})
            pod = pods.get(left["status"].get("podName", ""))
            if pod is not None:
                self._pools.arrived(key, pod.runtime, hit=pod.warm)
        return left

    def _learn(self, key: Key, action: Action, left: Json | None) -> bool:
        """Cache the result of an action. Returns whether the next step can be planned at once."""
        match action:
            case CreatePod():
                if left is not None:
                    self._caches.put_pod(left, self._clock())
                self._capacity.leave_queue(key)
                return True
            case WriteRunStatus() if left is not None:
                self._caches.put_run(key, left)
                if left.get("status", {}).get("podUID"):
                    self._capacity.leave_queue(key)
                return True
            case AdoptPod() if left is not None:
                self._caches.put_pod(left, self._clock())
            case EnsureNetworkPolicy(namespace):
                self._caches.networks.add(namespace)
            case _:
                pass
        return False

    def _wake(self, key: Key, plan: Plan, now: datetime) -> None:
        """Schedule the plan's next look, unless a sweep comes first."""
        if plan.wake is None:
            return
        pause = (plan.wake - now).total_seconds()
        unfinished = key in self._caches.runs
        if unfinished or pause <= self._horizon:
            self._queue.add_after(key, pause)

    def _wake_children(self, run: PipelineRun) -> None:
        """Queue the children of a cancelled run that wait for a pod."""
        if reaches_children(run):
            for child in self._caches.unclaimed_children(run.metadata.uid):
                self._queue.add(child)
