"""Counters of the ledger: runs, cost and active time, in total and by payer."""

from __future__ import annotations

from prometheus_client import Counter

from mayfly.metering.ending import Outcome
from mayfly.metering.ledger import RunRow
from mayfly.metering.records import UsageRecord
from mayfly.metering.tables import MODEL, RUN
from mayfly.telemetry.catalog import FAMILIES
from mayfly.telemetry.families import Bounded, Families
from mayfly.telemetry.payers import Payers

CURRENCIES = 2
"""Maximum number of currencies in one ledger: the installation's, and the previous one."""


class Bills:
    """Counters of recorded usage, with one set of labels.

    Counters by payer are separate families: a series begins with its first event, which `rate` does
    not see, and the other families must be correct from the first run on.
    """

    def __init__(
        self, families: Families, payers: Payers, currency: str, prefix: str = "mayfly"
    ) -> None:
        def counters(name: str, limit: int) -> Bounded[Counter]:
            return families.counters(payers.narrowed(FAMILIES[f"{prefix}_{name}"]), limit)

        most = payers.most
        self._payers = payers
        self._currency = currency
        self._ends = {
            RUN: counters("runs_total", len(Outcome) * most),
            MODEL: counters("model_predictions_total", len(Outcome) * most),
        }
        self._active = {
            RUN: counters("run_active_seconds_total", most),
            MODEL: counters("model_active_seconds_total", most),
        }
        self._cost = counters("cost_total", CURRENCIES * 2 * most)
        if not payers.labels:
            for kind in (RUN, MODEL):
                self._begin(kind, ())

    def expect(self, row: RunRow) -> None:
        """Create the series of a running prediction at 0, so that `rate` sees its end."""
        payer = self._payer(row)
        self._begin(row.kind, payer)

    def add(self, record: UsageRecord) -> None:
        """Count a new usage record; reductions by corrections have their own counters."""
        payer = self._payer(record)
        if record.corrects is None:
            self._ends[record.kind].of(record.outcome, *payer).inc()
        self._active[record.kind].of(*payer).inc(max(0.0, active_seconds(record)))
        cost = self._cost.of(record.currency, record.kind, *payer)
        cost.inc(max(0.0, float(record.cost)))

    def _payer(self, each: RunRow | UsageRecord) -> tuple[str, ...]:
        if each.kind != RUN:
            return self._payers.of_call(each.namespace)
        return self._payers.of_run(each.namespace, (each.pipeline_namespace, each.pipeline))

    def _begin(self, kind: str, payer: tuple[str, ...]) -> None:
        for outcome in Outcome:
            self._ends[kind].of(outcome.value, *payer)
        self._active[kind].of(*payer)
        self._cost.of(self._currency, kind, *payer)


def active_seconds(record: UsageRecord) -> float:
    """The billed active time of a record; negative for a correction that reduces it."""
    return record.active_ms / 1000
