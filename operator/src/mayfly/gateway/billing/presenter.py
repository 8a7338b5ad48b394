"""Usage as JSON and CSV: reports, records, closed months, explanations of a bill."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from mayfly.api.v1alpha1.identity import run_id
from mayfly.clock import rfc3339
from mayfly.metering.clocks import SENTENCES
from mayfly.metering.explain import Explanation
from mayfly.metering.periods import Period, Totals
from mayfly.metering.pricing import decimal_text
from mayfly.metering.records import UsageRecord
from mayfly.metering.reports import Key, Row, Span, totals_of
from mayfly.metering.sheets import line

Json = dict[str, Any]

SUMS = (
    *("predictions", "active_milliseconds", "output_items", "input_tokens", "output_tokens"),
    *("cost", "currency"),
)

PARTS = 1000
"""The maximum number of downstream predictions in an explanation; their sum includes all."""


def report(span: Span, keys: Sequence[Key], rows: Sequence[Row]) -> Iterator[str]:
    """A usage report as JSON, in pieces; the totals, one per currency, are the sums of its rows."""
    head = {
        "from": rfc3339(span.since) if span.since else None,
        "to": rfc3339(span.until) if span.until else None,
        "namespace": span.namespace,
        "by": [key.value for key in keys],
    }
    yield f'{_compact(head)[:-1]},"rows":['
    for number, row in enumerate(rows):
        words = dict(zip((key.value for key in keys), row.keys, strict=True))
        yield ("," if number else "") + _compact({**words, **_sums(row)})
    totals = _compact([_sums(row) for row in totals_of(rows)])
    yield f'],"totals":{totals}}}'


def _compact(value: Json | list[Json]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def report_lines(keys: Sequence[Key], rows: Sequence[Row]) -> Iterator[str]:
    """A usage report as CSV rows, with a header and without totals."""
    yield line([*(key.value for key in keys), *SUMS])
    for row in rows:
        yield line([*row.keys, *_sums(row).values()])


def _sums(row: Row) -> Json:
    return {
        "predictions": row.predictions,
        "active_milliseconds": row.active_ms,
        "output_items": row.output_items,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cost": decimal_text(row.cost),
        "currency": row.currency,
    }


def record(found: UsageRecord) -> Json:
    """A usage record as JSON."""
    return {
        "record_id": found.record_id,
        "recorded_at": rfc3339(found.recorded_at),
        "cost": decimal_text(found.cost),
        "currency": found.currency,
        "namespace": found.namespace,
        "id": found.id,
        "kind": found.kind,
        "name": found.name,
        "model": found.model,
        "version": found.version,
        "runtime_digest": found.runtime_digest,
        "root": run_id(found.root_uid),
        "parent": run_id(found.parent_uid) if found.parent_uid else None,
        "depth": found.depth,
        "outcome": found.outcome,
        "reason": found.reason,
        "started_at": rfc3339(found.started_at) if found.started_at else None,
        "completed_at": rfc3339(found.completed_at) if found.completed_at else None,
        "active_milliseconds": found.active_ms,
        "output_items": found.output_items,
        "input_tokens": found.input_tokens,
        "output_tokens": found.output_tokens,
        "prices": [
            {"meter": each["meter"], "unit_price": each["unitPrice"]}
            for each in json.loads(found.prices)
        ],
        "flags": json.loads(found.flags),
        "corrects": found.corrects,
        "why": found.why,
        "author": found.author,
    }


def correction(made: UsageRecord, bill: UsageRecord) -> Json:
    """A correction's record as JSON, and the bill including all corrections."""
    return {
        "record": made.record_id,
        "prediction": run_id(made.run_uid),
        "corrects": made.corrects,
        "cost": decimal_text(made.cost),
        "active_milliseconds": made.active_ms,
        "currency": made.currency,
        "why": made.why,
        "author": made.author,
        "recorded_at": rfc3339(made.recorded_at),
        "billed": {
            "cost": decimal_text(bill.cost),
            "active_milliseconds": bill.active_ms,
        },
    }


def explanation(found: Explanation) -> Json:
    """An explanation of a bill, line by line; amounts are exact decimals as text."""
    return {
        **record(found.bill),
        "contradictions": [
            {"flag": flag, "sentence": SENTENCES.get(flag, "")}
            for flag in json.loads(found.bill.flags)
        ],
        "charges": [
            {
                "meter": each.meter.value,
                "quantity": decimal_text(each.quantity),
                "unit_price": decimal_text(each.unit_price),
                "amount": decimal_text(each.amount),
            }
            for each in found.charges
        ],
        "billed": decimal_text(found.bill.cost),
        "corrections": [record(each) for each in found.corrections],
        "cost": decimal_text(found.cost),
        "downstream": [_part(each) for each in found.parts[:PARTS]],
        "downstream_predictions": len(found.parts),
        "downstream_cost": decimal_text(found.downstream),
        "total_cost": decimal_text(found.total),
        "final": found.final,
    }


def _part(bill: UsageRecord) -> Json:
    return {
        "id": bill.id,
        "model": bill.model,
        "kind": bill.kind,
        "depth": bill.depth,
        "parent": run_id(bill.parent_uid) if bill.parent_uid else None,
        "outcome": bill.outcome,
        "active_milliseconds": bill.active_ms,
        "cost": decimal_text(bill.cost),
    }


def period(found: Period) -> Json:
    """A closed month; without totals if its close was interrupted."""
    return {
        "period": str(found.month),
        "from": rfc3339(found.month.start),
        "to": rfc3339(found.month.end),
        "closed_at": rfc3339(found.closed_at),
        "closed_by": found.closed_by,
        **_totals(found.totals),
    }


def periods(found: Sequence[Period]) -> Json:
    """Closed months, as one page."""
    return {"previous": None, "next": None, "results": [period(each) for each in found]}


def verified(closed: Period, now: Totals) -> Json:
    """A closed month, and its totals as they are now."""
    return {**period(closed), "now": _totals(now), "matches": closed.totals == now}


def _totals(found: Totals | None) -> Json:
    if found is None:
        return {"records": None, "sums": None, "sha256": None}
    return {
        "records": found.records,
        "sums": [
            {"currency": currency, "cost": decimal_text(cost)}
            for currency, cost in sorted(found.sums.items())
        ],
        "sha256": found.sha256,
    }
