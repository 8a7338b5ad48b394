"""What Prometheus may know. Labels are closed sets; a run's name or id is never one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

DISPATCH_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)


class Metrics:
    """The gateway's metrics, on a registry of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.sessions = Gauge(
            "mayfly_gateway_sessions", "Agents that are connected.", registry=registry
        )
        self.storage_full = Gauge(
            "mayfly_gateway_storage_full",
            "1 while the database's disk has no room: nothing can start or end.",
            registry=registry,
        )
        self.unfinished = Gauge(
            "mayfly_gateway_unfinished_runs", "Runs that the watch knows.", registry=registry
        )
        self.work_sent = Counter(
            "mayfly_gateway_work_sent_total", "Work messages that were sent.", registry=registry
        )
        self.send_seconds = Histogram(
            "mayfly_gateway_send_seconds",
            "From the look at a claimed, connected run to its work being sent.",
            buckets=DISPATCH_SECONDS,
            registry=registry,
        )
        self.closed = Counter(
            "mayfly_gateway_runs_closed_total",
            "Runs whose end is final.",
            ["outcome", "by"],
            registry=registry,
        )
        self.active_seconds = Counter(
            "mayfly_gateway_active_seconds_total", "Billed active time.", registry=registry
        )
        self.conflicts = Counter(
            "mayfly_gateway_status_conflicts_total",
            "Status writes that lost against another writer.",
            registry=registry,
        )
        self.log_bytes = Counter(
            "mayfly_gateway_log_bytes_total", "Bytes of log received.", registry=registry
        )
