"""CSV that a spreadsheet reads as data."""

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bills import bill, uid

from mayfly.api.v1alpha1.identity import run_id
from mayfly.metering import reports
from mayfly.metering.sheets import cell, line

FORMULAS = ["=1+1", "\t", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n@x"]


@pytest.mark.parametrize("text", FORMULAS)
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


def test_the_line_of_a_record_stays_as_it_is() -> None:
    """Closed months are checked by it."""
    assert reports.line_of(bill(7)) == (
        "0000abc0-0000-0000-0000-000000000007,2026-10-05T12:00:04.123456Z,0.010075025,USD,team,"
        f"{run_id(uid(7))},0000abc0-0000-0000-0000-000000000007,run,run-7,team,answer,,{'c' * 64},"
        f"registry.example/runtime@sha256:{'ab' * 32},0000abc0-0000-0000-0000-000000000007,,1,"
        "succeeded,Succeeded,true,2026-10-05T12:00:00.123456Z,2026-10-05T12:00:03.123456Z,3001,1,"
        '0,0,"[{""meter"": ""predictSeconds"", ""unitPrice"": ""0.000025""}, {""meter"": '
        '""prediction"", ""unitPrice"": ""0.01""}, {""meter"": ""inputTokens"", ""unitPrice"": '
        '""0.00000013""}]",[],,,\n'
    )
