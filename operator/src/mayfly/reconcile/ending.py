"""The end of a run: one data type for every end, whoever writes it.

The gateway ends a run from its agent's result. The controller ends runs that were refused, that
never had a pod, or whose pod disappeared without a result for the gateway.

The types of an end on its way:

    mayfly_runtime  End, Result    what PID 1 saw, and the message that carries it
    gateway         Result         the same message, parsed and checked
    metering        Ending         the end as it is journalled and billed, also of calls
    here            End            the end as it is written on the object

`Ending` has moments and amounts, all of them known. `End` has what a pod left: stamps are text that
goes onto the object as it is, and what nobody measured is None.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from mayfly.api.v1alpha1 import PipelineRun, PipelineRunStatus, Reason, Usage
from mayfly.api.v1alpha1.conditions import Condition, ConditionType, Truth, find, with_condition
from mayfly.api.v1alpha1.identity import run_id
from mayfly.api.v1alpha1.summary import summarised
from mayfly.clock import rfc3339, rfc3339_seconds
from mayfly.reconcile.observed import ObservedPod, Refusal
from mayfly.reconcile.run_status import marked
from mayfly_runtime.spec import strict_json

ERROR_BYTES = 4096
LOGS_TAIL_BYTES = 4096
OUTPUT_BYTES = 16_384

AGENT_REASONS = frozenset(
    {
        Reason.SUCCEEDED,
        Reason.USER_ERROR,
        Reason.IMPORT_ERROR,
        Reason.INVALID_INPUT,
        Reason.INVALID_SOURCE,
        Reason.TIMED_OUT,
        Reason.OUT_OF_MEMORY,
        Reason.EXITED,
        Reason.LOST,
        Reason.CANCELED,
        Reason.START_DEADLINE_EXCEEDED,
        Reason.OUTPUT_TOO_LARGE,
        Reason.OUTPUT_NOT_JSON,
        Reason.INPUT_FETCH_FAILED,
        Reason.OUTPUT_UPLOAD_FAILED,
        Reason.INTERNAL_ERROR,
    }
)
"""Reasons that an agent may report; any other is recorded as Lost."""

MESSAGES = {Reason.CANCELED: "The run was cancelled."}
"""Sentences of ends that have no error."""

DISRUPTIONS = {
    "EvictionByEvictionAPI": "it was evicted through the API, for example by `kubectl drain`",
    "PreemptionByScheduler": "it was preempted by a pod of higher priority",
    "DeletionByTaintManager": "its node was taken out of service",
    "TerminationByKubelet": "its node was shutting down, or short of memory or disk",
}
"""Why the cluster evicts a pod: the reason of the pod condition DisruptionTarget, and our
sentence. Another reason, DeletionByPodGC, means that the node disappeared: then the run is
Lost."""

OUTCOMES = frozenset({"succeeded", "failed", "canceled"})


@dataclass(frozen=True)
class End:
    """How a run ended.

    Attributes:
        reason: of the condition Succeeded.
        error: the last line of the exception, or a sentence; "" on success.
        started: main() was called; None if unknown.
        started_at: RFC 3339 with microseconds.
        completed_at: RFC 3339 with microseconds.
        active_ms: active time in milliseconds, rounded up; None if it was not measured.
        output_json: the output's exact text; None if there is none.
    """

    reason: Reason
    error: str = ""
    started: bool | None = None
    started_at: str | None = None
    completed_at: str | None = None
    active_ms: int | None = None
    output_json: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether main() returned and its output is stored."""
        return self.reason == Reason.SUCCEEDED


def clipped(text: str, limit: int) -> str:
    """The text truncated to `limit` bytes of UTF-8, between characters."""
    data = text.encode()
    if len(data) <= limit:
        return text
    return data[: limit - 3].decode(errors="ignore") + "…"


def ended(run: PipelineRun, end: End, *, now: datetime) -> PipelineRunStatus:
    """The status of a run that has just ended.

    Sets conditions, phase, times, active time, error and the copy of the output. `recorded`,
    `finished`, costs, `logsTail` and `outputURL` are left to the gateway, which alone knows them.
    """
    update: dict[str, Any] = {
        "id": run.status.id or run_id(run.metadata.uid),
        "conditions": _ended_conditions(run, end, now),
        "completed_at": end.completed_at or rfc3339(now),
    }
    if end.started_at or run.status.started_at:
        update["started_at"] = end.started_at or run.status.started_at
    if not end.succeeded:
        update["error"] = clipped(end.error, ERROR_BYTES)
    if end.active_ms is not None:
        update["usage"] = Usage(active_milliseconds=end.active_ms)
    if end.output_json is not None and strict_json.size(end.output_json) <= OUTPUT_BYTES:
        update["output"] = json.loads(end.output_json)
    return summarised(run, run.status.model_copy(update=update))


