"""The sweep: periodically lists everything, repairs what watches missed, deletes what is due.

kopf sends no DELETED event for an object that vanished while a watch was broken, and a starting
controller does not know finished runs; the sweep finds both. A cache entry that stays older than
the listing shows that a watch is dead, which fails the liveness probe (docs/decisions/0003).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from mayfly.api.v1alpha1.names import FINISHED, RUN_ID_LABEL, UNFINISHED
from mayfly.clock import Clock
from mayfly.controller.caches import Caches
from mayfly.controller.health import Health
from mayfly.controller.key import Key
from mayfly.kube.client import Cluster
from mayfly.kube.errors import KubeError
from mayfly.kube.kinds import NAMESPACES, PODS, RUNS, RUNTIMES
from mayfly.reconcile.deadlines import ttl_due
from mayfly.reconcile.failing import bare_run
from mayfly.workqueue import WorkQueue

logger = logging.getLogger(__name__)

Json = dict[str, Any]

LAG_SECONDS = 20.0
"""A live watch has reported a change long before this."""


RETRY_SECONDS = 2.0


class Sweep:
    """Lists everything periodically.

    Attributes:
        pods_listed: set once every run pod, every runtime and every quota is known; pods created
            before that may be too many.
    """

    def __init__(
        self,
        cluster: Cluster,
        caches: Caches,
        queue: WorkQueue[Key],
        health: Health,
        clock: Clock,
        seconds: float,
        lag_seconds: float = LAG_SECONDS,
        failed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._cluster = cluster
        self._caches = caches
        self._queue = queue
        self._health = health
        self._clock = clock
        self._seconds = seconds
        self._lag_seconds = lag_seconds
        self._failed = failed
        self.pods_listed = asyncio.Event()

    async def run(self) -> None:
        """Sweep until cancelled, beginning at once; soon again until every claim is known."""
        while True:
            try:
                await self._namespaces()
                await self._runtimes()
                await self._pods()
                self.pods_listed.set()
                await self._unfinished()
                await self._finished()
                self._health.listed_at = self._clock().timestamp()
                self._caches.networks.clear()  # a policy that somebody deleted comes back
            except KubeError as error:
                logger.warning("sweep: %s", error)
            except Exception:
                # One object that can't be read must not end the repairs of all others.
                logger.exception("the sweep failed")
                self._failed("sweep")
            # New CRDs do not answer every list for a moment. Until then no pod waits for runs.
            await asyncio.sleep(self._seconds if self._caches.claims_known else RETRY_SECONDS)

    async def _namespaces(self) -> None:
        """List quotas and budgets, before any pod is created, because pods depend on them."""
        async for page in self._cluster.pages(NAMESPACES):
            for body in page["items"]:
                if self._caches.put_namespace(body):
                    for key in self._caches.unclaimed_in(body["metadata"]["name"]):
                        self._queue.add(key)

    async def _runtimes(self) -> None:
        """List runtimes before any pool is looked at: without its runtime it would be emptied."""
        async for page in self._cluster.pages(RUNTIMES):
            for body in page["items"]:
                name = body["metadata"]["name"]
                if name not in self._caches.runtimes:
                    self._caches.runtimes[name] = body
                    self._queue.add(Key("runtime", "", name))

    async def _unfinished(self) -> None:
        listed: dict[Key, int] = {}
        async for page in self._cluster.pages(RUNS, field_selector=UNFINISHED):
            for body in page["items"]:
                key = Key("run", body["metadata"]["namespace"], body["metadata"]["name"])
                listed[key] = int(body["metadata"]["resourceVersion"])
                self._caches.note_claim(key, body)
                if key not in self._caches.runs:
                    self._queue.add(key)
        self._caches.claims_known = True
        for pool in self._caches.pools():
            self._queue.add(pool)
        for key in self._caches.runs.keys() - listed.keys():
            self._caches.drop_run(key)
            self._queue.add(key)
        await self._compare(listed)

    async def _compare(self, listed: dict[Key, int]) -> None:
        behind = [key for key, version in listed.items() if self._version(key) < version]
        if not behind:
            self._health.watch_is_alive()
            return
        await asyncio.sleep(self._lag_seconds)
        if any(self._version(key) < listed[key] for key in behind if key in self._caches.runs):
            self._health.watch_is_dead("pipelineruns")

    def _version(self, key: Key) -> int:
        body = self._caches.runs.get(key)
        return int(body["metadata"]["resourceVersion"]) if body else 0

    async def _finished(self) -> None:
        """Find runs whose TTL ends before the next sweep; a later sweep finds later ones."""
        now = self._clock()
        soon = now + timedelta(seconds=self._seconds)
        async for page in self._cluster.pages(RUNS, field_selector=FINISHED):
            for body in page["items"]:
                due = ttl_due(bare_run(body))
                if due is not None and due <= soon:
                    key = Key("run", body["metadata"]["namespace"], body["metadata"]["name"])
                    self._queue.add_after(key, (due - now).total_seconds())

    async def _pods(self) -> None:
        """Find pods of finished runs, and pods that vanished unseen."""
        # What is created while pages are read may not be in them.
        known = {(uid, name) for uid, pods in self._caches.pods.items() for name in pods}
        waited = {(namespace, pod.seen.name) for namespace, pod in self._caches.waiting}
        listed: set[tuple[str, str]] = set()
        async for page in self._cluster.pages(PODS, label_selector=RUN_ID_LABEL):
            for body in page["items"]:
                key = self._caches.key_of(body)
                uid = self._caches.put_pod(body, self._clock())
                listed.add((uid or key.namespace, body["metadata"]["name"]))
                self._queue.add(key)
        for uid, name in known - listed:
            pod = self._caches.pods.get(uid, {}).get(name)
            if pod is not None and not pod.seen.gone:
                self._caches.mark_gone(uid, name, self._clock())
        for namespace, name in waited - listed:
            self._caches.waiting.remove(namespace, name)
        for key in self._caches.runs:
            self._queue.add(key)
