"""When work was sent, as this process remembers it."""

from datetime import timedelta

import pytest
from support.builders import NOW, ledger_row

from mayfly.gateway.lifecycle.dispatches import Dispatches, Moment
from mayfly.metering.ledger import RunRow

LATER = NOW + timedelta(seconds=5)


class Hands:
    """The hands of both clocks."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.windows = Dispatches(
            lambda: NOW + timedelta(seconds=self.passed), lambda: 1000.0 + self.passed
        )


@pytest.fixture
def windows() -> Dispatches:
    return Hands().windows


SENT = Moment(LATER, 0.0)


def test_what_passes_between_the_news_and_its_record_is_not_in_the_window() -> None:
    """The database may have been away for a minute: nobody worked in it, and no clock jumped."""
    hands = Hands()
    hands.windows.open("uid", hands.windows.now())
    hands.passed = 5.0
    heard = hands.windows.now()
    hands.passed = 65.0
    window = hands.windows.of(ledger_row(uid="uid"), heard)
    assert (window.length_ms, window.jumped) == (5001, False)
    assert window.ends_at == LATER


def test_a_row_that_was_not_told_of_the_dispatch_yet_says_it_all_the_same(
    windows: Dispatches,
) -> None:
    windows.open("uid", SENT, 2)
    assert windows.with_dispatch(ledger_row(attempt=2)).sent_at == LATER


@pytest.mark.parametrize(
    "row",
    [
        ledger_row(attempt=3),  # a pod after the one that had the work
        ledger_row(attempt=2, sent_at=NOW),  # what is written stands
        ledger_row(uid="other", attempt=2),
    ],
)
def test_a_dispatch_is_told_of_its_own_attempt_alone(windows: Dispatches, row: RunRow) -> None:
    windows.open("uid", SENT, 2)
    assert windows.with_dispatch(row) == row


def test_what_is_final_is_forgotten(windows: Dispatches) -> None:
    windows.open("uid", SENT, 2)
    windows.forget("uid")
    assert windows.with_dispatch(ledger_row(attempt=2)).sent_at is None
