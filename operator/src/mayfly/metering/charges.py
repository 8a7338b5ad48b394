"""The arithmetic of a bill, line by line: a meter, how much of it, its price, and their product."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal, localcontext

from mayfly.metering.pricing import EXACT, Consumption, Meter, read_pins
from mayfly.metering.records import UsageRecord


@dataclass(frozen=True)
class Charge:
    """One line of a bill.

    Attributes:
        meter: what is counted.
        quantity: how many units of it.
        unit_price: of one unit, as it was pinned at the dispatch.
    """

    meter: Meter
    quantity: Decimal
    unit_price: Decimal

    @property
    def amount(self) -> Decimal:
        """What the line costs, exact."""
        with localcontext(EXACT):
            return self.quantity * self.unit_price


def charges(bill: UsageRecord) -> list[Charge]:
    """A line for each priced meter; they add up to the record's cost.

    Args:
        bill: a prediction's own record. A correction has no lines, only a difference.
    """
    used = Consumption(
        active_ms=bill.active_ms,
        started=bill.started,
        succeeded=bill.outcome == "succeeded",
        output_items=bill.output_items,
        input_tokens=bill.input_tokens,
        output_tokens=bill.output_tokens,
    )
    pins = read_pins(json.loads(bill.prices))
    return [Charge(pin.meter, used.quantity(pin.meter), pin.unit_price) for pin in pins]


def model_of(record: UsageRecord) -> str:
    """What was called, as owner/name."""
    return record.called or f"{record.pipeline_namespace}/{record.pipeline or record.name}"
