"""Pools of waiting pods: gives them to runs, and keeps as many as are wanted.

What is wanted is decided in `reconcile.warm`. Nothing here outlives the process: the pods that wait
are found again by their label, and those that are claimed by the runs that name them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from mayfly.api.v1alpha1 import PipelineRuntime, Reason, WarmStatus
from mayfly.api.v1alpha1.identity import crockford
from mayfly.clock import Clock
from mayfly.controller.caches import Caches, RunPod
from mayfly.controller.capacity import Capacity
from mayfly.controller.execute import Executor, may_pass
from mayfly.controller.key import Key
from mayfly.controller.metrics import Metrics
from mayfly.controller.metrics import Pools as Counts
from mayfly.kube.errors import KubeError, NotFound, Refused, Unavailable
from mayfly.reconcile.actions import Action, CreatePod, EnsureNetworkPolicy
from mayfly.reconcile.observed import Failure, ObservedPod, PodSettings
from mayfly.reconcile.pods import waiting_name
from mayfly.reconcile.warm import (
    BOOTS_AT_ONCE,
    Arrivals,
    Boots,
    ObservedPool,
    WaitingPod,
    plan_pool,
    usable,
)
from mayfly.workqueue import WorkQueue

LOOK_SECONDS = 0.1
"""A pool that has changed is looked at so much later: runs that get pods at once go first."""

STATUS_SECONDS = 5.0
"""A runtime's status tells of its pools at most this often: each time is a write."""


def new_suffix() -> str:
    """Ten random characters for a pod's name."""
    return crockford(secrets.randbits(128))[-10:]


@dataclass
class Pool:
    """What is known of a pool besides its pods."""

    arrivals: Arrivals = field(default_factory=Arrivals)
    boots: Boots = field(default_factory=Boots)
    surplus_since: datetime | None = None
    names: list[str] = field(default_factory=list)
    trouble: Failure | None = None

    @property
    def short(self) -> Failure | None:
        """Why it is short of pods: we fail at it, or its pods' boots fail; None if it is not."""
        return self.trouble or self.boots.told


