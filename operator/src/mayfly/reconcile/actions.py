"""What a plan can ask for: a closed union. `controller.execute` matches on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mayfly.api.v1alpha1 import PipelineRunStatus

Json = dict[str, Any]


@dataclass(frozen=True)
class CreatePod:
    """Create a run's pod. That it exists already is fine."""

    body: Json


@dataclass(frozen=True)
class DeletePod:
    """Delete exactly this pod."""

    namespace: str
    name: str
    uid: str
    grace_seconds: int | None = None


@dataclass(frozen=True)
class WriteRunStatus:
    """Write a run's status, if it is still as it was read."""

    namespace: str
    name: str
    resource_version: str
    status: PipelineRunStatus


@dataclass(frozen=True)
class DeleteRun:
    """Delete exactly this run; what it owns follows."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class EnsureNetworkPolicy:
    """Put the run pods' NetworkPolicy into a namespace."""

    namespace: str


@dataclass(frozen=True)
class CreateVersion:
    """Create a PipelineVersion. That it exists already is fine."""

    body: Json


@dataclass(frozen=True)
class DeleteVersion:
    """Delete exactly this PipelineVersion."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class WriteStatus:
    """Write the status of a Pipeline or PipelineRuntime, if it is still as it was read."""

    plural: str
    namespace: str
    name: str
    resource_version: str
    status: Json


Action = (
    CreatePod
    | DeletePod
    | WriteRunStatus
    | DeleteRun
    | EnsureNetworkPolicy
    | CreateVersion
    | DeleteVersion
    | WriteStatus
)


@dataclass(frozen=True)
class Plan:
    """What to do now, and when to look again even if nothing happens.

    Attributes:
        actions: in order; the first that fails stops the rest.
        wake: when to look again, or None.
    """

    actions: tuple[Action, ...] = ()
    wake: datetime | None = None


NOTHING = Plan()
