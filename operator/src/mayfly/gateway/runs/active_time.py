"""Active time of a run, by who reported its end: its agent, the controller, or nobody. Pure."""

from __future__ import annotations

from datetime import datetime

from mayfly.api.v1alpha1 import Reason
from mayfly.gateway.runs.messages import Result
from mayfly.metering.clocks import (
    NOTHING,
    SKEW,
    Flag,
    Measured,
    Window,
    believable,
    estimated,
    measured,
)
from mayfly.metering.ending import Ending
from mayfly.metering.ledger import RunRow
from mayfly.metering.pricing import milliseconds

MEASURED = frozenset(
    {
        Reason.SUCCEEDED,
        Reason.USER_ERROR,
        Reason.TIMED_OUT,
        Reason.EXITED,
        Reason.OUTPUT_TOO_LARGE,
        Reason.OUTPUT_NOT_JSON,
        Reason.OUTPUT_UPLOAD_FAILED,
    }
)
"""Reasons that only an agent's result gives: both timestamps of such an end are the agent's."""

UNREPORTED = frozenset(
    {
        Reason.LOST,
        Reason.OUT_OF_MEMORY,
        Reason.EVICTED,
        Reason.CANCELED,
        Reason.INTERNAL_ERROR,
    }
)
"""Reasons of ends that the pod itself may not have reported."""


def of_result(row: RunRow, result: Result, window: Window, *, timeout: float | None) -> Measured:
    """Active time by the agent's result.

    Args:
        row: the run's row.
        result: of the agent.
        window: from the dispatch of the work to the result.
        timeout: seconds that the run may work; None if unknown.
    """
    started_at = result.started_at or row.started_at or window.received_at
    return measured(
        started_at=started_at if result.started else None,
        completed_at=result.completed_at,
        active_ms=result.active_ms,
        window=window,
        stamps_ms=_between(result.started_at, result.completed_at),
        heard_ms=row.active_ms,
        limit_ms=None if timeout is None else int(timeout * 1000),
    )


def of_object(row: RunRow, told: Ending, window: Window) -> Measured:
    """Active time by the end that the controller wrote.

    It contains the agent's active time if the termination message had one, and the cluster's time
    of the container's end if there is one.

    Args:
        row: the run's row.
        told: the end on the object.
        window: from the dispatch of the work until now.
    """
    stamps_ms = _between(told.started_at, told.completed_at)
    by_agent = told.reason in MEASURED
    started_at = told.started_at or row.started_at
    if started_at is None and not _may_have_started(row, told):
        return NOTHING
    if not told.active_ms and not (by_agent and stamps_ms):
        return estimated(
            started_at=row.started_at or started_at,
            ended_at=told.completed_at,
            heard_at=row.heard_at,
            heard_ms=row.active_ms,
            window=window,
        )
    end, flags = told.completed_at, set[Flag]()
    began = row.started_at or started_at
    if not by_agent and end and began and not believable(end, began, window):
        end, flags = None, {Flag.CONTAINER_TIMES}
    return measured(
        started_at=started_at,
        completed_at=end,
        active_ms=told.active_ms or stamps_ms or 0,
        window=window,
        stamps_ms=stamps_ms if by_agent else None,
        heard_ms=row.active_ms,
        flags=flags,
    )


def of_deleted(row: RunRow, window: Window, *, running: bool) -> Measured:
    """Active time of a run whose object was deleted before its end.

    Args:
        row: the run's row.
        window: from the dispatch of the work until now.
        running: its agent is connected, so it has worked until now.
    """
    if row.started_at is None and (running or row.sent_at is None):
        return NOTHING
    if not running or row.started_at is None:
        return estimated(
            started_at=row.started_at,
            ended_at=None,
            heard_at=row.heard_at,
            heard_ms=row.active_ms,
            window=window,
        )
    now = window.received_at
    return measured(
        started_at=row.started_at,
        completed_at=now,
        active_ms=max(row.active_ms, window.since(row.started_at, now)),
        window=window,
        flags={Flag.ESTIMATED},
    )


def ended_unstarted(row: RunRow, told: Ending, now: datetime) -> datetime:
    """When a run that did not start has ended: the object's time, if it is plausible."""
    end = told.completed_at
    if end is None or not row.created_at - SKEW <= end <= now + SKEW:
        return row.heard_at or now
    return end


def _between(start: datetime | None, end: datetime | None) -> int | None:
    """Milliseconds between two timestamps of one clock."""
    return milliseconds(end - start) if start is not None and end is not None else None


def _may_have_started(row: RunRow, told: Ending) -> bool:
    """Whether main() may have been called without a report: the pod had received its work."""
    return row.sent_at is not None and told.reason in UNREPORTED
