"""What a pod's status tells: the parts of it that matter for decisions. Pure."""

from __future__ import annotations

from typing import Any

from mayfly.api.v1alpha1.names import RUN_ID_LABEL, WAITING
from mayfly.clock import parse_rfc3339
from mayfly.reconcile.observed import ObservedPod, Terminated

Json = dict[str, Any]


def observed_pod(body: Json) -> ObservedPod:
    """Parse the parts of a pod that matter for decisions."""
    metadata, status = body["metadata"], body.get("status", {})
    states = [each for each in status.get("containerStatuses", []) if each["name"] == "agent"]
    state: Json = states[0].get("state", {}) if states else {}
    last: Json = states[0].get("lastState", {}) if states else {}
    ended: Json = state.get("terminated") or {}
    finished = ended.get("finishedAt")
    waiting: Json = state.get("waiting") or {}
    started = (
        "running" in state
        or bool(ended.get("startedAt"))
        or bool((last.get("terminated") or {}).get("startedAt"))
        or bool(states and states[0].get("started"))
    )
    begun = status.get("startTime")
    return ObservedPod(
        name=metadata["name"],
        uid=metadata["uid"],
        waits=metadata.get("labels", {}).get(RUN_ID_LABEL) == WAITING,
        ready=condition(status, "Ready").get("status") == "True",
        booted=bool(states and states[0].get("started")),
        started_at=parse_rfc3339(begun) if begun else None,
        phase=status.get("phase", "Pending"),
        deleting="deletionTimestamp" in metadata,
        ever_started=started,
        terminated=Terminated(
            exit_code=int(ended.get("exitCode", 0)),
            reason=ended.get("reason", ""),
            message=ended.get("message", ""),
            finished_at=parse_rfc3339(finished) if finished else None,
        )
        if ended
        else None,
        reason=status.get("reason", ""),
        message=status.get("message", "") or _unschedulable(status),
        waiting=(waiting["reason"], waiting.get("message", "")) if waiting.get("reason") else None,
        blocked=_blocked(status),
        disruption=_disruption(status),
    )


def _blocked(status: Json) -> str:
    """What the first init container that has not done its part does, as words; "" if all have."""
    for each in status.get("initContainerStatuses", []):
        state = each.get("state") or {}
        name = f'the init container "{each["name"]}"'
        waiting, ended = state.get("waiting"), state.get("terminated")
        if ended is not None and ended.get("exitCode"):
            code, words = ended["exitCode"], ended.get("message") or ended.get("reason") or ""
            return f"{name} ended with exit code {code}" + (f": {words[:1000]}" if words else "")
        if waiting is not None and waiting.get("reason", "PodInitializing") != "PodInitializing":
            words = waiting.get("message") or ""
            return f"{name} waits: {waiting['reason']}" + (f": {words[:1000]}" if words else "")
        # A sidecar is `started` once its startup probe has succeeded, and then runs on.
        if "running" in state and not each.get("started"):
            return f"{name} has not finished its start"
    return ""


def condition(status: Json, kind: str) -> Json:
    """A condition of a pod's status; empty if it is not there."""
    found = (each for each in status.get("conditions", []) if each["type"] == kind)
    return next(found, {})


def _disruption(status: Json) -> tuple[str, str] | None:
    found = condition(status, "DisruptionTarget")
    if found.get("status") != "True":
        return None
    return found.get("reason", ""), found.get("message", "")


def _unschedulable(status: Json) -> str:
    found = condition(status, "PodScheduled")
    return str(found.get("message", "")) if found.get("status") == "False" else ""
