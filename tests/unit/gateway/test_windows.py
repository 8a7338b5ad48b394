"""When work was sent, as this process remembers it."""

from datetime import timedelta

import pytest
from support.builders import NOW, ledger_row

from mayfly.gateway.lifecycle.dispatches import Dispatches
from mayfly.metering.ledger import RunRow

LATER = NOW + timedelta(seconds=5)


def still() -> float:
    return 0.0


def test_a_row_that_was_not_told_of_the_dispatch_yet_says_it_all_the_same() -> None:
    windows = Dispatches(still)
    windows.open("uid", LATER, 2)
    assert windows.with_dispatch(ledger_row(attempt=2)).sent_at == LATER


@pytest.mark.parametrize(
    "row",
    [
        ledger_row(attempt=3),  # a pod after the one that had the work
        ledger_row(attempt=2, sent_at=NOW),  # what is written stands
        ledger_row(uid="other", attempt=2),
    ],
)
def test_a_dispatch_is_told_of_its_own_attempt_alone(row: RunRow) -> None:
    windows = Dispatches(still)
    windows.open("uid", LATER, 2)
    assert windows.with_dispatch(row) == row


def test_what_is_final_is_forgotten() -> None:
    windows = Dispatches(still)
    windows.open("uid", LATER, 2)
    windows.forget("uid")
    assert windows.with_dispatch(ledger_row(attempt=2)).sent_at is None
