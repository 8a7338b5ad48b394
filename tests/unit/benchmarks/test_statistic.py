from __future__ import annotations

import pytest
from benchmarks.statistic import Summary, median, percentile
from hypothesis import given
from hypothesis import strategies as st


def test_a_percentile_is_a_measured_value():
    values = [float(each) for each in range(1, 21)]
    assert percentile(values, 95) == 19.0
    assert percentile(values, 100) == 20.0
    assert percentile(values, 0) == 1.0
    assert percentile([7.0], 95) == 7.0


def test_of_fifteen_the_95th_is_the_worst():
    assert percentile([float(each) for each in range(15)], 95) == 14.0


def test_the_median_of_an_even_number_lies_between():
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.5
    assert median([3.0, 1.0, 2.0]) == 2.0


@pytest.mark.parametrize("of", [median, lambda values: percentile(values, 95)])
def test_nothing_has_none(of):
    with pytest.raises(ValueError, match="of nothing"):
        of([])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_a_summary_is_in_order(values):
    found = Summary.of(values)
    assert found.n == len(values)
    assert found.least <= found.median <= found.p95 <= found.most