class Pools:
    """All pools, by namespace and runtime."""

    def __init__(
        self,
        executor: Executor,
        caches: Caches,
        capacity: Capacity,
        queue: WorkQueue[Key],
        settings: PodSettings,
        metrics: Metrics,
        clock: Clock,
        new_suffix: Callable[[], str],
        *,
        network_enabled: bool,
    ) -> None:
        self._executor = executor
        self._caches = caches
        self._capacity = capacity
        self._queue = queue
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._new_suffix = new_suffix
        self._network_enabled = network_enabled
        self._pools: dict[tuple[str, str], Pool] = {}
        self._promised: dict[Key, str] = {}
        caches.waiting.booted.listen(self._booted)
        caches.waiting.changed.listen(self._changed)
        caches.departures.listen(self._departed)

    # -- for runs --------------------------------------------------------------------------------

    def take(self, key: Key, runtime: PipelineRuntime) -> ObservedPod | None:
        """A waiting pod for a run to claim, promised to it until `release`; None if there is none.

        There is no await between the choice and the promise, so no other run gets the same one.
        """
        name = runtime.metadata.name
        if self._caches.warm.get(key.namespace) != name or not self._caches.claims_known:
            return None
        fit = usable(self._caches.waiting.pool(key.namespace, name), runtime, self._settings)
        mine, taken = self._promised.get(key), set(self._promised.values())
        kept = (pod for pod in fit if pod.seen.uid == mine)
        free = (pod for pod in fit if pod.seen.uid not in taken)
        pod = next(kept, None) or next(free, None)
        if pod is None:
            return None
        self._promised[key] = pod.seen.uid
        return pod.seen

    def release(self, key: Key) -> None:
        """The run has claimed the pod that was promised to it, or will not."""
        self._promised.pop(key, None)

    def arrived(self, key: Key, runtime: str, *, hit: bool) -> None:
        """A run has got its pod, from the pool or not: the pool may have to grow."""
        if self._caches.warm.get(key.namespace) != runtime:
            return
        pool = self._pool(key.namespace, runtime)
        pool.arrivals = pool.arrivals.one_more(self._clock())
        self._metrics.claimed_from_pool(hit=hit)
        self._changed(key.namespace, runtime)

    # -- the pools -------------------------------------------------------------------------------

    async def look(self, key: Key) -> None:
        """Do what is to be done for a pool now; nothing before it is known which pods are claimed.

        Raises:
            KubeError: the API server did not do what was asked.
        """
        if not self._caches.claims_known:
            return  # the sweep calls again
        pool = self._pool(key.namespace, key.name)
        seen = self._observe(key, pool)
        plan = plan_pool(seen)
        pool.surplus_since = plan.surplus_since
        for failure in plan.failed:
            self._failed(pool, failure)
        for action in plan.actions:
            if not await self._execute(key, pool, action):
                break
        if plan.wake is not None:
            self._queue.add_after(key, (plan.wake - seen.now).total_seconds())
        if plan.actions or pool.trouble:
            self._queue.add_after(Key("runtime", "", key.name), STATUS_SECONDS)
        pool.trouble = None
        if not seen.pods and not seen.most:
            self._pools.pop((key.namespace, key.name), None)

    def in_trouble(self, key: Key, words: str) -> None:
        """The controller itself fails at a pool, and its runtime is to say so."""
        self._pool(key.namespace, key.name).trouble = Failure(Reason.INTERNAL_ERROR, words)
        self._queue.add_after(Key("runtime", "", key.name), STATUS_SECONDS)

    async def _execute(self, key: Key, pool: Pool, action: Action) -> bool:
        """Execute an action of a plan. Returns whether to go on with the next."""
        try:
            left = await self._executor.execute(action)
        except NotFound:
            return False  # the namespace is gone
        except (Refused, Unavailable) as error:
            makes = isinstance(action, CreatePod | EnsureNetworkPolicy)
            if not makes or may_pass(error, self._queue.failures(key)):
                raise
            self._failed(pool, _refusal(error))
            self._queue.add(key)
            return False
        if isinstance(action, EnsureNetworkPolicy):
            self._caches.networks.add(action.namespace)
        elif isinstance(action, CreatePod) and left is not None:
            pool.names.remove(left["metadata"]["name"])
            self._caches.put_pod(left, self._clock())
        return True

    def _observe(self, key: Key, pool: Pool) -> ObservedPool:
        now = self._clock()
        body = self._caches.runtimes.get(key.name)
        runtime = None if body is None else PipelineRuntime.model_validate(body)
        pods = self._caches.waiting.pool(key.namespace, key.name)
        promised = set(self._promised.values())
        while len(pool.names) < BOOTS_AT_ONCE:
            # A name is used again if it is unknown whether its pod was created.
            pool.names.append(waiting_name(self._new_suffix()))
        return ObservedPool(
            namespace=key.namespace,
            runtime=runtime,
            labelled=self._caches.warm.get(key.namespace) == key.name,
            pods=tuple(each for each in pods if each.seen.uid not in promised),
            settings=self._settings,
            now=now,
            names=tuple(pool.names),
            rate=pool.arrivals.rate(now),
            settled_at=pool.arrivals.settled_at,
            boots=pool.boots,
            booting=sum(each.lives and not each.has_booted for _, each in self._caches.waiting),
            room=self._room(key, runtime),
            network_ready=not self._network_enabled or key.namespace in self._caches.networks,
            surplus_since=pool.surplus_since,
        )

    def _room(self, key: Key, runtime: PipelineRuntime | None) -> int:
        if runtime is None:
            return 0
        elsewhere = sum(
            each.lives
            for namespace, each in self._caches.waiting
            if namespace != key.namespace and each.runtime == key.name
        )
        limit = runtime.spec.max_pods
        return limit - self._capacity.places(key.name, limit).held.total() - elsewhere

    def _pool(self, namespace: str, runtime: str) -> Pool:
        return self._pools.setdefault((namespace, runtime), Pool())

    def _changed(self, namespace: str, runtime: str) -> None:
        self._queue.add_after(Key("pool", namespace, runtime), LOOK_SECONDS)
        self._queue.add_after(Key("runtime", "", runtime), STATUS_SECONDS)

    def _booted(self, namespace: str, pod: WaitingPod, seconds: float) -> None:
        pool = self._pool(namespace, pod.runtime)
        pool.boots = pool.boots.succeeded(seconds)
        self._metrics.booted(seconds)

    def _departed(self, pod: RunPod) -> None:
        if pod.warm:  # one fewer is claimed
            self._queue.add_after(Key("runtime", "", pod.runtime), STATUS_SECONDS)

    def _failed(self, pool: Pool, failure: Failure) -> None:
        pool.boots = pool.boots.failed(failure, self._clock())
        self._metrics.boot_failed()

    # -- what is told ----------------------------------------------------------------------------

    def status(self, runtime: str) -> WarmStatus | None:
        """What a runtime's status says of its pools; None if it has none."""
        waiting = [
            each for _, each in self._caches.waiting if each.runtime == runtime and each.lives
        ]
        namespaces = sum(each == runtime for each in self._caches.warm.values())
        claimed = sum(
            pod.warm and pod.runtime == runtime and not pod.seen.over
            for pods in self._caches.pods.values()
            for pod in pods.values()
        )
        if not (waiting or namespaces or claimed):
            return None
        return WarmStatus(
            namespaces=namespaces,
            waiting=sum(each.seen.ready for each in waiting),
            booting=sum(not each.has_booted for each in waiting),
            claimed=claimed,
        )

    def short(self, runtime: str) -> Failure | None:
        """Why a runtime's pools are short of pods; None if they are not."""
        for (namespace, name), pool in sorted(self._pools.items()):
            if name == runtime and (short := pool.short) is not None:
                return Failure(short.reason, f"In namespace {namespace}: {short.words}"[:1000])
        return None

    def counts(self) -> Counts:
        """What is in all pools, for metrics."""
        names = {each.name for each in self._caches.pools()} | set(self._caches.runtimes)
        found = [each for each in map(self.status, names) if each is not None]
        return Counts(
            booting=sum(each.booting for each in found),
            waiting=sum(each.waiting for each in found),
            claimed=sum(each.claimed for each in found),
            degraded=sum(each.short is not None for each in self._pools.values()),
        )


def _refusal(error: KubeError) -> Failure:
    over = "exceeded quota" in error.message
    reason = Reason.QUOTA_EXCEEDED if over else Reason.POD_REFUSED
    return Failure(reason, f"the cluster refuses the pod: {error.message}")
