"""Pricing: from meters to money. Decimals are exact; only active time is rounded up, to 1 ms.

Rules: a meter without a price costs nothing; `prediction` and `outputItems` are charged only on
success; time and tokens are charged for every end; what never started is free.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext
from enum import StrEnum

MAX_PRICE_TEXT = 40
"""Maximum length of a price: enough for any currency, and still exact in computations."""

PRICE = re.compile(r"[0-9]+(\.[0-9]+)?")

DIGITS = 120
EXACT = Context(prec=DIGITS, traps=[InvalidOperation, Inexact])
"""A decimal context that raises instead of rounding."""


class Meter(StrEnum):
    """What a price can apply to."""

    PREDICT_SECONDS = "predictSeconds"
    PREDICTION = "prediction"
    OUTPUT_ITEMS = "outputItems"
    INPUT_TOKENS = "inputTokens"
    OUTPUT_TOKENS = "outputTokens"


@dataclass(frozen=True)
class PricePin:
    """The price of one unit of a meter, pinned when the work was dispatched."""

    meter: Meter
    unit_price: Decimal

    def body(self) -> dict[str, str]:
        """The JSON stored in the ledger."""
        return {"meter": self.meter.value, "unitPrice": decimal_text(self.unit_price)}


@dataclass(frozen=True)
class Consumption:
    """What one prediction used.

    Attributes:
        active_ms: milliseconds from the call of main() to its end, rounded up.
        started: whether main() was called.
        succeeded: whether it succeeded.
        output_items: items of the output (1 unless it is a list).
        input_tokens: as counted by the Model's server.
        output_tokens: likewise.
    """

    active_ms: int = 0
    started: bool = False
    succeeded: bool = False
    output_items: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def quantity(self, meter: Meter) -> Decimal:
        """How many units of a meter are charged."""
        if not self.started:
            return Decimal(0)
        match meter:
            case Meter.PREDICT_SECONDS:
                return Decimal(self.active_ms) / Decimal(1000)
            case Meter.PREDICTION:
                return Decimal(1 if self.succeeded else 0)
            case Meter.OUTPUT_ITEMS:
                return Decimal(self.output_items if self.succeeded else 0)
            case Meter.INPUT_TOKENS:
                return Decimal(self.input_tokens)
            case Meter.OUTPUT_TOKENS:
                return Decimal(self.output_tokens)


@dataclass(frozen=True)
class Charge:
    """One line of a bill.

    Attributes:
        meter: what is counted.
        quantity: the number of units.
        unit_price: of one unit, as pinned at the dispatch.
    """

    meter: Meter
    quantity: Decimal
    unit_price: Decimal

    @property
    def amount(self) -> Decimal:
        """The amount of the line, exact.

        Raises:
            decimal.Inexact: more than `DIGITS` digits are needed; prices that `read_pins` accepts
                never need that many.
        """
        with localcontext(EXACT):
            return self.quantity * self.unit_price


def charges(used: Consumption, pins: Sequence[PricePin]) -> list[Charge]:
    """The lines of a bill: one for each meter with a price."""
    return [Charge(pin.meter, used.quantity(pin.meter), pin.unit_price) for pin in pins]


def cost(used: Consumption, pins: Sequence[PricePin]) -> Decimal:
    """The cost of what was used, exact: the sum of its charges."""
    with localcontext(EXACT):
        return sum((each.amount for each in charges(used, pins)), Decimal(0))


def read_pins(prices: Sequence[Mapping[str, object]]) -> tuple[PricePin, ...]:
    """Parse an object's `price` list.

    Raises:
        ValueError: a meter is unknown, or a price is not a finite decimal of at least zero.
    """
    return tuple(_pin(each) for each in prices)


def _pin(entry: Mapping[str, object]) -> PricePin:
    meter = Meter(str(entry.get("meter")))
    text = str(entry.get("unitPrice"))
    # No exponent: 1E-999999 is short, and has more digits than any sum is made with.
    if len(text) > MAX_PRICE_TEXT or not PRICE.fullmatch(text):
        raise ValueError(f'"{text[:50]}" is not a price: digits, with or without a point')
    return PricePin(meter, Decimal(text))


def decimal_text(value: Decimal) -> str:
    """A decimal without exponent and without trailing zeros: "0", "0.00025"."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text or "0"


def milliseconds(span: timedelta) -> int:
    """The length of a span in milliseconds, rounded up, never negative."""
    microseconds = span // timedelta(microseconds=1)
    return max(0, math.ceil(microseconds / 1000))
