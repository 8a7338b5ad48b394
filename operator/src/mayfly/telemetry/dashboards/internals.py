"""Operator internals: queues, watches, API calls, database and memory of both processes."""

from mayfly.telemetry import catalog
from mayfly.telemetry.dashboards.board import Board
from mayfly.telemetry.dashboards.panels import lines, stat, table
from mayfly.telemetry.dashboards.queries import Query, gauge, percentile, rate, top

OF_PROCESS = "on (instance, job) group_left (component) mayfly_build_info"
YES_NO = "bool_yes_no"

INTERNALS = Board(
    name="internals",
    title="Operator internals",
    description="Queues, watches, API calls, database and memory of controller and gateway.",
    rows=[
        [
            stat(
                "Leaders",
                gauge(catalog.CONTROLLER_LEADING),
                "Controller replicas that lead; exactly one should.",
            ),
            stat(
                "Database up",
                gauge(catalog.DATABASE_UP, how="min"),
                "Whether the database answers every gateway.",
                unit=YES_NO,
            ),
            stat(
                "Database full",
                gauge(catalog.DATABASE_FULL, how="max"),
                "Whether the database's disk is full: nothing can start or end.",
                unit=YES_NO,
            ),
            stat("Connected agents", gauge(catalog.AGENT_SESSIONS)),
            stat("Capacity standstills", gauge(catalog.CAPACITY_STANDSTILLS, how="max")),
            stat(
                "Dead watch",
                gauge(catalog.CONTROLLER_WATCH_DEAD, how="max"),
                "Whether a watch of the controller is silent although objects change.",
                unit=YES_NO,
            ),
        ],
        [
            lines("Controller queue depth", gauge(catalog.CONTROLLER_QUEUE_DEPTH, "state")),
            lines(
                "Controller queue latency",
                gauge(catalog.CONTROLLER_QUEUE_OLDEST, how="max", legend="oldest key"),
            ),
        ],
        [
            lines("Gateway queue depth", gauge(catalog.GATEWAY_QUEUE_DEPTH, "queue", "state")),
            lines(
                "Gateway queue latency",
                gauge(
                    catalog.GATEWAY_QUEUE_OLDEST, "queue", how="max", legend="oldest of {{queue}}"
                ),
            ),
        ],
        [
            lines("Reconciles", rate(catalog.RECONCILES, "subject", "result")),
            lines("Reconcile duration", percentile(95, catalog.RECONCILE_DURATION, "subject")),
        ],
        [
            lines("Pod claims", rate(catalog.CLAIMS, "result")),
            lines(
                "Kubernetes writes by verb and kind",
                rate(catalog.KUBERNETES_WRITES, "verb", "kind", where='result="ok"'),
                description="Accepted writes of both processes to the Kubernetes API.",
            ),
        ],
        [
            lines(
                "Kubernetes writes by result",
                rate(catalog.KUBERNETES_WRITES, "kind", "result"),
                description="Writes of both processes, by kind and result. Conflicts are normal; "
                "refused and unavailable are not.",
            ),
            lines(
                "Time since last list and last watch event",
                Query(
                    f"time() - max({catalog.CONTROLLER_LAST_LISTING.name})",
                    "controller: last list",
                    "s",
                ),
                gauge(catalog.GATEWAY_WATCH_SILENCE, how="max", legend="gateway: last watch event"),
                description="The controller lists everything every few minutes; the gateway's "
                "watch gets a bookmark every minute.",
            ),
        ],
        [
            lines(
                "Runs in memory",
                gauge(catalog.CONTROLLER_UNFINISHED_RUNS, how="max", legend="controller"),
                gauge(catalog.GATEWAY_UNFINISHED_RUNS, how="max", legend="gateway"),
                description="Unfinished runs that each process holds in memory.",
            ),
            lines("Dispatch latency", percentile(95, catalog.RUN_DISPATCH_DURATION)),
        ],
        [
            lines(
                "Boot time of warm pods",
                percentile(50, catalog.WARM_BOOT_DURATION),
                percentile(95, catalog.WARM_BOOT_DURATION),
            ),
            lines("Failed boots of warm pods", rate(catalog.WARM_BOOT_FAILURES, legend="failed")),
            lines("Degraded warm pools", gauge(catalog.WARM_POOLS_DEGRADED, legend="degraded")),
        ],
        [
            lines("Model queue time", percentile(95, catalog.MODEL_QUEUE_DURATION)),
            lines("Database errors", rate(catalog.DATABASE_ERRORS, "error")),
        ],
        [
            lines(
                "Unexpected errors",
                rate(catalog.INTERNAL_ERRORS, "part"),
                description="Errors of Mayfly itself; the log has each of them.",
            ),
        ],
        [
            lines(
                "HTTP response time",
                percentile(50, catalog.HTTP_REQUEST_DURATION),
                percentile(95, catalog.HTTP_REQUEST_DURATION),
            ),
            lines(
                "HTTP requests by route",
                top(10, rate(catalog.HTTP_REQUESTS, "method", "route")),
                rate(catalog.HTTP_RATE_LIMITED, legend="rate limited"),
                description="The ten busiest routes, and requests rejected by a rate limit.",
                unit="reqps",
            ),
        ],
        [
            lines(
                "Token and access reviews",
                rate(catalog.TOKEN_REVIEWS, "result", legend="token {{result}}"),
                rate(catalog.ACCESS_REVIEWS, "result", legend="access {{result}}"),
                description="TokenReviews and SubjectAccessReviews; results are cached for ten "
                "seconds.",
            ),
            lines(
                "Webhooks",
                rate(catalog.WEBHOOK_DELIVERIES, "event", "result"),
                rate(catalog.WEBHOOKS_ABANDONED, legend="abandoned"),
                description="Delivery attempts by event and result, and final webhooks given up.",
            ),
        ],
        [
            lines("Log throughput", rate(catalog.RUN_LOG_BYTES, legend="logs")),
            lines(
                "Memory",
                Query(
                    f"process_resident_memory_bytes * {OF_PROCESS}",
                    "{{component}} {{instance}}",
                    "bytes",
                ),
                description="Resident memory of each process.",
            ),
        ],
        [
            lines(
                "CPU",
                Query(
                    f"rate(process_cpu_seconds_total[$__rate_interval]) * {OF_PROCESS}",
                    "{{component}} {{instance}}",
                    "short",
                ),
                description="CPU cores that each process uses.",
            ),
            table(
                "Versions",
                gauge(catalog.BUILD_INFO, "component", "version"),
                "Replicas by component and version.",
            ),
        ],
    ],
)
