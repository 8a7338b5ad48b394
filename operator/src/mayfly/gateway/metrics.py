"""What Prometheus may know. Labels are closed sets; a run's name or id is never one."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from mayfly.api.v1alpha1 import Reason
from mayfly.api.v1alpha1.conditions import REASONS, ConditionType
from mayfly.metering.ledger import Outcome, RunRow
from mayfly.metering.records import UsageRecord
from mayfly.metering.tables import MODEL, RUN
from mayfly.telemetry.families import LONG, SHORT, Families
from mayfly.telemetry.payers import Payers, PayerSettings

CURRENCIES = 2
"""That one ledger may hold: the installation's, and the one before."""

FAILURES = REASONS[ConditionType.SUCCEEDED].keys() - {
    Reason.SUCCEEDED,
    Reason.RUNNING,
    Reason.CANCELED,
}

ROUTES = 90
"""Series of requests: about sixty routes, most of which answer in one way."""

_THOUSAND = Decimal(1000)


class Metrics:
    """The gateway's metrics, on a registry of their own."""

    def __init__(self, settings: PayerSettings, currency: str) -> None:
        self.families = Families("gateway")
        self.registry = self.families.registry
        self._payers = Payers(settings)
        self._count_bills(currency)
        self._time_runs()
        self._count_traffic()

    def _count_bills(self, currency: str) -> None:
        payers, most = self._payers.labels, self._payers.most
        # Shown at 0 from the beginning, so that the rate of the first end is seen; those that are
        # told apart by who pays come with their first.
        ends = [] if payers else [(each.value,) for each in Outcome]
        kinds = [(currency, RUN), (currency, MODEL)]
        self._runs = self.families.counters(
            "mayfly_runs_total",
            "Runs whose end is recorded, by how they ended.",
            ("outcome", *payers),
            len(Outcome) * most,
            start=ends,
        )
        self._calls = self.families.counters(
            "mayfly_model_predictions_total",
            "Calls of Models whose end is recorded, by how they ended.",
            ("outcome", *payers),
            len(Outcome) * most,
            start=ends,
        )
        self._failures = self.families.counters(
            "mayfly_run_failures_total",
            "Runs that are recorded as failed, by the reason of their condition Succeeded.",
            ("reason",),
            len(Reason),
            start=[(each.value,) for each in sorted(FAILURES)],
        )
        self._active = {
            True: self.families.exact(
                "mayfly_run_active_seconds_total",
                "Billed active time of recorded runs.",
                payers,
                most,
                start=[] if payers else [()],
            ),
            False: self.families.exact(
                "mayfly_model_active_seconds_total",
                "Billed active time of recorded calls of Models.",
                payers,
                most,
                start=[] if payers else [()],
            ),
        }
        self._cost = self.families.exact(
            "mayfly_cost_total",
            "Cost of usage records, in units of the currency; kind is run or model.",
            ("currency", "kind", *payers),
            CURRENCIES * 2 * most,
            start=[] if payers else kinds,
        )
        self._cost_back = self.families.exact(
            "mayfly_cost_reductions_total",
            "What corrections took off the cost, in units of the currency.",
            ("currency", "kind"),
            CURRENCIES * 2,
            start=kinds,
        )
        self._active_back = self.families.exact(
            "mayfly_active_seconds_reductions_total",
            "What corrections took off the billed active time.",
            ("kind",),
            2,
            start=[(RUN,), (MODEL,)],
        )

    def _time_runs(self) -> None:
        self._start_seconds = self.families.histogram(
            "mayfly_run_start_duration_seconds",
            "From a run's creation, which has whole seconds, to the call of main().",
            LONG,
        )
        self._end_seconds = self.families.histogram(
            "mayfly_run_end_duration_seconds",
            "From the end of main() to the recorded end, for ends that the agent told.",
            SHORT,
        )
        self._model_queue_seconds = self.families.histogram(
            "mayfly_model_queue_duration_seconds",
            "From a call's creation to its being sent to the Model's server.",
            LONG,
        )
        self.dispatch_seconds = self.families.histogram(
            "mayfly_run_dispatch_duration_seconds",
            "From the look at a claimed, connected run to its work being sent.",
            SHORT,
        )

    def _count_traffic(self) -> None:
        self.log_bytes = self.families.counter(
            "mayfly_run_log_bytes_total", "Bytes of log that agents sent."
        )
        self.requests = self.families.counters(
            "mayfly_http_requests_total",
            "Requests answered, by route (its bases /v1 and /ns/… left out), method and class of "
            "code.",
            ("route", "method", "code"),
            ROUTES,
        )
        self.request_seconds = self.families.histogram(
            "mayfly_http_request_duration_seconds",
            "From a request to the beginning of its answer; some wait for news on purpose.",
            SHORT,
        )
        self.rate_limited = self.families.counter(
            "mayfly_http_rate_limited_total",
            "Requests refused: their caller asks too often.",
        )
        results = [("allowed",), ("denied",), ("error",)]
        self.token_reviews = self.families.counters(
            "mayfly_token_reviews_total",
            "TokenReviews that the API server answered or did not.",
            ("result",),
            3,
            start=results,
        )
        self.access_reviews = self.families.counters(
            "mayfly_access_reviews_total",
            "SubjectAccessReviews that the API server answered or did not.",
            ("result",),
            3,
            start=results,
        )
        self.webhooks = self.families.counters(
            "mayfly_webhook_deliveries_total",
            "Times that a webhook's receiver was told, by event and by whether it took it.",
            ("event", "result"),
            8,
            start=[("completed", "delivered"), ("completed", "failed")],
        )
        self.webhooks_abandoned = self.families.counter(
            "mayfly_webhooks_abandoned_total",
            "Ends that a receiver never took.",
        )

    # -- what happened ---------------------------------------------------------------------------

    def recorded(self, record: object) -> None:
        """A usage record was committed that was not there before.

        Args:
            record: other things that a transaction noted are passed over.
        """
        if not isinstance(record, UsageRecord):
            return
        is_run = record.kind == RUN
        pipeline = f"{record.pipeline_namespace}/{record.pipeline}"
        payer = self._payers.of(record.namespace, pipeline if is_run and record.pipeline else "")
        if record.corrects is None:
            (self._runs if is_run else self._calls).of(record.outcome, *payer).inc()
            if is_run and record.outcome == Outcome.FAILED.value:
                self._failures.of(record.reason).inc()
        self._bill(record, is_run, payer)

    def _bill(self, record: UsageRecord, is_run: bool, payer: tuple[str, ...]) -> None:
        active = Decimal(record.active_ms) / _THOUSAND
        if active >= 0:
            self._active[is_run].add(active, *payer)
        else:
            self._active_back.add(-active, record.kind)
        if record.cost >= 0:
            self._cost.add(record.cost, record.currency, record.kind, *payer)
        else:
            self._cost_back.add(-record.cost, record.currency, record.kind)

    def started(self, row: RunRow, at: datetime) -> None:
        """The ledger took down that main() was called."""
        self._start_seconds.observe(_seconds(row.created_at, at))

    def ended(self, completed_at: datetime | None, now: datetime) -> None:
        """An end that the agent told is recorded."""
        if completed_at is not None:
            self._end_seconds.observe(_seconds(completed_at, now))

    def sent(self, created_at: datetime, now: datetime) -> None:
        """A call of a Model left its queue."""
        self._model_queue_seconds.observe(_seconds(created_at, now))


def _seconds(since: datetime, until: datetime) -> float:
    return max(0.0, (until - since).total_seconds())
