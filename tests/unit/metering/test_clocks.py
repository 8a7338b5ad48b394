import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.metering.clocks import (
    NOTHING,
    SENTENCES,
    Flag,
    Measured,
    Window,
    estimated,
    measured,
)

T0 = datetime(2026, 1, 1, 12, 0, 0, 500_000, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = 60_000


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def told(
    window: Window, *, start: float = 1, end: float = 11, ms: int = 10_000, **rest
) -> Measured:
    """An agent's word: ten seconds, from one second after its work was sent."""
    return measured(
        started_at=at(start),
        completed_at=at(end),
        active_ms=ms,
        stamps_ms=int((end - start) * 1000),
        window=window,
        **rest,
    )


def flags(found: Measured) -> set[str]:
    return set(json.loads(found.flags))


def test_every_flag_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Flag)
    assert all(each.endswith(".") for each in SENTENCES.values())


WALL = Window(T0, at(12))
BOTH = Window(T0, at(12), 12_000)


@pytest.mark.parametrize("window", [WALL, BOTH])
def test_clocks_that_agree_flag_nothing(window: Window) -> None:
    assert told(window) == Measured(at(1), at(11), 10_000)
    # Two seconds are less than what clocks of machines may differ by.
    assert told(window, start=-1, end=9) == Measured(T0, at(9), 10_000)


@pytest.mark.parametrize("off", [-DAY, DAY])
@pytest.mark.parametrize("window", [WALL, BOTH])
def test_a_pods_wall_clock_that_is_a_day_off_costs_nobody_anything(
    window: Window, off: timedelta
) -> None:
    found = told(window, start=1 + off.total_seconds(), end=11 + off.total_seconds())
    assert found.active_ms == 10_000
    assert flags(found) == {Flag.STAMPS_OUTSIDE_WINDOW}
    assert found.started_at == found.completed_at == (T0 if off < timedelta() else at(12))


def test_a_pods_clock_that_jumps_while_it_works_is_not_charged_by() -> None:
    found = told(BOTH, end=2, ms=10_000)
    assert (found.active_ms, flags(found)) == (10_000, {Flag.STAMPS_DISAGREE})


def test_no_more_than_what_passed_is_charged() -> None:
    found = told(BOTH, ms=MINUTE)
    assert found.active_ms == 12_000
    assert flags(found) == {Flag.LONGER_THAN_WINDOW, Flag.STAMPS_DISAGREE}
    assert told(BOTH, ms=12_400, end=13.4).flags == "[]", "clocks run apart a little"


def test_an_end_never_takes_back_what_was_heard() -> None:
    found = told(WALL, ms=4000, end=5, heard_ms=9000)
    assert (found.active_ms, flags(found)) == (9000, {Flag.SHORTER_THAN_HEARD})


@pytest.mark.parametrize("jump", [-DAY, DAY])
def test_a_gateways_clock_that_is_moved_changes_no_bill_while_it_lives(jump: timedelta) -> None:
    window = Window(T0, at(12) + jump, 12_000)
    found = told(window)
    assert (found.active_ms, found.flags) == (10_000, '["gatewayClockJumped"]')
    assert (found.started_at, found.completed_at) == (at(1), at(11))
    assert told(window, ms=MINUTE).active_ms == 12_000


def test_a_clock_set_back_over_a_restart_leaves_the_pods_measure_and_the_timeout() -> None:
    window = Window(T0, T0 - DAY)
    assert window.length_ms is None
    found = told(window, limit_ms=30 * MINUTE)
    assert (found.active_ms, found.flags) == (10_000, '["gatewayClockJumped"]')
    assert told(window, ms=90 * MINUTE, end=5401, limit_ms=30 * MINUTE).active_ms == 30 * MINUTE


def lost(heard_ms: int = 0, *, ended_at: datetime | None = None, **rest: Any) -> Measured:
    return estimated(
        **{
            "started_at": at(1),
            "ended_at": ended_at,
            "heard_at": at(1 + heard_ms / 1000),
            "heard_ms": heard_ms,
            "window": Window(T0, at(600)),
            **rest,
        }
    )


def test_a_lost_run_is_charged_to_its_last_heartbeat() -> None:
    found = lost(5000, ended_at=at(9.5))
    assert (found.active_ms, found.flags) == (5000, '["estimated"]')


def test_one_that_died_before_its_first_heartbeat_is_charged_to_its_containers_end() -> None:
    found = lost(ended_at=at(3.5))
    assert (found.active_ms, found.flags) == (2500, '["estimated"]')
    # Later than a heartbeat it can't have died while it worked.
    assert lost(ended_at=at(20.5)).active_ms == 5000
    # Finer than a second: not the cluster's time, but when the controller looked.
    assert flags(lost(ended_at=at(3.7))) == {Flag.ESTIMATED, Flag.UNMEASURED}


@pytest.mark.parametrize(
    "ended_at",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        at(-30.5),
        at(9999.5),
    ],
)
@pytest.mark.parametrize(("heard_ms", "more"), [(5000, set()), (0, {Flag.UNMEASURED})])
def test_times_that_cannot_be_are_not_charged_by(
    ended_at: datetime, heard_ms: int, more: set[Flag]
) -> None:
    found = lost(heard_ms, ended_at=ended_at)
    assert found.active_ms == heard_ms
    assert flags(found) == {Flag.ESTIMATED, Flag.CONTAINER_TIMES} | more
    assert found.completed_at == at(1 + heard_ms / 1000)


def test_a_start_that_nobody_heard_of_costs_nothing_and_is_flagged() -> None:
    found = lost(started_at=None)
    assert (found.started_at, found.active_ms, found.flags) == (None, 0, '["unmeasured"]')


def test_what_never_started_has_no_stamps() -> None:
    assert measured(started_at=None, completed_at=T0, active_ms=5, window=WALL) == NOTHING


MOMENTS = st.integers(-(10**6), 10**6).map(lambda each: T0 + timedelta(milliseconds=each))
ELAPSED = st.none() | st.integers(0, 10**6)


@given(MOMENTS, st.none() | MOMENTS, st.integers(-5, 10**9), MOMENTS, MOMENTS, ELAPSED)
def test_whatever_is_told_the_window_bounds_it(
    start: datetime,
    end: datetime | None,
    active: int,
    sent: datetime,
    received: datetime,
    elapsed: int | None,
) -> None:
    window = Window(sent, received, elapsed)
    found = measured(
        started_at=start, completed_at=end, active_ms=active, window=window, limit_ms=MINUTE
    )
    assert found.started_at is not None
    assert found.completed_at is not None
    assert sent <= found.started_at <= found.completed_at <= window.ends_at
    most = MINUTE if window.length_ms is None else window.length_ms
    assert 0 <= found.active_ms <= most
    assert (found.active_ms < active) == (active > most)
    assert set(json.loads(found.flags)) <= {str(each) for each in Flag}
