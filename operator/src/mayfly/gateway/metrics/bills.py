"""Counters of the ledger: runs, cost and active time, in total and by payer."""

from __future__ import annotations

from decimal import Decimal

from mayfly.metering.ending import Outcome
from mayfly.metering.ledger import RunRow
from mayfly.metering.records import UsageRecord
from mayfly.metering.tables import MODEL, RUN
from mayfly.telemetry.families import Families
from mayfly.telemetry.payers import Payers

CURRENCIES = 2
"""That one ledger may hold: the installation's, and the one before."""

_THOUSAND = Decimal(1000)


class Bills:
    """Counters of recorded usage, with one set of labels.

    Those of who pays are families of their own: a series begins with the first that it counts,
    which a rate does not see, and the others must be right from the first run on.
    """

    def __init__(
        self, families: Families, payers: Payers, currency: str, prefix: str = "mayfly"
    ) -> None:
        labels, most = payers.labels, payers.most
        whose = ", by who pays" if labels else ""
        self._payers = payers
        self._currency = currency
        self._runs = families.counters(
            f"{prefix}_runs_total",
            f"Runs whose end is recorded, by how they ended{whose}.",
            ("outcome", *labels),
            len(Outcome) * most,
        )
        self._calls = families.counters(
            f"{prefix}_model_predictions_total",
            f"Calls of Models whose end is recorded, by how they ended{whose}.",
            ("outcome", *labels),
            len(Outcome) * most,
        )
        self._active = {
            RUN: families.exact(
                f"{prefix}_run_active_seconds_total",
                f"Billed active time of recorded runs{whose}.",
                labels,
                most,
            ),
            MODEL: families.exact(
                f"{prefix}_model_active_seconds_total",
                f"Billed active time of recorded calls of Models{whose}.",
                labels,
                most,
            ),
        }
        self._cost = families.exact(
            f"{prefix}_cost_total",
            f"Cost of usage records, in units of the currency; kind is run or model{whose}.",
            ("currency", "kind", *labels),
            CURRENCIES * 2 * most,
        )
        if not labels:
            for kind in (RUN, MODEL):
                self._begin(kind, ())

    def expect(self, row: RunRow) -> None:
        """A prediction is under way: show at 0 what it will add to, so that a rate sees it."""
        payer = self._payer(row)
        self._begin(row.kind, payer)

    def add(self, record: UsageRecord) -> None:
        """Count a new usage record; what a correction takes off is counted elsewhere."""
        payer = self._payer(record)
        if record.corrects is None:
            (self._runs if record.kind == RUN else self._calls).of(record.outcome, *payer).inc()
        self._active[record.kind].add(max(Decimal(0), active_seconds(record)), *payer)
        self._cost.add(max(Decimal(0), record.cost), record.currency, record.kind, *payer)

    def _payer(self, each: RunRow | UsageRecord) -> tuple[str, ...]:
        named = each.kind == RUN and each.pipeline
        pipeline = f"{each.pipeline_namespace}/{each.pipeline}" if named else ""
        return self._payers.of(each.namespace, pipeline)

    def _begin(self, kind: str, payer: tuple[str, ...]) -> None:
        for outcome in Outcome:
            (self._runs if kind == RUN else self._calls).of(outcome.value, *payer)
        self._active[kind].add(Decimal(0), *payer)
        self._cost.add(Decimal(0), self._currency, kind, *payer)


def active_seconds(record: UsageRecord) -> Decimal:
    """The billed active time of a record; negative for a correction that takes off."""
    return Decimal(record.active_ms) / _THOUSAND
