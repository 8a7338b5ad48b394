"""Times as text: what others write is a moment, or is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.clock import parse_rfc3339, rfc3339, rfc3339_seconds
from mayfly.gateway.access.signing import is_ahead
from mayfly.gateway.cache.runs import Seen

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = st.datetimes(timezones=st.just(UTC))
OFFSETS = st.sampled_from(["Z", "", "+23:59", "-23:59", "+00:00", "+24:00", "-00:00:59.999999"])
BEYOND = ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]


@pytest.mark.parametrize("text", BEYOND)
def test_a_moment_outside_all_years_is_none(text: str):
    with pytest.raises(ValueError, match="years 1 to 9999"):
        parse_rfc3339(text)
    body = {"metadata": {"annotations": {"mayfly.dev/cancel-after": text}}}
    assert Seen(body).cancel_at is None


@given(st.builds(lambda at, off: at.replace(tzinfo=None).isoformat() + off, MOMENTS, OFFSETS))
def test_any_text_is_a_moment_in_utc_or_no_value(text: str):
    try:
        moment = parse_rfc3339(text)
    except ValueError:
        return
    assert moment.tzinfo is UTC
    assert (moment - NOW).total_seconds()
    assert parse_rfc3339(rfc3339(moment)) == moment


@given(st.text(max_size=40))
def test_no_text_does_worse_than_to_be_no_value(text: str):
    try:
        parse_rfc3339(text)
    except ValueError:
        return


@given(MOMENTS)
def test_what_is_printed_is_read_again(moment: datetime):
    assert parse_rfc3339(rfc3339(moment)) == moment
    assert parse_rfc3339(rfc3339_seconds(moment)) == moment.replace(microsecond=0)


@pytest.mark.parametrize("text", ["9" * 5000, "9" * 12, "", "-1", "x", "1"])
def test_a_links_expiry_is_past_if_it_is_no_time(text: str):
    assert not is_ahead(text, NOW)
