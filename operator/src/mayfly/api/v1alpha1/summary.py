"""`status.phase`, `reason` and `pipeline` of a run: what it is and how it stands, for people."""

from __future__ import annotations

from mayfly.api.v1alpha1.conditions import Condition, ConditionType, Reason, find
from mayfly.api.v1alpha1.names import INLINE
from mayfly.api.v1alpha1.pipelinerun import Phase, PipelineRun, PipelineRunStatus


def summarised(run: PipelineRun, status: PipelineRunStatus) -> PipelineRunStatus:
    """A run's new status, with its pipeline and the phase and reason of its conditions."""
    return status.model_copy(
        update={
            "phase": _phase(status),
            "reason": reason_of(status),
            "pipeline": _pipeline(run) or status.pipeline,
        }
    )


def reason_of(status: PipelineRunStatus) -> str | None:
    """The reason of the condition that decides the phase; None before there is one."""
    why = _deciding(status)
    return why.reason if why is not None else None


def _pipeline(run: PipelineRun) -> str | None:
    """What the run is of; None if its spec can't be read."""
    if run.spec.pipeline_ref is not None:
        return run.spec.pipeline_ref.name
    return INLINE if run.spec.pipeline_spec is not None else None


def _phase(status: PipelineRunStatus) -> Phase:
    """The state in a word: derived from the conditions, decided by nothing."""
    succeeded = find(status.conditions, ConditionType.SUCCEEDED)
    if status.ended:
        if succeeded is not None and succeeded.status == "True":
            return "Succeeded"
        if succeeded is not None and succeeded.reason == Reason.CANCELED:
            return "Canceled"
        return "Failed"
    if status.started:
        return "Processing"
    return "Starting" if status.pod_uid else "Queued"


def _deciding(status: PipelineRunStatus) -> Condition | None:
    """The condition that says most: of a refused run Accepted, which names the mistake."""
    if not status.ended:
        return find(status.conditions, ConditionType.STARTED)
    succeeded = find(status.conditions, ConditionType.SUCCEEDED)
    if succeeded is not None and succeeded.reason == Reason.REFUSED:
        return find(status.conditions, ConditionType.ACCEPTED)
    return succeeded