def _ended_conditions(run: PipelineRun, end: End, now: datetime) -> tuple[Condition, ...]:
    """The conditions Started, Succeeded and Finished of a run that has just ended."""
    set_to = partial(with_condition, now=rfc3339_seconds(now), generation=run.metadata.generation)
    conditions = run.status.conditions
    started = find(conditions, ConditionType.STARTED)
    if end.started:
        words = "main() was called."
        conditions = set_to(conditions, ConditionType.STARTED, "True", Reason.STARTED, words)
    elif end.started is False and not (started is not None and started.status == "True"):
        words = "The run ended before main() was called."
        conditions = set_to(conditions, ConditionType.STARTED, "False", Reason.NOT_STARTED, words)
    message = "main() returned." if end.succeeded else end.error or MESSAGES.get(end.reason, "")
    truth: Truth = "True" if end.succeeded else "False"
    conditions = set_to(conditions, ConditionType.SUCCEEDED, truth, end.reason, message)
    return set_to(conditions, ConditionType.FINISHED, "True", Reason.FINISHED, "The run is over.")


def refused(run: PipelineRun, refusal: Refusal, *, now: datetime) -> PipelineRunStatus:
    """The status of a refused run: it ends at once, without a pod."""
    status = marked(run, now, (ConditionType.ACCEPTED, "False", refusal.reason, refusal.message))
    told = run.model_copy(update={"status": status})
    return ended(told, End(Reason.REFUSED, refusal.message, started=False), now=now)


def from_pod(run: PipelineRun, pod: ObservedPod) -> End:
    """The end of a run whose pod ended without a result, from the pod's status.

    The termination message counts first, then the kubelet's reasons, then the exit code. An agent
    that was stopped before it had a result leaves a message without an outcome: its timestamps are
    used.
    """
    told = termination_message(run, pod.terminated.message if pod.terminated else "")
    if told is not None and told.get("outcome") in OUTCOMES:
        return _from_message(told)
    started = True if run.status.started else None if pod.ever_started or pod.unseen else False
    finished = pod.terminated.finished_at if pod.terminated else None
    end = replace(
        _from_state(run, pod),
        started=started,
        completed_at=rfc3339(finished) if finished else None,
    )
    if told is None:
        return end
    return replace(
        end,
        started=bool(told.get("started")) or run.status.started,
        started_at=_text(told.get("startedAt")),
        # 0 before the first heartbeat, if the agent was not asked to stop: the ledger may know.
        active_ms=_measured(told) or None,
    )


def _from_state(run: PipelineRun, pod: ObservedPod) -> End:
    state = pod.terminated
    if run.spec.cancel:
        return End(Reason.CANCELED, "The run was cancelled.")
    if state is not None and state.reason == "OOMKilled":
        return End(Reason.OUT_OF_MEMORY, "The run used more memory than its limit.")
    if pod.reason == "Evicted":
        words = pod.message.strip() or "no reason given"
        return End(Reason.EVICTED, f"The node evicted the pod: {words}")
    if pod.disruption is not None and pod.disruption[0] in DISRUPTIONS:
        why, words = pod.disruption
        return End(Reason.EVICTED, f"The pod was evicted: {DISRUPTIONS[why]} ({words or why}).")
    if pod.reason == "DeadlineExceeded":
        return End(Reason.TIMED_OUT, "The pod lived longer than the run's timeout allows.")
    if state is not None and not pod.deleting:
        return End(
            Reason.LOST,
            f"The pod ended with exit code {state.exit_code} and left no result"
            + (f" ({state.reason})." if state.reason not in {"", "Error", "Completed"} else "."),
        )
    if pod.disruption is not None:
        why, words = pod.disruption
        return End(Reason.LOST, f"The pod is gone: {words or why}.")
    if pod.deleting or pod.gone:
        return End(Reason.LOST, "The pod was deleted while the run was in it.")
    return End(Reason.LOST, f"The pod failed: {pod.message or pod.reason or 'no reason given'}")


def termination_message(run: PipelineRun, text: str) -> dict[str, Any] | None:
    """Parse the termination message that an agent left.

    Returns:
        None if it is not such a message, or belongs to another run or attempt.
    """
    try:
        told = json.loads(text)
    except ValueError:
        return None
    if not isinstance(told, dict) or told.get("run") != run.metadata.uid:
        return None
    return told if told.get("attempt") == run.status.attempt else None


def _from_message(told: dict[str, Any]) -> End:
    reason = agent_reason(str(told["outcome"]), str(told.get("reason")))
    output = told.get("outputJSON")
    error = str(told.get("error") or "")
    if reason == Reason.SUCCEEDED and told.get("outputOmitted"):
        reason = Reason.LOST
        error = "main() returned, but its output could not be delivered to the gateway."
    return End(
        reason=reason,
        error=error,
        started=bool(told.get("started")),
        started_at=_text(told.get("startedAt")),
        completed_at=_text(told.get("completedAt")),
        active_ms=_measured(told),
        output_json=output if isinstance(output, str) else None,
    )


def agent_reason(outcome: str, reason: str) -> Reason:
    """The reason of an agent's end; only reasons that an agent may report."""
    if outcome == "succeeded":
        return Reason.SUCCEEDED
    if outcome == "canceled":
        return Reason.CANCELED
    known = {str(each) for each in AGENT_REASONS - {Reason.SUCCEEDED, Reason.CANCELED}}
    return Reason(reason) if reason in known else Reason.LOST


def _measured(told: dict[str, Any]) -> int | None:
    active = told.get("activeMs")
    # JSON's true is an int to Python, and 1 ms to a bill.
    if isinstance(active, bool) or not isinstance(active, int) or active < 0:
        return None
    return active


def _text(value: object) -> str | None:
    return value[:32] if isinstance(value, str) and value else None
