"""What Prometheus may know of the controller. Nothing here grows with the runs that finished."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mayfly.clock import parse_rfc3339
from mayfly.controller.health import Health
from mayfly.controller.queue import WorkQueue
from mayfly.controller.state import State
from mayfly.kube.client import Cluster
from mayfly.telemetry.families import LONG, SHORT, Families

SUBJECTS = 3
RESULTS = 3
WRITES = 60
"""Series of API writes: half as many kinds, verbs and results come together."""


class Metrics:
    """The controller's metrics, on a registry of their own."""

    def __init__(self) -> None:
        self.families = Families("controller")
        self.registry = self.families.registry
        self._looks = self.families.counters(
            "mayfly_reconciles_total",
            "Looks at objects, by kind and by how they went: done, retried (a conflict, or the API "
            "server away), failed.",
            ("subject", "result"),
            SUBJECTS * RESULTS,
            start=[("run", "done"), ("run", "retried"), ("run", "failed")],
        )
        self._look_seconds = self.families.histograms(
            "mayfly_reconcile_duration_seconds",
            "How long one look took, API calls included.",
            SHORT,
            ("subject",),
            SUBJECTS,
        )
        self.claims = self.families.counters(
            "mayfly_claims_total",
            "Claims of a pod for a run, by how the write went.",
            ("result",),
            5,
            start=[("ok",), ("conflict",)],
        )
        self._queue_seconds = self.families.histogram(
            "mayfly_run_queue_duration_seconds",
            "From a run's creation, which has whole seconds, to its first claim of a pod.",
            LONG,
        )

    def looked(self, subject: str, result: str, seconds: float) -> None:
        """A worker looked at something."""
        self._looks.of(subject, result).inc()
        self._look_seconds.of(subject).observe(seconds)

    def claimed(self, run: dict[str, Any], now: datetime) -> None:
        """A run got a pod; its wait was as long as it exists, if that is its first."""
        self.claims.of("ok").inc()
        created = run.get("metadata", {}).get("creationTimestamp")
        if created and run.get("status", {}).get("attempt") == 1:
            waited = (now - parse_rfc3339(created)).total_seconds()
            self._queue_seconds.observe(max(0.0, waited))

    def show_writes(self, cluster: Cluster) -> None:
        """Show what was written to the Kubernetes API."""
        self.families.tally(
            "mayfly_kubernetes_writes_total",
            "Writes to the Kubernetes API, by verb, kind and how they went.",
            ("verb", "kind", "result"),
            WRITES,
            lambda: dict(cluster.results),
        )

    def show(self, queue: WorkQueue, state: State, health: Health) -> None:
        """Show how these objects stand."""
        families = self.families
        families.gauge(
            "mayfly_controller_leading",
            "1 while this replica leads; the others stand by.",
            lambda: float(health.leading),
        )
        families.gauge(
            "mayfly_controller_watch_dead",
            "1 while a watch is silent although objects change; the liveness probe then fails.",
            lambda: float(health.watch_dead),
        )
        families.gauge(
            "mayfly_controller_last_listing_timestamp_seconds",
            "When the leader last listed everything; 0 before.",
            lambda: health.listed_at,
        )
        families.gauges(
            "mayfly_controller_queue_depth",
            "Keys that wait for a look (ready), are looked at (busy), are due later (later), or "
            "whose last look failed (failing).",
            "state",
            {
                "ready": lambda: len(queue),
                "busy": lambda: queue.busy,
                "later": lambda: queue.later,
                "failing": lambda: queue.failing,
            },
        )
        families.gauge(
            "mayfly_controller_queue_oldest_seconds",
            "How long the longest-waiting key has waited for a look.",
            lambda: queue.oldest_seconds,
        )
        families.gauge(
            "mayfly_controller_unfinished_runs",
            "Runs that are not finished and recorded.",
            lambda: len(state.runs),
        )
        families.gauge(
            "mayfly_runs_waiting",
            "Runs that wait for a place of their runtime.",
            lambda: sum(len(each) for each in list(state.waiting.values())),
        )
        families.gauge(
            "mayfly_run_pods", "Run pods that hold a place.", lambda: state.active().total()
        )
        families.gauge(
            "mayfly_run_pods_limit",
            "Places of all runtimes together (maxPods).",
            lambda: sum(state.max_pods(name) for name in list(state.runtimes)),
        )
        families.gauge(
            "mayfly_capacity_standstills",
            "Runtimes and namespaces whose every pod is held by a run that waits for another.",
            lambda: len(state.still),
        )
