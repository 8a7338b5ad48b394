from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.metering.usage import (
    Consumption,
    Meter,
    PricePin,
    bounded,
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


MOMENTS = st.integers(-(10**6), 10**6).map(lambda each: T0 + timedelta(milliseconds=each))


@given(MOMENTS, st.none() | MOMENTS, st.integers(-5, 10**9), MOMENTS, MOMENTS)
def test_stamps_stay_in_the_window(
    start: datetime, end: datetime | None, active: int, sent: datetime, received: datetime
) -> None:
    stamps = bounded(
        started_at=start, completed_at=end, active_ms=active, sent_at=sent, received_at=received
    )
    assert stamps.started_at is not None
    assert stamps.completed_at is not None
    assert sent <= stamps.started_at <= stamps.completed_at <= max(sent, received)
    assert 0 <= stamps.active_ms <= milliseconds(max(sent, received) - sent)


def test_a_run_that_never_started_has_no_stamps() -> None:
    stamps = bounded(started_at=None, completed_at=T0, active_ms=5, sent_at=T0, received_at=T0)
    assert (stamps.started_at, stamps.completed_at, stamps.active_ms) == (None, None, 0)
