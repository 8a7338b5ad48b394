"""docs/billing.md says what the code does: every end, every flag, every example."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from support.billing_page import ENDS, EXAMPLES, PAGE, table

from mayfly.api.v1alpha1.conditions import REASONS, ConditionType, Reason
from mayfly.gateway.runs.ends import outcome_of
from mayfly.metering.clocks import SENTENCES
from mayfly.metering.ending import Ending
from mayfly.metering.pricing import Meter, PricePin, cost, decimal_text
from mayfly.metering.records import exact_sum

TIMES = "\N{MULTIPLICATION SIGN}"
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def ended(reason: Reason, *, started: bool, items: int = 0, ms: int = 0, **tokens: int) -> Ending:
    return Ending(
        outcome=outcome_of(reason),
        reason=reason,
        output=str(list(range(items))),
        started_at=T0 if started else None,
        completed_at=T0,
        active_ms=ms,
        **tokens,
    )


def test_every_end_is_in_the_table_once() -> None:
    assert len(ENDS) == len(table("Every end"))
    assert set(ENDS) == set(REASONS[ConditionType.SUCCEEDED]) - {Reason.RUNNING}


@pytest.mark.parametrize("reason", ENDS)
def test_an_end_charges_what_the_table_says(reason: Reason) -> None:
    end = ENDS[reason]
    ending = ended(reason, started=end.starts, items=3, ms=1000)
    if "calls" in end.of:
        ending = replace(ending, input_tokens=5, output_tokens=7)
    charged = {
        meter: cost(ending.consumption, [PricePin(meter, Decimal(1))]) > 0 for meter in Meter
    }
    assert charged == {
        Meter.PREDICT_SECONDS: end.time,
        Meter.PREDICTION: end.prediction,
        Meter.OUTPUT_ITEMS: end.items,
        Meter.INPUT_TOKENS: end.tokens,
        Meter.OUTPUT_TOKENS: end.tokens,
    }
    assert end.time == end.starts
    unstarted = ended(reason, started=False, items=3, ms=1000, input_tokens=5, output_tokens=7)
    assert cost(unstarted.consumption, [PricePin(meter, Decimal(1)) for meter in Meter]) == 0


def computed(row: list[str]) -> Decimal:
    _, ms, end, items, tokens, prices, *_ = row
    reason = Reason(end)
    given, made = (int(each) for each in tokens.split(","))
    ending = ended(
        reason,
        started=ENDS[reason].starts,
        items=int(items),
        ms=int(ms),
        input_tokens=given,
        output_tokens=made,
    )
    pins = [each.split() for each in prices.split(",")]
    return cost(ending.consumption, [PricePin(Meter(name), Decimal(at)) for name, at in pins])


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: row[0])
def test_an_example_is_what_the_code_charges(row: list[str]) -> None:
    arithmetic, told = row[6:8]
    assert decimal_text(computed(row)) == told
    terms = [term.split(TIMES) for term in arithmetic.split("+") if term.strip()]
    assert exact_sum(Decimal(a.strip()) * Decimal(b.strip()) for a, b in terms) == Decimal(told)


def test_the_example_of_a_tree_is_the_sum_of_its_parts() -> None:
    costs = {row[0]: computed(row) for row in EXAMPLES}
    found = re.search(
        r"`cost` ([0-9.]+[0-9]), `downstreamCost` ([0-9.]+[0-9]) and `totalCost` ([0-9.]+[0-9])",
        PAGE,
    )
    assert found is not None
    own, below, total = map(Decimal, found.groups())
    assert (own, below) == (costs["A"], exact_sum([costs["D"], costs["C"]]))
    assert total == exact_sum([own, below])


def test_every_flag_is_explained_as_in_the_code() -> None:
    told = {row[0].strip("`"): row[1] for row in table("Clocks")}
    assert told == {str(flag): words for flag, words in SENTENCES.items()}
