from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.metering.pricing import (
    Consumption,
    Meter,
    PricePin,
    cost,
    decimal_text,
    milliseconds,
    read_pins,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
PINS = (
    PricePin(Meter.PREDICT_SECONDS, Decimal("0.000025")),
    PricePin(Meter.PREDICTION, Decimal("0.01")),
    PricePin(Meter.OUTPUT_ITEMS, Decimal("0.1")),
    PricePin(Meter.OUTPUT_TOKENS, Decimal(5)),
)


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (Consumption(), "0"),
        (Consumption(active_ms=5000, started=False, succeeded=False), "0"),
        (Consumption(active_ms=1, started=True), "0.000000025"),
        (Consumption(active_ms=1000, started=True, output_items=3), "0.000025"),
        (Consumption(active_ms=1000, started=True, succeeded=True, output_items=3), "0.310025"),
        (Consumption(active_ms=0, started=True, succeeded=True), "0.01"),
        (Consumption(started=True, input_tokens=9, output_tokens=2), "10"),
        (Consumption(input_tokens=9, output_tokens=2), "0"),
    ],
)
def test_cost(used: Consumption, expected: str) -> None:
    assert decimal_text(cost(used, PINS)) == expected


@given(
    st.lists(st.integers(0, 10**12), max_size=30),
    st.decimals(min_value=0, max_value=10**12, places=18),
)
def test_a_sum_of_costs_is_the_cost_of_the_sum(times: list[int], price: Decimal) -> None:
    pins = (PricePin(Meter.PREDICT_SECONDS, price),)
    parts = [cost(Consumption(active_ms=each, started=True), pins) for each in times]
    whole = cost(Consumption(active_ms=sum(times), started=True), pins)
    # Compared as fractions: Python's decimals round sums to 28 digits.
    assert sum(map(Fraction, parts)) == Fraction(whole)


@pytest.mark.parametrize(
    "entry",
    [
        {"meter": "nothing", "unitPrice": "1"},
        {"meter": "prediction", "unitPrice": "much"},
        {"meter": "prediction", "unitPrice": "-1"},
        {"meter": "prediction", "unitPrice": "1E-999999"},
        {"meter": "prediction", "unitPrice": "NaN"},
        {"meter": "prediction", "unitPrice": "1" * 41},
        {"meter": "prediction"},
    ],
)
def test_a_wrong_price_is_refused(entry: dict) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_pins([entry])


def test_pins_survive_the_ledger() -> None:
    assert read_pins([pin.body() for pin in PINS]) == PINS


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", "0"), ("1E+3", "1000"), ("0.0100", "0.01"), ("1E-9", "0.000000001"), ("100", "100")],
)
def test_decimal_text(text: str, expected: str) -> None:
    assert decimal_text(Decimal(text)) == expected


@pytest.mark.parametrize(("micros", "expected"), [(0, 0), (1, 1), (1000, 1), (1001, 2), (-5, 0)])
def test_milliseconds_round_up(micros: int, expected: int) -> None:
    assert milliseconds(timedelta(microseconds=micros)) == expected
