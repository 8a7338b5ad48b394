"""Months, as text and in time."""

from datetime import UTC, datetime

import pytest

from mayfly.metering.periods import Month


@pytest.mark.parametrize("text", ["2026-1", "2026-13", "26-01", "2026-10-01", "", "9999-12", "x"])
def test_what_is_no_month(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are of strptime
        Month.read(text)


def test_a_month_ends_where_the_next_begins() -> None:
    assert Month.read("2026-12").end == datetime(2027, 1, 1, tzinfo=UTC)
    assert Month.of(datetime(2026, 10, 31, 23, 59, 59, 999999, tzinfo=UTC)) == Month(2026, 10)
