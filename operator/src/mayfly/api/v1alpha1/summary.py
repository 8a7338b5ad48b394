"""`status.phase` and `status.reason` of a run: its conditions in two words, for people."""

from __future__ import annotations

from mayfly.api.v1alpha1.conditions import Condition, ConditionType, Reason, find
from mayfly.api.v1alpha1.pipelinerun import Phase, PipelineRunStatus


def summarised(status: PipelineRunStatus) -> PipelineRunStatus:
    """The status with the phase and the reason that its conditions amount to."""
    why = _deciding(status)
    return status.model_copy(
        update={"phase": _phase(status), "reason": why.reason if why is not None else None}
    )


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
