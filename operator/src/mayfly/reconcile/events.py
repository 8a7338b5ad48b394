"""Kubernetes Events: what a person would look for with `kubectl describe`. Pure.

A run that just succeeds has none. An event says what the status says at that moment, so it may be
planned at every look: one occasion is told once.
"""

from __future__ import annotations

from datetime import timedelta

from mayfly.api.v1alpha1 import PipelineRunStatus, Reason
from mayfly.api.v1alpha1.conditions import Condition, ConditionType, find
from mayfly.api.v1alpha1.resource import Resource
from mayfly.api.v1alpha1.summary import reason_of
from mayfly.clock import parse_rfc3339
from mayfly.reconcile.actions import Action, Event, WriteRunStatus
from mayfly.reconcile.deadlines import queued_long_at
from mayfly.reconcile.observed import ObservedRun

NEWS = timedelta(minutes=5)
"""How long after its end a run's end is news: a later look, at its TTL, tells nothing."""

HINDRANCES = frozenset({Reason.IMAGE_PULL, Reason.POD_REFUSED, Reason.STORAGE_FULL})
"""Reasons of Started=False that somebody has to act on."""


def run_events(seen: ObservedRun, actions: tuple[Action, ...]) -> tuple[Event, ...]:
    """What to tell about a run: how it ended if not well, or why it does not start."""
    written = [each.status for each in actions if isinstance(each, WriteRunStatus)]
    status = written[-1] if written else seen.run.status
    if status.ended:
        found = _end(seen, status)
    elif (status.attempt or 0) > (seen.run.status.attempt or status.attempt or 0):
        found = _claim_lost(seen, status)
    else:
        found = _hindrance(seen, status)
    return (found,) if found is not None else ()


def not_ready(resource: Resource, conditions: tuple[Condition, ...]) -> tuple[Event, ...]:
    """What to tell about a Pipeline, PipelineRuntime or Model: why it is not ready."""
    ready = find(conditions, ConditionType.READY)
    if ready is None or ready.status != "False":
        return ()
    occasion = f"{ready.observed_generation} {ready.last_transition_time}"
    return (_event(resource, ready.reason, ready.message, occasion),)


def _end(seen: ObservedRun, status: PipelineRunStatus) -> Event | None:
    succeeded = find(status.conditions, ConditionType.SUCCEEDED)
    over = find(status.conditions, ConditionType.FINISHED)
    if succeeded is None or succeeded.status == "True" or over is None:
        return None
    if seen.now - parse_rfc3339(over.last_transition_time) > NEWS:
        return None
    reason = reason_of(status) or succeeded.reason
    words = status.error or succeeded.message
    return _event(seen.run, reason, words, "end", warning=succeeded.reason != Reason.CANCELED)


def _claim_lost(seen: ObservedRun, status: PipelineRunStatus) -> Event:
    started = find(seen.run.status.conditions, ConditionType.STARTED)
    if started is not None and started.reason == Reason.CLAIM_LOST:
        words = started.message
    else:
        why = seen.pod.message or seen.pod.reason if seen.pod is not None else ""
        words = f"Pod {seen.run.status.pod_name} could not start the run" + (
            f": {why}." if why else "."
        )
    note = f"{words} Attempt {status.attempt} is in pod {status.pod_name}."
    return _event(seen.run, Reason.CLAIM_LOST, note, f"attempt {status.attempt}")


def _hindrance(seen: ObservedRun, status: PipelineRunStatus) -> Event | None:
    started = find(status.conditions, ConditionType.STARTED)
    if started is None:
        return None
    occasion = f"attempt {status.attempt}"
    if started.reason in HINDRANCES:
        return _event(seen.run, started.reason, started.message, occasion)
    if started.reason == Reason.QUEUED and seen.now >= queued_long_at(seen.run, now=seen.now):
        return _event(seen.run, started.reason, started.message, occasion, warning=False)
    return None


def _event(
    resource: Resource, reason: str, note: str, occasion: str, *, warning: bool = True
) -> Event:
    metadata = resource.metadata
    return Event(
        kind=resource.kind_name,
        namespace=metadata.namespace or "",
        name=metadata.name,
        uid=metadata.uid,
        reason=str(reason),
        note=note,
        occasion=occasion,
        warning=warning,
    )
