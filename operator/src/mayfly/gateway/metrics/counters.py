"""Counters and histograms of the gateway. Labels are closed sets, never names or ids of runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mayfly.api.v1alpha1 import Reason
from mayfly.api.v1alpha1.conditions import REASONS, ConditionType
from mayfly.gateway.metrics.bills import CURRENCIES, Bills, active_seconds
from mayfly.metering.ending import Outcome
from mayfly.metering.ledger import RunRow
from mayfly.metering.records import UsageRecord
from mayfly.metering.tables import MODEL, RUN
from mayfly.telemetry import catalog
from mayfly.telemetry.families import LONG, SHORT, Families
from mayfly.telemetry.payers import Exists, Payers, PayerSettings
from mayfly.workqueue import Observe, Result, WorkQueue

FAILURES = REASONS[ConditionType.SUCCEEDED].keys() - {
    Reason.SUCCEEDED,
    Reason.RUNNING,
    Reason.CANCELED,
}

QUEUES = 3
PARTS = ("runs", "webhooks", "models", "calls", "reports", "sweep")
"""What may fail unexpectedly: work queues, and tasks beside them."""

ROUTES = 90
"""Maximum number of request series: about sixty routes, most with one kind of answer."""


class Metrics:
    """The gateway's metrics, on a registry of their own."""

    def __init__(self, settings: PayerSettings, currency: str, exists: Exists) -> None:
        """Create every family.

        Args:
            settings: which labels name who pays.
            currency: of the installation.
            exists: whether there is a Pipeline of a namespace and name.
        """
        self.families = Families("gateway")
        self.registry = self.families.registry
        self._count_bills(currency, Payers(settings, exists))
        self._time_runs()
        self._count_traffic()

    def _count_bills(self, currency: str, payers: Payers) -> None:
        self._bills = [Bills(self.families, payers.unnamed(), currency)]
        if payers.labels:
            self._bills.append(Bills(self.families, payers, currency, "mayfly_payer"))
        kinds = [(currency, RUN), (currency, MODEL)]
        self._failures = self.families.counters(
            catalog.RUN_FAILURES, len(Reason), start=[(each.value,) for each in sorted(FAILURES)]
        )
        self._cost_back = self.families.counters(
            catalog.COST_REDUCTIONS, CURRENCIES * 2, start=kinds
        )
        self._active_back = self.families.counters(
            catalog.ACTIVE_SECONDS_REDUCTIONS, 2, start=[(RUN,), (MODEL,)]
        )

    def _time_runs(self) -> None:
        families = self.families
        self._start_seconds = families.histogram(catalog.RUN_START_DURATION, LONG)
        self._end_seconds = families.histogram(catalog.RUN_END_DURATION, SHORT)
        self._model_queue_seconds = families.histogram(catalog.MODEL_QUEUE_DURATION, LONG)
        self.dispatch_seconds = families.histogram(catalog.RUN_DISPATCH_DURATION, SHORT)

    def _count_traffic(self) -> None:
        families = self.families
        self.log_bytes = families.counter(catalog.RUN_LOG_BYTES)
        self.requests = families.counters(catalog.HTTP_REQUESTS, ROUTES)
        self.request_seconds = families.histogram(catalog.HTTP_REQUEST_DURATION, SHORT)
        self.rate_limited = families.counter(catalog.HTTP_RATE_LIMITED)
        results = [("allowed",), ("denied",), ("error",)]
        self.token_reviews = families.counters(catalog.TOKEN_REVIEWS, 3, start=results)
        self.access_reviews = families.counters(catalog.ACCESS_REVIEWS, 3, start=results)
        self.webhooks = families.counters(
            catalog.WEBHOOK_DELIVERIES,
            8,
            start=[("completed", "delivered"), ("completed", "failed")],
        )
        self.webhooks_abandoned = families.counter(catalog.WEBHOOKS_ABANDONED)
        self._queue_depth = families.labelled_gauge(catalog.GATEWAY_QUEUE_DEPTH, QUEUES * 4)
        self._internal_errors = families.counters(
            catalog.INTERNAL_ERRORS, len(PARTS), start=[(part,) for part in PARTS]
        )
        self._queue_oldest = families.labelled_gauge(catalog.GATEWAY_QUEUE_OLDEST, QUEUES)

    def show_queue(self, name: str, queue: WorkQueue[Any]) -> None:
        """Show how a work queue stands."""
        for state, read in queue.depth.items():
            self._queue_depth.of(name, state).set_function(read)
        self._queue_oldest.of(name).set_function(lambda: queue.oldest_seconds)

    def errors_of(self, part: str) -> Observe[Any]:
        """What counts the unexpected errors of a work queue, for its constructor."""

        def looked(_key: object, result: Result, _seconds: float) -> None:
            if result == "failed":
                self.failed(part)

        return looked

    def failed(self, part: str) -> None:
        """Count an unexpected error; `part` is one of `PARTS`."""
        self._internal_errors.of(part).inc()

    # -- what happened ---------------------------------------------------------------------------

    def recorded(self, record: object) -> None:
        """Count a new usage record, after its commit.

        Args:
            record: anything else that a transaction noted is ignored.
        """
        if not isinstance(record, UsageRecord):
            return
        for bills in self._bills:
            bills.add(record)
        failed = record.outcome == Outcome.FAILED.value
        if failed and record.kind == RUN and record.corrects is None:
            self._failures.of(record.reason).inc()
        if record.cost < 0:
            self._cost_back.of(record.currency, record.kind).inc(float(-record.cost))
        if record.active_ms < 0:
            self._active_back.of(record.kind).inc(-active_seconds(record))

    def started(self, row: RunRow, at: datetime) -> None:
        """Observe the start of a run."""
        self._start_seconds.observe(_seconds(row.created_at, at))
        self._expect(row)

    @property
    def start_latencies(self) -> dict[str, float]:
        """How long starts took: how many up to each bound in seconds, and their `count`, `sum`."""
        [family] = self._start_seconds.collect()
        found = {each.labels["le"]: each.value for each in family.samples if "le" in each.labels}
        for each in family.samples:
            if each.name.endswith(("_count", "_sum")):
                found[each.name.rpartition("_")[2]] = each.value
        return found

    def ended(self, completed_at: datetime | None, now: datetime) -> None:
        """Observe how long it took to record an end."""
        if completed_at is not None:
            self._end_seconds.observe(_seconds(completed_at, now))

    def sent(self, row: RunRow, now: datetime) -> None:
        """Observe how long a call of a Model was queued."""
        self._model_queue_seconds.observe(_seconds(row.created_at, now))
        self._expect(row)

    def _expect(self, row: RunRow) -> None:
        for bills in self._bills:
            bills.expect(row)


def _seconds(since: datetime, until: datetime) -> float:
    return max(0.0, (until - since).total_seconds())
