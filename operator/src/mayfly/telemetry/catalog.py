"""Every metric family of both processes: name, type, labels and help.

The processes register them, the dashboards query them, and `docs/reference/metrics.md` lists them.
Labels are closed sets; a run's name or id is never one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """A type of Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Family:
    """A metric family.

    Attributes:
        name: as it is exposed; a counter's ends with `_total`.
        help: one sentence.
        labels: their names. Of who pays: all that can be switched on.
        of: the processes that expose it.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    of: tuple[str, ...] = ("gateway",)

    @property
    def unit(self) -> str:
        """Grafana's word for the unit that the name ends with."""
        name = self.name.removesuffix("_total")
        return next((unit for end, unit in _UNITS.items() if name.endswith(end)), "short")


_UNITS = {"_timestamp_seconds": "dateTimeAsIso", "_seconds": "s", "_bytes": "bytes"}
_CONTROLLER = ("controller",)
_BOTH = ("gateway", "controller")

PAYER = ("namespace", "pipeline")
"""The labels of who pays."""


FAMILIES: dict[str, Family] = {}
"""Every family, by name."""


def _family(*parts: Any) -> Family:
    family = Family(*parts)
    FAMILIES[family.name] = family
    return family


def _counter(name: str, text: str, *labels: str, of: tuple[str, ...] = ("gateway",)) -> Family:
    return _family(name, Kind.COUNTER, text, labels, of)


def _gauge(name: str, text: str, *labels: str, of: tuple[str, ...] = ("gateway",)) -> Family:
    return _family(name, Kind.GAUGE, text, labels, of)


def _histogram(name: str, text: str, *labels: str, of: tuple[str, ...] = ("gateway",)) -> Family:
    return _family(name, Kind.HISTOGRAM, text, labels, of)


# -- both processes --------------------------------------------------------------------------------

BUILD_INFO = _gauge(
    "mayfly_build_info",
    "Always 1; the labels are the running version and component.",
    *("version", "component"),
    of=_BOTH,
)
KUBERNETES_WRITES = _counter(
    "mayfly_kubernetes_writes_total",
    "Writes to the Kubernetes API, by verb, kind and result.",
    *("verb", "kind", "result"),
    of=_BOTH,
)

INTERNAL_ERRORS = _counter(
    "mayfly_internal_errors_total",
    "Unexpected errors of Mayfly itself, by what it was working on. The log has each of them.",
    "part",
    of=_BOTH,
)

# -- the ledger ------------------------------------------------------------------------------------

RUNS = _counter("mayfly_runs_total", "Recorded runs, by outcome.", "outcome")
RUN_FAILURES = _counter(
    "mayfly_run_failures_total",
    "Recorded failed runs, by the reason of the condition Succeeded.",
    "reason",
)
RUN_ACTIVE_SECONDS = _counter(
    "mayfly_run_active_seconds_total", "Billed active time of recorded runs."
)
MODEL_PREDICTIONS = _counter(
    "mayfly_model_predictions_total", "Recorded Model predictions, by outcome.", "outcome"
)
MODEL_ACTIVE_SECONDS = _counter(
    "mayfly_model_active_seconds_total", "Billed active time of recorded Model predictions."
)
COST = _counter(
    "mayfly_cost_total",
    "Recorded cost in units of the currency, by kind of prediction: run or model.",
    *("currency", "kind"),
)
COST_REDUCTIONS = _counter(
    "mayfly_cost_reductions_total",
    "Cost that corrections took off, in units of the currency.",
    *("currency", "kind"),
)
ACTIVE_SECONDS_REDUCTIONS = _counter(
    "mayfly_active_seconds_reductions_total",
    "Billed active time that corrections took off.",
    "kind",
)
LEDGER_UNRECORDED = _gauge(
    "mayfly_ledger_unrecorded_runs", "Predictions whose end is journalled and not yet recorded."
)
LEDGER_LAG = _gauge(
    "mayfly_ledger_lag_seconds",
    "Age of the oldest end that is journalled and not yet recorded; 0 if there is none.",
)

# -- the ledger, by who pays: there once their labels are switched on ------------------------------

