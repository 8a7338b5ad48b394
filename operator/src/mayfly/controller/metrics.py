"""Metrics of the controller. Nothing here grows with the number of finished runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mayfly.clock import parse_rfc3339
from mayfly.controller.caches import Caches
from mayfly.controller.capacity import Capacity
from mayfly.controller.health import Health
from mayfly.controller.key import Key
from mayfly.kube.client import Cluster
from mayfly.telemetry import catalog
from mayfly.telemetry.families import LONG, SHORT, Families
from mayfly.workqueue import WorkQueue

SUBJECTS = 5
PARTS = ("run", "pipeline", "runtime", "model", "pool", "sweep")
"""What may fail unexpectedly."""
RESULTS = 3
WRITES = 60
"""Maximum number of write series: only half of all combinations occur."""


@dataclass(frozen=True)
class Pools:
    """What is in all warm pools together.

    Attributes:
        booting: pods that are not Ready yet.
        waiting: pods that are, and that no run has.
        claimed: pods that waited once and that runs have now.
        degraded: pools (of a runtime, in a namespace) whose pods fail, or can't be made or placed.
    """

    booting: int = 0
    waiting: int = 0
    claimed: int = 0
    degraded: int = 0


class Metrics:
    """The controller's metrics, on a registry of their own."""

    def __init__(self) -> None:
        self.families = Families("controller")
        self.registry = self.families.registry
        self._looks = self.families.counters(
            catalog.RECONCILES,
            SUBJECTS * RESULTS,
            start=[("run", "done"), ("run", "retried"), ("run", "failed")],
        )
        self._look_seconds = self.families.histograms(catalog.RECONCILE_DURATION, SHORT, SUBJECTS)
        self._internal_errors = self.families.counters(
            catalog.INTERNAL_ERRORS, len(PARTS), start=[(part,) for part in PARTS]
        )
        self.claims = self.families.counters(catalog.CLAIMS, 5, start=[("ok",), ("conflict",)])
        self._queue_seconds = self.families.histogram(catalog.RUN_QUEUE_DURATION, LONG)
        self._warm_claims = self.families.counters(
            catalog.WARM_CLAIMS, 2, start=[("hit",), ("miss",)]
        )
        self._boot_failures = self.families.counter(catalog.WARM_BOOT_FAILURES)
        self._boot_seconds = self.families.histogram(catalog.WARM_BOOT_DURATION, LONG)

    def looked(self, key: Key, result: str, seconds: float) -> None:
        """Count a reconcile."""
        self._looks.of(key.subject, result).inc()
        self._look_seconds.of(key.subject).observe(seconds)
        if result == "failed":
            self.failed(key.subject)

    def failed(self, part: str) -> None:
        """Count an unexpected error: of a reconcile, by its subject, or of the sweep."""
        self._internal_errors.of(part).inc()

    def claimed(self, run: dict[str, Any], now: datetime) -> None:
        """Count a claim; a run's first claim is also observed as its queue time."""
        self.claims.of("ok").inc()
        created = run.get("metadata", {}).get("creationTimestamp")
        if created and run.get("status", {}).get("attempt") == 1:
            waited = (now - parse_rfc3339(created)).total_seconds()
            self._queue_seconds.observe(max(0.0, waited))

    def claimed_from_pool(self, *, hit: bool) -> None:
        """Count a claim for a run whose namespace has a pool: whether a waiting pod was there."""
        self._warm_claims.of("hit" if hit else "miss").inc()

    def boot_failed(self) -> None:
        """Count a pod of a pool that ended, or was given up, before it was Ready."""
        self._boot_failures.inc()

    def booted(self, seconds: float) -> None:
        """Observe how long a pod of a pool took from its creation until it was Ready."""
        self._boot_seconds.observe(max(0.0, seconds))

    def show_pools(self, read: Callable[[], Pools]) -> None:
        """Register the gauges of the pools; `read` is called when they are shown."""
        states: dict[str, Callable[[], float]] = {
            "booting": lambda: read().booting,
            "waiting": lambda: read().waiting,
            "claimed": lambda: read().claimed,
        }
        self.families.gauges(catalog.WARM_PODS, states)
        self.families.gauge(catalog.WARM_POOLS_DEGRADED, lambda: read().degraded)

    def show_writes(self, cluster: Cluster) -> None:
        """Register the counter of writes to the Kubernetes API."""
        self.families.tally(catalog.KUBERNETES_WRITES, WRITES, lambda: dict(cluster.results))

    def show(
        self, queue: WorkQueue[Key], caches: Caches, capacity: Capacity, health: Health
    ) -> None:
        """Register the gauges of these objects."""
        families = self.families
        families.gauge(catalog.CONTROLLER_LEADING, lambda: float(health.leading))
        families.gauge(catalog.CONTROLLER_WATCH_DEAD, lambda: float(health.watch_dead))
        families.gauge(catalog.CONTROLLER_LAST_LISTING, lambda: health.listed_at)
        families.gauges(catalog.CONTROLLER_QUEUE_DEPTH, queue.depth)
        families.gauge(catalog.CONTROLLER_QUEUE_OLDEST, lambda: queue.oldest_seconds)
        families.gauge(catalog.CONTROLLER_UNFINISHED_RUNS, lambda: len(caches.runs))
        families.gauge(
            catalog.RUNS_WAITING, lambda: sum(len(each) for each in list(capacity.waiting.values()))
        )
        families.gauge(catalog.RUN_PODS, lambda: capacity.active().total())
        families.gauge(
            catalog.RUN_PODS_LIMIT,
            lambda: sum(caches.max_pods(name) for name in list(caches.runtimes)),
        )
        families.gauge(catalog.CAPACITY_STANDSTILLS, lambda: len(capacity.still))
