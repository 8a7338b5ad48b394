"""The states of a prediction and their transitions; only `recorder` makes transitions."""

from __future__ import annotations

from enum import StrEnum

from mayfly.metering.ledger import RunRow


class State(StrEnum):
    """The status that the API shows."""

    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


ENDS = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELED})

MOVES: dict[State, frozenset[State]] = {
    # Straight to an end: it never started, or the word that it did came with the result.
    State.STARTING: frozenset({State.PROCESSING}) | ENDS,
    State.PROCESSING: ENDS,
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELED: frozenset(),
}


def state_of(row: RunRow) -> State:
    """The state of a run. An end that is journalled but not final is not shown yet."""
    if row.closed:
        return State(row.outcome or State.FAILED)
    return State.PROCESSING if row.started_at is not None else State.STARTING
