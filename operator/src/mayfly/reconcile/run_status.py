"""Statuses of unfinished runs, as the planner writes them: claim, wait, cancel. Pure.

Ends are in `ending`.
"""

from __future__ import annotations

from datetime import datetime

from mayfly.api.v1alpha1 import PipelineRun, PipelineRunStatus, Reason
from mayfly.api.v1alpha1.conditions import ConditionType, Truth, with_condition
from mayfly.api.v1alpha1.identity import run_id
from mayfly.api.v1alpha1.summary import summarised
from mayfly.clock import rfc3339_seconds
from mayfly.reconcile.actions import WriteRunStatus
from mayfly.reconcile.observed import ObservedPod, ObservedRun, Target


def marked(
    run: PipelineRun, now: datetime, *marks: tuple[ConditionType, Truth, Reason, str]
) -> PipelineRunStatus:
    """A run's status with conditions set.

    Args:
        run: the run.
        now: when they are decided.
        marks: type, status, reason and message of each.
    """
    conditions = run.status.conditions
    for mark in marks:
        conditions = with_condition(
            conditions, *mark, now=rfc3339_seconds(now), generation=run.metadata.generation
        )
    return run.status.model_copy(update={"conditions": conditions})


def claimed(seen: ObservedRun, target: Target, pod: ObservedPod, attempt: int) -> PipelineRunStatus:
    """The claim: one write that assigns the pod to the run and pins what it runs."""
    run = seen.run
    status = marked(
        run,
        seen.now,
        (ConditionType.ACCEPTED, "True", Reason.ACCEPTED, "The run was checked."),
        (ConditionType.STARTED, "False", Reason.POD_PENDING, f"Pod {pod.name} is starting."),
        (ConditionType.SUCCEEDED, "Unknown", Reason.RUNNING, "The run has not ended."),
    )
    status = status.model_copy(
        update={
            "id": run_id(run.metadata.uid),
            "version": target.version,
            "depth": target.depth,
            "root_ref": target.root,
            "attempt": attempt,
            "pod_name": pod.name,
            "pod_uid": pod.uid,
            "timeout": target.timeout,
        }
    )
    return summarised(seen.run, status)


def started_false(seen: ObservedRun, reason: Reason, message: str) -> PipelineRunStatus:
    """Why main() was not called yet."""
    status = marked(seen.run, seen.now, (ConditionType.STARTED, "False", reason, message))
    named = status.model_copy(update={"id": run_id(seen.run.metadata.uid)})
    return summarised(seen.run, named)


def cancel_marked(
    seen: ObservedRun, truth: Truth, reason: Reason, message: str
) -> PipelineRunStatus:
    """The state of a cancel: False once claims have stopped, True once nothing below can start."""
    return marked(seen.run, seen.now, (ConditionType.CANCEL_ACCEPTED, truth, reason, message))


def write(seen: ObservedRun, status: PipelineRunStatus) -> WriteRunStatus:
    """The action that writes a status, based on the run as it was read."""
    metadata = seen.run.metadata
    if seen.place is not None and status.root_ref is None:
        # Lineage is written with the first write of all: a run that never had a pod has a tree too.
        place = seen.place
        status = status.model_copy(update={"depth": place.depth, "root_ref": place.root})
    return WriteRunStatus(
        metadata.namespace or "", metadata.name, metadata.resource_version, status
    )