PAYER_RUNS = _counter(
    "mayfly_payer_runs_total", "Recorded runs, by outcome and payer.", "outcome", *PAYER
)
PAYER_RUN_ACTIVE_SECONDS = _counter(
    "mayfly_payer_run_active_seconds_total",
    "Billed active time of recorded runs, by payer.",
    *PAYER,
)
PAYER_MODEL_PREDICTIONS = _counter(
    "mayfly_payer_model_predictions_total",
    "Recorded Model predictions, by outcome and payer.",
    "outcome",
    *PAYER,
)
PAYER_MODEL_ACTIVE_SECONDS = _counter(
    "mayfly_payer_model_active_seconds_total",
    "Billed active time of recorded Model predictions, by payer.",
    *PAYER,
)
PAYER_COST = _counter(
    "mayfly_payer_cost_total",
    "Recorded cost in units of the currency, by kind of prediction (run or model) and payer.",
    *("currency", "kind", *PAYER),
)

# -- the gateway: runs and calls -------------------------------------------------------------------

RUN_START_DURATION = _histogram(
    "mayfly_run_start_duration_seconds",
    "Time from a run's creation (in whole seconds) to the call of main().",
)
RUN_END_DURATION = _histogram(
    "mayfly_run_end_duration_seconds",
    "Time from the end of main() until it is recorded, for ends that the agent reports.",
)
RUN_DISPATCH_DURATION = _histogram(
    "mayfly_run_dispatch_duration_seconds",
    "Time from seeing a claimed run with a connected agent until its work is sent.",
)
RUN_LOG_BYTES = _counter("mayfly_run_log_bytes_total", "Bytes of log received from agents.")
AGENT_SESSIONS = _gauge("mayfly_agent_sessions", "Connected agents of run pods.")
GATEWAY_UNFINISHED_RUNS = _gauge(
    "mayfly_gateway_unfinished_runs", "Unfinished runs that the gateway holds in memory."
)
GATEWAY_WATCH_SILENCE = _gauge(
    "mayfly_gateway_watch_silence_seconds",
    "Time since the last event or bookmark on the watch of runs; bookmarks come every minute.",
)
GATEWAY_QUEUE_DEPTH = _gauge(
    "mayfly_gateway_queue_depth",
    "Keys in a work queue (runs, webhooks, or models whose server is looked at), by state: ready, "
    "busy, later (due at a later time), failing (backing off).",
    *("queue", "state"),
)
GATEWAY_QUEUE_OLDEST = _gauge(
    "mayfly_gateway_queue_oldest_seconds",
    "How long the oldest ready key has waited in a work queue.",
    "queue",
)
MODEL_QUEUE_DEPTH = _gauge(
    "mayfly_model_queue_depth",
    "Model predictions in progress, by state: queued, or active (sent to the Model's server).",
    "state",
)
MODEL_QUEUE_DURATION = _histogram(
    "mayfly_model_queue_duration_seconds",
    "Time from a Model prediction's creation until it is sent to the Model's server.",
)

# -- the gateway: requests, webhooks, database -----------------------------------------------------

HTTP_REQUESTS = _counter(
    "mayfly_http_requests_total",
    "HTTP requests, by route (without the bases /v1 and /ns/…), method and class of status code.",
    *("route", "method", "code"),
)
HTTP_REQUEST_DURATION = _histogram(
    "mayfly_http_request_duration_seconds",
    "Time from a request to the start of its response; long polls wait on purpose.",
)
HTTP_RATE_LIMITED = _counter(
    "mayfly_http_rate_limited_total", "HTTP requests rejected by a caller's rate limit."
)
TOKEN_REVIEWS = _counter(
    "mayfly_token_reviews_total", "TokenReviews sent to the API server, by result.", "result"
)
ACCESS_REVIEWS = _counter(
    "mayfly_access_reviews_total",
    "SubjectAccessReviews sent to the API server, by result.",
    "result",
)
WEBHOOK_DELIVERIES = _counter(
    "mayfly_webhook_deliveries_total",
    "Webhook delivery attempts, by event and result.",
    *("event", "result"),
)
WEBHOOKS_ABANDONED = _counter(
    "mayfly_webhooks_abandoned_total", "Final webhooks given up after their last retry."
)
DATABASE_UP = _gauge(
    "mayfly_database_up", "1 while the database answers; checked every ten seconds."
)
DATABASE_FULL = _gauge(
    "mayfly_database_full", "1 while the database's disk is full: nothing can start or end."
)
DATABASE_ERRORS = _counter(
    "mayfly_database_errors_total",
    "Failed database transactions, by error: full, busy, connection, other.",
    "error",
)

