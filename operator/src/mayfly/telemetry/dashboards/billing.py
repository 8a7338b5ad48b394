"""Billing: what was recorded, by kind, namespace and pipeline, and whether recording keeps up."""

from mayfly.telemetry import catalog
from mayfly.telemetry.dashboards.board import Board
from mayfly.telemetry.dashboards.panels import lines, stat, table
from mayfly.telemetry.dashboards.queries import gauge, increase, per_hour, percentile, rate, top

BILLING = Board(
    name="billing",
    title="Billing",
    description="What the ledger recorded since the gateways started, and whether recording keeps "
    "up. Bills are made from the ledger (mayfly usage), not from here.",
    rows=[
        [
            stat(
                "Cost of runs",
                increase(catalog.COST, where='kind="run"'),
                "Cost of runs recorded in the time range, in units of the currency.",
                decimals=4,
            ),
            stat(
                "Cost of Model predictions",
                increase(catalog.COST, where='kind="model"'),
                "Cost of Model predictions recorded in the time range, in units of the currency.",
                decimals=4,
            ),
            stat(
                "Corrections",
                increase(catalog.COST_REDUCTIONS),
                "Cost that corrections took off in the time range, in units of the currency.",
                decimals=4,
            ),
            stat("Unrecorded", gauge(catalog.LEDGER_UNRECORDED)),
        ],
        [
            lines(
                "Cost per hour by kind",
                per_hour(rate(catalog.COST, "currency", "kind", legend="{{kind}} ({{currency}})")),
                description="Cost per hour at the current rate.",
            ),
            lines(
                "Cost per hour by namespace",
                per_hour(
                    top(
                        10,
                        rate(
                            catalog.PAYER_COST,
                            *("currency", "namespace"),
                            legend="{{namespace}} ({{currency}})",
                        ),
                    )
                ),
                description="Cost per hour at the current rate: the top ten namespaces. Empty "
                "unless metrics.labels.namespaces is on.",
            ),
        ],
        [
            table(
                "Cost by namespace and pipeline",
                increase(catalog.PAYER_COST, "currency", "namespace", "pipeline"),
                "Cost recorded in the time range. Empty unless metrics.labels is on; Model "
                "predictions have the pipeline none.",
            ),
            lines(
                "Concurrent runs and Model predictions",
                rate(catalog.RUN_ACTIVE_SECONDS, legend="runs"),
                rate(catalog.MODEL_ACTIVE_SECONDS, legend="Model predictions"),
                description="Seconds of billed active time per second: the mean number of active "
                "runs and Model predictions.",
            ),
        ],
        [
            lines(
                "Active time taken off by corrections",
                rate(catalog.ACTIVE_SECONDS_REDUCTIONS, "kind"),
                description="Seconds of billed active time per second that corrections took off.",
                unit="short",
            ),
            lines(
                "Usage records",
                rate(catalog.RUNS, legend="runs"),
                rate(catalog.MODEL_PREDICTIONS, legend="Model predictions"),
                description="Usage records written.",
            ),
        ],
        [
            lines("Ledger lag", gauge(catalog.LEDGER_LAG, how="max", legend="lag")),
            lines(
                "Recording latency",
                percentile(50, catalog.RUN_END_DURATION),
                percentile(95, catalog.RUN_END_DURATION),
            ),
        ],
    ],
)
