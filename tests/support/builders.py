"""Builders of objects and rows for tests of the planner and the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from mayfly.api.v1alpha1 import PipelineRun, PipelineRuntime, RootRef
from mayfly.metering.ledger import RunRow
from mayfly.reconcile.observed import ObservedPod, ObservedRun, PodSettings, Target

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
UID = "0190163d-8694-739b-aea5-966c26f8ad90"
IMAGE = f"example.test/runtime@sha256:{'0' * 64}"


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def runtime(**spec: Any) -> PipelineRuntime:
    return PipelineRuntime.model_validate(
        {"metadata": {"name": "default"}, "spec": {"image": IMAGE, **spec}}
    )


def target(**parts: Any) -> Target:
    parts = {
        "version": "a" * 64,
        "runtime": runtime(),
        "depth": 1,
        "root": RootRef(name="run", uid=UID),
        **parts,
    }
    return Target(**parts)


def run(status: dict[str, Any] | None = None, **spec: Any) -> PipelineRun:
    return PipelineRun.model_validate(
        {
            "metadata": {
                "name": "run",
                "namespace": "team",
                "uid": UID,
                "resourceVersion": "7",
                "generation": 1,
                "creationTimestamp": "2026-01-01T12:00:00Z",
            },
            "spec": {"pipelineSpec": {"source": {"inline": "def main(): ..."}}, **spec},
            "status": status or {},
        }
    )


def condition(
    kind: str, truth: str, reason: str, message: str = "", at: str = ""
) -> dict[str, Any]:
    return {
        "type": kind,
        "status": truth,
        "reason": reason,
        "message": message,
        "lastTransitionTime": at or "2026-01-01T12:00:00Z",
    }


CLAIMED: dict[str, Any] = {
    "attempt": 1,
    "podName": "pod-1",
    "podUID": "pod-uid-1",
    "conditions": [
        condition("Accepted", "True", "Accepted"),
        condition("Started", "False", "PodPending"),
        condition("Succeeded", "Unknown", "Running"),
    ],
}


def claimed(*more: dict[str, Any], **spec: Any) -> PipelineRun:
    """A claimed run; `more` replaces conditions by type."""
    types = {each["type"] for each in more}
    kept = [each for each in CLAIMED["conditions"] if each["type"] not in types]
    return run({**CLAIMED, "conditions": [*kept, *more]}, **spec)


def pod(**parts: Any) -> ObservedPod:
    return ObservedPod(**{"name": "pod-1", "uid": "pod-uid-1", **parts})


def seen(the_run: PipelineRun, **parts: Any) -> ObservedRun:
    parts = {"now": NOW, "pods": PodSettings("https://gateway.test"), **parts}
    return ObservedRun(run=the_run, **parts)


def ledger_row(**parts: Any) -> RunRow:
    """A run's row in the ledger, just opened."""
    parts = {
        "uid": "uid",
        "id": "0" * 26,
        "namespace": "team",
        "name": "run",
        "pipeline_namespace": "team",
        "pipeline": "answer",
        "version": "c" * 64,
        "root_uid": "uid",
        "parent_uid": None,
        "depth": 1,
        "runtime_digest": IMAGE,
        "prices": "[]",
        "currency": "USD",
        "input_json": "{}",
        "created_at": NOW,
        "opened_at": NOW,
        **parts,
    }
    return RunRow(**parts)