# -- the controller --------------------------------------------------------------------------------

CONTROLLER_LEADING = _gauge(
    "mayfly_controller_leading", "1 on the replica that leads, 0 on standbys.", of=_CONTROLLER
)
CONTROLLER_WATCH_DEAD = _gauge(
    "mayfly_controller_watch_dead",
    "1 while a watch is silent although objects change; the liveness probe then fails.",
    of=_CONTROLLER,
)
CONTROLLER_LAST_LISTING = _gauge(
    "mayfly_controller_last_listing_timestamp_seconds",
    "Unix time of the leader's last full list; 0 before the first.",
    of=_CONTROLLER,
)
CONTROLLER_QUEUE_DEPTH = _gauge(
    "mayfly_controller_queue_depth",
    "Keys in the work queue, by state: ready, busy (being reconciled), later (due at a later "
    "time), failing (backing off).",
    "state",
    of=_CONTROLLER,
)
CONTROLLER_QUEUE_OLDEST = _gauge(
    "mayfly_controller_queue_oldest_seconds",
    "How long the oldest ready key has waited in the work queue.",
    of=_CONTROLLER,
)
CONTROLLER_UNFINISHED_RUNS = _gauge(
    "mayfly_controller_unfinished_runs",
    "Runs that the controller holds in memory: unfinished or not yet recorded.",
    of=_CONTROLLER,
)
RECONCILES = _counter(
    "mayfly_reconciles_total",
    "Reconciles, by kind of object and result: done, retried (a conflict, or the API server "
    "unavailable), failed.",
    *("subject", "result"),
    of=_CONTROLLER,
)
RECONCILE_DURATION = _histogram(
    "mayfly_reconcile_duration_seconds",
    "Duration of a reconcile, API calls included.",
    "subject",
    of=_CONTROLLER,
)
CLAIMS = _counter(
    "mayfly_claims_total", "Claims of a pod for a run, by result.", "result", of=_CONTROLLER
)
RUN_QUEUE_DURATION = _histogram(
    "mayfly_run_queue_duration_seconds",
    "Time from a run's creation (in whole seconds) to its first claim of a pod.",
    of=_CONTROLLER,
)
RUNS_WAITING = _gauge(
    "mayfly_runs_waiting", "Runs queued for capacity of their runtime.", of=_CONTROLLER
)
RUN_PODS = _gauge("mayfly_run_pods", "Run pods that count against maxPods.", of=_CONTROLLER)
RUN_PODS_LIMIT = _gauge(
    "mayfly_run_pods_limit", "Sum of maxPods over all runtimes.", of=_CONTROLLER
)
WARM_PODS = _gauge(
    "mayfly_warm_pods",
    "Pods of warm pools, by state: booting (not Ready yet), waiting (Ready), claimed (a run has "
    "it).",
    "state",
    of=_CONTROLLER,
)
WARM_POOLS_DEGRADED = _gauge(
    "mayfly_warm_pools_degraded",
    "Warm pools (of a runtime, in a namespace) whose pods fail, or can't be made or placed.",
    of=_CONTROLLER,
)
WARM_CLAIMS = _counter(
    "mayfly_warm_claims_total",
    "Claims for runs of namespaces with a warm pool of their runtime, by result: hit (a waiting "
    "pod), miss (a pod of their own, as none waited).",
    "result",
    of=_CONTROLLER,
)
WARM_BOOT_FAILURES = _counter(
    "mayfly_warm_boot_failures_total",
    "Pods of warm pools that ended, or were given up, before they were Ready.",
    of=_CONTROLLER,
)
WARM_BOOT_DURATION = _histogram(
    "mayfly_warm_boot_duration_seconds",
    "Time from the creation of a pod of a warm pool until it is Ready (both in whole seconds).",
    of=_CONTROLLER,
)
CAPACITY_STANDSTILLS = _gauge(
    "mayfly_capacity_standstills",
    "Runtimes and namespaces in which every pod is held by a run that waits for another run.",
    of=_CONTROLLER,
)
