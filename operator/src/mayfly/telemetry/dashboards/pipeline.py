"""One pipeline or one namespace: its runs, their cost, and the Models that it pays for."""

from mayfly.telemetry import catalog
from mayfly.telemetry.dashboards.board import Board, Variable
from mayfly.telemetry.dashboards.panels import lines, stat
from mayfly.telemetry.dashboards.queries import increase, per_hour, rate, ratio

NAMESPACE = 'namespace=~"$namespace"'
PICKED = f'{NAMESPACE}, pipeline=~"$pipeline"'
SUCCESS = ratio(
    increase(catalog.PAYER_RUNS, where=f'outcome="succeeded", {PICKED}'),
    increase(catalog.PAYER_RUNS, where=PICKED),
    "percentunit",
)
MEAN = ratio(
    rate(catalog.PAYER_RUN_ACTIVE_SECONDS, where=PICKED),
    rate(catalog.PAYER_RUNS, where=PICKED),
    unit="s",
    legend="mean",
)

PIPELINE = Board(
    name="pipeline",
    title="Pipeline",
    description="Runs of one pipeline or one namespace. Empty unless the chart's values "
    "metrics.labels.namespaces and metrics.labels.pipelines are on. A rate may miss the first run "
    "of a payer, whose series begins with it: exact sums are in the ledger.",
    rows=[
        [
            stat(
                "Runs",
                increase(catalog.PAYER_RUNS, where=PICKED),
                "Runs recorded in the time range.",
            ),
            stat("Success rate", SUCCESS, "Share of the runs of the time range that succeeded."),
            stat(
                "Active time",
                increase(catalog.PAYER_RUN_ACTIVE_SECONDS, where=PICKED),
                "Billed active time of the runs of the time range.",
            ),
            stat(
                "Cost",
                increase(catalog.PAYER_COST, where=f'kind="run", {PICKED}'),
                "Cost of the runs of the time range without what they called, in units of the "
                "currency.",
                decimals=4,
            ),
        ],
        [
            lines("Runs by outcome", rate(catalog.PAYER_RUNS, "outcome", where=PICKED)),
            lines(
                "Mean active time per run", MEAN, description="Mean billed active time of a run."
            ),
        ],
        [
            lines(
                "Concurrent runs by pipeline",
                rate(catalog.PAYER_RUN_ACTIVE_SECONDS, "pipeline", where=PICKED),
                description="Seconds of active time per second: the mean number of active runs.",
            ),
            lines(
                "Cost per hour",
                per_hour(
                    rate(
                        catalog.PAYER_COST,
                        *("currency", "pipeline"),
                        where=f'kind="run", {PICKED}',
                        legend="{{pipeline}} ({{currency}})",
                    )
                ),
                description="Cost per hour at the current rate, without what runs call.",
            ),
        ],
        [
            lines(
                "Model predictions of the namespace",
                rate(catalog.PAYER_MODEL_PREDICTIONS, "outcome", where=NAMESPACE),
                description="Recorded Model predictions that the namespace pays for, by outcome.",
            ),
            lines(
                "Concurrent Model predictions of the namespace",
                rate(
                    catalog.PAYER_MODEL_ACTIVE_SECONDS, where=NAMESPACE, legend="Model predictions"
                ),
                description="Seconds of their active time per second: the mean number of active "
                "Model predictions.",
            ),
        ],
    ],
    variables=[
        Variable("namespace", "Namespace", catalog.PAYER_RUNS),
        Variable("pipeline", "Pipeline", catalog.PAYER_RUNS, NAMESPACE),
    ],
)
