"""CSV that a spreadsheet reads as data."""

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.metering.sheets import cell, line


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n@x"])
def test_a_text_that_begins_like_a_formula_is_none_any_more(text: str) -> None:
    assert cell(text).startswith("'")


def test_numbers_stay_numbers() -> None:
    assert line([Decimal("-0.500"), -3, Decimal("1E-9"), None, True]) == (
        "-0.5,-3,0.000000001,,true\n"
    )


@given(st.lists(st.text(), min_size=1))
def test_a_row_is_one_line_that_reads_as_its_cells(texts: list[str]) -> None:
    made = line(["first", *texts])
    assert made.count("\n") == 1
    assert len(made.splitlines()) == 1
    (row,) = csv.reader(io.StringIO(made, newline=""))
    assert row == ["first", *map(cell, texts)]
    assert not any(each[:1] in {"=", "+", "-", "@", "\t", "\r"} for each in row)
