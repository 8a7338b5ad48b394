"""Tells objects at which the controller fails again and again, and ends such runs.

The work queue calls this after each unexpected error; `reconcile.failing` decides.
"""

from __future__ import annotations

from mayfly.clock import Clock
from mayfly.controller.caches import Caches
from mayfly.controller.execute import Executor
from mayfly.controller.key import Key
from mayfly.controller.pools import Pools
from mayfly.kube.client import Cluster
from mayfly.kube.errors import KubeError, NotFound
from mayfly.kube.kinds import PIPELINES, RUNS, RUNTIMES
from mayfly.reconcile.actions import WriteRunStatus, WriteStatus
from mayfly.reconcile.failing import Trouble, bare_run, not_ready, plan_failing
from mayfly.reconcile.observed import ObservedRun, PodSettings
from mayfly.workqueue import Failure

ABOUT_THE_OBJECT = frozenset({400, 413, 422})
"""Statuses of refusals that are due to what is written, and not to the cluster's permissions."""


class Failing:
    """The controller's part of what happens to objects at which it fails."""

    def __init__(
        self,
        cluster: Cluster,
        executor: Executor,
        caches: Caches,
        pools: Pools,
        pods: PodSettings,
        clock: Clock,
    ) -> None:
        self._cluster = cluster
        self._executor = executor
        self._caches = caches
        self._pools = pools
        self._pods = pods
        self._clock = clock

    async def failed(self, key: Key, failure: Failure) -> None:
        """Called after each unexpected error at an object.

        Raises:
            KubeError: the API server did not do what was asked.
        """
        error = failure.error
        passes = isinstance(error, KubeError) and error.status not in ABOUT_THE_OBJECT
        trouble = Trouble("controller", failure.tries, failure.seconds, error, passes=passes)
        if not trouble.tells or key.subject == "model":  # a Model's status is the gateway's
            return
        if key.subject == "pool":
            self._pools.in_trouble(key, trouble.words)
            return
        try:
            if key.subject == "run":
                await self._run(key, trouble)
            else:
                await self._other(key, trouble)
        except NotFound:
            return

    async def _run(self, key: Key, trouble: Trouble) -> None:
        body = await self._cluster.get(RUNS, key.namespace, key.name)
        pods = self._caches.pods.get(body["metadata"]["uid"], {})
        seen = ObservedRun(
            run=bare_run(body),
            now=self._clock(),
            pods=self._pods,
            strays=tuple(each.seen for each in pods.values()),
        )
        for action in plan_failing(seen, trouble).actions:
            left = await self._executor.execute(action)
            if isinstance(action, WriteRunStatus) and left is not None:
                self._caches.put_run(key, left)

    async def _other(self, key: Key, trouble: Trouble) -> None:
        kind = PIPELINES if key.subject == "pipeline" else RUNTIMES
        body = await self._cluster.get(kind, key.namespace or None, key.name)
        status = not_ready(body, trouble, self._clock())
        if status is not None:
            version = body["metadata"]["resourceVersion"]
            action = WriteStatus(kind.plural, key.namespace, key.name, version, status)
            await self._executor.execute(action)
