"""The overview: what runs, how it ends, how long it waits, and what it costs."""

from mayfly.telemetry import catalog
from mayfly.telemetry.dashboards.board import Board
from mayfly.telemetry.dashboards.panels import lines, stat
from mayfly.telemetry.dashboards.queries import Query, gauge, increase, percentile, rate, ratio

SUCCESS = ratio(
    increase(catalog.RUNS, where='outcome="succeeded"'), increase(catalog.RUNS), "percentunit"
)
FAILURES = rate(catalog.RUN_FAILURES, "reason")
HITS = ratio(
    rate(catalog.WARM_CLAIMS, where='result="hit"'),
    rate(catalog.WARM_CLAIMS),
    "percentunit",
    legend="hit rate",
)

OVERVIEW = Board(
    name="overview",
    title="Overview",
    description="What runs, how it ends, how long it waits, and what it costs.",
    rows=[
        [
            stat("Run pods", gauge(catalog.RUN_PODS)),
            stat("Queued runs", gauge(catalog.RUNS_WAITING)),
            stat("Runs", increase(catalog.RUNS), "Runs recorded in the time range."),
            stat("Success rate", SUCCESS, "Share of the runs of the time range that succeeded."),
            stat(
                "Cost",
                increase(catalog.COST),
                "Cost of runs and Model predictions recorded in the time range, in units of the "
                "currency.",
                decimals=4,
            ),
            stat("Ledger lag", gauge(catalog.LEDGER_LAG, how="max")),
        ],
        [
            lines("Runs by outcome", rate(catalog.RUNS, "outcome")),
            lines(
                "Failed runs by reason",
                Query(f"{FAILURES.expr} > 0", FAILURES.legend, FAILURES.unit, FAILURES.about),
            ),
        ],
        [
            lines("Model predictions by outcome", rate(catalog.MODEL_PREDICTIONS, "outcome")),
            lines(
                "Start latency",
                percentile(50, catalog.RUN_START_DURATION),
                percentile(95, catalog.RUN_START_DURATION),
            ),
        ],
        [
            lines(
                "Run pods and capacity",
                gauge(catalog.RUN_PODS, legend="run pods"),
                gauge(catalog.RUN_PODS_LIMIT, how="max", legend="capacity"),
                gauge(catalog.RUNS_WAITING, legend="queued runs"),
                description="Run pods, the sum of maxPods over all runtimes, and runs queued for "
                "capacity.",
            ),
            lines(
                "Queue time",
                percentile(50, catalog.RUN_QUEUE_DURATION),
                percentile(95, catalog.RUN_QUEUE_DURATION),
            ),
        ],
        [
            lines("Warm pods", gauge(catalog.WARM_PODS, "state")),
            lines(
                "Hit rate of warm pools",
                HITS,
                description="Share of the claims, for runs of namespaces with a warm pool, that "
                "found a waiting pod.",
            ),
        ],
        [
            lines("Model predictions in progress", gauge(catalog.MODEL_QUEUE_DEPTH, "state")),
            lines(
                "HTTP requests by status code",
                rate(catalog.HTTP_REQUESTS, "code"),
                description="HTTP requests, by class of status code.",
                unit="reqps",
            ),
        ],
    ],
)
