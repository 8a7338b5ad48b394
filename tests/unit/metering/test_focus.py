"""Records as FOCUS rows: the same money, and when a correction is one."""

import json
from datetime import timedelta
from decimal import Decimal

from support.bills import OCTOBER, bill, correction

from mayfly.metering import focus
from mayfly.metering.records import exact_sum


def test_the_rows_of_a_record_cost_what_it_costs() -> None:
    for record in (
        bill(1),
        bill(2, kind="model", called="acme/llm", input_tokens=1_234_567, active_ms=1),
        bill(3, outcome="failed", reason="UserError"),
        bill(4, prices="[]"),
        bill(5, started=False, started_at=None, active_ms=0, outcome="canceled"),
    ):
        rows = focus.rows(record)
        assert exact_sum(row["BilledCost"] for row in rows) == record.cost
        for row in rows:
            assert row["ListUnitPrice"] * row["PricingQuantity"] == row["ListCost"]
            assert row["ChargePeriodStart"] < row["ChargePeriodEnd"]


def test_runs_that_bring_their_own_source_are_one_resource() -> None:
    (row, _) = focus.rows(bill(1, pipeline=""))
    assert row["ResourceName"] == "(inline)"
    assert json.loads(str(row["Tags"]))["mayfly.dev/model"] == "(inline)"
    assert str(row["ChargeDescription"]).startswith("(inline): ")


def test_a_row_a_meter_that_charged() -> None:
    assert [row["SkuMeter"] for row in focus.rows(bill(1))] == ["predictSeconds", "prediction"]
    assert [row["SkuMeter"] for row in focus.rows(bill(1, outcome="failed"))] == ["predictSeconds"]


def test_what_is_free_is_a_row_too() -> None:
    (row,) = focus.rows(bill(1, prices="[]"))
    assert (row["BilledCost"], row["ConsumedQuantity"]) == (Decimal(0), Decimal("3.001"))


def test_a_correction_of_this_month_adjusts_and_one_of_an_earlier_month_corrects() -> None:
    of = bill(1)
    (now,) = focus.rows(correction(of, 1, "-0.003"), of)
    assert (now["ChargeCategory"], now["ChargeClass"]) == ("Adjustment", None)
    late = correction(of, 2, "-0.003", recorded_at=OCTOBER + timedelta(days=31))
    (then,) = focus.rows(late, of)
    assert (then["ChargeCategory"], then["ChargeClass"]) == ("Usage", "Correction")
    assert then["BillingPeriodStart"] == "2026-11-01T00:00:00Z"
    assert then["BilledCost"] == Decimal("-0.003")
