"""Counters and histograms of the gateway. Labels are closed sets, never a run's name or id."""

from __future__ import annotations

from datetime import datetime

from mayfly.api.v1alpha1 import Reason
from mayfly.api.v1alpha1.conditions import REASONS, ConditionType
from mayfly.gateway.metrics.bills import CURRENCIES, Bills, active_seconds
from mayfly.metering.ending import Outcome
from mayfly.metering.ledger import RunRow
from mayfly.metering.records import UsageRecord
from mayfly.metering.tables import MODEL, RUN
from mayfly.telemetry.families import LONG, SHORT, Families
from mayfly.telemetry.payers import Payers, PayerSettings

FAILURES = REASONS[ConditionType.SUCCEEDED].keys() - {
    Reason.SUCCEEDED,
    Reason.RUNNING,
    Reason.CANCELED,
}

ROUTES = 90
"""Series of requests: about sixty routes, most of which answer in one way."""


class Metrics:
    """The gateway's metrics, on a registry of their own."""

    def __init__(self, settings: PayerSettings, currency: str) -> None:
        self.families = Families("gateway")
        self.registry = self.families.registry
        self._count_bills(currency, settings)
        self._time_runs()
        self._count_traffic()

    def _count_bills(self, currency: str, settings: PayerSettings) -> None:
        self._bills = [Bills(self.families, Payers(PayerSettings()), currency)]
        payers = Payers(settings)
        if payers.labels:
            self._bills.append(Bills(self.families, payers, currency, "mayfly_payer"))
        kinds = [(currency, RUN), (currency, MODEL)]
        self._failures = self.families.counters(
            "mayfly_run_failures_total",
            "Runs that are recorded as failed, by the reason of their condition Succeeded.",
            ("reason",),
            len(Reason),
            start=[(each.value,) for each in sorted(FAILURES)],
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
        """Counts a new usage record, after its commit.

        Args:
            record: other things that a transaction noted are passed over.
        """
        if not isinstance(record, UsageRecord):
            return
        for bills in self._bills:
            bills.add(record)
        failed = record.outcome == Outcome.FAILED.value
        if failed and record.kind == RUN and record.corrects is None:
            self._failures.of(record.reason).inc()
        if record.cost < 0:
            self._cost_back.add(-record.cost, record.currency, record.kind)
        if record.active_ms < 0:
            self._active_back.add(-active_seconds(record), record.kind)

    def started(self, row: RunRow, at: datetime) -> None:
        """Observes the start of a run."""
        self._start_seconds.observe(_seconds(row.created_at, at))
        self._expect(row)

    def ended(self, completed_at: datetime | None, now: datetime) -> None:
        """Observes how long it took to record an end."""
        if completed_at is not None:
            self._end_seconds.observe(_seconds(completed_at, now))

    def sent(self, row: RunRow, now: datetime) -> None:
        """Observes how long a call of a Model was queued."""
        self._model_queue_seconds.observe(_seconds(row.created_at, now))
        self._expect(row)

    def _expect(self, row: RunRow) -> None:
        for bills in self._bills:
            bills.expect(row)


def _seconds(since: datetime, until: datetime) -> float:
    return max(0.0, (until - since).total_seconds())
