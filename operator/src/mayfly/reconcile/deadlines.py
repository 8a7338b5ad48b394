"""Deadlines of a run: for its pod, for its start, for its removal. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from mayfly.api.v1alpha1 import PipelineRun
from mayfly.api.v1alpha1.conditions import ConditionType, find
from mayfly.api.v1alpha1.duration import seconds
from mayfly.clock import parse_rfc3339

QUEUED_LONG = timedelta(seconds=60)


def created_at(run: PipelineRun, *, now: datetime) -> datetime:
    """When the run was created; `now` if it was never in the API."""
    stamp = run.metadata.creation_timestamp
    return parse_rfc3339(stamp) if stamp else now


def queue_due(run: PipelineRun, *, now: datetime) -> datetime:
    """Until when a run may wait for a pod: `spec.queueDeadline` after its creation."""
    return created_at(run, now=now) + timedelta(seconds=seconds(run.spec.queue_deadline))


def queued_long_at(run: PipelineRun, *, now: datetime) -> datetime:
    """When waiting for a pod has been so long that an event tells of it."""
    return created_at(run, now=now) + QUEUED_LONG


def claimed_at(run: PipelineRun, *, now: datetime) -> datetime:
    """When the run was accepted, which is when its first pod was claimed."""
    accepted = find(run.status.conditions, ConditionType.ACCEPTED)
    return parse_rfc3339(accepted.last_transition_time) if accepted else created_at(run, now=now)


def start_due(run: PipelineRun, *, now: datetime) -> datetime:
    """Until when main() must be called: `spec.startDeadline` after admission, over all attempts.

    Admission happens with the claim; a claimed run without an admission was edited by hand, and its
    creation counts.
    """
    return claimed_at(run, now=now) + timedelta(seconds=seconds(run.spec.start_deadline))


def ttl_due(run: PipelineRun) -> datetime | None:
    """When to delete the run; None for children, and for ends that are not recorded."""
    if run.spec.parent_ref is not None or not run.status.finished:
        return None
    over = find(run.status.conditions, ConditionType.FINISHED)
    if over is None:
        return None
    since = parse_rfc3339(over.last_transition_time)
    return since + timedelta(seconds=run.spec.ttl_seconds_after_finished)
